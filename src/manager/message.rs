//! What is asked of a manager's task: every command is one variant.

use std::time::Duration;

use tokio::sync::oneshot;

use super::error::TerminateError;
use super::handle::ProcHandle;
use super::monitor::{MonitorError, Slot};
use super::turns::Turn;
use crate::id::ProcId;
use crate::launcher::{AdoptError, Adopted, DeliverError, LaunchError, Launched, RunKey, Streams, Target};
use crate::report::Report;
use crate::signal::Signal;
use crate::spec::ProcSpec;
use crate::status::ProcStatus;
use crate::status::details::UnitDetails;

/// Where the answer to a wish to end a proc goes: its exact end, once nothing of it is left.
pub(super) type EndReply = oneshot::Sender<Result<ProcStatus, TerminateError>>;

/// Where that answer comes.
pub(super) type EndAnswer = oneshot::Receiver<Result<ProcStatus, TerminateError>>;

/// Where the answer to a launch goes.
pub(super) type SpawnReply = oneshot::Sender<Spawned>;

/// What came of a launch.
pub(super) enum Spawned {
    /// It was made, or refused.
    Done(Result<ProcHandle, LaunchError>),
    /// The id is over, and not free yet. It is when the other end speaks or is dropped; nobody's turn is spent on that.
    NotYet { spec: Box<ProcSpec>, free: oneshot::Receiver<()> },
}

/// A wish, as it travels from a manager or a handle to the task.
pub(super) enum Command {
    /// Start a proc.
    Spawn { spec: Box<ProcSpec>, turn: Turn, reply: SpawnReply },
    /// Take hold of a proc that somebody else started.
    Adopt { id: ProcId, reply: oneshot::Sender<Result<ProcHandle, AdoptError>> },
    /// The handle of a proc that is held.
    Get { id: ProcId, reply: oneshot::Sender<Option<ProcHandle>> },
    /// The handle of the proc that has this main process.
    GetByPid { pid: u32, reply: oneshot::Sender<Option<ProcHandle>> },
    /// The handles of all procs that are held, and of those whose record is kept.
    List { reply: oneshot::Sender<Vec<ProcHandle>> },
    /// Tell an end to a callback.
    Monitor { id: ProcId, slot: Slot, reply: oneshot::Sender<Result<(), MonitorError>> },
    /// Launch and adopt nothing any more.
    Close { reply: oneshot::Sender<()> },
    /// Read what is still to be read of ended procs, tell who is to be told, and end.
    Finish { reply: oneshot::Sender<()> },
    /// End a proc by the ladder.
    Terminate { key: RunKey, grace: Option<Duration>, reason: String, reply: EndReply },
    /// End every proc that is not over by the ladder, all at once. The answer says who they are, and has where the
    /// answer of each will come.
    TerminateAll { grace: Option<Duration>, reason: String, reply: oneshot::Sender<Vec<(ProcId, EndAnswer)>> },
    /// End a proc at once.
    Kill { key: RunKey, reply: EndReply },
    /// Say its end once nothing of it is left.
    Gone { key: RunKey, reply: EndReply },
    /// Send a signal.
    Signal { key: RunKey, signal: Signal, to: Target, reply: oneshot::Sender<Result<(), DeliverError>> },
    /// Say everything that is known of a proc.
    Report { key: RunKey, reply: oneshot::Sender<Option<Report>> },
    /// Give up the hold on an adopted proc.
    LetGo { key: RunKey },
    /// Give up what is kept of an ended proc.
    Reap { key: RunKey, reply: oneshot::Sender<()> },
}

/// A run that was begun.
pub(super) struct Begun {
    pub(super) launched: Launched,
    /// Its streams.
    pub(super) streams: Streams,
}

/// What came of something the task had others do.
#[expect(
    clippy::large_enum_variant,
    reason = "each travels once through the queue; a box would cost each launch"
)]
pub(super) enum Outcome {
    /// A launch.
    Launched { key: RunKey, result: Result<Begun, LaunchError> },
    /// A further run may be launched.
    Turn { key: RunKey, turn: Turn },
    /// The launch of a further run.
    Relaunched { key: RunKey, result: Result<Begun, LaunchError> },
    /// An adoption.
    Adopted { key: RunKey, result: Result<Adopted, AdoptError> },
    /// The delivery of the stop signal.
    StopDelivered { key: RunKey, result: Result<(), DeliverError> },
    /// The delivery of SIGKILL.
    KillDelivered { key: RunKey, result: Result<(), DeliverError> },
    /// What a proc whose end is known wrote last.
    LastWords { key: RunKey, tail: Vec<String> },
    /// The processes left when the ladder, or what ends leftovers, gave up.
    Survivors { key: RunKey, pids: Vec<u32> },
    /// What an adopted proc left stays until somebody asks for its end.
    LeftStays { key: RunKey },
    /// The last figures of a run, whose hold has been given up.
    Settled { key: RunKey, details: Option<UnitDetails> },
    /// The figures of a run that is held, for a report.
    Details { key: RunKey, details: Option<UnitDetails>, reply: oneshot::Sender<Option<Report>> },
}
