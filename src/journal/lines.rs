//! The lines of runs: what a reader gives, without what is another's.

use std::collections::VecDeque;
use std::time::Duration;

use super::attribution::Attribution;
use super::error::JournalError;
use super::query::{LoggedRun, Query, Start, Wanted, Window};
use super::record::Record;
use super::stream::StdStream;
use super::{JournalReader, Records};
use crate::id::{InvocationId, ProcId};

/// How far before a run its identifier's records are looked at.
const LOOK_BACK: Duration = Duration::from_secs(30);

/// A line that a wanted run wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which proc's run.
    pub id: ProcId,
    /// Which of the runs that were asked for.
    pub run: usize,
    /// Which of its standard streams it was written to; `None` where that cannot be told ([`Record::stream`]), or
    /// where it came another way, as by logger(1).
    pub stream: Option<StdStream>,
    /// The record.
    pub record: Record,
}

/// Lines of one or several runs together, oldest first.
#[derive(Debug)]
pub struct Lines<R> {
    records: R,
    attribution: Attribution,
    window: Window,
    cursor: Option<String>,
    /// How many records have been read.
    read: usize,
    /// How many records earlier readings passed over.
    skipped: u64,
}

impl Attribution {
    fn line(&mut self, record: Record) -> Option<Line> {
        let index = self.run_of(&record)?;
        let run = self.runs().get(index)?;
        let is_output = record.run.is_some() || self.is_identifier_of(index, record.identifier.as_deref());
        let stream = record.stream.filter(|_| is_output);
        Some(Line { id: run.id.clone(), run: index, stream, record })
    }
}

impl<R: Records> Lines<R> {
    /// All lines of the window.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(
        reader: &impl JournalReader<Records = R>,
        runs: &[LoggedRun],
        window: Window,
    ) -> Result<Self, JournalError> {
        Self::start(reader, runs, window, beginning(runs, window), false)
    }

    /// Lines from `after` (see [`Self::cursor`]) on, or all lines of the window, and then those to come.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn follow(
        reader: &impl JournalReader<Records = R>,
        runs: &[LoggedRun],
        window: Window,
        after: Option<String>,
    ) -> Result<Self, JournalError> {
        let start = after.map_or_else(|| beginning(runs, window), Start::After);
        Self::start(reader, runs, window, start, true)
    }

    fn start(
        reader: &impl JournalReader<Records = R>,
        runs: &[LoggedRun],
        window: Window,
        start: Start,
        follow: bool,
    ) -> Result<Self, JournalError> {
        let cursor = if let Start::After(cursor) = &start { Some(cursor.clone()) } else { None };
        let query = Query { of: Wanted::Runs(runs.to_vec()), start, until: window.until, follow };
        let records = reader.open(&query)?;
        Ok(Self {
            records,
            attribution: Attribution::new(runs.to_vec()),
            window,
            cursor,
            read: 0,
            skipped: 0,
        })
    }

    /// The next line; `None` at the end, which lines that are followed do not have. Cancel safe.
    ///
    /// # Errors
    /// [`JournalError`], after which nothing more comes.
    pub async fn next(&mut self) -> Result<Option<Line>, JournalError> {
        while let Some(record) = self.records.next().await? {
            self.cursor.get_or_insert_default().clone_from(&record.cursor);
            self.read += 1;
            let line = self.attribution.line(record);
            if line.as_ref().is_some_and(|line| self.window.has(line.record.at)) {
                return Ok(line);
            }
        }
        Ok(None)
    }

    /// Says that a run is over: of those after it, which [`LoggedRun::with_later`] may have asked for, no more comes.
    ///
    /// `had` are the runs of its proc, oldest first, as far as they are known. All runs from it on count as this one, and what
    /// stands before it does not; where it is not among them, all came after it.
    pub fn end(&mut self, run: usize, had: &[InvocationId]) {
        self.attribution.end(run, had);
    }

    /// Reads what is there by now and no more: from here on there is an end. What is followed may come late, as
    /// journald tells of new lines at intervals; what is read anew does not.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn catch_up(&mut self, reader: &impl JournalReader<Records = R>) -> Result<(), JournalError> {
        let runs = self.attribution.runs();
        let start = self.cursor.clone().map_or_else(|| beginning(runs, self.window), Start::After);
        let of = Wanted::Runs(runs.to_vec());
        let query = Query { of, start, until: self.window.until, follow: false };
        self.skipped += self.records.skipped();
        self.records = reader.open(&query)?;
        Ok(())
    }

    /// The place up to which has been read, others' records included.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// How many records were passed over because they were too long to hold, or damaged.
    pub fn skipped(&self) -> u64 {
        self.skipped + self.records.skipped()
    }
}

/// The newest `count` lines of the window, oldest first, and the place up to which has been read.
///
/// A reader counts records and not lines of a run; where others' records are among them, more are asked for.
///
/// # Errors
/// [`JournalError`].
pub async fn newest<J: JournalReader>(
    reader: &J,
    runs: &[LoggedRun],
    window: Window,
    count: usize,
) -> Result<(Vec<Line>, Option<String>), JournalError> {
    newest_where(reader, runs, window, count, |_| true).await
}

/// Like [`newest`], of those lines alone that are `wanted`. It may be asked about a line more than once.
///
/// # Errors
/// [`JournalError`].
pub async fn newest_where<J: JournalReader>(
    reader: &J,
    runs: &[LoggedRun],
    window: Window,
    count: usize,
    mut wanted: impl FnMut(&Line) -> bool,
) -> Result<(Vec<Line>, Option<String>), JournalError> {
    let mut asked = count.saturating_mul(2).saturating_add(16);
    loop {
        let mut lines = Lines::start(reader, runs, window, Start::Newest(asked), false)?;
        let mut found = VecDeque::new();
        while let Some(line) = lines.next().await? {
            if !wanted(&line) {
                continue;
            }
            found.push_back(line);
            if found.len() > count {
                found.pop_front();
            }
        }
        // Fewer records than asked for: there are no others.
        if found.len() == count || lines.read < asked {
            return Ok((found.into(), lines.cursor));
        }
        asked = asked.saturating_mul(8);
    }
}

/// The first record that counts for the window; or the start of the first run, and a little more, so that streams
/// that began before it are known as another's.
fn beginning(runs: &[LoggedRun], window: Window) -> Start {
    let first = runs.iter().map(|run| run.started_at).min().flatten();
    match first.max(window.since) {
        // journalctl refuses to begin after the end.
        Some(from) => Start::Since(from.before(LOOK_BACK).min(window.until.unwrap_or(from))),
        None => Start::Oldest,
    }
}

#[cfg(test)]
mod tests {
    use super::super::held::{Held, HeldRecords, held};
    use super::super::mark;
    use super::*;
    use crate::time::Timestamp;

    const OURS: &str = "f82bc701683a4d1d84894610857aeabe";

    fn run() -> LoggedRun {
        LoggedRun {
            invocation: Some(OURS.parse().unwrap()),
            started_at: Some(Timestamp::from_micros(SECOND)),
            ..LoggedRun::new(ProcId::new("web").unwrap(), 1000)
        }
    }

    const SECOND: u64 = 1_000_000_000;

    /// Record `n` of the run, or of another one.
    fn record(n: u64, ours: bool) -> Record {
        let other = OURS.replace('f', "0");
        Record {
            cursor: n.to_string(),
            message: n.to_string().into_bytes(),
            stream: Some(StdStream::Stdout),
            identifier: Some("web".to_owned()),
            uid: Some(1000),
            pid: Some(if ours { 1 } else { 2 }),
            invocation: Some(if ours { OURS } else { &other }.parse().unwrap()),
            stream_id: Some(u128::from(ours)),
            ..held(SECOND + n)
        }
    }

    fn words(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|line| String::from_utf8_lossy(&line.record.message).into_owned()).collect()
    }

    async fn all(mut lines: Lines<HeldRecords>) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        words(&found)
    }

    #[tokio::test]
    async fn the_newest_lines_are_found_behind_any_number_of_anothers() {
        let journal = Held((0..1000).map(|n| record(n, n < 20)).collect());
        let (lines, cursor) = newest(&journal, &[run()], Window::default(), 3).await.unwrap();
        assert_eq!(words(&lines), ["17", "18", "19"]);
        assert_eq!(cursor.as_deref(), Some("999"));
    }

    #[tokio::test]
    async fn a_sentinel_is_not_one_of_the_newest() {
        let mut journal = Held((0..4).map(|n| record(n, true)).collect());
        let message = mark::sentinel(&"a".repeat(32)).into_bytes();
        journal.0.push(Record { message, stream_id: Some(1), ..record(4, false) });
        let (lines, _) = newest(&journal, &[run()], Window::default(), 2).await.unwrap();
        assert_eq!(words(&lines), ["2", "3"]);
    }

    #[tokio::test]
    async fn only_what_came_through_its_own_streams_is_output() {
        let logged = Record { identifier: Some("logger".to_owned()), ..record(1, true) };
        let journal = Held(vec![record(0, true), logged]);
        let (lines, _) = newest(&journal, &[run()], Window::default(), 2).await.unwrap();
        let streams: Vec<_> = lines.iter().map(|line| line.stream).collect();
        assert_eq!(streams, [Some(StdStream::Stdout), None]);
    }

    #[tokio::test]
    async fn no_line_is_asked_for_and_none_comes() {
        let journal = Held((0..10).map(|n| record(n, true)).collect());
        let (lines, cursor) = newest(&journal, &[run()], Window::default(), 0).await.unwrap();
        assert!(lines.is_empty());
        assert_eq!(cursor.as_deref(), Some("9"), "following goes on from here");
    }

    #[tokio::test]
    async fn following_goes_on_after_the_place_that_was_read() {
        let journal = Held((0..6).map(|n| record(n, true)).collect());
        let lines = Lines::follow(&journal, &[run()], Window::default(), Some("3".to_owned())).unwrap();
        assert_eq!(all(lines).await, ["4", "5"]);
    }

    #[tokio::test]
    async fn catching_up_goes_on_after_the_last_line_and_ends() {
        let mut journal = Held((0..3).map(|n| record(n, true)).collect());
        let mut lines = Lines::follow(&journal, &[run()], Window::default(), None).unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap().record.message, b"0");
        journal.0.push(record(3, true));
        lines.catch_up(&journal).unwrap();
        assert_eq!(all(lines).await, ["1", "2", "3"]);
        let mut lines = Lines::follow(&journal, &[run()], Window::default(), Some("1".to_owned())).unwrap();
        lines.catch_up(&journal).unwrap();
        assert_eq!(all(lines).await, ["2", "3"], "also where none was read");
    }

    #[tokio::test]
    async fn a_window_cuts_on_both_sides() {
        let journal = Held((0..9).map(|n| record(n, true)).collect());
        let at = |n| Some(Timestamp::from_micros(SECOND + n));
        let window = Window { since: at(3), until: at(5) };
        assert_eq!(all(Lines::open(&journal, &[run()], window).unwrap()).await, ["3", "4", "5"]);
        let (lines, _) = newest(&journal, &[run()], window, 2).await.unwrap();
        assert_eq!(words(&lines), ["4", "5"]);
    }
}
