//! What can go wrong at a handle: one enum per operation.

use std::sync::Arc;
use std::time::Duration;

use crate::id::ProcId;
use crate::launcher::DeliverError;
use crate::status::ProcStatus;

/// Why [`super::ProcHandle::terminate`] or [`super::ProcHandle::kill`] did not end a proc.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TerminateError {
    /// It was over before.
    #[error("over already: {0}")]
    AlreadyTerminated(ProcStatus),
    /// The manager holds no proc of this id.
    #[error("no {id} is held here; launch or adopt it first")]
    NotHeld {
        /// The id.
        id: ProcId,
    },
    /// Processes are left although SIGKILL was delivered; its status stays Stopping.
    #[error("still there after SIGKILL: {}", pid_list(pids))]
    TimedOut {
        /// The processes left; empty where they could not be told.
        pids: Vec<u32>,
    },
    /// Its launcher has no way to end it.
    #[error("the launcher cannot end it: {0}")]
    Unsupported(&'static str),
    /// Its launcher could not deliver SIGKILL, however often it tried.
    #[error("not ended: {source}; still there: {}", pid_list(pids))]
    Launcher {
        /// The processes left; empty where they could not be told.
        pids: Vec<u32>,
        /// Why not, the last time.
        #[source]
        source: Arc<DeliverError>,
    },
    /// The manager is gone.
    #[error("the manager is gone")]
    Closed,
}

/// Why a wait had no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The manager is gone, and the proc was not over when it went.
    #[error("the manager is gone, and the proc was not over")]
    Closed,
}

/// Why a proc is not ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadyError {
    /// It is over.
    #[error("over, and not ready before: {0}")]
    Terminal(ProcStatus),
    /// It never says so: its launcher knows no readiness of it.
    #[error("it declares no readiness")]
    NotDeclared,
    /// It did not say so in time. It may still do so.
    #[error("not ready {after:?} after its launch")]
    TimedOut {
        /// How long it had.
        after: Duration,
    },
    /// The manager is gone, and the proc was neither ready nor over when it went.
    #[error("the manager is gone, and the proc was not ready")]
    Closed,
}

/// Why what is kept of a proc was not thrown away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReapError {
    /// The manager holds no proc of this id.
    #[error("no {id} is held here; launch or adopt it first")]
    NotHeld {
        /// The id.
        id: ProcId,
    },
    /// It is not over.
    #[error("{id} is not over ({status}); terminate it first")]
    NotOver {
        /// The id.
        id: ProcId,
        /// Its status.
        status: ProcStatus,
    },
    /// The manager is gone.
    #[error("the manager is gone")]
    Closed,
}

/// Why it is still there when the ladder has given up.
pub(super) fn not_ended(pids: &[u32], undelivered: Option<&Arc<DeliverError>>) -> TerminateError {
    match undelivered {
        None => TerminateError::TimedOut { pids: pids.to_vec() },
        Some(source) => match **source {
            DeliverError::Unsupported(why) => TerminateError::Unsupported(why),
            _ => TerminateError::Launcher { pids: pids.to_vec(), source: Arc::clone(source) },
        },
    }
}

fn pid_list(pids: &[u32]) -> String {
    if pids.is_empty() {
        return "processes unknown".to_owned();
    }
    let list: Vec<_> = pids.iter().map(u32::to_string).collect();
    format!("pid {}", list.join(", "))
}
