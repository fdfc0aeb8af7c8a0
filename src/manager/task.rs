//! The task of a manager: takes facts, outcomes and commands one at a time and is the only writer of statuses.
//!
//! It never awaits a call: what takes time runs in a task of its own and comes back as an outcome.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::entry::{Entry, Hold, Terms};
use super::error::TerminateError;
use super::handle::ProcHandle;
use super::ladder::{Ladder, Rung};
use super::message::{Command, EndReply, Outcome};
use super::sweep::sweep;
use crate::id::ProcId;
use crate::launcher::{
    AdoptError, Adopted, DeliverError, Fact, Facts, LaunchError, Launched, ProcLauncher, ProcRun, RunKey,
};
use crate::report::{Asked, Report, label_of};
use crate::spec::{Lifetime, ProcSpec, defaults};
use crate::status::ProcStatus;
use crate::status::details::UnitDetails;
use crate::status::machine::{Event, Step};

type SpawnReply = oneshot::Sender<Result<ProcHandle, LaunchError>>;
type AdoptReply = oneshot::Sender<Result<ProcHandle, AdoptError>>;

/// See the module.
pub(super) struct Task {
    launcher: Arc<dyn ProcLauncher>,
    commands: mpsc::WeakUnboundedSender<Command>,
    inbox: mpsc::UnboundedReceiver<Command>,
    facts: (mpsc::UnboundedSender<Fact>, mpsc::UnboundedReceiver<Fact>),
    outcomes: (mpsc::UnboundedSender<Outcome>, mpsc::UnboundedReceiver<Outcome>),
    entries: HashMap<RunKey, Entry>,
    /// The newest run of every id.
    newest: HashMap<ProcId, RunKey>,
    launching: HashMap<RunKey, SpawnReply>,
    adopting: HashMap<RunKey, AdoptReply>,
    /// Launches whose id is over and not settled yet: they follow when it is.
    queued: HashMap<RunKey, Vec<(Box<ProcSpec>, SpawnReply)>>,
    deadlines: BTreeSet<(Instant, RunKey)>,
    /// Settled runs, oldest first: the exit records.
    settled: VecDeque<RunKey>,
    next_key: u64,
}

impl Task {
    pub(super) fn new(
        launcher: Arc<dyn ProcLauncher>,
        commands: mpsc::WeakUnboundedSender<Command>,
        inbox: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        Self {
            launcher,
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
            settled: VecDeque::new(),
            next_key: 0,
        }
    }

    /// Runs until every [`super::ProcManager`] of it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let due = self.deadlines.first().map(|&(at, _)| at);
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
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Spawn { spec, reply } => self.spawn(spec, reply),
            Command::Adopt { id, reply } => self.adopt(id, reply),
            Command::Get { id, reply } => {
                let handle = self.newest.get(&id).and_then(|key| self.handle(*key));
                let _ = reply.send(handle);
            }
            Command::Terminate { key, grace, reason, reply } => {
                let Some(entry) = self.entry_to_end(key, &reply) else {
                    return refuse_over(self.entries.get(&key), reply);
                };
                let grace = grace.unwrap_or(entry.terms.stop.timeout).min(entry.terms.stop.backstop);
                let now = Instant::now();
                entry.asked.get_or_insert(Asked::Reason(reason));
                entry.end_waiters.push(reply);
                entry
                    .ladder
                    .get_or_insert_with(|| Ladder::stop(now, grace, defaults::KILL_WAIT))
                    .join_stop(now, grace);
                self.climb(key, now);
            }
            Command::Kill { key, reply } => {
                let Some(entry) = self.entry_to_end(key, &reply) else {
                    return refuse_over(self.entries.get(&key), reply);
                };
                let now = Instant::now();
                entry.asked.get_or_insert_with(|| Asked::Reason("kill".to_owned()));
                entry.end_waiters.push(reply);
                entry.ladder.get_or_insert_with(|| Ladder::kill(now, defaults::KILL_WAIT)).join_kill(now);
                self.climb(key, now);
            }
            Command::Gone { key, reply } => self.tell_when_gone(key, reply),
            Command::Signal { key, signal, to, reply } => {
                let run = self.entries.get(&key).and_then(Entry::held);
                tokio::spawn(async move {
                    let _ = reply.send(match run {
                        Some(run) => run.signal(signal, to).await,
                        None => Err(DeliverError::Gone),
                    });
                });
            }
            Command::Report { key, reply } => self.report(key, reply),
            Command::Reap { key, reply } => self.discard(key, Some(reply)),
        }
    }

    fn new_entry(&mut self, id: ProcId, terms: Terms) -> (RunKey, Facts) {
        let key = RunKey(self.next_key);
        self.next_key += 1;
        self.newest.insert(id.clone(), key);
        self.entries.insert(key, Entry::new(id, terms));
        (key, Facts { key, to: self.facts.0.clone() })
    }

    fn forget(&mut self, key: RunKey) {
        if let Some(entry) = self.entries.remove(&key) {
            if let Some(at) = entry.scheduled {
                self.deadlines.remove(&(at, key));
            }
            if self.newest.get(&entry.id) == Some(&key) {
                self.newest.remove(&entry.id);
            }
        }
    }

    fn handle(&self, key: RunKey) -> Option<ProcHandle> {
        let entry = self.entries.get(&key)?;
        let (view, commands) = (entry.view.subscribe(), self.commands.clone());
        Some(ProcHandle::new(entry.id.clone(), key, view, commands, entry.notes.clone()))
    }

    // Starting

    fn spawn(&mut self, spec: Box<ProcSpec>, reply: SpawnReply) {
        // Its caller went away while it waited its turn.
        if reply.is_closed() {
            return;
        }
        let id = spec.id().clone();
        if let Some((&key, entry)) = self.newest.get(&id).and_then(|key| self.entries.get_key_value(key)) {
            match (&entry.hold, entry.is_over()) {
                (Hold::Settled { .. }, _) => {}
                // Its id is free as soon as it is over; its unit's name only once the hold is given up.
                (_, true) if entry.terms.lifetime == Lifetime::Attached => {
                    return self.queued.entry(key).or_default().push((spec, reply));
                }
                _ => return drop(reply.send(Err(LaunchError::AlreadyExists { id }))),
            }
        }
        let terms = Terms {
            label: spec.label().map(str::to_owned),
            lifetime: spec.lifetime(),
            stop: spec.stop().clone(),
            runtime_max: spec.runtime_max(),
        };
        let (key, facts) = self.new_entry(id, terms);
        self.launching.insert(key, reply);
        let (launcher, outcomes) = (Arc::clone(&self.launcher), self.outcomes.0.clone());
        tokio::spawn(async move {
            let result = launcher.launch(*spec, facts).await;
            let _ = outcomes.send(Outcome::Launched { key, result });
        });
    }

    fn on_launched(&mut self, key: RunKey, result: Result<Launched, LaunchError>) {
        let Some(reply) = self.launching.remove(&key) else { return };
        let launched = match result {
            Ok(launched) => launched,
            Err(error) => {
                self.forget(key);
                return drop(reply.send(Err(error)));
            }
        };
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.hold = Hold::Held(Arc::from(launched.run));
        entry.notes = launched.notes;
        entry.abandoned = reply.is_closed();
        let ours = entry.terms.runtime_max.filter(|_| entry.terms.lifetime == Lifetime::Attached);
        entry.limit_at = ours.map(|limit| Instant::now() + limit);
        // Its end may have come before this answer; what follows from one needs the hold.
        self.after_fact(key);
        // A wish that came during the launch is due now.
        self.climb(key, Instant::now());
        let handle = self.handle(key);
        if handle.is_none_or(|handle| reply.send(Ok(handle)).is_err()) {
            // The caller went away before the answer: what was started for it is ended.
            self.end_abandoned(key);
        }
    }

    /// Ends what nobody will ever ask for, and leaves nothing of it.
    fn end_abandoned(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.abandoned = true;
        if entry.is_over() {
            return self.discard(key, None);
        }
        let now = Instant::now();
        entry.asked = Some(Asked::Reason("its caller went away during the launch".to_owned()));
        entry.ladder = Some(Ladder::kill(now, defaults::KILL_WAIT));
        self.climb(key, now);
    }

    fn adopt(&mut self, id: ProcId, reply: AdoptReply) {
        if let Some(key) = self.newest.get(&id).copied()
            && let Some(entry) = self.entries.get(&key)
            && !matches!(entry.hold, Hold::Settled { .. })
        {
            return drop(reply.send(Err(AdoptError::AlreadyHeld { id })));
        }
        let terms = Terms {
            label: None,
            lifetime: Lifetime::Detached,
            stop: crate::spec::StopPolicy::default(),
            runtime_max: None,
        };
        let (key, facts) = self.new_entry(id.clone(), terms);
        self.adopting.insert(key, reply);
        let (launcher, outcomes) = (Arc::clone(&self.launcher), self.outcomes.0.clone());
        tokio::spawn(async move {
            let result = launcher.adopt(id, facts).await;
            let _ = outcomes.send(Outcome::Adopted { key, result });
        });
    }

    fn on_adopted(&mut self, key: RunKey, result: Result<Adopted, AdoptError>) {
        let Some(reply) = self.adopting.remove(&key) else { return };
        let adopted = match result {
            Ok(adopted) => adopted,
            Err(error) => {
                self.forget(key);
                return drop(reply.send(Err(error)));
            }
        };
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let sighting = adopted.sighting;
        entry.hold = Hold::Held(Arc::from(adopted.run));
        entry.terms = Terms {
            label: label_of(&sighting.id, &sighting.details),
            lifetime: sighting.lifetime,
            stop: sighting.stop,
            runtime_max: sighting.runtime_max,
        };
        self.after_fact(key);
        if let Some(handle) = self.handle(key) {
            let _ = reply.send(Ok(handle));
        }
    }

    // Facts

    fn on_fact(&mut self, fact: Fact) {
        let Some(entry) = self.entries.get_mut(&fact.key) else { return };
        match entry.machine.step(fact.event, fact.at) {
            Step::Moved(transition) => entry.record(transition),
            Step::Stayed => {}
            Step::Refused(refusal) => {
                tracing::warn!(id = %entry.id, %refusal, "a fact was refused");
            }
        }
        entry.publish();
        self.after_fact(fact.key);
    }

    fn after_fact(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if !entry.is_over() {
            return;
        }
        entry.limit_at = None;
        if !entry.machine.tree_gone() && entry.ladder.is_none() {
            self.sweep_leftovers(key);
        }
        self.settle_if_gone(key);
    }

    fn tell_when_gone(&mut self, key: RunKey, reply: EndReply) {
        let Some(entry) = self.entries.get_mut(&key) else { return refuse_over(None, reply) };
        match entry.hold {
            Hold::Launching | Hold::Held(_) => entry.end_waiters.push(reply),
            Hold::Settling(_) | Hold::Settled { .. } => {
                let _ = reply.send(Ok(entry.machine.status().clone()));
            }
        }
    }

    /// systemd sweeps what an attached proc leaves; a detached unit stays up with it, so this manager does.
    fn sweep_leftovers(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if entry.terms.lifetime == Lifetime::Attached || entry.sweeping {
            return;
        }
        if let Hold::Held(run) = &entry.hold {
            entry.sweeping = true;
            let (run, grace) = (Arc::clone(run), entry.terms.stop.timeout);
            let (facts, outcomes) = (Facts { key, to: self.facts.0.clone() }, self.outcomes.0.clone());
            tokio::spawn(async move {
                match sweep(&*run, grace).await {
                    Ok(()) => facts.send(Event::TreeGone),
                    Err(pids) => drop(outcomes.send(Outcome::Survivors { key, pids })),
                }
            });
        }
    }

    /// Once it is over and nothing of it is left: tells who waits for that, reads its last figures, and gives
    /// up the hold.
    fn settle_if_gone(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        // Of one that failed there is nothing that a wait could still bring.
        let failed = matches!(entry.machine.status(), ProcStatus::Failed { .. });
        if !entry.is_over() || !(failed || entry.machine.tree_gone()) {
            return;
        }
        let Hold::Held(run) = &entry.hold else { return };
        let run = Arc::clone(run);
        entry.hold = Hold::Settling(Arc::clone(&run));
        entry.ladder = None;
        for waiter in entry.end_waiters.drain(..) {
            let _ = waiter.send(Ok(entry.machine.status().clone()));
        }
        let (discard, outcomes) = (entry.abandoned, self.outcomes.0.clone());
        self.reschedule(key);
        tokio::spawn(async move {
            let details = run.usage().await;
            // An attached unit goes with the hold on it; an ended detached one stays until it is reaped.
            run.release(discard).await;
            let _ = outcomes.send(Outcome::Settled { key, details });
        });
    }

    fn on_settled(&mut self, key: RunKey, details: Option<UnitDetails>) {
        if let Some(entry) = self.entries.get_mut(&key) {
            let report = entry.report(self.launcher.name(), details.as_ref());
            for waiter in entry.report_waiters.drain(..) {
                let _ = waiter.send(Some(report.clone()));
            }
            if let Some(run) = entry.held() {
                entry.hold = Hold::Settled { run, details: details.map(Box::new) };
            }
        }
        self.settled.push_back(key);
        if self.settled.len() > defaults::EXIT_RECORDS
            && let Some(oldest) = self.settled.pop_front()
        {
            self.forget(oldest);
        }
        for (spec, reply) in self.queued.remove(&key).unwrap_or_default() {
            self.spawn(spec, reply);
        }
    }

    // Ending

    /// The entry, if a wish to end it makes sense.
    fn entry_to_end(&mut self, key: RunKey, reply: &EndReply) -> Option<&mut Entry> {
        if reply.is_closed() {
            tracing::debug!("a wish whose asker has gone is carried out all the same");
        }
        self.entries.get_mut(&key).filter(|entry| !entry.is_over())
    }

    fn on_due(&mut self, now: Instant) {
        while let Some(&(at, key)) = self.deadlines.first()
            && at <= now
        {
            self.deadlines.pop_first();
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.scheduled = None;
            if entry.limit_at.take_if(|limit| *limit <= now).is_some() {
                let grace = entry.terms.stop.timeout.min(entry.terms.stop.backstop);
                entry.asked.get_or_insert(Asked::TimeLimit);
                entry.ladder.get_or_insert_with(|| Ladder::stop(now, grace, defaults::KILL_WAIT));
            }
            self.climb(key, now);
        }
    }

    /// Does what the ladder says is due, and notes when it wants to be asked again.
    fn climb(&mut self, key: RunKey, now: Instant) {
        while let Some(entry) = self.entries.get_mut(&key)
            // Before the launcher has answered there is nothing to climb on; it goes on when it has.
            && let Some(run) = entry.held()
            && let Some(rung) = entry.ladder.as_mut().and_then(|ladder| ladder.take_due(now))
        {
            self.act(key, run, rung);
        }
        self.reschedule(key);
    }

    fn act(&self, key: RunKey, run: Arc<dyn ProcRun>, rung: Rung) {
        let outcomes = self.outcomes.0.clone();
        tokio::spawn(async move {
            let outcome = match rung {
                Rung::Stop => Outcome::StopDelivered { key, result: run.stop().await },
                Rung::Kill => Outcome::KillDelivered { key, result: run.kill().await },
                Rung::GiveUp => Outcome::Survivors { key, pids: run.processes().await.unwrap_or_default() },
            };
            let _ = outcomes.send(outcome);
        });
    }

    fn on_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Launched { key, result } => self.on_launched(key, result),
            Outcome::Adopted { key, result } => self.on_adopted(key, result),
            Outcome::StopDelivered { key, result } => self.on_delivered(key, result, false),
            Outcome::KillDelivered { key, result } => self.on_delivered(key, result, true),
            Outcome::Survivors { key, pids } => self.on_survivors(key, &pids),
            Outcome::Settled { key, details } => self.on_settled(key, details),
            Outcome::Details { key, details, reply } => self.on_details(key, details.as_ref(), reply),
        }
    }

    fn on_delivered(&mut self, key: RunKey, result: Result<(), DeliverError>, kill: bool) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        match result {
            Ok(()) => {
                entry.note_delivered(kill);
                let at = std::time::SystemTime::now().into();
                self.on_fact(Fact { key, event: Event::StopDelivered, at });
            }
            // Its end is on the way as a fact.
            Err(DeliverError::Gone) => {}
            Err(error) => {
                tracing::warn!(id = %entry.id, %error, kill, "a signal was not delivered");
                entry.undelivered = Some(error);
            }
        }
    }

    fn on_survivors(&mut self, key: RunKey, pids: &[u32]) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let mut source = entry.undelivered.take();
        for waiter in entry.end_waiters.drain(..) {
            let error = TerminateError::TimedOut { pids: pids.to_vec(), source: source.take() };
            let _ = waiter.send(Err(error));
        }
    }

    // Reports and records

    fn report(&mut self, key: RunKey, reply: oneshot::Sender<Option<Report>>) {
        let launcher = self.launcher.name();
        let Some(entry) = self.entries.get_mut(&key) else { return drop(reply.send(None)) };
        match &entry.hold {
            Hold::Settled { details, .. } => {
                let _ = reply.send(Some(entry.report(launcher, details.as_deref())));
            }
            Hold::Launching => {
                let _ = reply.send(Some(entry.report(launcher, None)));
            }
            // Its last figures are on the way.
            Hold::Settling(_) => entry.report_waiters.push(reply),
            Hold::Held(run) => {
                let (run, outcomes) = (Arc::clone(run), self.outcomes.0.clone());
                tokio::spawn(async move {
                    let details = run.details().await;
                    let _ = outcomes.send(Outcome::Details { key, details, reply });
                });
            }
        }
    }

    fn on_details(&self, key: RunKey, details: Option<&UnitDetails>, reply: oneshot::Sender<Option<Report>>) {
        let report = self.entries.get(&key).map(|entry| entry.report(self.launcher.name(), details));
        let _ = reply.send(report);
    }

    /// Gives up what the launcher keeps of an ended proc.
    fn discard(&self, key: RunKey, reply: Option<oneshot::Sender<()>>) {
        let over = self.entries.get(&key).filter(|entry| entry.is_over());
        let Some(run) = over.and_then(Entry::last_held) else { return };
        tokio::spawn(async move {
            run.release(true).await;
            let _ = reply.map(|reply| reply.send(()));
        });
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

fn refuse_over(entry: Option<&Entry>, reply: EndReply) {
    let error = match entry {
        Some(entry) => TerminateError::AlreadyTerminated(entry.machine.status().clone()),
        None => TerminateError::Closed,
    };
    let _ = reply.send(Err(error));
}

async fn sleep_or_never(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}
