//! Whose a record is. Pure: runs of the same id never mix, also where journald could not tell the run.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::mark;
use super::query::{LoggedRun, NamedBy};
use super::record::Record;
use crate::id::{InvocationId, UnitName};

/// How many processes of one stream are remembered.
const WRITERS: usize = 8;
/// How far before the start of a run its main process may have written: systemd looks at the clock after the fork.
const CLOCK_AFTER_FORK: Duration = Duration::from_secs(1);

/// Gives each record to one of the wanted runs, or to none. Records come oldest first.
#[derive(Debug)]
pub(super) struct Attribution {
    runs: Vec<LoggedRun>,
    by_invocation: HashMap<InvocationId, usize>,
    by_identifier: HashMap<String, Vec<usize>>,
    by_unit: HashMap<String, usize>,
    streams: HashMap<u128, Heard>,
    /// Runs that were there before the wanted ones.
    earlier: HashSet<InvocationId>,
}

/// What the records of a stream said of whose it is. Those of one stream come in the order they were written, and a run
/// that a restart policy started writes on in the streams of the run before.
#[derive(Debug, Default)]
struct Heard {
    /// The run that was told last; `None` where it is not a wanted one.
    last: Option<usize>,
    /// The same by process: each belongs to one run.
    writers: VecDeque<(u32, Option<usize>)>,
}

/// An answer: a wanted run, or for certain none.
struct Told(Option<usize>);

impl Attribution {
    pub(super) fn new(runs: Vec<LoggedRun>) -> Self {
        let invocation = |(index, run): (usize, &LoggedRun)| run.invocation.map(|named| (named, index));
        let by_invocation = runs.iter().enumerate().filter_map(invocation).collect();
        let mut by_identifier: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, run) in runs.iter().enumerate() {
            by_identifier.entry(run.identifier()).or_default().push(index);
        }
        let unit = |(index, run): (usize, &LoggedRun)| (UnitName::for_proc(&run.id).to_string(), index);
        let by_unit = runs.iter().enumerate().map(unit).collect();
        let (streams, earlier) = (HashMap::new(), HashSet::new());
        Self { runs, by_invocation, by_identifier, by_unit, streams, earlier }
    }

    pub(super) fn runs(&self) -> &[LoggedRun] {
        &self.runs
    }

    /// Whether the streams of that run go by `name`.
    pub(super) fn is_identifier_of(&self, index: usize, name: Option<&str>) -> bool {
        let named = name.and_then(|name| self.by_identifier.get(name));
        named.is_some_and(|indices| indices.contains(&index))
    }

    /// Which of the runs wrote it: the one whose output its manager says it is; else the one that journald names; else
    /// what is known of its process and its stream, and last the run of that identifier and user in whose time it was
    /// taken. A sentinel is nobody's.
    pub(super) fn run_of(&mut self, record: &Record) -> Option<usize> {
        if mark::token_of(&record.message).is_some() && !self.is_written_by_a_run(record) {
            return None;
        }
        if let Some(Told(sent)) = self.sent(record) {
            return sent;
        }
        if record.invocation.is_none() || self.is_of_a_plain_child(record) {
            return self.unnamed(record);
        }
        let index = record.invocation.and_then(|named| self.by_invocation.get(&named).copied());
        let index = index.or_else(|| self.later(record));
        self.learn(record, index);
        index
    }

    /// From here on no later runs count as this one but those which it had: their records may still be on their way.
    pub(super) fn end(&mut self, index: usize, had: &[InvocationId]) {
        let Some(run) = self.runs.get_mut(index) else { return };
        run.with_later = false;
        // Of many the oldest are not known any more: where it is not among them, all came after it.
        let first = had.iter().position(|had| Some(*had) == run.invocation).unwrap_or(0);
        for run in &had[first..] {
            self.by_invocation.entry(*run).or_insert(index);
        }
    }

    /// The run before the one that journald names, where that one is wanted, too.
    fn later(&mut self, record: &Record) -> Option<usize> {
        let named = record.invocation?;
        let index = *self.by_unit.get(record.unit.as_deref()?)?;
        let run = self.runs.get(index).filter(|run| run.with_later && record.uid == Some(run.uid))?;
        if run.started_at.is_none_or(|started| record.at < started) {
            self.earlier.insert(named);
        }
        (!self.earlier.contains(&named)).then_some(index)
    }

    /// The run that a manager says it read the record from. Anybody can write that field, but not another's uid.
    fn sent(&mut self, record: &Record) -> Option<Told> {
        let named = record.run?;
        let index = self.by_invocation.get(&named).copied();
        let index =
            index.filter(|index| self.runs.get(*index).is_some_and(|run| record.uid == Some(run.uid)));
        Some(Told(index.or_else(|| self.sent_later(record, named))))
    }

    /// The run before the one that a manager says it read the record from, where that one is wanted, too.
    fn sent_later(&mut self, record: &Record, named: InvocationId) -> Option<usize> {
        let (index, run) = self.candidates(record).find(|(_, run)| run.with_later)?;
        if run.started_at.is_none_or(|started| record.at < started) {
            self.earlier.insert(named);
        }
        (!self.earlier.contains(&named)).then_some(index)
    }

    /// Whether it is a program's own line that looks like a sentinel: the sentinels are written by managers.
    fn is_written_by_a_run(&self, record: &Record) -> bool {
        let named =
            |run: &LoggedRun| run.named_by == NamedBy::Journald && run.invocation == record.invocation;
        let sent = |run: &LoggedRun| record.run.is_some() && run.invocation == record.run;
        let main = |run: &LoggedRun| record.pid.is_some() && run.pid == record.pid;
        self.candidates(record)
            .any(|(_, run)| (run.invocation.is_some() && named(run)) || sent(run) || main(run))
    }

    /// Whether a plain child may have written it, of which journald names the unit of its manager.
    fn is_of_a_plain_child(&self, record: &Record) -> bool {
        self.candidates(record)
            .any(|(_, run)| may_have_written(run, record) && run.named_by == NamedBy::Manager)
    }

    fn unnamed(&mut self, record: &Record) -> Option<usize> {
        let heard = record.stream_id.and_then(|stream| self.streams.get(&stream));
        if let Some(Told(known)) = heard.zip(record.pid).and_then(|(heard, pid)| heard.by_writer(pid)) {
            return known;
        }
        let by_pid = self.by_main_process(record);
        let index = match (by_pid, heard) {
            (Some(_), _) => by_pid,
            // In a stream that the run before had, it may be the first record of this one.
            (None, Some(heard)) => self.restarted_since(heard.last, record).or(heard.last),
            (None, None) => self.in_time(record),
        };
        if by_pid.is_some() || heard.is_none() {
            self.learn(record, index);
        }
        index
    }

    /// The run that has the record's process as its main one. Of several, as pids come again, the last that had begun.
    fn by_main_process(&self, record: &Record) -> Option<usize> {
        let begun = |run: &LoggedRun| {
            run.started_at.is_some_and(|started| record.at >= started.before(CLOCK_AFTER_FORK))
        };
        let is_main = |run: &LoggedRun| record.pid.is_some() && run.pid == record.pid && begun(run);
        let fitting =
            self.candidates(record).filter(|(_, run)| may_have_written(run, record) && is_main(run));
        fitting.max_by_key(|(_, run)| run.started_at).map(|(index, _)| index)
    }

    fn in_time(&self, record: &Record) -> Option<usize> {
        let fits = |run: &LoggedRun| may_have_written(run, record) && run.has(record.at);
        self.candidates(record).find(|(_, run)| fits(run)).map(|(index, _)| index)
    }

    /// A run in whose time the record was taken, and which a restart policy started after `last`.
    fn restarted_since(&self, last: Option<usize>, record: &Record) -> Option<usize> {
        let last_start = last.and_then(|last| self.runs.get(last)?.started_at);
        let index = self.in_time(record)?;
        let run = self.runs.get(index)?;
        (run.restarted && run.started_at > last_start).then_some(index)
    }

    /// The runs of the record's identifier and user.
    fn candidates<'a>(&'a self, record: &'a Record) -> impl Iterator<Item = (usize, &'a LoggedRun)> {
        let indices = record.identifier.as_deref().and_then(|name| self.by_identifier.get(name));
        let runs = indices.into_iter().flatten().filter_map(|index| Some((*index, self.runs.get(*index)?)));
        runs.filter(|(_, run)| record.uid == Some(run.uid))
    }

    /// A record that names its run says more than one that does not, so it may correct what was learnt.
    fn learn(&mut self, record: &Record, index: Option<usize>) {
        let wanted = record.identifier.as_deref().is_some_and(|name| self.by_identifier.contains_key(name));
        if let Some(stream) = record.stream_id.filter(|_| wanted) {
            self.streams.entry(stream).or_default().learn(record.pid, index);
        }
    }
}

/// Whether journald, by what unit it names, leaves it open that the run wrote the record.
fn may_have_written(run: &LoggedRun, record: &Record) -> bool {
    match run.named_by {
        NamedBy::Journald => record.invocation.is_none(),
        NamedBy::Manager => record.unit.as_deref() != Some(UnitName::for_proc(&run.id).as_str()),
    }
}

impl Heard {
    fn by_writer(&self, pid: u32) -> Option<Told> {
        self.writers.iter().find(|(writer, _)| *writer == pid).map(|(_, index)| Told(*index))
    }

    fn learn(&mut self, pid: Option<u32>, index: Option<usize>) {
        self.last = index;
        let Some(pid) = pid else { return };
        if self.writers.back() == Some(&(pid, index)) {
            return;
        }
        self.writers.retain(|(writer, _)| *writer != pid);
        self.writers.push_back((pid, index));
        if self.writers.len() > WRITERS {
            self.writers.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::held::held;
    use super::*;
    use crate::id::ProcId;
    use crate::time::Timestamp;

    const OURS: &str = "f82bc701683a4d1d84894610857aeabe";
    const OTHER: &str = "00000000683a4d1d84894610857aeabe";

    fn run(id: &str, invocation: &str, from: u64, until: Option<u64>) -> LoggedRun {
        LoggedRun {
            invocation: Some(invocation.parse().unwrap()),
            started_at: Some(Timestamp::from_micros(from)),
            next_started_at: until.map(Timestamp::from_micros),
            ..LoggedRun::new(ProcId::new(id).unwrap(), 1000)
        }
    }

    fn record(at: u64, stream: &str, invocation: Option<&str>) -> Record {
        Record {
            identifier: Some("web".to_owned()),
            uid: Some(1000),
            invocation: invocation.map(|invocation| invocation.parse().unwrap()),
            stream_id: Some(stream.bytes().fold(0, |id, byte| id << 8 | u128::from(byte))),
            ..held(at)
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
        assert_eq!(runs.run_of(&record(150, "a", None)), Some(0));
        assert_eq!(runs.run_of(&record(250, "b", None)), Some(1));
    }

    fn by(pid: u32, record: Record) -> Record {
        Record { pid: Some(pid), ..record }
    }

    fn restarted() -> Attribution {
        let second = LoggedRun { restarted: true, pid: Some(20), ..run("web", OURS, 200, None) };
        Attribution::new(vec![LoggedRun { pid: Some(10), ..run("web", OTHER, 100, Some(200)) }, second])
    }

    #[test]
    fn runs_of_a_restart_policy_share_a_stream_and_no_line() {
        let mut runs = restarted();
        assert_eq!(runs.run_of(&by(10, record(150, "s", Some(OTHER)))), Some(0));
        assert_eq!(runs.run_of(&by(10, record(210, "s", None))), Some(0), "late, by its process");
        assert_eq!(runs.run_of(&by(20, record(220, "s", None))), Some(1), "by the main process");
        assert_eq!(runs.run_of(&by(21, record(230, "s", None))), Some(1), "by what the stream said last");
        assert_eq!(runs.run_of(&by(10, record(240, "s", None))), Some(0), "later still");
    }

    #[test]
    fn the_first_record_after_a_restart_may_be_of_a_process_that_nothing_is_known_of() {
        let mut runs = restarted();
        assert_eq!(runs.run_of(&by(10, record(150, "s", Some(OTHER)))), Some(0));
        assert_eq!(runs.run_of(&by(25, record(210, "s", None))), Some(1));
        let alone = LoggedRun { restarted: true, ..run("web", OURS, 200, None) };
        let mut newest = Attribution::new(vec![alone]);
        assert_eq!(newest.run_of(&by(10, record(150, "s", Some(OTHER)))), None);
        assert_eq!(
            newest.run_of(&by(25, record(210, "s", None))),
            Some(0),
            "also where the first is not wanted"
        );
        assert_eq!(newest.run_of(&by(10, record(220, "s", None))), None);
    }

    #[test]
    fn the_streams_of_a_run_that_was_replaced_stay_its_own() {
        let second = run("web", OURS, 200, None);
        let mut runs = Attribution::new(vec![run("web", OTHER, 100, Some(200)), second]);
        assert_eq!(runs.run_of(&by(10, record(150, "s", Some(OTHER)))), Some(0));
        assert_eq!(runs.run_of(&by(11, record(210, "s", None))), Some(0));
    }

    #[test]
    fn the_main_process_is_known_by_its_pid_whenever_it_is_read() {
        let first = LoggedRun { pid: Some(10), ..run("web", OTHER, 100, Some(200)) };
        let mut runs =
            Attribution::new(vec![first, LoggedRun { pid: Some(20), ..run("web", OURS, 200, None) }]);
        assert_eq!(runs.run_of(&by(10, record(250, "s", None))), Some(0));
        assert_eq!(runs.run_of(&by(20, record(260, "t", None))), Some(1));
    }

    #[test]
    fn what_a_manager_sent_is_the_runs_it_says_if_the_user_is_the_same() {
        let sent = Record { run: Some(OURS.parse().unwrap()), ..record(150, "s", Some(OTHER)) };
        assert_eq!(web().run_of(&sent), Some(0));
        assert_eq!(web().run_of(&Record { uid: Some(1001), ..sent.clone() }), None);
        let others =
            Record { run: Some(OTHER.parse().unwrap()), invocation: Some(OURS.parse().unwrap()), ..sent };
        assert_eq!(web().run_of(&others), None, "of a proc inside this one");
    }

    #[test]
    fn a_plain_childs_lines_are_told_by_identifier_user_time_and_process() {
        let child =
            LoggedRun { named_by: NamedBy::Manager, pid: Some(10), ..run("web", OURS, 100, Some(200)) };
        let mut runs = Attribution::new(vec![child]);
        assert_eq!(
            runs.run_of(&by(10, record(150, "a", Some(OTHER)))),
            Some(0),
            "named after its manager's unit"
        );
        assert_eq!(runs.run_of(&by(11, record(150, "b", None))), Some(0));
        assert_eq!(runs.run_of(&by(12, record(250, "c", Some(OTHER)))), None);
        let unit = Some("procunit-web.service".to_owned());
        assert_eq!(runs.run_of(&Record { unit, ..record(150, "d", Some(OTHER)) }), None, "a unit of that id");
    }

    #[test]
    fn runs_after_a_followed_one_count_as_it_and_runs_before_do_not() {
        let followed = LoggedRun { with_later: true, ..run("web", OURS, 100, None) };
        let mut runs = Attribution::new(vec![followed]);
        let third = "11111111683a4d1d84894610857aeabe";
        let of = |at, name| {
            let unit = Some("procunit-web.service".to_owned());
            Record { unit, ..record(at, name, Some(name)) }
        };
        assert_eq!(runs.run_of(&of(90, OTHER)), None);
        assert_eq!(runs.run_of(&of(110, OTHER)), None, "late");
        assert_eq!(runs.run_of(&of(120, OURS)), Some(0));
        assert_eq!(runs.run_of(&of(130, third)), Some(0));
        assert_eq!(runs.run_of(&Record { unit: None, ..of(140, third) }), None, "another unit");
        let fourth = "22222222683a4d1d84894610857aeabe";
        runs.end(0, &[third.parse().unwrap()]);
        assert_eq!(runs.run_of(&of(150, third)), Some(0), "one of its own");
        assert_eq!(runs.run_of(&of(155, fourth)), None);
        assert_eq!(runs.run_of(&of(160, OURS)), Some(0));
    }

    #[test]
    fn of_the_runs_of_a_proc_that_is_over_those_from_the_wanted_one_on_are_its_own() {
        let third = "11111111683a4d1d84894610857aeabe";
        let named = |names: &[&str]| -> Vec<InvocationId> {
            names.iter().map(|name| name.parse().unwrap()).collect()
        };
        for (known, expected) in [
            (&[OTHER, OURS, third][..], [None, Some(0), Some(0)]),
            // The oldest are forgotten, the wanted one too.
            (&[third], [None, Some(0), Some(0)]),
            (&[OTHER, OURS], [None, Some(0), None]),
        ] {
            let followed = LoggedRun { with_later: true, ..run("web", OURS, 100, None) };
            let mut runs = Attribution::new(vec![followed]);
            runs.end(0, &named(known));
            let records = [(90, OTHER), (110, OURS), (120, third)];
            let found = records.map(|(at, name)| runs.run_of(&record(at, name, Some(name))));
            assert_eq!(found, expected, "{known:?}");
        }
    }

    #[test]
    fn a_sentinel_is_nobodys_and_says_nothing_of_its_stream() {
        let words = mark::sentinel(&"0".repeat(mark::TOKEN_LEN)).into_bytes();
        let mut runs = web();
        let sentinel =
            |pid, invocation| by(pid, Record { message: words.clone(), ..record(150, "s", invocation) });
        assert_eq!(runs.run_of(&sentinel(1, Some(OTHER))), None);
        assert_eq!(runs.run_of(&sentinel(1, None)), None);
        assert_eq!(
            runs.run_of(&by(2, record(160, "s", None))),
            Some(0),
            "the stream is the run's all the same"
        );
        assert_eq!(runs.run_of(&sentinel(2, Some(OURS))), Some(0), "the program's own words");
    }

    #[test]
    fn an_id_that_cannot_be_an_identifier_goes_by_its_unit() {
        let mut runs = Attribution::new(vec![run("a\\", OURS, 100, None)]);
        let identifier = Some("procunit-a::5c.service".to_owned());
        assert_eq!(runs.run_of(&Record { identifier, ..record(150, "s", None) }), Some(0));
    }
}
