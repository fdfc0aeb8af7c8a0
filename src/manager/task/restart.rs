//! The restarts of a policy: those that a launcher leaves to its manager are made here, and those that it makes by
//! itself are kept within the policy's bound.
//!
//! The machine says when a restart is due. A run is launched again under the same key and with the same spec when
//! nothing of the run before is left; no fact of that one comes any more.

use std::sync::Arc;

use tokio::time::Instant;

use super::Task;
use crate::launcher::{Fact, Facts, LaunchError, RunKey};
use crate::manager::entry::{Hold, InRow};
use crate::manager::message::{Begun, Outcome};
use crate::manager::turns::Turn;
use crate::spec::{Lifetime, RestartPolicy, RestartWhen};
use crate::status::FailReason;
use crate::status::machine::{Event, Restarts};

/// Who starts the procs of this policy again.
pub(super) fn restarts(policy: Option<&RestartPolicy>, by_itself: bool) -> Restarts {
    match policy {
        None => Restarts::Never,
        Some(policy) if by_itself => Restarts::ByUnit { max: policy.max_restarts() },
        Some(policy) => {
            let always = policy.when() == RestartWhen::Always;
            Restarts::ByManager { always, max: policy.max_restarts() }
        }
    }
}

impl Task {
    /// Somebody wants it to end: tells the machine, once the launcher is not just starting the next run.
    pub(super) fn tell_wish(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if entry.ladder.is_none() || entry.is_over() || matches!(entry.hold, Hold::Relaunching(_)) {
            return;
        }
        (entry.next.at, entry.next.row) = (None, None);
        let step = entry.machine.no_more_runs(std::time::SystemTime::now().into());
        entry.take(step);
        if entry.is_over() {
            self.after_fact(key);
        }
    }

    /// Sets the time of the next run, if this manager is to start it.
    pub(super) fn plan_restart(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        // Before the launcher has answered, nothing can be held against what it answers.
        let held = matches!(entry.hold, Hold::Held(_)) && entry.next.row.is_none();
        let Some(policy) = entry.next.spec.as_ref().and_then(|spec| spec.restart()).filter(|_| held) else {
            return;
        };
        if let Some(restart) = entry.machine.restart_due() {
            let at = Instant::now() + policy.delay_before(restart);
            entry.next.at.get_or_insert(at);
            self.reschedule(key);
        }
    }

    /// The next run is due: it is started when its turn comes. Until then a wish to end the proc keeps it from that.
    pub(super) fn join_row(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let (turns, outcomes) = (self.turns.clone(), self.outcomes.0.clone());
        let waiting = tokio::spawn(async move {
            // Where there are none any more, whoever closed them ends this proc.
            if let Ok(turn) = turns.next().await {
                let _ = outcomes.send(Outcome::Turn { key, turn });
            }
        });
        entry.next.row = Some(InRow(waiting.abort_handle()));
    }

    /// The turn of a run has come, unless it is not wanted any more.
    pub(super) fn on_turn(&mut self, key: RunKey, turn: Turn) {
        if self.entries.get_mut(&key).is_some_and(|entry| entry.next.row.take().is_some()) {
            self.start_again(key, turn);
        }
    }

    /// Starts the next run.
    fn start_again(&mut self, key: RunKey, turn: Turn) {
        let facts = Facts { key, to: self.facts.0.clone() };
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let (Some(spec), streams) = (entry.next.spec.clone(), entry.next.streams.clone()) else { return };
        let Hold::Held(before) = &entry.hold else { return };
        entry.hold = Hold::Relaunching(Arc::clone(before));
        self.ask_for_launch((spec, streams), facts, turn, move |result| Outcome::Relaunched { key, result });
    }

    pub(super) fn on_relaunched(&mut self, key: RunKey, result: Result<Begun, LaunchError>) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let Hold::Relaunching(before) = &entry.hold else { return };
        match result {
            Ok(Begun { launched, .. }) => {
                entry.hold = Hold::Held(Arc::from(launched.run));
                if launched.tells_ready {
                    entry.expect_ready();
                }
                self.after_fact(key);
            }
            Err(error) => {
                entry.hold = Hold::Held(Arc::clone(before));
                tracing::warn!(id = %entry.id, %error, "the next run was not started");
                let at = std::time::SystemTime::now().into();
                self.on_fact(Fact { key, event: Event::NotStarted(reason_of(error)), at });
            }
        }
        self.climb(key, Instant::now());
    }

    /// Of a proc that is over: keeps its unit from what the policy does not allow, or what nobody will ask for.
    ///
    /// systemd finds out that no start is left when it tries, a delay later; of an attached proc nothing is kept, and
    /// its name is to be free. And it may find otherwise: a reset of the unit's failures, and before 254 a reload, makes it
    /// count starts anew.
    pub(super) fn keep_from_restarting(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let by_unit = matches!(entry.machine.restarts_by(), Restarts::ByUnit { .. });
        let nobody_asks = entry.terms.lifetime == Lifetime::Attached && !entry.machine.tree_gone();
        let revived = entry.machine.is_revived();
        let Some(run) = entry.held().filter(|_| by_unit) else { return };
        // Once for each.
        let (asked, again) =
            (nobody_asks && !entry.next.rest_stopped, revived && !entry.next.revival_stopped);
        if !asked && !again {
            return;
        }
        entry.next.rest_stopped |= nobody_asks;
        entry.next.revival_stopped |= revived;
        // Its name is not given away while this is on its way.
        let delivery = entry.deliveries.begin();
        tokio::spawn(async move {
            if let Err(error) = run.stop().await {
                tracing::debug!(%error, "a unit that is through with its restarts was not stopped");
            }
            drop(delivery);
        });
    }
}

/// Why a run was not started, as a status tells it.
fn reason_of(error: LaunchError) -> FailReason {
    match error {
        LaunchError::Setup { reason, .. } => reason,
        other => FailReason::NoMainProcess { result: other.to_string() },
    }
}
