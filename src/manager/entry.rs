//! What the task keeps of one run.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::deliveries::Deliveries;
use super::events::Log;
use super::handle::View;
use super::ladder::Ladder;
use super::message::EndReply;
use super::monitor::Monitors;
use super::output::{RunOutput, Slot};
use super::sweep::Sweep;
use crate::id::ProcId;
use crate::launcher::{DeliverError, Fact, ProcRun, RunKey, Streams};
use crate::report::{Asked, OutputReport, Report, RunFacts};
use crate::signal::Signal;
use crate::spec::{Lifetime, ProcSpec, StopPolicy, defaults};
use crate::status::ProcStatus;
use crate::status::details::UnitDetails;
use crate::status::exit::Exit;
use crate::status::history::Transition;
use crate::status::machine::{Machine, Step};
use crate::time::format_span;

/// What a proc was asked to be, as far as a manager needs it: the same for one it started and one it adopted.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) label: Option<String>,
    pub(super) lifetime: Lifetime,
    pub(super) stop: StopPolicy,
    /// The longest it may run. This manager enforces it for an attached proc; systemd for a detached one.
    pub(super) runtime_max: Option<Duration>,
    /// Where its output goes, of one that somebody else started.
    pub(super) output: OutputReport,
}

/// Where the hold on a run stands.
pub(super) enum Hold {
    /// The launcher has not answered yet.
    Launching,
    /// Held, alive or not.
    Held(Arc<dyn ProcRun>),
    /// Over and nothing left: its last figures are being read and the hold given up, or will be.
    Settling(Arc<dyn ProcRun>),
    /// Between two runs, of which the launcher is starting the second; this is the first.
    Relaunching(Arc<dyn ProcRun>),
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

/// A place in the row of those who wait for a turn; dropped, it is given up.
pub(super) struct InRow(pub(super) AbortHandle);

impl Drop for InRow {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What this manager does for a restart policy, or against what it does not allow.
#[derive(Default)]
pub(super) struct NextRun {
    /// What is started again, where the launcher leaves that to its manager.
    pub(super) spec: Option<Box<ProcSpec>>,
    /// The streams that all of its runs have; while they are here, nobody who reads one sees its end.
    pub(super) streams: Option<Streams>,
    /// When it is due.
    pub(super) at: Option<Instant>,
    /// Set while it is due and waits for its turn.
    pub(super) row: Option<InRow>,
    /// Whether the unit, which has no start left, was stopped.
    pub(super) rest_stopped: bool,
    /// Whether the unit, which began a run too many, was stopped.
    pub(super) revival_stopped: bool,
}

/// One proc, in one run or, with a restart policy, in several.
pub(super) struct Entry {
    pub(super) id: ProcId,
    pub(super) terms: Terms,
    pub(super) machine: Machine,
    pub(super) log: Log,
    pub(super) hold: Hold,
    pub(super) view: watch::Sender<View>,
    pub(super) ladder: Option<Ladder>,
    /// What the ladder asked of the launcher, and is not answered.
    pub(super) deliveries: Deliveries,
    /// Why we first asked it to end.
    pub(super) asked: Option<Asked>,
    /// How far SIGKILL of ours has come.
    own_kill: OwnKill,
    /// When its time is up.
    pub(super) limit_at: Option<Instant>,
    pub(super) next: NextRun,
    /// What was told of it before it was known what it is.
    pub(super) early: Vec<Fact>,
    /// Facts from the end of its main process on, while its last words are waited for.
    pub(super) held_back: Option<Vec<Fact>>,
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
    /// What this process has of what it writes.
    pub(super) output: Slot,
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
            deliveries: Deliveries::default(),
            asked: None,
            own_kill: OwnKill::Unsent,
            limit_at: None,
            next: NextRun::default(),
            early: Vec::new(),
            held_back: None,
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
            output: Slot::default(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.machine.status().is_exit()
    }

    /// The run, while it is held and something may be left of it.
    pub(super) fn held(&self) -> Option<Arc<dyn ProcRun>> {
        match &self.hold {
            Hold::Held(run) | Hold::Settling(run) => Some(Arc::clone(run)),
            Hold::Launching | Hold::Relaunching(_) | Hold::Settled { .. } => None,
        }
    }

    /// The run, also when the hold on it has been given up.
    pub(super) fn last_held(&self) -> Option<Arc<dyn ProcRun>> {
        match &self.hold {
            Hold::Held(run) | Hold::Settling(run) | Hold::Relaunching(run) | Hold::Settled { run, .. } => {
                Some(Arc::clone(run))
            }
            Hold::Launching => None,
        }
    }

    /// Keeps and publishes what a fact did.
    pub(super) fn take(&mut self, step: Step) {
        if let Step::Refused(refusal) = step {
            tracing::warn!(id = %self.id, %refusal, "a fact was refused");
        } else {
            for transition in step.into_transitions() {
                self.record(transition);
            }
        }
        self.publish();
    }

    /// Keeps a transition, and tells it.
    fn record(&mut self, transition: Transition) {
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
        if let Some(output) = self.output.get() {
            output.name_run(run);
        }
        self.view.send_if_modified(|view| {
            let news = view.moves != moves || view.run != run || view.pid != pid;
            if news {
                *view = View { status: status.clone(), run, pid, moves, ..*view };
            }
            news
        });
    }

    /// Its launcher tells when it is ready, and it has from now on to become so.
    pub(super) fn expect_ready(&self) {
        let ready_by = Instant::now() + defaults::READY_TIMEOUT;
        self.view.send_modify(|view| view.ready_by = Some(ready_by));
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
            let (asked, backstop) = (format_span(asked), format_span(backstop));
            let note = format!("the stop timeout of {asked} was cut to the backstop, {backstop}");
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
        [rung, self.limit_at, self.next.at].into_iter().flatten().min()
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
            output: self.output.get().map_or(&self.terms.output, RunOutput::told),
        })
    }
}
