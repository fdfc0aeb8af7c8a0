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
    /// The run it was asked of, also where the launcher tells managers of none.
    pub run: InvocationId,
    /// The main process of that run.
    pub pid: u32,
    /// What.
    pub what: What,
}

/// What happened. All but the last two are calls of the manager's, written down as they come in and whatever comes of
/// them; the last two are here to be counted among those.
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
    /// The main process ended.
    Ended(Exit),
    /// It went with its unit, and nobody saw how.
    Vanished,
}
