//! What is asked of the journal.

use crate::id::{InvocationId, ProcId};
use crate::time::Timestamp;
use crate::unit::syslog_identifier;

/// A run whose lines are wanted, and all that tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRun {
    /// The proc; its id is the identifier its streams have in the journal.
    pub id: ProcId,
    /// The user it runs as.
    pub uid: u32,
    /// The run.
    pub invocation: Option<InvocationId>,
    /// Who knows the run by that name.
    pub named_by: NamedBy,
    /// Its main process. What that wrote is its own also where journald was too late to learn more of it than its pid.
    pub pid: Option<u32>,
    /// When it was started. Without it, only lines that name the run are taken for its own.
    pub started_at: Option<Timestamp>,
    /// When the next run of the same id was started, where there was one.
    ///
    /// This and not the run's own end bounds its lines: journald dates a line when it takes it, which may be well
    /// after the end of who wrote it.
    pub next_started_at: Option<Timestamp>,
    /// Whether a restart policy started it: it then has the streams of the run before.
    pub restarted: bool,
    /// Whether runs that a restart policy starts after it are wanted as well, and count as this one.
    pub with_later: bool,
}

/// Who knows a run by its invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NamedBy {
    /// journald, as it is the invocation of a unit of its own.
    #[default]
    Journald,
    /// Its manager alone, of a plain child process: of what that writes itself journald names the manager's unit.
    Manager,
}

impl LoggedRun {
    /// A run of which no more is known than the proc and its user.
    pub fn new(id: ProcId, uid: u32) -> Self {
        Self {
            id,
            uid,
            invocation: None,
            named_by: NamedBy::default(),
            pid: None,
            started_at: None,
            next_started_at: None,
            restarted: false,
            with_later: false,
        }
    }

    /// The identifier that its streams have.
    pub(super) fn identifier(&self) -> String {
        syslog_identifier(&self.id)
    }

    /// Whether `at` lies between its start and that of the next run.
    pub(super) fn has(&self, at: Timestamp) -> bool {
        self.started_at.is_some_and(|started| at >= started)
            && self.next_started_at.is_none_or(|next| at < next)
    }
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
    /// Which records are wanted.
    pub of: Wanted,
    /// Where to begin.
    pub start: Start,
    /// Records after this need not be given.
    pub until: Option<Timestamp>,
    /// Whether to wait for what is yet to come.
    pub follow: bool,
}

/// Which records a query is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Records that one of these may have written: those of the run, and those of its identifier and user. Which
    /// of the latter are the run's own, the reader need not decide.
    Runs(Vec<LoggedRun>),
    /// Records that tell which runs of a proc there were.
    Proc {
        /// The proc.
        id: ProcId,
        /// The user it ran as.
        uid: u32,
    },
    /// Records of this kind: `MESSAGE_ID`, in lower case without dashes (systemd.journal-fields(7)).
    Kind(&'static str),
    /// Records of what ran in this system unit, which is the one that journald's rate limit counts them for. They are
    /// counted, and so need not have more than their time and priority.
    Unit(String),
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
