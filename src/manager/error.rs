//! What can go wrong at a handle: one enum per operation.

use crate::status::ProcStatus;

/// Why [`super::ProcHandle::terminate`] or [`super::ProcHandle::kill`] did not end a proc.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TerminateError {
    /// It was over before.
    #[error("over already: {0}")]
    AlreadyTerminated(ProcStatus),
    /// Processes are left although SIGKILL was sent; its status stays Stopping.
    #[error("still there after SIGKILL: {}", pid_list(pids))]
    TimedOut {
        /// The processes left; empty where they could not be told.
        pids: Vec<u32>,
        /// Why the signal may not have reached them.
        #[source]
        source: Option<crate::launcher::DeliverError>,
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

fn pid_list(pids: &[u32]) -> String {
    if pids.is_empty() {
        return "processes unknown".to_owned();
    }
    let list: Vec<_> = pids.iter().map(u32::to_string).collect();
    format!("pid {}", list.join(", "))
}
