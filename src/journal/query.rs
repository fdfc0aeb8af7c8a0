//! What is asked of the journal.

use crate::id::{InvocationId, ProcId};
use crate::time::Timestamp;

/// A run whose lines are wanted, and all that tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRun {
    /// The proc; its id is the identifier its streams have in the journal.
    pub id: ProcId,
    /// The user it runs as.
    pub uid: u32,
    /// The run.
    pub invocation: Option<InvocationId>,
    /// When it was started. Without it, only lines that name the run are taken for its own.
    pub started_at: Option<Timestamp>,
    /// When the next run of the same id was started, where there was one.
    ///
    /// This and not the run's own end bounds its lines: journald dates a line when it takes it, which may be well
    /// after the end of who wrote it.
    pub next_started_at: Option<Timestamp>,
}

/// Which part of the lines is wanted; by default all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Not before this.
    pub since: Option<Timestamp>,
    /// Not after this.
    pub until: Option<Timestamp>,
}

impl Window {
    /// Whether `at` lies in it.
    pub fn has(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at <= until)
    }
}

/// A question to a [`super::JournalReader`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Records that one of these may have written: those of the run, and those of its identifier and user. Which
    /// of the latter are the run's own, the reader need not decide.
    pub runs: Vec<LoggedRun>,
    /// Where to begin.
    pub start: Start,
    /// Records after this need not be given.
    pub until: Option<Timestamp>,
    /// Whether to wait for what is yet to come.
    pub follow: bool,
}

/// Where a query begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record.
    Oldest,
    /// With the first record at or after this.
    Since(Timestamp),
    /// So that this many records come.
    Newest(usize),
    /// After the record with this cursor.
    After(String),
}
