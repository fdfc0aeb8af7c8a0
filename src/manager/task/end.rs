//! Ending runs: the wishes, the ladder that carries them out, and what a run leaves behind.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Task;
use crate::id::ProcId;
use crate::launcher::{DeliverError, Fact, Facts, Left, ProcRun, RunKey, Stop, Target};
use crate::manager::entry::{Entry, Hold};
use crate::manager::error::{TerminateError, not_ended};
use crate::manager::ladder::{Ladder, Rung};
use crate::manager::message::{EndAnswer, EndReply, Outcome};
use crate::manager::sweep::{Orders, Sweep, Swept};
use crate::report::Asked;
use crate::signal::Signal;
use crate::spec::{Lifetime, defaults};
use crate::status::machine::Event;

impl Task {
    pub(super) fn terminate(
        &mut self,
        key: RunKey,
        grace: Option<Duration>,
        reason: String,
        reply: EndReply,
    ) {
        let now = Instant::now();
        let Some(entry) = self.entry_to_end(key, &reply) else {
            // What it left is still there to be ended.
            if let Some(entry) =
                self.entries.get_mut(&key).filter(|entry| matches!(entry.hold, Hold::Held(_)))
            {
                let kill_at = now + entry.cut(grace);
                self.sweep(key, Orders { kill_at, insists: true });
            }
            return refuse_over(self.entries.get(&key), reply);
        };
        let grace = entry.cut(grace);
        entry.asked.get_or_insert(Asked::Reason(reason));
        entry.end_waiters.push(reply);
        entry
            .ladder
            .get_or_insert_with(|| Ladder::stop(now, grace, defaults::KILL_WAIT))
            .join_stop(now, grace);
        self.climb(key, now);
    }

    /// Every proc that is there to be ended, and where its end will be told.
    pub(super) fn terminate_all(
        &mut self,
        grace: Option<Duration>,
        reason: &str,
    ) -> Vec<(ProcId, EndAnswer)> {
        let entries = self.newest.iter().filter_map(|(id, key)| Some((id, *key, self.entries.get(key)?)));
        let to_end = entries.filter(|(_, _, entry)| !entry.reaped && !entry.is_over());
        let to_end: Vec<_> = to_end.map(|(id, key, _)| (id.clone(), key)).collect();
        let end = |(id, key)| {
            let (reply, answer) = oneshot::channel();
            self.terminate(key, grace, reason.to_owned(), reply);
            (id, answer)
        };
        to_end.into_iter().map(end).collect()
    }

    pub(super) fn kill(&mut self, key: RunKey, reply: EndReply) {
        let now = Instant::now();
        let Some(entry) = self.entry_to_end(key, &reply) else {
            self.sweep(key, Orders { kill_at: now, insists: true });
            return refuse_over(self.entries.get(&key), reply);
        };
        entry.asked.get_or_insert_with(|| Asked::Reason("kill".to_owned()));
        entry.end_waiters.push(reply);
        entry.ladder.get_or_insert_with(|| Ladder::kill(now, defaults::KILL_WAIT)).join_kill(now);
        self.climb(key, now);
    }

    pub(super) fn signal(
        &self,
        key: RunKey,
        signal: Signal,
        to: Target,
        reply: oneshot::Sender<Result<(), DeliverError>>,
    ) {
        let entry = self.entries.get(&key);
        let (run, over) = (entry.and_then(Entry::held), entry.is_some_and(Entry::is_over));
        let invocation = entry.and_then(|entry| entry.machine.run());
        tokio::spawn(async move {
            let _ = reply.send(match run {
                // A later run may have the name.
                Some(run) if over && run.left(invocation).await == Some(Left::Nothing) => {
                    Err(DeliverError::Gone)
                }
                Some(run) => run.signal(signal, to).await,
                None => Err(DeliverError::Gone),
            });
        });
    }

    /// The entry, if a wish to end it makes sense.
    fn entry_to_end(&mut self, key: RunKey, reply: &EndReply) -> Option<&mut Entry> {
        if reply.is_closed() {
            tracing::debug!("a wish whose asker has gone is carried out all the same");
        }
        self.entries.get_mut(&key).filter(|entry| !entry.is_over())
    }

    pub(super) fn on_due(&mut self, now: Instant) {
        self.close_parked(now);
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
            if entry.next.at.take_if(|restart| *restart <= now).is_some() {
                self.join_row(key);
            }
            self.climb(key, now);
        }
        self.settle_next();
    }

    /// Does what the ladder says is due, and notes when it wants to be asked again.
    pub(super) fn climb(&mut self, key: RunKey, now: Instant) {
        self.tell_wish(key);
        while let Some(entry) = self.entries.get_mut(&key)
            // Before the launcher has answered there is nothing to climb on; it goes on when it has.
            && let Some(run) = entry.held()
            && let Some(rung) = entry.ladder.as_mut().and_then(|ladder| ladder.take_due(now))
        {
            self.act(key, run, rung);
        }
        self.reschedule(key);
    }

    fn act(&mut self, key: RunKey, run: Arc<dyn ProcRun>, rung: Rung) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if rung == Rung::Kill {
            entry.note_kill_sent();
        }
        let (outcomes, delivery) = (self.outcomes.0.clone(), entry.deliveries.begin());
        let tell = move |outcome| {
            let _ = outcomes.send(outcome);
            drop(delivery);
        };
        match rung {
            Rung::Stop => {
                self.stops.push(Stop::new(run, move |result| tell(Outcome::StopDelivered { key, result })));
            }
            Rung::Kill => {
                // Where both are due at once, the stop signal goes out first.
                self.send_stops();
                tokio::spawn(async move { tell(Outcome::KillDelivered { key, result: run.kill().await }) });
            }
            Rung::GiveUp => {
                tokio::spawn(async move {
                    tell(Outcome::Survivors { key, pids: run.processes().await.unwrap_or_default() });
                });
            }
        }
    }

    /// Has the stops of this turn delivered: many by the launcher, which may have a better way than one by one.
    pub(super) fn send_stops(&mut self) {
        match self.stops.len() {
            0 => {}
            1 => self.stops.drain(..).for_each(|stop| drop(tokio::spawn(stop.deliver()))),
            _ => {
                let (launcher, stops) = (Arc::clone(&self.launcher), std::mem::take(&mut self.stops));
                tokio::spawn(async move { launcher.stop_many(stops).await });
            }
        }
    }

    pub(super) fn on_delivered(&mut self, key: RunKey, result: Result<(), DeliverError>, rung: Rung) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        match result {
            Ok(()) => {
                entry.undelivered = None;
                entry.note_delivered(rung == Rung::Kill);
                let at = std::time::SystemTime::now().into();
                self.on_fact(Fact { key, event: Event::StopDelivered, at });
            }
            // Its end is on the way as a fact.
            Err(DeliverError::Gone) if rung == Rung::Kill => entry.note_kill_missed(),
            Err(DeliverError::Gone) => {}
            Err(error) => {
                if entry.undelivered.is_none() {
                    tracing::warn!(id = %entry.id, %error, ?rung, "not delivered; it is tried again");
                }
                let lasting = matches!(error, DeliverError::Unsupported(_));
                entry.undelivered = Some(Arc::new(error));
                match &mut entry.ladder {
                    // There is no rung after it that could do more.
                    Some(_) if lasting && rung == Rung::Kill => {
                        entry.ladder = None;
                        self.reschedule(key);
                        self.on_survivors(key, &[]);
                    }
                    Some(ladder) if !lasting => {
                        ladder.undelivered(rung, Instant::now());
                        self.reschedule(key);
                    }
                    _ => {}
                }
            }
        }
    }

    pub(super) fn on_survivors(&mut self, key: RunKey, pids: &[u32]) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let undelivered = entry.undelivered.take();
        for waiter in entry.end_waiters.drain(..) {
            let _ = waiter.send(Err(not_ended(pids, undelivered.as_ref())));
        }
        // Whoever asks again has it tried again.
        entry.sweep = None;
        if entry.is_over() && (entry.abandoned || !entry.reapers.is_empty()) {
            // Thrown away with what is left of it: nothing more will be told of it.
            self.let_settle(key);
        }
        // Its end is known, and cleaning up has come to nothing.
        self.tell_monitors(key);
    }

    pub(super) fn tell_when_gone(&mut self, key: RunKey, reply: EndReply) {
        let Some(entry) = self.entries.get_mut(&key) else { return refuse_over(None, reply) };
        match entry.hold {
            Hold::Launching | Hold::Relaunching(_) => entry.end_waiters.push(reply),
            Hold::Held(_) => {
                entry.end_waiters.push(reply);
                if entry.is_over() {
                    self.sweep_leftovers(key);
                }
            }
            Hold::Settling(_) | Hold::Settled { .. } => {
                let _ = reply.send(Ok(entry.machine.status().clone()));
            }
        }
    }

    /// Ends what a detached proc left: systemd does that of an attached one, and this manager of one that stays up
    /// with it.
    pub(super) fn sweep_leftovers(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get(&key) else { return };
        // A ladder that has not given up ends the whole tree by itself.
        if entry.terms.lifetime == Lifetime::Detached && entry.due_at().is_none() {
            let kill_at = Instant::now() + entry.terms.stop.timeout;
            self.sweep(key, Orders { kill_at, insists: false });
        }
    }

    /// Ends what an ended proc left, as ordered; joins what does so already.
    pub(super) fn sweep(&mut self, key: RunKey, orders: Orders) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let Hold::Held(run) = &entry.hold else { return };
        if let Some(sweep) = &entry.sweep {
            return sweep.join(orders);
        }
        let detached = entry.terms.lifetime == Lifetime::Detached;
        let swept = Swept {
            run: Arc::clone(run),
            invocation: entry.machine.run(),
            stop: entry.terms.stop.clone(),
            asks: detached,
        };
        let (facts, outcomes) = (Facts { key, to: self.facts.0.clone() }, self.outcomes.0.clone());
        entry.sweep = Some(Sweep::start(swept, orders, move |result| match result {
            // Of an attached one the launcher tells.
            Ok(()) if detached => facts.send(Event::TreeGone),
            Ok(()) => {}
            Err(pids) => drop(outcomes.send(Outcome::Survivors { key, pids })),
        }));
    }

    /// Looks whether an ended detached proc left anything. No signal tells, as its unit stays up either way.
    pub(super) fn look_for_leftovers(&self, key: RunKey) {
        let Some(entry) = self.entries.get(&key) else { return };
        let Hold::Held(run) = &entry.hold else { return };
        if entry.terms.lifetime == Lifetime::Attached {
            return;
        }
        let (run, invocation) = (Arc::clone(run), entry.machine.run());
        let (facts, outcomes) = (Facts { key, to: self.facts.0.clone() }, self.outcomes.0.clone());
        tokio::spawn(async move {
            match run.left(invocation).await {
                Some(Left::Nothing) => facts.send(Event::TreeGone),
                // Its end will show.
                Some(Left::Ending) => {}
                Some(Left::Staying) | None => drop(outcomes.send(Outcome::LeftStays { key })),
            }
        });
    }
}

fn refuse_over(entry: Option<&Entry>, reply: EndReply) {
    let error = match entry {
        Some(entry) => TerminateError::AlreadyTerminated(entry.machine.status().clone()),
        None => TerminateError::Closed,
    };
    let _ = reply.send(Err(error));
}
