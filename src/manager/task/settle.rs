//! What follows an end: the last figures, the hold given up, the exit record, the report.

use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Task;
use crate::launcher::RunKey;
use crate::manager::entry::{Entry, Hold};
use crate::manager::message::Outcome;
use crate::manager::output::let_go_later;
use crate::report::Report;
use crate::spec::defaults;
use crate::status::ProcStatus;
use crate::status::details::UnitDetails;

impl Task {
    /// Once it is over and nothing of it is left: tells who waits for that, reads its last figures, and gives
    /// up the hold.
    pub(super) fn settle_if_gone(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        // Of one that failed there is nothing that a wait could still bring.
        let failed = matches!(entry.machine.status(), ProcStatus::Failed { .. });
        if !entry.is_over() || !(failed || entry.machine.tree_gone()) {
            return;
        }
        self.let_settle(key);
    }

    /// Gives up the hold of one that is over, when its turn comes.
    pub(super) fn let_settle(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let Hold::Held(run) = &entry.hold else { return };
        entry.hold = Hold::Settling(Arc::clone(run));
        entry.ladder = None;
        entry.sweep = None;
        for waiter in entry.end_waiters.drain(..) {
            let _ = waiter.send(Ok(entry.machine.status().clone()));
        }
        self.backlog.add(key, Instant::now());
        let awaited = self.queued.contains_key(&key) || !entry.monitors.is_empty();
        self.reschedule(key);
        if awaited { self.settle_now(key) } else { self.settle_next() }
    }

    /// Settles what the backlog gives out.
    pub(super) fn settle_next(&mut self) {
        let (launching, now) = (!self.launching.is_empty(), Instant::now());
        while let Some(key) = self.backlog.take(launching, now) {
            self.settle(key);
        }
    }

    /// Settles this one, which somebody waits for, if it is not under way.
    pub(super) fn settle_now(&mut self, key: RunKey) {
        if self.backlog.take_this(key) {
            self.settle(key);
        }
    }

    fn settle(&self, key: RunKey) {
        let outcomes = self.outcomes.0.clone();
        let entry = self.entries.get(&key);
        let run = entry.and_then(Entry::held);
        let discard = entry.filter(|entry| entry.abandoned || !entry.reapers.is_empty());
        let discard = discard.map(|entry| entry.machine.run());
        let deliveries = entry.map(|entry| entry.deliveries.clone()).unwrap_or_default();
        tokio::spawn(async move {
            let mut details = None;
            if let Some(run) = run {
                details = run.usage().await;
                // An attached unit goes with the hold on it; an ended detached one stays until it is reaped.
                if let Some(invocation) = discard {
                    run.discard(invocation).await;
                }
                run.release().await;
            }
            deliveries.ended().await;
            let _ = outcomes.send(Outcome::Settled { key, details });
        });
    }

    pub(super) fn on_settled(&mut self, key: RunKey, details: Option<UnitDetails>) {
        self.backlog.done();
        if let Some(entry) = self.entries.get_mut(&key) {
            let report = entry.report(self.launcher.name(), details.as_ref());
            for waiter in entry.report_waiters.drain(..) {
                let _ = waiter.send(Some(report.clone()));
            }
            if let Some(run) = entry.held() {
                entry.hold = Hold::Settled { run, details: details.map(Box::new) };
            }
            for reaper in std::mem::take(&mut entry.reapers) {
                self.discard(key, Some(reaper));
            }
        }
        self.park(key);
        self.tell_monitors(key);
        self.settled.push_back(key);
        if self.settled.len() > self.exit_records
            && let Some(oldest) = self.settled.pop_front()
        {
            self.forget(oldest);
        }
        self.call_queued(key);
        self.settle_next();
    }

    /// Keeps what its streams are marked by for a while: a log that is asked for has an end then that can be known.
    fn park(&mut self, key: RunKey) {
        let Some(slot) = self.entries.get(&key).map(|entry| Arc::clone(&entry.output)) else { return };
        let Some(output) = slot.get() else { return };
        if !output.own_streams().is_empty() {
            self.parked.push_back((Instant::now() + defaults::STREAMS_KEPT, key));
        }
        if !output.pumps().is_empty() {
            let_go_later(slot);
        }
    }

    /// Closes the streams whose time is up.
    pub(super) fn close_parked(&mut self, now: Instant) {
        while self.parked.front().is_some_and(|&(until, _)| until <= now) {
            self.close_oldest();
        }
    }

    /// Closes streams of procs that are over until there is room for a launch.
    pub(super) fn make_room(&mut self) {
        while self.outlets.is_short(self.launching.len() + 1) && !self.parked.is_empty() {
            self.close_oldest();
        }
    }

    fn close_oldest(&mut self) {
        let Some((_, key)) = self.parked.pop_front() else { return };
        if let Some(output) = self.entries.get(&key).and_then(|entry| entry.output.get()) {
            output.close_streams();
        }
    }

    /// Has those ask again who wait for the id of this run.
    pub(super) fn call_queued(&mut self, key: RunKey) {
        for settled in self.queued.remove(&key).unwrap_or_default() {
            let _ = settled.send(());
        }
    }

    pub(super) fn report(&mut self, key: RunKey, reply: oneshot::Sender<Option<Report>>) {
        let launcher = self.launcher.name();
        let Some(entry) = self.entries.get_mut(&key) else { return drop(reply.send(None)) };
        match &entry.hold {
            Hold::Settled { details, .. } => {
                let _ = reply.send(Some(entry.report(launcher, details.as_deref())));
            }
            Hold::Launching | Hold::Relaunching(_) => {
                let _ = reply.send(Some(entry.report(launcher, None)));
            }
            Hold::Settling(_) => {
                entry.report_waiters.push(reply);
                self.settle_now(key);
            }
            Hold::Held(run) => {
                let (run, outcomes) = (Arc::clone(run), self.outcomes.0.clone());
                tokio::spawn(async move {
                    let details = run.details().await;
                    let _ = outcomes.send(Outcome::Details { key, details, reply });
                });
            }
        }
    }

    pub(super) fn on_details(
        &self,
        key: RunKey,
        details: Option<&UnitDetails>,
        reply: oneshot::Sender<Option<Report>>,
    ) {
        let report = self.entries.get(&key).map(|entry| entry.report(self.launcher.name(), details));
        let _ = reply.send(report);
    }

    /// Its id is free only when this manager is through with it as well.
    pub(super) fn reap(&mut self, key: RunKey, reply: oneshot::Sender<()>) {
        let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.is_over()) else { return };
        entry.reaped = true;
        match entry.hold {
            Hold::Settled { .. } => self.discard(key, Some(reply)),
            Hold::Launching | Hold::Held(_) | Hold::Relaunching(_) | Hold::Settling(_) => {
                entry.reapers.push(reply);
                self.sweep_leftovers(key);
                self.settle_now(key);
            }
        }
    }

    /// Gives up what the launcher keeps of an ended proc.
    pub(super) fn discard(&self, key: RunKey, reply: Option<oneshot::Sender<()>>) {
        let over = self.entries.get(&key).filter(|entry| entry.is_over());
        let Some((entry, run)) = over.and_then(|entry| Some((entry, entry.last_held()?))) else { return };
        let invocation = entry.machine.run();
        tokio::spawn(async move {
            run.discard(invocation).await;
            run.release().await;
            let _ = reply.map(|reply| reply.send(()));
        });
    }
}
