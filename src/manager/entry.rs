//! What the task keeps of one run.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::events::Log;
use super::handle::View;
use super::ladder::Ladder;
use super::message::EndReply;
use super::monitor::Monitors;
use super::sweep::Sweep;
use crate::id::ProcId;
use crate::launcher::{DeliverError, ProcRun, RunKey};
use crate::report::{Asked, Report, RunFacts};
use crate::signal::Signal;
use crate::spec::{Lifetime, StopPolicy, defaults};
use crate::status::ProcStatus;
use crate::status::details::UnitDetails;
use crate::status::exit::Exit;
use crate::status::history::Transition;
use crate::status::machine::Machine;

/// What a proc was asked to be, as far as a manager needs it: the same for one it started and one it adopted.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) label: Option<String>,
    pub(super) lifetime: Lifetime,
    pub(super) stop: StopPolicy,
    /// The longest it may run. This manager enforces it for an attached proc; systemd for a detached one.
    pub(super) runtime_max: Option<Duration>,
}

/// Where the hold on a run stands.
pub(super) enum Hold {
    /// The launcher has not answered yet.
    Launching,
    /// Held, alive or not.
    Held(Arc<dyn ProcRun>),
    /// Over and nothing left: its last figures are being read and the hold given up, or will be.
    Settling(Arc<dyn ProcRun>),
    /// Given up; this is what is known of it for good.
    Settled { run: Arc<dyn ProcRun>, details: Option<Box<UnitDetails>> },
}

/// How far SIGKILL of ours has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OwnKill {
    Unsent,
    /// It is on its way.
    Sent,
    Delivered,
}

/// One run of a proc.
pub(super) struct Entry {
    pub(super) id: ProcId,
    pub(super) terms: Terms,
    pub(super) machine: Machine,
    pub(super) log: Log,
    pub(super) hold: Hold,
    pub(super) view: watch::Sender<View>,
    pub(super) ladder: Option<Ladder>,
    /// Why we first asked it to end.
    pub(super) asked: Option<Asked>,
    /// How far SIGKILL of ours has come.
    own_kill: OwnKill,
    /// When its time is up.
    pub(super) limit_at: Option<Instant>,
    /// When the task's timer is set for this entry.
    pub(super) scheduled: Option<Instant>,
    /// Whether its caller went away during the launch, so that nobody will ever ask for it.
    pub(super) abandoned: bool,
    /// Whether somebody else started it.
    pub(super) adopted: bool,
    /// What ends what it left.
    pub(super) sweep: Option<Sweep>,
    /// The run of the same id that was the newest before this one.
    pub(super) earlier: Option<RunKey>,
    pub(super) end_waiters: Vec<EndReply>,
    pub(super) report_waiters: Vec<oneshot::Sender<Option<Report>>>,
    pub(super) monitors: Monitors,
    /// Whether what the launcher kept of it was thrown away.
    pub(super) reaped: bool,
    /// Who wants what is kept of it thrown away, once this manager is through with it.
    pub(super) reapers: Vec<oneshot::Sender<()>>,
    /// The last delivery that failed, for the error of a ladder that gives up.
    pub(super) undelivered: Option<Arc<DeliverError>>,
    pub(super) notes: Vec<String>,
}

impl Entry {
    pub(super) fn new(id: ProcId, terms: Terms) -> Self {
        let view = View { status: ProcStatus::Starting, run: None, pid: None, moves: 0, ready_by: None };
        Self {
            id,
            terms,
            machine: Machine::new(),
            log: Log::default(),
            hold: Hold::Launching,
            view: watch::Sender::new(view),
            ladder: None,
            asked: None,
            own_kill: OwnKill::Unsent,
            limit_at: None,
            scheduled: None,
            abandoned: false,
            adopted: false,
            sweep: None,
            earlier: None,
            end_waiters: Vec::new(),
            report_waiters: Vec::new(),
            monitors: Monitors::default(),
            reaped: false,
            reapers: Vec::new(),
            undelivered: None,
            notes: Vec::new(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.machine.status().is_exit()
    }

    /// The run, while it is held and something may be left of it.
    pub(super) fn held(&self) -> Option<Arc<dyn ProcRun>> {
        match &self.hold {
            Hold::Held(run) | Hold::Settling(run) => Some(Arc::clone(run)),
            Hold::Launching | Hold::Settled { .. } => None,
        }
    }

    /// The run, also when the hold on it has been given up.
    pub(super) fn last_held(&self) -> Option<Arc<dyn ProcRun>> {
        match &self.hold {
            Hold::Held(run) | Hold::Settling(run) | Hold::Settled { run, .. } => Some(Arc::clone(run)),
            Hold::Launching => None,
        }
    }

    /// Keeps a transition, and tells it.
    pub(super) fn record(&mut self, transition: Transition) {
        let to = &transition.to;
        let (code, signal) = match to.exit() {
            Some(Exit::Code(code)) => (Some(code), None),
            Some(Exit::Signal { signal, .. }) => (None, Some(signal)),
            None => (None, None),
        };
        tracing::info!(
            id = %self.id,
            run = transition.run.map(tracing::field::display),
            from = %transition.from,
            status = %to,
            code,
            signal = signal.map(tracing::field::display),
            cause = %transition.cause,
            "proc is {}", to.kind(),
        );
        self.log.lock().push(transition, defaults::TRANSITIONS_KEPT);
    }

    /// Publishes what the machine says, if it is news.
    pub(super) fn publish(&self) {
        let (status, run, pid) = (self.machine.status(), self.machine.run(), self.machine.pid());
        let moves = self.machine.moves();
        self.view.send_if_modified(|view| {
            let news = view.moves != moves || view.run != run || view.pid != pid;
            if news {
                *view = View { status: status.clone(), run, pid, moves, ..*view };
            }
            news
        });
    }

    /// Notes that SIGKILL of ours is on its way.
    pub(super) fn note_kill_sent(&mut self) {
        if self.own_kill == OwnKill::Unsent {
            self.own_kill = OwnKill::Sent;
        }
    }

    /// Notes that SIGKILL of ours found nobody.
    pub(super) fn note_kill_missed(&mut self) {
        if self.own_kill == OwnKill::Sent {
            self.own_kill = OwnKill::Unsent;
        }
    }

    /// Notes that a stop or SIGKILL of ours was delivered.
    ///
    /// The answer that says so and the end that followed travel on two connections: when the answer is read
    /// second, the end itself tells whether it is what had been asked for.
    pub(super) fn note_delivered(&mut self, kill: bool) {
        let (over, killed) = (self.is_over(), self.was_killed());
        if kill && (!over || killed) {
            self.own_kill = OwnKill::Delivered;
        }
    }

    /// How long it has from the stop signal to SIGKILL: what is asked for, or its own stop timeout, and never more
    /// than the backstop, at which systemd ends it. A cut is told in the report.
    pub(super) fn cut(&mut self, asked: Option<Duration>) -> Duration {
        let (asked, backstop) = (asked.unwrap_or(self.terms.stop.timeout), self.terms.stop.backstop);
        if asked > backstop {
            let note = format!("the stop timeout of {asked:?} was cut to the backstop, {backstop:?}");
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        asked.min(backstop)
    }

    fn was_killed(&self) -> bool {
        matches!(self.machine.status(), ProcStatus::Killed { signal: Signal::KILL, .. })
    }

    /// When this entry next wants to be looked at.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let rung = self.ladder.as_ref().and_then(Ladder::due_at);
        match (rung, self.limit_at) {
            (Some(rung), Some(limit)) => Some(rung.min(limit)),
            (rung, limit) => rung.or(limit),
        }
    }

    pub(super) fn report(&self, launcher: &'static str, details: Option<&UnitDetails>) -> Report {
        // The end may even be asked about before the answer is read.
        let escalated = match self.own_kill {
            OwnKill::Unsent => false,
            OwnKill::Sent => self.was_killed(),
            OwnKill::Delivered => true,
        };
        let delivered = self.machine.stop_delivered() || escalated;
        Report::of_run(&RunFacts {
            id: &self.id,
            unit: self.last_held().and_then(|run| run.unit().cloned()),
            launcher,
            label: self.terms.label.as_deref(),
            lifetime: self.terms.lifetime,
            machine: &self.machine,
            history: &self.log.lock(),
            asked: self.asked.as_ref().filter(|_| delivered),
            escalated,
            details,
            runtime_max: self.terms.runtime_max,
            notes: &self.notes,
        })
    }
}
