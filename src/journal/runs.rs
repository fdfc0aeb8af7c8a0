//! The runs of a proc as the journal alone tells them, also when the proc is long gone and after a reboot.
//!
//! A run has a name where a record has it: one of a process that journald still found in its unit, one that a manager
//! sent, or the word of the user manager that it started the unit. Of a program that was over at once there may be none;
//! then its streams tell it apart, since two runs of one id are never there at the same time.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::error::JournalError;
use super::mark;
use super::query::{LoggedRun, NamedBy, Query, Start, Wanted};
use super::record::Record;
use super::stream::StdStream;
use super::{JournalReader, Records};
use crate::id::{InvocationId, ProcId, UnitName};
use crate::time::Timestamp;

/// Streams without a name that begin so close to one another are taken for one run's.
const TOGETHER: Duration = Duration::from_secs(1);
/// How many processes of a run are remembered.
const WRITERS: usize = 64;

/// The runs of `id` that the journal has something of, oldest first. Their starts are those of their first record.
///
/// It reads all that there is of the proc.
///
/// # Errors
/// [`JournalError`].
pub async fn runs_of<J: JournalReader>(
    reader: &J,
    id: &ProcId,
    uid: u32,
) -> Result<Vec<LoggedRun>, JournalError> {
    let of = Wanted::Proc { id: id.clone(), uid };
    let mut records = reader.open(&Query { of, start: Start::Oldest, until: None, follow: false })?;
    let mut seen = Seen::new(LoggedRun::new(id.clone(), uid));
    while let Some(record) = records.next().await? {
        seen.take(&record);
    }
    Ok(seen.runs())
}

/// What has been read of a proc.
struct Seen {
    /// What is known of each run.
    template: LoggedRun,
    unit: UnitName,
    identifier: String,
    runs: Vec<Run>,
    named: HashMap<InvocationId, usize>,
    streams: HashMap<u128, usize>,
}

/// What has been read of a run.
struct Run {
    name: Option<InvocationId>,
    boot_id: Option<u128>,
    first: Timestamp,
    last: Timestamp,
    /// Which streams it has.
    kinds: Vec<Option<StdStream>>,
    writers: HashSet<u32>,
    /// Whether journald, or the user manager, named a unit of its own.
    is_unit: bool,
    /// Whether journald named something else.
    is_inside_another: bool,
    /// Whether it has a stream of the run before.
    restarted: bool,
}

impl Seen {
    fn new(template: LoggedRun) -> Self {
        let unit = UnitName::for_proc(&template.id);
        let identifier = template.identifier();
        Self { template, unit, identifier, runs: Vec::new(), named: HashMap::new(), streams: HashMap::new() }
    }

    fn take(&mut self, record: &Record) {
        let in_unit = record.unit.as_deref() == Some(self.unit.as_str());
        let by_journald = record.invocation.filter(|_| in_unit);
        let name = record.run.or(record.started).or(by_journald);
        if record.uid != Some(self.template.uid)
            || (mark::token_of(&record.message).is_some() && by_journald.is_none())
        {
            return;
        }
        let index = match name {
            Some(name) => self.of_name(name, record),
            None if record.identifier.as_ref() == Some(&self.identifier) => self.of_stream(record),
            None => None,
        };
        if let Some(run) = index.and_then(|index| self.runs.get_mut(index)) {
            run.take(record);
            run.is_unit |= in_unit || record.started.is_some();
            run.is_inside_another |= record.invocation.is_some() && !in_unit;
        }
    }

    fn of_name(&mut self, name: InvocationId, record: &Record) -> Option<usize> {
        let of_stream = record.stream_id.and_then(|stream| self.streams.get(&stream).copied());
        let known = self.named.get(&name).copied();
        // The first records of a run may be without its name.
        let unnamed = of_stream.filter(|index| self.runs.get(*index).is_some_and(|run| run.name.is_none()));
        let index = known.or(unnamed).unwrap_or_else(|| self.begin(record));
        let run = self.runs.get_mut(index)?;
        run.name = Some(name);
        run.restarted |= of_stream.is_some_and(|before| before < index);
        if record.stream_id.is_some() && of_stream != Some(index) {
            run.kinds.push(record.stream);
        }
        self.named.insert(name, index);
        self.streams.extend(record.stream_id.map(|stream| (stream, index)));
        Some(index)
    }

    fn of_stream(&mut self, record: &Record) -> Option<usize> {
        let stream = record.stream_id?;
        if let Some(known) = self.streams.get(&stream) {
            return Some(*known);
        }
        let newest = self.runs.len().checked_sub(1);
        let joins = |index: &usize| self.runs.get(*index).is_some_and(|run| run.may_have(record));
        let index = newest.filter(joins).unwrap_or_else(|| self.begin(record));
        self.streams.insert(stream, index);
        self.runs.get_mut(index)?.kinds.push(record.stream);
        Some(index)
    }

    fn begin(&mut self, record: &Record) -> usize {
        self.runs.push(Run {
            name: None,
            boot_id: record.boot_id,
            first: record.at,
            last: record.at,
            kinds: Vec::new(),
            writers: HashSet::new(),
            is_unit: false,
            is_inside_another: false,
            restarted: false,
        });
        self.runs.len() - 1
    }

    fn runs(self) -> Vec<LoggedRun> {
        let nexts = self.runs.iter().skip(1).map(|run| Some(run.first)).chain([None]);
        let run = |(run, next_started_at): (&Run, Option<Timestamp>)| LoggedRun {
            invocation: run.name,
            named_by: if run.is_inside_another && !run.is_unit {
                NamedBy::Manager
            } else {
                NamedBy::Journald
            },
            started_at: Some(run.first),
            next_started_at,
            restarted: run.restarted,
            ..self.template.clone()
        };
        self.runs.iter().zip(nexts).map(run).collect()
    }
}

impl Run {
    fn take(&mut self, record: &Record) {
        self.last = record.at;
        if let Some(pid) = record.pid.filter(|_| record.started.is_none() && self.writers.len() < WRITERS) {
            self.writers.insert(pid);
        }
    }

    /// Whether a stream that begins with this record, which names no run, may be its other one: it has none of that kind
    /// yet, and either one process writes to both or they are there at the same time. A run with a name may be silent
    /// for long before its other stream begins.
    fn may_have(&self, record: &Record) -> bool {
        let is_free = self.kinds.iter().all(|kind| kind.is_some() && *kind != record.stream);
        let same_process = record.pid.is_some_and(|pid| self.writers.contains(&pid));
        let close = record.at.since(self.last) <= TOGETHER;
        self.boot_id == record.boot_id && is_free && (same_process || close || self.name.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::super::held::{Held, held};
    use super::*;

    const FIRST: &str = "f82bc701683a4d1d84894610857aeabe";
    const SECOND: &str = "00000000683a4d1d84894610857aeabe";
    const SECONDS: u64 = 1_000_000;

    fn line(at: u64, stream: u128, kind: StdStream, pid: u32) -> Record {
        Record {
            identifier: Some("web".to_owned()),
            uid: Some(1000),
            boot_id: Some(1),
            stream_id: Some(stream),
            stream: Some(kind),
            pid: Some(pid),
            ..held(at * SECONDS)
        }
    }

    fn out(at: u64, stream: u128, pid: u32) -> Record {
        line(at, stream, StdStream::Stdout, pid)
    }

    fn err(at: u64, stream: u128, pid: u32) -> Record {
        line(at, stream, StdStream::Stderr, pid)
    }

    fn named(name: &str, record: Record) -> Record {
        let unit = Some("procunit-web.service".to_owned());
        Record { invocation: Some(name.parse().unwrap()), unit, ..record }
    }

    async fn runs(records: Vec<Record>) -> Vec<LoggedRun> {
        runs_of(&Held(records), &ProcId::new("web").unwrap(), 1000).await.unwrap()
    }

    async fn starts(records: Vec<Record>) -> Vec<u64> {
        runs(records).await.iter().map(|run| run.started_at.unwrap().as_micros() / SECONDS).collect()
    }

    #[tokio::test]
    async fn each_name_is_a_run_and_one_ends_where_the_next_starts() {
        let found = runs(vec![
            named(FIRST, out(1, 1, 10)),
            named(FIRST, out(2, 1, 10)),
            named(SECOND, out(5, 3, 20)),
        ]);
        let found = found.await;
        let names: Vec<_> = found.iter().map(|run| run.invocation.unwrap().to_string()).collect();
        assert_eq!(names, [FIRST, SECOND]);
        assert_eq!(found[0].next_started_at, found[1].started_at);
        assert!(found.iter().all(|run| !run.restarted && run.named_by == NamedBy::Journald));
    }

    #[tokio::test]
    async fn a_run_that_writes_on_in_a_stream_of_the_one_before_was_restarted() {
        let found = runs(vec![named(FIRST, out(1, 1, 10)), named(SECOND, out(5, 1, 20))]).await;
        assert_eq!(found.iter().map(|run| run.restarted).collect::<Vec<_>>(), [false, true]);
    }

    #[tokio::test]
    async fn runs_that_nothing_names_are_told_apart_by_their_streams() {
        assert_eq!(starts(vec![out(1, 1, 10), err(1, 2, 10), out(2, 3, 20), err(2, 4, 20)]).await, [1, 2]);
        assert_eq!(starts(vec![out(1, 1, 10), err(9, 2, 11)]).await, [1, 9], "they may be two");
        assert_eq!(starts(vec![out(1, 1, 10), err(9, 2, 10)]).await, [1], "one process");
    }

    #[tokio::test]
    async fn a_stream_without_a_name_is_the_other_one_of_the_run_before_it() {
        assert_eq!(starts(vec![named(FIRST, out(1, 1, 10)), err(60, 2, 11)]).await, [1]);
        assert_eq!(starts(vec![named(FIRST, out(1, 1, 10)), out(60, 2, 11)]).await, [1, 60]);
        let rebooted = Record { boot_id: Some(2), ..err(60, 2, 11) };
        assert_eq!(starts(vec![named(FIRST, out(1, 1, 10)), rebooted]).await, [1, 60]);
    }

    #[tokio::test]
    async fn a_run_whose_first_lines_had_no_name_is_one() {
        let found = runs(vec![out(1, 1, 10), named(FIRST, out(2, 1, 10)), err(2, 2, 11)]).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].invocation.unwrap().to_string(), FIRST);
    }

    #[tokio::test]
    async fn a_run_that_wrote_nothing_is_known_by_the_user_managers_word() {
        let started = Record { started: Some(FIRST.parse().unwrap()), ..out(1, 1, 1) };
        let started =
            Record { identifier: Some("systemd".to_owned()), stream_id: None, stream: None, ..started };
        assert_eq!(starts(vec![started]).await, [1]);
    }

    #[tokio::test]
    async fn a_plain_childs_runs_are_named_by_what_their_manager_sent() {
        let sent = Record { run: Some(FIRST.parse().unwrap()), stream_id: None, ..out(1, 1, 5) };
        let sent = Record { invocation: Some(SECOND.parse().unwrap()), ..sent };
        let found = runs(vec![sent]).await;
        assert_eq!(found[0].invocation.unwrap().to_string(), FIRST);
        assert_eq!(found[0].named_by, NamedBy::Manager);
    }

    #[tokio::test]
    async fn anothers_records_and_sentinels_are_no_runs() {
        let theirs = Record { uid: Some(1001), ..out(1, 1, 10) };
        let sentinel =
            Record { message: mark::sentinel(&"a".repeat(mark::TOKEN_LEN)).into_bytes(), ..out(2, 2, 1) };
        let logged = Record { stream_id: None, ..out(3, 3, 1) };
        assert_eq!(starts(vec![theirs, sentinel, logged]).await, [0; 0]);
    }
}
