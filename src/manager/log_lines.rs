//! The lines of one proc as they come: from the journal or, where nothing of it goes there, from what is read here.

use std::fmt;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::sleep;

use super::handle::ProcHandle;
use super::output::RunOutput;
use super::{log_end, logs};
use crate::id::InvocationId;
use crate::journal::pump::Pump;
use crate::journal::{
    JournalError, Journalctl, JournalctlRecords, Line, Lines, LoggedRun, NamedBy, OutputLine, StdStream,
    Window,
};
use crate::report::Completeness;
use crate::time::Timestamp;

/// How long the last lines are waited for where nothing tells that journald has them.
const ON_ITS_WAY: Duration = Duration::from_millis(300);

/// A line that a proc wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was taken: by journald, or here.
    pub at: Timestamp,
    /// Which run wrote it, where that was kept.
    pub run: Option<InvocationId>,
    /// Which stream; `None` where the two cannot be told apart.
    pub stream: Option<StdStream>,
    /// What was written, without its end of line. Any bytes.
    pub bytes: Vec<u8>,
    /// Whether the line goes on in the stream's next one: it was too long, and cut.
    pub continues: bool,
}

/// What comes of [`ProcHandle::lines`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// A line.
    Line(LogLine),
    /// So many lines are missing here: who reads was too slow, or they were too long to hold.
    Lost(u64),
}

/// The lines of a proc, see [`ProcHandle::lines`].
#[derive(Debug)]
pub struct LogLines {
    handle: ProcHandle,
    source: Source,
    end: End,
    /// Nothing more is written: what is there is all.
    over: bool,
}

/// When nothing more is written. It is asked for once: each question is kept until the proc is over.
struct End(Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>);

impl End {
    fn when(reached: impl Future<Output = ()> + Send + Sync + 'static) -> Self {
        Self(Some(Box::pin(reached)))
    }

    /// Cancel safe.
    async fn reached(&mut self) {
        if let Some(reached) = &mut self.0 {
            reached.await;
            self.0 = None;
        }
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End").field("reached", &self.0.is_none()).finish()
    }
}

#[derive(Debug)]
enum Source {
    Journal(Box<Journal>),
    Here(Here),
}

/// What the journal has.
#[derive(Debug)]
struct Journal {
    run: LoggedRun,
    lines: Lines<JournalctlRecords>,
    /// Records passed over that were told of.
    told_skipped: u64,
}

/// What is read by this process.
#[derive(Debug)]
struct Here {
    stdout: Option<Receiver<OutputLine>>,
    stderr: Option<Receiver<OutputLine>>,
}

impl ProcHandle {
    /// Its lines, those of both streams together, up to the end of the proc.
    ///
    /// Of output that goes to the journal, all lines of this run and of those that its restart policy starts after it,
    /// also those that were written before: the journal holds what its reader has not taken yet. Of output that this process
    /// alone reads ([`forward`](super::ManagerBuilder::forward), [`aggregate`](super::ManagerBuilder::aggregate)), the lines
    /// from this call on; who is behind by more than 1,024 of them loses the oldest, and is told how many. Where it goes
    /// elsewhere there are none.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn lines(&self) -> Result<LogLines, JournalError> {
        let report = self.report().await;
        let pumps = self.output().map(RunOutput::pumps).unwrap_or_default();
        let handle = self.clone();
        let (source, end) = match report {
            Some(report) if log_end::reaches_journal(&report) => {
                // What begins under its id when it is over is another proc.
                let with_later = !report.status.is_exit();
                let run = LoggedRun { with_later, ..logs::run_of(&report, self.output()) };
                let journal = Journalctl::default();
                let runs = std::slice::from_ref(&run);
                let lines = Lines::follow(&journal, runs, Window::default(), None)?;
                let end = End::when(async move { all_read(&handle, &[]).await });
                (Source::Journal(Box::new(Journal { run, lines, told_skipped: 0 })), end)
            }
            _ => {
                let feed = |which| {
                    let pump = pumps.iter().find(|(stream, _)| *stream == which);
                    pump.map(|(_, pump)| pump.lines())
                };
                let (stdout, stderr) = (feed(StdStream::Stdout), feed(StdStream::Stderr));
                let pumps: Vec<_> = pumps.into_iter().map(|(_, pump)| pump).collect();
                let end = End::when(async move { all_read(&handle, &pumps).await });
                (Source::Here(Here { stdout, stderr }), end)
            }
        };
        Ok(LogLines { handle: self.clone(), source, end, over: false })
    }
}

impl LogLines {
    /// The next line; `None` when the proc is over and there are no more. Cancel safe.
    ///
    /// # Errors
    /// [`JournalError`], after which nothing more comes.
    pub async fn next(&mut self) -> Result<Option<LogEvent>, JournalError> {
        let Self { handle, source, end, over } = self;
        match source {
            Source::Journal(journal) => journal.next(handle, end, over).await,
            Source::Here(here) => Ok(here.next(end, over).await),
        }
    }
}

impl Journal {
    async fn next(
        &mut self,
        handle: &ProcHandle,
        end: &mut End,
        over: &mut bool,
    ) -> Result<Option<LogEvent>, JournalError> {
        // Of a plain child journald names the unit of its manager.
        let (named_by, whose) = (self.run.named_by, self.run.invocation);
        while !*over {
            tokio::select! {
                // A flood of lines must not hide the end.
                biased;
                () = end.reached() => {
                    self.end(handle).await?;
                    *over = true;
                }
                line = self.lines.next() => return line.map(|line| line.map(|line| of_journal(line, named_by, whose))),
            }
        }
        if let Some(line) = self.lines.next().await? {
            return Ok(Some(of_journal(line, named_by, whose)));
        }
        let untold = self.lines.skipped() - self.told_skipped;
        self.told_skipped += untold;
        Ok((untold > 0).then_some(LogEvent::Lost(untold)))
    }

    /// Waits until the journal has all of it, where that can be known, and reads on what it has.
    async fn end(&mut self, handle: &ProcHandle) -> Result<(), JournalError> {
        if let Some(report) = handle.report().await {
            let end = log_end::of(&report, &self.run, handle.output(), logs::in_time()).await;
            if matches!(end, Completeness::Unknown { .. }) {
                sleep(ON_ITS_WAY).await;
            }
            let had: Vec<_> = report.runs.iter().filter_map(|run| run.invocation_id).collect();
            self.lines.end(0, &had);
        }
        self.lines.catch_up(&Journalctl::default())
    }
}

impl Here {
    async fn next(&mut self, end: &mut End, over: &mut bool) -> Option<LogEvent> {
        while !*over {
            tokio::select! {
                came = recv(&mut self.stdout) => match came {
                    Some(event) => return Some(event),
                    None => self.stdout = None,
                },
                came = recv(&mut self.stderr) => match came {
                    Some(event) => return Some(event),
                    None => self.stderr = None,
                },
                () = end.reached() => *over = true,
            }
        }
        [&mut self.stdout, &mut self.stderr].into_iter().flatten().find_map(left)
    }
}

/// Resolves when nothing of the proc is left, and everything it wrote has been read.
async fn all_read(handle: &ProcHandle, pumps: &[Arc<Pump>]) {
    let _ = handle.gone().await;
    for pump in pumps {
        pump.handed_on().await;
    }
}

/// What comes next; `None` at the end, and never where nothing comes.
async fn recv(feed: &mut Option<Receiver<OutputLine>>) -> Option<LogEvent> {
    match feed {
        Some(feed) => match feed.recv().await {
            Ok(line) => Some(of_pump(&line)),
            Err(RecvError::Lagged(lost)) => Some(LogEvent::Lost(lost)),
            Err(RecvError::Closed) => None,
        },
        None => pending().await,
    }
}

/// What came and has not been taken.
fn left(feed: &mut Receiver<OutputLine>) -> Option<LogEvent> {
    match feed.try_recv() {
        Ok(line) => Some(of_pump(&line)),
        Err(TryRecvError::Lagged(lost)) => Some(LogEvent::Lost(lost)),
        Err(TryRecvError::Empty | TryRecvError::Closed) => None,
    }
}

fn of_journal(line: Line, named_by: NamedBy, whose: Option<InvocationId>) -> LogEvent {
    let record = line.record;
    let named = match named_by {
        NamedBy::Journald => record.invocation,
        NamedBy::Manager => whose,
    };
    LogEvent::Line(LogLine {
        at: record.at,
        run: record.run.or(named),
        stream: record.stream,
        bytes: record.message,
        continues: record.continues,
    })
}

fn of_pump(line: &OutputLine) -> LogEvent {
    LogEvent::Line(LogLine {
        at: line.at,
        run: line.run,
        stream: Some(line.stream),
        bytes: line.bytes.to_vec(),
        continues: line.continues,
    })
}
