//! What was asked of fake procs, and when.

use tokio::time::Instant;

use crate::id::{InvocationId, ProcId};
use crate::launcher::Target;
use crate::signal::Signal;
use crate::status::exit::Exit;

/// One thing that happened, in its order among the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When, by tokio's clock.
    pub at: Instant,
    /// The proc's id.
    pub id: ProcId,
    /// The run it was asked of.
    pub run: InvocationId,
    /// What.
    pub what: What,
}

/// What happened. All but the last are calls of the manager's, written down as they come in and whatever comes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The launch.
    Launch,
    /// The adoption.
    Adopt,
    /// Deliver the stop signal.
    Stop,
    /// Deliver SIGKILL to the tree.
    Kill,
    /// Deliver a signal.
    Signal(Signal, Target),
    /// Say what processes are left, or what it has used.
    Look,
    /// Throw away what is kept of it.
    Discard,
    /// Give up the hold.
    Release,
    /// The hold was dropped.
    Drop,
    /// The main process ended: no call, and here to be counted among them.
    Ended(Exit),
}
