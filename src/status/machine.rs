//! The status machine: the only place that decides what a fact means for a status.
//!
//! [`Machine::step`] is synchronous and total: every event in every state either moves the status, leaves it,
//! or is refused with a typed reason. A wish is no event here; only what was observed or delivered is.

use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::history::{Cause, Transition};
use super::observe::{Alive, Ended, Main, Observation, Tree, observe};
use super::proc_status::{FailReason, Found, ProcStatus, StatusKind};
use super::snapshot::Snapshot;
use crate::id::InvocationId;
use crate::time::Timestamp;

/// A fact about one run of a proc.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every event is the large one; a box would cost each of them"
)]
pub enum Event {
    /// A picture of its unit, from a signal pair or a look.
    Snapshot(Snapshot),
    /// Exec succeeded (launchers that have no unit).
    Started {
        /// The main process.
        pid: u32,
        /// When it was started.
        at: Timestamp,
    },
    /// The main process is over (launchers that have no unit).
    Exited {
        /// How.
        exit: Exit,
        /// When.
        at: Timestamp,
    },
    /// Nothing of the proc is left (launchers that have no unit).
    TreeGone,
    /// A stop reached it: systemd took the stop job, or the kernel took the signal.
    StopDelivered,
    /// It said that it is ready, or its probe passed.
    Ready {
        /// The address it announced.
        addr: Option<String>,
        /// The address of its agent.
        agent: Option<String>,
    },
    /// The launcher lost it for good without having seen its end.
    Lost(Found),
}

/// What an event did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The status moved.
    Moved(Transition),
    /// The event brought no news for the status.
    Stayed,
    /// The event asks for a move that no proc makes.
    Refused(Refusal),
}

/// Why a move was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The first end wins.
    #[error("the proc is over ({from}); {to} comes too late")]
    Over {
        /// The end it has.
        from: StatusKind,
        /// What the event would have made it.
        to: StatusKind,
    },
    /// A life runs one way.
    #[error("{from} never becomes {to}")]
    Backwards {
        /// The status it has.
        from: StatusKind,
        /// What the event would have made it.
        to: StatusKind,
    },
}

/// Whether a proc in `from` may move to `to`. The whole matrix.
///
/// # Errors
/// Says why not. Staying is no move and is refused like one; [`Machine::step`] never asks for it.
pub fn allowed(from: StatusKind, to: StatusKind) -> Result<(), Refusal> {
    use StatusKind::{Failed, Killed, Ready, Running, Starting, Stopped, Stopping};
    let forward = match from {
        Starting => matches!(to, Running | Ready | Stopping | Stopped | Killed | Failed),
        Running => matches!(to, Ready | Stopping | Stopped | Killed | Failed),
        Ready => matches!(to, Stopping | Stopped | Killed | Failed),
        Stopping => matches!(to, Stopped | Killed | Failed),
        Stopped | Killed | Failed => return Err(Refusal::Over { from, to }),
    };
    if forward { Ok(()) } else { Err(Refusal::Backwards { from, to }) }
}

/// The life of one run.
#[derive(Debug, Clone)]
pub struct Machine {
    status: ProcStatus,
    run: Option<InvocationId>,
    pid: Option<u32>,
    started_at: Option<Timestamp>,
    ended: Option<Ended>,
    /// A stop of ours was delivered before the end.
    stop_delivered: bool,
    /// systemd was seen ending it before its end.
    deactivated: bool,
    tree: Tree,
    moves: u64,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// A run that has been accepted and nothing else.
    pub const fn new() -> Self {
        Self {
            status: ProcStatus::Starting,
            run: None,
            pid: None,
            started_at: None,
            ended: None,
            stop_delivered: false,
            deactivated: false,
            tree: Tree::Maybe,
            moves: 0,
        }
    }

    /// The status.
    pub const fn status(&self) -> &ProcStatus {
        &self.status
    }

    /// The run, once systemd has named it.
    pub const fn run(&self) -> Option<InvocationId> {
        self.run
    }

    /// The main process, also after its end.
    pub const fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// When the main process was started, also after its end.
    pub const fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    /// How many times the status moved.
    pub const fn moves(&self) -> u64 {
        self.moves
    }

    /// The exact end, once it is known.
    pub const fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Whether nothing of the proc is left.
    pub const fn tree_gone(&self) -> bool {
        matches!(self.tree, Tree::Gone)
    }

    /// Whether a stop of ours was delivered while it lived.
    pub const fn stop_delivered(&self) -> bool {
        self.stop_delivered
    }

    /// Whether systemd was seen ending it, or its timestamps say so, before its main process was over.
    pub fn was_deactivated(&self) -> bool {
        self.deactivated || self.ended.as_ref().and_then(|ended| ended.stopped_first).unwrap_or(false)
    }

    /// Takes one fact. `now` dates the transition, and a start that the fact does not date itself.
    pub fn step(&mut self, event: Event, now: Timestamp) -> Step {
        match event {
            Event::Snapshot(snapshot) => self.on_observation(observe(&snapshot, self.run), now),
            Event::Started { pid, at } => self.on_alive(Alive { pid: Some(pid), started_at: Some(at) }, now),
            Event::Exited { exit, at } => self.on_ended(self.ended_by_launcher(exit, at), now),
            Event::TreeGone => {
                self.tree = Tree::Gone;
                Step::Stayed
            }
            Event::StopDelivered => self.on_stop_delivered(now),
            // What it first announced stands.
            Event::Ready { .. } if self.status.kind() == StatusKind::Ready => Step::Stayed,
            Event::Ready { addr, agent } => self.on_ready(addr, agent, now),
            Event::Lost(found) => self.on_failed(FailReason::Lost { found }, now),
        }
    }

    fn on_observation(&mut self, seen: Observation, now: Timestamp) -> Step {
        if let (None, Some(shown)) = (self.run, seen.run) {
            self.run = Some(shown);
        }
        if self.run.is_none() && seen.main == Main::Failed(FailReason::Lost { found: Found::NoUnit }) {
            // The look may have been asked before the start. Whether the start had been accepted by then, and its run
            // is lost, only the launcher can tell.
            return Step::Stayed;
        }
        if seen.tree == Tree::Gone {
            self.tree = Tree::Gone;
        }
        match seen.main {
            Main::Pending => Step::Stayed,
            Main::Alive(alive) => self.on_alive(alive, now),
            Main::Deactivating(alive) => {
                self.deactivated |= !self.status.is_exit();
                self.note_alive(alive, now);
                self.go_to_stopping(Cause::Deactivating, now)
            }
            Main::Ended(ended) => self.on_ended(ended, now),
            Main::Failed(reason) => self.on_failed(reason, now),
        }
    }

    fn on_alive(&mut self, alive: Alive, now: Timestamp) -> Step {
        match self.status.kind() {
            StatusKind::Starting => {
                let started_at = self.note_alive(alive, now);
                self.move_to(ProcStatus::Running { started_at }, Cause::Exec, now)
            }
            // A picture may be older than the newest; what it adds is noted, and nothing goes back.
            StatusKind::Running | StatusKind::Ready | StatusKind::Stopping => {
                self.note_alive(alive, now);
                Step::Stayed
            }
            StatusKind::Stopped | StatusKind::Killed | StatusKind::Failed => Step::Stayed,
        }
    }

    /// Keeps what Running first reported.
    fn note_alive(&mut self, alive: Alive, now: Timestamp) -> Timestamp {
        self.pid = self.pid.or(alive.pid);
        *self.started_at.get_or_insert(alive.started_at.unwrap_or(now))
    }

    fn on_ready(&mut self, addr: Option<String>, agent: Option<String>, now: Timestamp) -> Step {
        let started_at = self.started_at.unwrap_or(now);
        let step = self.move_to(ProcStatus::Ready { started_at, addr, agent }, Cause::Announced, now);
        if matches!(step, Step::Moved(_)) {
            self.started_at = Some(started_at);
        }
        step
    }

    fn on_stop_delivered(&mut self, now: Timestamp) -> Step {
        if self.status.is_exit() {
            // The answer to a stop comes another way than the end that it brought, and may come after it. It
            // was ours if systemd had begun to stop it before that end.
            self.stop_delivered |= self.was_deactivated();
            return Step::Stayed;
        }
        self.stop_delivered = true;
        self.go_to_stopping(Cause::StopDelivered, now)
    }

    fn go_to_stopping(&mut self, cause: Cause, now: Timestamp) -> Step {
        match self.status.kind() {
            StatusKind::Starting | StatusKind::Running | StatusKind::Ready => {
                self.move_to(ProcStatus::Stopping { started_at: self.started_at }, cause, now)
            }
            StatusKind::Stopping | StatusKind::Stopped | StatusKind::Killed | StatusKind::Failed => {
                Step::Stayed
            }
        }
    }

    fn on_ended(&mut self, ended: Ended, now: Timestamp) -> Step {
        if self.status.is_exit() {
            return Step::Stayed;
        }
        self.pid = ended.pid.or(self.pid);
        self.started_at = self.started_at.or(ended.started_at);
        let status = ProcStatus::from_exit(ended.exit);
        self.ended = Some(ended);
        self.move_to(status, Cause::Exit, now)
    }

    fn ended_by_launcher(&self, exit: Exit, at: Timestamp) -> Ended {
        Ended {
            exit,
            pid: self.pid,
            started_at: self.started_at,
            ended_at: Some(at),
            exec: super::exit::ExecReached::Yes,
            stopped_first: Some(self.stop_delivered),
            result: None,
        }
    }

    fn on_failed(&mut self, reason: FailReason, now: Timestamp) -> Step {
        if self.status.is_exit() {
            return Step::Stayed;
        }
        let cause = match reason {
            FailReason::Lost { .. } => Cause::Lost,
            FailReason::Setup { .. } | FailReason::NoMainProcess { .. } => Cause::SetupFailed,
        };
        self.move_to(ProcStatus::Failed { reason }, cause, now)
    }

    fn move_to(&mut self, to: ProcStatus, cause: Cause, now: Timestamp) -> Step {
        if let Err(refusal) = allowed(self.status.kind(), to.kind()) {
            return Step::Refused(refusal);
        }
        let from = self.status.kind();
        self.status = to.clone();
        let seq = self.moves;
        self.moves += 1;
        Step::Moved(Transition { seq, at: now, from, to, cause, run: self.run })
    }
}
