//! The status machine: the only place that decides what a fact means for a status.
//!
//! [`Machine::step`] is synchronous and total: every event in every state either moves the status, leaves it,
//! or is refused with a typed reason. A wish is no event here; only what was observed or delivered is.

mod restarts;

use restarts::Policy;
use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::history::{Cause, Transition};
use super::observe::{Alive, Ended, Main, Observation, Tree, observe};
use super::proc_status::{FailReason, Found, ProcStatus, StatusKind};
use super::run::{EarlierRuns, Run, RunRecord};
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
        /// The id of the run, where the launcher has one for it.
        run: Option<InvocationId>,
    },
    /// The main process is over (launchers that have no unit).
    Exited {
        /// How.
        exit: Exit,
        /// When.
        at: Timestamp,
    },
    /// Nothing of the run is left (launchers that have no unit). No other fact of that run follows.
    TreeGone,
    /// The next run of a restart policy could not be started.
    NotStarted(FailReason),
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
    /// It moved more than once, in this order: with a restart policy, one fact can show the end of a run and the next.
    MovedOn(Vec<Transition>),
    /// The event brought no news for the status.
    Stayed,
    /// The event asks for a move that no proc makes.
    Refused(Refusal),
}

impl Step {
    /// The moves, in order.
    pub fn into_transitions(self) -> Vec<Transition> {
        match self {
            Self::Moved(moved) => vec![moved],
            Self::MovedOn(moves) => moves,
            Self::Stayed | Self::Refused(_) => Vec::new(),
        }
    }

    /// This one and the next. What was refused after a move is as if it had not been asked.
    fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::Stayed, next) => next,
            (step, Self::Stayed | Self::Refused(_)) => step,
            (step, next) => {
                let moves: Vec<_> =
                    step.into_transitions().into_iter().chain(next.into_transitions()).collect();
                Self::MovedOn(moves)
            }
        }
    }
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

/// Who starts a proc again when a run of it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restarts {
    /// Nobody: the first end is final.
    Never,
    /// Its unit, `max` times at the most; the unit's pictures say whether an end is final.
    ByUnit {
        /// The most restarts; as many as it takes where there is none.
        max: Option<u32>,
    },
    /// Its manager, by this machine's word.
    ByManager {
        /// After every end, not only after a failure.
        always: bool,
        /// The most restarts; as many as it takes where there is none.
        max: Option<u32>,
    },
}

impl Restarts {
    /// The most restarts; `None` where there is no bound, or no restart.
    pub const fn max(self) -> Option<u32> {
        match self {
            Self::Never => None,
            Self::ByUnit { max } | Self::ByManager { max, .. } => max,
        }
    }
}

/// Whether a proc in `from` may move to `to`. The whole matrix. `restarts` is whether it has a restart policy.
///
/// # Errors
/// Says why not. Staying is no move and is refused like one; [`Machine::step`] never asks for it.
pub fn allowed(from: StatusKind, to: StatusKind, restarts: bool) -> Result<(), Refusal> {
    use StatusKind::{Failed, Killed, Ready, Running, Starting, Stopped, Stopping};
    let forward = match from {
        Starting => matches!(to, Running | Ready | Stopping | Stopped | Killed | Failed),
        Running | Ready if restarts && to == Starting => true,
        Running => matches!(to, Ready | Stopping | Stopped | Killed | Failed),
        Ready => matches!(to, Stopping | Stopped | Killed | Failed),
        Stopping => matches!(to, Stopped | Killed | Failed),
        Stopped | Killed | Failed => return Err(Refusal::Over { from, to }),
    };
    if forward { Ok(()) } else { Err(Refusal::Backwards { from, to }) }
}

/// The life of one proc: of one run, or of those that a restart policy makes of it.
#[derive(Debug, Clone)]
pub struct Machine {
    status: ProcStatus,
    policy: Policy,
    run: Run,
    earlier: EarlierRuns,
    /// A stop of ours was delivered before the end.
    stop_delivered: bool,
    tree: Tree,
    moves: u64,
    /// What an exit carries of its last lines.
    stderr_tail: Vec<String>,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// A run that has been accepted and nothing else, and that nothing follows.
    pub const fn new() -> Self {
        Self::restarting(Restarts::Never)
    }

    /// The first run of a proc that is started again.
    pub const fn restarting(restarts: Restarts) -> Self {
        Self {
            status: ProcStatus::Starting,
            policy: Policy::new(restarts),
            run: Run::new(1),
            earlier: EarlierRuns::new(),
            stop_delivered: false,
            tree: Tree::Maybe,
            moves: 0,
            stderr_tail: Vec::new(),
        }
    }

    /// The status.
    pub const fn status(&self) -> &ProcStatus {
        &self.status
    }

    /// The newest run, once it is named.
    pub const fn run(&self) -> Option<InvocationId> {
        self.run.id
    }

    /// Every run that is known of, oldest first; of many the newest.
    pub fn runs(&self) -> impl Iterator<Item = RunRecord> {
        let newest = self.run.is_known().then(|| RunRecord { end: self.run_end(), ..self.run.record() });
        self.earlier.iter().cloned().chain(newest)
    }

    /// The end of the newest run. That of the proc, where it is over.
    fn run_end(&self) -> Option<ProcStatus> {
        if self.status.is_exit() { Some(self.status.clone()) } else { self.run.end.clone() }
    }

    /// Who starts it again.
    pub const fn restarts_by(&self) -> Restarts {
        self.policy.restarts
    }

    /// How often it was started again.
    pub const fn restarts(&self) -> u32 {
        self.run.number - 1
    }

    /// The main process, also after its end.
    pub const fn pid(&self) -> Option<u32> {
        self.run.pid
    }

    /// When the main process was started, also after its end.
    pub const fn started_at(&self) -> Option<Timestamp> {
        self.run.started_at
    }

    /// How many times the status moved.
    pub const fn moves(&self) -> u64 {
        self.moves
    }

    /// The exact end, once it is known.
    pub const fn ended(&self) -> Option<&Ended> {
        self.run.ended.as_ref()
    }

    /// Whether it would be over for good by this.
    pub fn would_end(&self, event: Event, now: Timestamp) -> bool {
        let mut next = self.clone();
        next.step(event, now);
        next.status.is_exit()
    }

    /// What the proc last wrote to standard error, for an exit that follows.
    pub fn last_words(&mut self, stderr_tail: Vec<String>) {
        self.stderr_tail = stderr_tail;
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
        self.run.deactivated || self.run.ended.as_ref().and_then(|ended| ended.stopped_first).unwrap_or(false)
    }

    /// Takes one fact. `now` dates the transition, and a start that the fact does not date itself.
    pub fn step(&mut self, event: Event, now: Timestamp) -> Step {
        match event {
            Event::Snapshot(snapshot) => match self.policy.restarts {
                Restarts::ByUnit { .. } => self.on_picture(&snapshot, now),
                Restarts::Never => self.on_observation(observe(&snapshot, self.run.id), now),
                Restarts::ByManager { .. } => {
                    let step = self.on_relaunched(snapshot.unit.invocation, now);
                    step.then(self.on_observation(observe(&snapshot, self.run.id), now))
                }
            },
            Event::Started { pid, at, run } => self.on_started(pid, at, run, now),
            Event::Exited { exit, at } => self.on_exited(self.ended_by_launcher(exit, at), now),
            Event::NotStarted(reason) => self.on_not_started(reason, now),
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
        self.run.id = self.run.id.or(seen.run);
        if self.run.id.is_none() && seen.main == Main::Failed(FailReason::Lost { found: Found::NoUnit }) {
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
                self.run.deactivated |= !self.status.is_exit();
                self.note_alive(alive, now);
                self.go_to_stopping(Cause::Deactivating, now)
            }
            Main::Ended(ended) => {
                let shown = self.show_running(&ended, now);
                shown.then(self.on_exited(ended, now))
            }
            Main::Failed(reason) => self.on_failed(reason, now),
        }
    }

    fn on_started(&mut self, pid: u32, at: Timestamp, run: Option<InvocationId>, now: Timestamp) -> Step {
        // Who tells of the same start twice tells no next one.
        let is_known = self.run.pid == Some(pid) && self.run.started_at == Some(at);
        let step = if self.is_between_runs() && !is_known {
            self.begin_next_run(self.run.number.saturating_add(1), now)
        } else {
            Step::Stayed
        };
        self.run.id = self.run.id.or(run);
        step.then(self.on_alive(Alive { pid: Some(pid), started_at: Some(at) }, now))
    }

    fn on_alive(&mut self, alive: Alive, now: Timestamp) -> Step {
        match self.status.kind() {
            // A picture of the run that is over, from before its end.
            StatusKind::Starting if self.run.end.is_some() => Step::Stayed,
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
        self.run.pid = self.run.pid.or(alive.pid);
        *self.run.started_at.get_or_insert(alive.started_at.unwrap_or(now))
    }

    fn on_ready(&mut self, addr: Option<String>, agent: Option<String>, now: Timestamp) -> Step {
        // Said by the run that is over.
        if self.is_between_runs() {
            return Step::Stayed;
        }
        let started_at = self.run.started_at.unwrap_or(now);
        let step = self.move_to(ProcStatus::Ready { started_at, addr, agent }, Cause::Announced, now);
        if matches!(step, Step::Moved(_)) {
            self.run.started_at = Some(started_at);
        }
        step
    }

    fn on_stop_delivered(&mut self, now: Timestamp) -> Step {
        if self.status.is_exit() {
            // The answer to a stop comes another way than the end that it brought, and may come after it. It
            // was ours if systemd had begun to stop it before that end.
            self.stop_delivered |= self.was_deactivated() || self.policy.ended_between_runs;
            return Step::Stayed;
        }
        self.stop_delivered = true;
        // Between two runs there is nothing to stop: it keeps the next from beginning.
        if self.is_between_runs() {
            return Step::Stayed;
        }
        self.go_to_stopping(Cause::StopDelivered, now)
    }

    fn go_to_stopping(&mut self, cause: Cause, now: Timestamp) -> Step {
        match self.status.kind() {
            StatusKind::Starting | StatusKind::Running | StatusKind::Ready => {
                self.move_to(ProcStatus::Stopping { started_at: self.run.started_at }, cause, now)
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
        self.policy.ended_between_runs = self.is_between_runs();
        let mut status = ProcStatus::from_exit(ended.exit);
        if let ProcStatus::Stopped { stderr_tail, .. } = &mut status {
            *stderr_tail = std::mem::take(&mut self.stderr_tail);
        }
        self.run.take_end(ended);
        self.move_to(status, Cause::Exit, now)
    }

    fn ended_by_launcher(&self, exit: Exit, at: Timestamp) -> Ended {
        Ended {
            exit,
            pid: self.run.pid,
            started_at: self.run.started_at,
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
        self.policy.ended_between_runs = self.is_between_runs();
        let cause = match reason {
            FailReason::Lost { .. } => Cause::Lost,
            FailReason::Setup { .. } | FailReason::NoMainProcess { .. } => Cause::SetupFailed,
        };
        self.move_to(ProcStatus::Failed { reason }, cause, now)
    }

    fn move_to(&mut self, to: ProcStatus, cause: Cause, now: Timestamp) -> Step {
        if let Err(refusal) = allowed(self.status.kind(), to.kind(), self.policy.restarts != Restarts::Never)
        {
            return Step::Refused(refusal);
        }
        let from = self.status.kind();
        self.status = to.clone();
        let seq = self.moves;
        self.moves += 1;
        Step::Moved(Transition { seq, at: now, from, to, cause, run: self.run.id, run_end: None })
    }
}
