//! What a proc wrote, asked of its handle or its report.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::captured::Captured;
use super::handle::ProcHandle;
use super::output::RunOutput;
use super::{ProcManager, cut, log_end};
use crate::journal::{JournalError, Journalctl, Line, LoggedRun, NamedBy, StdStream, Window, newest};
use crate::report::{Completeness, LastLine, Report};
use crate::spec::defaults;

impl ProcHandle {
    /// The last lines that the journal has of this run, oldest first. Of a proc that is over it waits until the journal has
    /// all of it, where that can be known, for at most [`LOG_END_WAIT`](defaults::LOG_END_WAIT). journalctl has
    /// [`LAST_LINES_WAIT`](defaults::LAST_LINES_WAIT), and a millisecond more for each line, to give them.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`JournalError`]; none of its lines are known then.
    pub async fn tail(&self, lines: usize) -> Result<Vec<Line>, JournalError> {
        let Some(report) = self.report().await else { return Ok(Vec::new()) };
        let run = run_of(&report, self.output());
        log_end::of(&report, &run, self.output(), in_time()).await;
        last(&run, lines).await
    }

    /// What it writes to standard output, where that is captured ([`Output::Capture`](crate::spec::Output::Capture)); once.
    pub fn take_stdout(&self) -> Option<Captured> {
        self.output()?.take_captured(StdStream::Stdout)
    }

    /// The same of standard error.
    pub fn take_stderr(&self) -> Option<Captured> {
        self.output()?.take_captured(StdStream::Stderr)
    }

    /// Resolves when everything it has written so far to streams that are read here ([`Output::Tee`](crate::spec::Output::Tee)
    /// and its like) has been handed on: written to this process's own output, and taken by journald. At once where
    /// there are none.
    ///
    /// Cancel safe.
    pub async fn handed_on(&self) {
        for (_, pump) in self.output().map(RunOutput::pumps).unwrap_or_default() {
            pump.handed_on().await;
        }
    }

    /// Has journald be waited for no longer than this, where it takes nothing, before lines of streams that are read here
    /// are given up: for who would end, and must not do so before [`Self::handed_on`].
    pub fn hurry_journal(&self, patience: Duration) {
        for (_, pump) in self.output().map(RunOutput::pumps).unwrap_or_default() {
            pump.hurry(patience);
        }
    }

    /// How many lines of streams that are read here journald has not taken so far; empty where it has taken all.
    pub fn journal_lost(&self) -> Vec<(StdStream, u64)> {
        let missing = self.output().map(RunOutput::missing).unwrap_or_default();
        missing.into_iter().filter(|(_, it)| it.lines > 0).map(|(which, it)| (which, it.lines)).collect()
    }

    /// Why a stream of it could not be written to where it is passed on to
    /// ([`Output::Tee`](crate::spec::Output::Tee) and its like); known when [`Self::handed_on`] has resolved.
    pub fn copy_errors(&self) -> Vec<(StdStream, io::ErrorKind)> {
        let pumps = self.output().map(RunOutput::pumps).unwrap_or_default();
        pumps.into_iter().filter_map(|(which, pump)| Some((which, pump.account().copy_ended?))).collect()
    }

    /// As [`Self::report`], with its last lines and whether the journal has all that it wrote: of a proc that is over it
    /// waits for that as [`Self::tail`] does. Asked soon after the end it can tell most: 30 s later, or when further procs
    /// need them, what it is told by is closed.
    ///
    /// Cancel safe.
    pub async fn report_with_logs(&self, lines: usize) -> Option<Report> {
        let mut report = self.report().await?;
        take_logs(&mut report, self.output(), lines).await;
        Some(report)
    }
}

impl ProcManager {
    /// Adds the last lines to a report of a proc that nobody here holds, and whether the journal has all that it wrote; see
    /// [`ProcHandle::report_with_logs`].
    ///
    /// Cancel safe.
    pub async fn add_logs(&self, report: &mut Report, lines: usize) {
        take_logs(report, None, lines).await;
    }
}

async fn take_logs(report: &mut Report, output: Option<&RunOutput>, lines: usize) {
    let run = run_of(report, output);
    let complete = log_end::of(report, &run, output, in_time()).await;
    match last(&run, lines).await {
        Ok(found) => report.take_logs(&complete, found.iter().map(told).collect()),
        Err(error) => {
            let why = Completeness::Unknown { why: error.to_string() };
            report.take_logs(&why, Vec::new());
        }
    }
}

async fn last(run: &LoggedRun, lines: usize) -> Result<Vec<Line>, JournalError> {
    let more = Duration::from_millis(u64::try_from(lines).unwrap_or(u64::MAX));
    let bound = defaults::LAST_LINES_WAIT.saturating_add(more);
    let journal = Journalctl::default();
    let found = newest(&journal, std::slice::from_ref(run), Window::default(), lines);
    let (lines, _) = timeout(bound, found).await.map_err(|_| JournalError::TookTooLong(bound))??;
    Ok(lines)
}

fn told(line: &Line) -> LastLine {
    let record = &line.record;
    LastLine {
        at: record.at,
        stream: record.stream.map(|stream| stream.as_str().to_owned()),
        message: cut::text(&record.message),
    }
}

/// The run of a report, which ends where another of its id began.
pub(super) fn run_of(report: &Report, output: Option<&RunOutput>) -> LoggedRun {
    LoggedRun { next_started_at: output.and_then(RunOutput::next_began), ..logged_run(report) }
}

/// The run that a report shows, as the journal knows it.
pub fn logged_run(report: &Report) -> LoggedRun {
    LoggedRun {
        invocation: report.invocation_id,
        // Who runs plain children names their runs, and journald does not.
        named_by: if report.unit.is_some() { NamedBy::Journald } else { NamedBy::Manager },
        pid: report.pid,
        started_at: report.started_at,
        restarted: report.restarts > 0,
        ..LoggedRun::new(report.id.clone(), nix::unistd::getuid().as_raw())
    }
}

/// Until when the end of a log is waited for.
pub(super) fn in_time() -> Instant {
    Instant::now() + defaults::LOG_END_WAIT
}
