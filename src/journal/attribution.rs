//! Whose a record is. Pure: runs of the same id never mix, also where journald could not tell the run.

use std::collections::HashMap;

use super::query::LoggedRun;
use super::record::Record;
use crate::id::InvocationId;

/// Gives each record to one of the wanted runs, or to none. Records come oldest first.
#[derive(Debug)]
pub(super) struct Attribution {
    runs: Vec<LoggedRun>,
    by_invocation: HashMap<InvocationId, usize>,
    by_identifier: HashMap<String, Vec<usize>>,
    /// Whose a stream is, learnt from those of its records that tell. A stream has one run.
    streams: HashMap<String, Option<usize>>,
}

impl Attribution {
    pub(super) fn new(runs: Vec<LoggedRun>) -> Self {
        let invocation = |(index, run): (usize, &LoggedRun)| run.invocation.map(|named| (named, index));
        let by_invocation = runs.iter().enumerate().filter_map(invocation).collect();
        let mut by_identifier: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, run) in runs.iter().enumerate() {
            by_identifier.entry(run.id.as_str().to_owned()).or_default().push(index);
        }
        Self { runs, by_invocation, by_identifier, streams: HashMap::new() }
    }

    /// The run that wrote it: the one it names; else that of its stream; else the run of that identifier and user
    /// in whose time it was taken.
    pub(super) fn run_of(&mut self, record: &Record) -> Option<&LoggedRun> {
        let index = match record.invocation {
            Some(named) => {
                let index = self.by_invocation.get(&named).copied();
                self.learn(record, index);
                index
            }
            None => self.unnamed(record),
        };
        index.and_then(|index| self.runs.get(index))
    }

    fn unnamed(&mut self, record: &Record) -> Option<usize> {
        if let Some(known) = record.stream.as_ref().and_then(|stream| self.streams.get(stream)) {
            return *known;
        }
        let candidates = self.by_identifier.get(record.identifier.as_deref()?)?;
        let fits = |index: &&usize| self.runs.get(**index).is_some_and(|run| in_time(run, record));
        let index = candidates.iter().find(fits).copied();
        self.learn(record, index);
        index
    }

    /// A record that names its run says more than one that does not, so it may correct what was learnt.
    fn learn(&mut self, record: &Record, index: Option<usize>) {
        let wanted = record.identifier.as_deref().is_some_and(|name| self.by_identifier.contains_key(name));
        if let Some(stream) = record.stream.as_ref().filter(|_| wanted)
            && self.streams.get(stream) != Some(&index)
        {
            self.streams.insert(stream.clone(), index);
        }
    }
}

fn in_time(run: &LoggedRun, record: &Record) -> bool {
    record.uid == Some(run.uid)
        && run.started_at.is_some_and(|started| record.at >= started)
        && run.next_started_at.is_none_or(|next| record.at < next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ProcId;
    use crate::time::Timestamp;

    const OURS: &str = "f82bc701683a4d1d84894610857aeabe";
    const OTHER: &str = "00000000683a4d1d84894610857aeabe";

    fn run(id: &str, invocation: &str, from: u64, until: Option<u64>) -> LoggedRun {
        LoggedRun {
            id: ProcId::new(id).unwrap(),
            uid: 1000,
            invocation: Some(invocation.parse().unwrap()),
            started_at: Some(Timestamp::from_micros(from)),
            next_started_at: until.map(Timestamp::from_micros),
        }
    }

    fn record(at: u64, stream: &str, invocation: Option<&str>) -> Record {
        Record {
            cursor: at.to_string(),
            at: Timestamp::from_micros(at),
            message: Vec::new(),
            continues: false,
            priority: None,
            identifier: Some("web".to_owned()),
            uid: Some(1000),
            pid: None,
            invocation: invocation.map(|invocation| invocation.parse().unwrap()),
            stream: Some(stream.to_owned()),
        }
    }

    fn web() -> Attribution {
        Attribution::new(vec![run("web", OURS, 100, None)])
    }

    #[test]
    fn a_record_that_names_the_run_is_its_own_whatever_its_identifier() {
        let named = Record { identifier: Some("logger".to_owned()), ..record(50, "s", Some(OURS)) };
        assert!(web().run_of(&named).is_some());
    }

    #[test]
    fn a_record_that_names_another_run_is_not_its_own() {
        assert!(web().run_of(&record(150, "s", Some(OTHER))).is_none());
    }

    #[test]
    fn a_record_that_names_none_counts_from_the_start_on() {
        assert!(web().run_of(&record(100, "s", None)).is_some());
        assert!(web().run_of(&record(99, "s", None)).is_none());
    }

    #[test]
    fn a_record_that_names_none_counts_after_the_end_but_not_in_the_next_run() {
        let mut runs = Attribution::new(vec![run("web", OURS, 100, Some(200))]);
        assert!(runs.run_of(&record(199, "a", None)).is_some());
        assert!(runs.run_of(&record(200, "b", None)).is_none());
    }

    #[test]
    fn late_records_of_an_earlier_run_are_told_by_their_stream() {
        let mut runs = web();
        assert!(runs.run_of(&record(90, "before", None)).is_none());
        assert!(runs.run_of(&record(110, "before", None)).is_none(), "the stream began before the run");
        assert!(runs.run_of(&record(120, "foreign", Some(OTHER))).is_none());
        assert!(runs.run_of(&record(130, "foreign", None)).is_none(), "the stream is another run's");
    }

    #[test]
    fn a_stream_that_names_the_run_once_is_its_own_for_good() {
        let mut runs = Attribution::new(vec![run("web", OURS, 100, Some(200))]);
        assert!(runs.run_of(&record(110, "s", Some(OURS))).is_some());
        assert!(runs.run_of(&record(210, "s", None)).is_some());
    }

    #[test]
    fn of_another_user_with_the_same_identifier_nothing_is_taken() {
        let theirs = Record { uid: Some(1001), ..record(150, "s", None) };
        assert!(web().run_of(&theirs).is_none());
    }

    #[test]
    fn without_a_start_only_records_that_name_the_run_count() {
        let mut unknown = Attribution::new(vec![LoggedRun { started_at: None, ..run("web", OURS, 0, None) }]);
        assert!(unknown.run_of(&record(150, "s", None)).is_none());
        assert!(unknown.run_of(&record(150, "t", Some(OURS))).is_some());
    }

    #[test]
    fn two_wanted_runs_of_one_id_share_nothing() {
        let mut runs = Attribution::new(vec![run("web", OTHER, 100, Some(200)), run("web", OURS, 200, None)]);
        let first = runs.run_of(&record(150, "a", None)).and_then(|run| run.invocation);
        let second = runs.run_of(&record(250, "b", None)).and_then(|run| run.invocation);
        assert_eq!(first, Some(OTHER.parse().unwrap()));
        assert_eq!(second, Some(OURS.parse().unwrap()));
    }
}
