//! The task of a manager: takes facts, outcomes and commands one at a time and is the only writer of statuses.
//!
//! It never awaits a call: what takes time runs in a task of its own and comes back as an outcome.

mod closing;
mod end;
mod launch;
mod monitors;
mod restart;
mod settle;
mod words;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::backlog::Backlog;
use super::callbacks::Callbacks;
use super::entry::{Entry, Terms};
use super::error::TerminateError;
use super::handle::ProcHandle;
use super::ladder::Rung;
use super::message::{Command, Outcome, SpawnReply};
use super::outlets::Outlets;
use super::output::let_go;
use super::sweep::Orders;
use super::turns::Turns;
use crate::id::ProcId;
use crate::launcher::{AdoptError, Fact, Facts, ProcLauncher, RunKey, Stop};
use crate::spec::Lifetime;

type AdoptReply = oneshot::Sender<Result<ProcHandle, AdoptError>>;

/// See the module.
pub(in crate::manager) struct Task {
    launcher: Arc<dyn ProcLauncher>,
    outlets: Arc<Outlets>,
    turns: Turns,
    commands: mpsc::WeakUnboundedSender<Command>,
    inbox: mpsc::UnboundedReceiver<Command>,
    // None of the three is bounded: this task never awaits while it handles one, so each is as long as what came in
    // the meantime; a command has a caller who waits, an outcome a call that was made, and the bus bounds its events.
    facts: (mpsc::UnboundedSender<Fact>, mpsc::UnboundedReceiver<Fact>),
    outcomes: (mpsc::UnboundedSender<Outcome>, mpsc::UnboundedReceiver<Outcome>),
    entries: HashMap<RunKey, Entry>,
    /// The newest run of every id.
    newest: HashMap<ProcId, RunKey>,
    launching: HashMap<RunKey, SpawnReply>,
    adopting: HashMap<RunKey, AdoptReply>,
    /// Callers whose id is over and not settled yet: they ask again when it is.
    queued: HashMap<RunKey, Vec<oneshot::Sender<()>>>,
    deadlines: BTreeSet<(Instant, RunKey)>,
    /// What came due of stop signals in this turn: they go out together.
    stops: Vec<Stop>,
    /// Runs that are over and still held.
    backlog: Backlog,
    /// Settled runs, oldest first: the exit records.
    settled: VecDeque<RunKey>,
    /// How many of them are kept.
    exit_records: usize,
    /// Settled runs whose streams are still open, oldest first, and until when they are.
    parked: VecDeque<(Instant, RunKey)>,
    callbacks: Callbacks,
    /// Whether launches and adoptions are refused.
    closed: bool,
    /// Who waits for the end of this task.
    finishing: Vec<oneshot::Sender<()>>,
    next_key: u64,
}

impl Task {
    pub(in crate::manager) fn new(
        (launcher, outlets): (Arc<dyn ProcLauncher>, Arc<Outlets>),
        turns: Turns,
        commands: mpsc::WeakUnboundedSender<Command>,
        inbox: mpsc::UnboundedReceiver<Command>,
        exit_records: usize,
    ) -> Self {
        Self {
            launcher,
            outlets,
            turns,
            commands,
            inbox,
            facts: mpsc::unbounded_channel(),
            outcomes: mpsc::unbounded_channel(),
            entries: HashMap::new(),
            newest: HashMap::new(),
            launching: HashMap::new(),
            adopting: HashMap::new(),
            queued: HashMap::new(),
            deadlines: BTreeSet::new(),
            stops: Vec::new(),
            backlog: Backlog::default(),
            settled: VecDeque::new(),
            exit_records,
            parked: VecDeque::new(),
            callbacks: Callbacks::new(Handle::current()),
            closed: false,
            finishing: Vec::new(),
            next_key: 0,
        }
    }

    /// Runs until every [`super::ProcManager`] of it is dropped, or it was told to finish and has.
    pub(in crate::manager) async fn run(mut self) {
        while !self.is_finished() {
            let deadline = self.deadlines.first().map(|&(at, _)| at);
            let parked = self.parked.front().map(|&(until, _)| until);
            let due = [deadline, self.backlog.due_at(), parked].into_iter().flatten().min();
            tokio::select! {
                // Facts first: the answer to a launch follows every fact that led to it.
                biased;
                Some(fact) = self.facts.1.recv() => self.on_fact(fact),
                Some(outcome) = self.outcomes.1.recv() => self.on_outcome(outcome),
                command = self.inbox.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => break,
                },
                () = sleep_or_never(due) => self.on_due(Instant::now()),
            }
            self.send_stops();
        }
        self.part();
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Spawn { spec, turn, reply } => self.spawn(spec, turn, reply),
            Command::Adopt { id, reply } => self.adopt(id, reply),
            Command::Get { id, reply } => {
                let handle = self.newest.get(&id).and_then(|key| self.listed(*key));
                let _ = reply.send(handle);
            }
            Command::GetByPid { pid, reply } => drop(reply.send(self.by_pid(pid))),
            Command::List { reply } => {
                let _ = reply.send(self.newest.values().filter_map(|key| self.listed(*key)).collect());
            }
            Command::Monitor { id, slot, reply } => drop(reply.send(self.monitor(id, slot))),
            Command::Close { reply } => self.close(reply),
            Command::Finish { reply } => self.finish(reply),
            Command::Terminate { key, grace, reason, reply } => self.terminate(key, grace, reason, reply),
            Command::TerminateAll { grace, reason, reply } => {
                let _ = reply.send(self.terminate_all(grace, &reason));
            }
            Command::Kill { key, reply } => self.kill(key, reply),
            Command::Gone { key, reply } => self.tell_when_gone(key, reply),
            Command::Signal { key, signal, to, reply } => self.signal(key, signal, to, reply),
            Command::Report { key, reply } => self.report(key, reply),
            Command::LetGo { key } => self.let_go(key),
            Command::Reap { key, reply } => self.reap(key, reply),
        }
    }

    fn new_entry(&mut self, id: ProcId, terms: Terms) -> (RunKey, Facts) {
        let key = RunKey(self.next_key);
        self.next_key += 1;
        let mut entry = Entry::new(id.clone(), terms);
        entry.earlier = self.newest.insert(id, key);
        self.entries.insert(key, entry);
        (key, Facts { key, to: self.facts.0.clone() })
    }

    fn forget(&mut self, key: RunKey) {
        if let Some(entry) = self.entries.remove(&key) {
            if let Some(output) = entry.output.get() {
                output.close_streams();
            }
            let_go(Arc::clone(&entry.output), entry.id.clone());
            if let Some(at) = entry.scheduled {
                self.deadlines.remove(&(at, key));
            }
            if self.newest.get(&entry.id) == Some(&key) {
                self.newest.remove(&entry.id);
            }
        }
    }

    /// Forgets a run that never was one of this manager's; what is kept of an earlier run of the id is the newest
    /// again.
    fn withdraw(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let (id, earlier) = (entry.id.clone(), entry.earlier);
        for waiter in entry.end_waiters.drain(..) {
            let _ = waiter.send(Err(TerminateError::NotHeld { id: id.clone() }));
        }
        self.forget(key);
        if let Some(earlier) = earlier.filter(|earlier| self.entries.contains_key(earlier)) {
            self.newest.entry(id).or_insert(earlier);
        }
        self.call_queued(key);
    }

    fn handle(&self, key: RunKey) -> Option<ProcHandle> {
        let entry = self.entries.get(&key)?;
        Some(ProcHandle::new(key, entry, self.commands.clone()))
    }

    /// The handle of a proc that was not reaped.
    fn listed(&self, key: RunKey) -> Option<ProcHandle> {
        self.handle(key).filter(|_| self.entries.get(&key).is_some_and(|entry| !entry.reaped))
    }

    fn by_pid(&self, pid: u32) -> Option<ProcHandle> {
        // Between two runs the last one's is over as well.
        let has_it = |entry: &Entry| {
            entry.machine.pid() == Some(pid) && !entry.is_over() && entry.machine.ended().is_none()
        };
        let (key, _) = self.entries.iter().find(|(_, entry)| has_it(entry))?;
        self.handle(*key)
    }

    fn take_fact(&mut self, fact: Fact) {
        let Some(entry) = self.entries.get_mut(&fact.key) else { return };
        // What a picture says depends on the unit's restart policy, which comes with the answer.
        if self.adopting.contains_key(&fact.key) {
            return entry.early.push(fact);
        }
        let was_over = entry.machine.ended().is_some();
        let step = entry.machine.step(fact.event, fact.at);
        entry.take(step);
        if !was_over
            && entry.machine.ended().is_some()
            && !entry.is_over()
            && let Some(output) = entry.output.get()
        {
            output.end_run(entry.machine.run());
        }
        self.after_fact(fact.key);
    }

    fn after_fact(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if !entry.is_over() {
            return self.plan_restart(key);
        }
        (entry.limit_at, entry.next.at, entry.next.row, entry.next.streams) = (None, None, None, None);
        let (adopted, left) = (entry.adopted, !entry.machine.tree_gone());
        // Nobody stops the unit of one that was over before the stop came, or that is to be killed alone.
        let ladder = entry.ladder.take_if(|_| {
            left && entry.terms.lifetime == Lifetime::Detached && !entry.machine.stop_delivered()
        });
        match ladder {
            Some(ladder) => self.sweep(key, Orders { kill_at: ladder.kill_at(), insists: true }),
            None if left && !adopted => self.sweep_leftovers(key),
            // What somebody else started and left is ended on request.
            None if left => self.look_for_leftovers(key),
            None => {}
        }
        self.keep_from_restarting(key);
        self.settle_if_gone(key);
    }

    fn on_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Launched { key, result } => {
                self.on_launched(key, result);
                self.settle_next();
            }
            Outcome::Turn { key, turn } => self.on_turn(key, turn),
            Outcome::Relaunched { key, result } => self.on_relaunched(key, result),
            Outcome::Adopted { key, result } => self.on_adopted(key, result),
            Outcome::StopDelivered { key, result } => self.on_delivered(key, result, Rung::Stop),
            Outcome::KillDelivered { key, result } => self.on_delivered(key, result, Rung::Kill),
            Outcome::LastWords { key, tail } => self.on_last_words(key, tail),
            Outcome::Survivors { key, pids } => self.on_survivors(key, &pids),
            Outcome::LeftStays { key } => self.on_left_stays(key),
            Outcome::Settled { key, details } => self.on_settled(key, details),
            Outcome::Details { key, details, reply } => self.on_details(key, details.as_ref(), reply),
        }
    }

    /// Sets the task's timer to when the entry next wants to be looked at.
    fn reschedule(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let due = entry.due_at().filter(|_| entry.held().is_some());
        if due != entry.scheduled {
            if let Some(before) = entry.scheduled.take() {
                self.deadlines.remove(&(before, key));
            }
            if let Some(due) = due {
                self.deadlines.insert((due, key));
            }
            entry.scheduled = due;
        }
    }
}

async fn sleep_or_never(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}
