//! Ending runs: the wishes, the ladder that carries them out, and what a run leaves behind.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Task;
use crate::launcher::{DeliverError, Fact, Facts, ProcRun, RunKey, Target};
use crate::manager::entry::{Entry, Hold};
use crate::manager::error::TerminateError;
use crate::manager::ladder::{Ladder, Rung};
use crate::manager::message::{EndReply, Outcome};
use crate::manager::sweep::sweep;
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

    pub(super) fn kill(&mut self, key: RunKey, reply: EndReply) {
        let Some(entry) = self.entry_to_end(key, &reply) else {
            return refuse_over(self.entries.get(&key), reply);
        };
        let now = Instant::now();
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
        let run = self.entries.get(&key).and_then(Entry::held);
        tokio::spawn(async move {
            let _ = reply.send(match run {
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
        self.settle_next();
    }

    /// Does what the ladder says is due, and notes when it wants to be asked again.
    pub(super) fn climb(&mut self, key: RunKey, now: Instant) {
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
        let outcomes = self.outcomes.0.clone();
        if rung == Rung::Kill
            && let Some(entry) = self.entries.get_mut(&key)
        {
            entry.note_kill_sent();
        }
        tokio::spawn(async move {
            let outcome = match rung {
                Rung::Stop => Outcome::StopDelivered { key, result: run.stop().await },
                Rung::Kill => Outcome::KillDelivered { key, result: run.kill().await },
                Rung::GiveUp => Outcome::Survivors { key, pids: run.processes().await.unwrap_or_default() },
            };
            let _ = outcomes.send(outcome);
        });
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
                entry.undelivered = Some(error);
                if let Some(ladder) = entry.ladder.as_mut().filter(|_| !lasting) {
                    ladder.undelivered(rung, Instant::now());
                    self.reschedule(key);
                }
            }
        }
    }

    pub(super) fn on_survivors(&mut self, key: RunKey, pids: &[u32]) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let mut source = entry.undelivered.take();
        for waiter in entry.end_waiters.drain(..) {
            let error = TerminateError::TimedOut { pids: pids.to_vec(), source: source.take() };
            let _ = waiter.send(Err(error));
        }
        // Whoever asks again has it tried again.
        entry.sweeping = false;
        for reaper in std::mem::take(&mut entry.reapers) {
            self.discard(key, Some(reaper));
        }
    }

    pub(super) fn tell_when_gone(&mut self, key: RunKey, reply: EndReply) {
        let Some(entry) = self.entries.get_mut(&key) else { return refuse_over(None, reply) };
        match entry.hold {
            Hold::Launching => entry.end_waiters.push(reply),
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

    /// systemd sweeps what an attached proc leaves; a detached unit stays up with it, so this manager does.
    pub(super) fn sweep_leftovers(&mut self, key: RunKey) {
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
}

fn refuse_over(entry: Option<&Entry>, reply: EndReply) {
    let error = match entry {
        Some(entry) => TerminateError::AlreadyTerminated(entry.machine.status().clone()),
        None => TerminateError::Closed,
    };
    let _ = reply.send(Err(error));
}
