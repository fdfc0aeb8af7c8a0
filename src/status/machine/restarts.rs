//! What the machine makes of facts where a restart policy follows the ends of runs.
//!
//! An end is final only when its policy has had its say. Of a unit the unit says so: it is down, and a *look* shows
//! that. A signal does not: systemd 252 announces `failed` with no job for a moment before it waits for the restart, in
//! the same words as for good (measured; 254 and later have a `SubState` of its own for that moment). Where no start is
//! left to it, the end is final at once.

use super::{Machine, Restarts, Step};
use crate::id::InvocationId;
use crate::status::history::Cause;
use crate::status::observe::{Ended, Main, Observation, Tree, is_down, is_settled, observe};
use crate::status::proc_status::{FailReason, ProcStatus, StatusKind};
use crate::status::run::{Counter, Run, was_run};
use crate::status::snapshot::Snapshot;
use crate::time::Timestamp;

/// Runs kept besides the newest.
const EARLIER_KEPT: usize = 63;

/// What the machine keeps of what follows a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    pub(super) restarts: Restarts,
    /// Somebody wants the proc to end.
    no_more_runs: bool,
    /// It is over, and was so between two runs.
    pub(super) ended_between_runs: bool,
    /// It is over, and a run began all the same.
    revived: bool,
}

impl Policy {
    pub(super) const fn new(restarts: Restarts) -> Self {
        Self { restarts, no_more_runs: false, ended_between_runs: false, revived: false }
    }
}

impl Machine {
    /// Whether the proc is between two runs: the last one is over, and the next has not begun.
    pub fn is_between_runs(&self) -> bool {
        self.run.waits && matches!(self.status, ProcStatus::Starting)
    }

    /// Whether it is over, and was so between two runs.
    pub const fn ended_between_runs(&self) -> bool {
        self.policy.ended_between_runs
    }

    /// Whether its unit has begun a run after the last that its policy allows, which was taken for the end.
    pub const fn is_revived(&self) -> bool {
        self.policy.revived
    }

    /// The number of the restart that its manager is to make now: the last run is over, and nothing of it is left.
    pub fn restart_due(&self) -> Option<u32> {
        let by_manager = matches!(self.policy.restarts, Restarts::ByManager { .. });
        (by_manager && self.is_between_runs() && self.tree_gone()).then_some(self.run.number)
    }

    /// Somebody wants it to end: no run is to follow. It moves nothing that a unit may still start; between two runs
    /// that its manager starts, there is nobody left to start the next, and it is over.
    pub fn no_more_runs(&mut self, now: Timestamp) -> Step {
        self.policy.no_more_runs = true;
        if matches!(self.policy.restarts, Restarts::ByManager { .. }) && self.is_between_runs() {
            self.stop_delivered = true;
            return self.end_as_the_last_run_did(now);
        }
        Step::Stayed
    }

    fn end_as_the_last_run_did(&mut self, now: Timestamp) -> Step {
        match (self.run.ended.clone(), self.run.end.clone()) {
            (Some(ended), _) => self.on_ended(ended, now),
            (None, Some(ProcStatus::Failed { reason })) => self.on_failed(reason, now),
            (None, _) => Step::Stayed,
        }
    }

    /// A picture of a unit that has a policy.
    pub(super) fn on_picture(&mut self, picture: &Snapshot, now: Timestamp) -> Step {
        if self.is_of_an_earlier_run(picture) {
            return Step::Stayed;
        }
        let mut step = Step::Stayed;
        if self.is_next_run(picture) {
            if self.status.is_exit() {
                self.policy.revived = true;
                return Step::Stayed;
            }
            step = self.begin_next_run(Counter::of(picture).number, now);
        }
        let seen = observe(picture, self.run.id);
        let is_final = self.status.is_exit() || self.is_final(picture);
        step.then(self.on_seen(picture, seen, is_final, now))
    }

    fn on_seen(&mut self, picture: &Snapshot, seen: Observation, is_final: bool, now: Timestamp) -> Step {
        if seen.run.is_some() && (self.run.id.is_none() || self.run.id == seen.run) {
            let is_first = self.run.id.is_none();
            self.run.id = seen.run;
            self.run.take_counter(self.within_limit(Counter::of(picture)), is_first);
        }
        match seen.main {
            Main::Ended(ended) if !is_final => self.on_run_ended(ended, waits(picture), now),
            Main::Failed(FailReason::Setup { .. } | FailReason::NoMainProcess { .. }) if !is_final => {
                let Main::Failed(reason) = seen.main else { return Step::Stayed };
                self.run.end = Some(ProcStatus::Failed { reason });
                self.wait_for_next_run(waits(picture), now)
            }
            // systemd ends it for a limit of its own, and what follows that is the policy's: no job asked for it.
            Main::Deactivating(alive) if picture.unit.job == Some(0) => {
                self.run.deactivated |= !self.status.is_exit();
                self.on_alive(alive, now)
            }
            // Its end was seen, and the next run, or whatever took its place, is not its own.
            Main::Failed(FailReason::Lost { .. }) if self.run.end.is_some() && !self.status.is_exit() => {
                self.tree = Tree::Gone;
                self.end_as_the_last_run_did(now)
            }
            Main::Ended(ended) if !self.status.is_exit() => {
                let was_kept_down = self.was_kept_down(picture, &ended);
                let shown = self.show_running(&ended, now);
                self.note_tree(picture);
                let step = shown.then(self.on_ended(ended, now));
                self.policy.ended_between_runs |= was_kept_down;
                step
            }
            // What a moment shows of the tree counts as little as what it shows of the end.
            Main::Ended(_) => {
                self.note_tree(picture);
                Step::Stayed
            }
            _ => self.on_observation(seen, now),
        }
    }

    fn note_tree(&mut self, picture: &Snapshot) {
        if is_settled(picture) && is_down(picture) {
            self.tree = Tree::Gone;
        }
    }

    /// Whether somebody kept the next run from beginning: a unit that failed is down, and has a start left. A reset of
    /// the failure, after which its starts are counted anew, leaves no failure to be seen.
    fn was_kept_down(&self, picture: &Snapshot, ended: &Ended) -> bool {
        let failed = picture.service.result.as_deref().is_some_and(|result| result != "success");
        let by_itself = ended.stopped_first == Some(false) && !self.run.deactivated;
        failed && by_itself && ended.exit.is_failure() && is_settled(picture) && !self.is_used_up()
    }

    /// The main process is over by the launcher's word.
    pub(super) fn on_exited(&mut self, ended: Ended, now: Timestamp) -> Step {
        if self.manager_starts_again(ended.exit.is_failure()) {
            self.on_run_ended(ended, true, now)
        } else {
            self.on_ended(ended, now)
        }
    }

    /// A picture of a unit that its manager has started anew.
    pub(super) fn on_relaunched(&mut self, shown: Option<InvocationId>, now: Timestamp) -> Step {
        if self.restart_due().is_some() && shown.is_some() && shown != self.run.id {
            return self.begin_next_run(self.run.number.saturating_add(1), now);
        }
        Step::Stayed
    }

    /// The next run could not be started by its manager.
    pub(super) fn on_not_started(&mut self, reason: FailReason, now: Timestamp) -> Step {
        if !self.is_between_runs() {
            return self.on_failed(reason, now);
        }
        let step = self.begin_next_run(self.run.number.saturating_add(1), now);
        self.tree = Tree::Gone;
        let again = self.manager_starts_again(true);
        self.run.end = Some(ProcStatus::Failed { reason: reason.clone() });
        self.run.waits = again;
        if again { step } else { step.then(self.on_failed(reason, now)) }
    }

    fn manager_starts_again(&self, failure: bool) -> bool {
        let wanted = match self.policy.restarts {
            Restarts::ByManager { always, .. } => always || failure,
            Restarts::Never | Restarts::ByUnit { .. } => false,
        };
        wanted
            && !self.policy.no_more_runs
            && !self.stop_delivered
            && !self.is_used_up()
            && !self.status.is_exit()
    }

    /// Whether no restart is left after this run.
    fn is_used_up(&self) -> bool {
        self.policy.restarts.max().is_some_and(|max| self.run.number > max)
    }

    fn within_limit(&self, counter: Counter) -> Counter {
        let last = self.policy.restarts.max().map_or(u32::MAX, |max| max.saturating_add(1));
        Counter { number: counter.number.min(last), ..counter }
    }

    /// Whether the end that this picture carries is the proc's.
    fn is_final(&self, picture: &Snapshot) -> bool {
        is_settled(picture) || self.is_used_up()
    }

    /// A look and the signals come on two connections, and one may lag behind the other by a run.
    fn is_of_an_earlier_run(&self, picture: &Snapshot) -> bool {
        let Some(shown) = picture.unit.invocation.filter(|shown| Some(*shown) != self.run.id) else {
            return false;
        };
        let forked = picture.service.exec_main_start;
        self.earlier.iter().any(|earlier| earlier.invocation_id == Some(shown))
            || (self.run.id.is_some() && forked.is_some() && forked < self.run.started_at)
    }

    fn is_next_run(&self, picture: &Snapshot) -> bool {
        let (Some(ours), Some(shown)) = (self.run.id, picture.unit.invocation) else { return false };
        let count = picture.service.n_restarts.unwrap_or(0);
        ours != shown
            && count >= self.run.next_count
            && picture.unit.load_state.as_deref() != Some("not-found")
    }

    /// The next run is there, whether the end of the one before was seen or not.
    pub(super) fn begin_next_run(&mut self, number: u32, now: Timestamp) -> Step {
        let before = self.run.final_record();
        let step = match self.status.kind() {
            StatusKind::Running | StatusKind::Ready => {
                self.run.end.clone_from(&before.end);
                self.go_to_starting(now)
            }
            // A stop that has not kept it from being started again is still on its way; an end stays the end.
            StatusKind::Starting
            | StatusKind::Stopping
            | StatusKind::Stopped
            | StatusKind::Killed
            | StatusKind::Failed => Step::Stayed,
        };
        self.earlier.push(before, EARLIER_KEPT);
        self.run = Run::new(number.max(self.run.number.saturating_add(1)));
        self.tree = Tree::Maybe;
        step
    }

    fn on_run_ended(&mut self, ended: Ended, waits: bool, now: Timestamp) -> Step {
        let news = self.run.end.is_none();
        let shown = if news { self.show_running(&ended, now) } else { Step::Stayed };
        self.run.take_end(ended);
        shown.then(self.wait_for_next_run(waits, now))
    }

    /// A program that is over before it was seen up has been run all the same, and every run is told.
    pub(super) fn show_running(&mut self, ended: &Ended, now: Timestamp) -> Step {
        if self.status != ProcStatus::Starting || self.run.end.is_some() || !was_run(ended) {
            return Step::Stayed;
        }
        self.on_alive(super::Alive { pid: ended.pid, started_at: ended.started_at }, now)
    }

    /// Unless somebody wants it to end, in which case what comes is its end.
    fn wait_for_next_run(&mut self, waits: bool, now: Timestamp) -> Step {
        self.run.waits |= waits;
        match self.status.kind() {
            StatusKind::Running | StatusKind::Ready if waits && !self.policy.no_more_runs => {
                self.go_to_starting(now)
            }
            _ => Step::Stayed,
        }
    }

    fn go_to_starting(&mut self, now: Timestamp) -> Step {
        let step = self.move_to(ProcStatus::Starting, Cause::Restart, now);
        match step {
            Step::Moved(mut moved) => {
                moved.run_end.clone_from(&self.run.end);
                Step::Moved(moved)
            }
            other => other,
        }
    }
}

/// Whether the unit waits for its restart, or the restart for its turn. Down without a job it may be for good; while it
/// is deactivating, what its main process left decides on the rest.
fn waits(picture: &Snapshot) -> bool {
    picture.unit.active_state.as_deref() == Some("activating")
}
