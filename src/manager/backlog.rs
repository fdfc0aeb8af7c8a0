//! Which of the runs that are over gives up its hold next: a value, no IO and no clock; time comes in.
//!
//! A run's last figures are read and its unit is let go of when it is over, which nobody waits for. It costs the one
//! thread of the user manager as much as a tenth of a launch, so launches go first; but what is over must not pile up
//! behind launches that never cease.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::launcher::RunKey;

/// The longest that an ended run waits for launches to be through.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How many ended runs wait at most.
const WAITING_MAX: usize = 1_000;
/// How many holds are given up at a time, so that the end of thousands leaves room for other calls.
const AT_ONCE: usize = 16;

/// The runs that are over and still held, oldest first.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<(Instant, RunKey)>,
    under_way: usize,
}

impl Backlog {
    /// A run is over.
    pub(super) fn add(&mut self, key: RunKey, now: Instant) {
        self.waiting.push_back((now + LONGEST_WAIT, key));
    }

    /// The next whose hold is to be given up, while `launching` or not; [`Self::done`] follows when it is.
    pub(super) fn take(&mut self, launching: bool, now: Instant) -> Option<RunKey> {
        let &(due_at, key) = self.waiting.front()?;
        let may_wait = launching && now < due_at && self.waiting.len() <= WAITING_MAX;
        if may_wait || self.under_way >= AT_ONCE {
            return None;
        }
        self.waiting.pop_front();
        self.under_way += 1;
        Some(key)
    }

    /// Takes this one out of turn: somebody waits for it. False where it is not waiting.
    pub(super) fn take_this(&mut self, key: RunKey) -> bool {
        let at = self.waiting.iter().position(|(_, waiting)| *waiting == key);
        self.under_way += usize::from(at.is_some());
        at.is_some_and(|at| self.waiting.remove(at).is_some())
    }

    /// A hold has been given up.
    pub(super) fn done(&mut self) {
        self.under_way -= 1;
    }

    /// Whether none waits and none is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }

    /// When the oldest has waited long enough.
    pub(super) fn due_at(&self) -> Option<Instant> {
        // Where none may begin, the end of one that is under way comes first.
        let &(due_at, _) = self.waiting.front().filter(|_| self.under_way < AT_ONCE)?;
        Some(due_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog(count: u64, now: Instant) -> Backlog {
        let mut backlog = Backlog::default();
        (0..count).for_each(|key| backlog.add(RunKey(key), now));
        backlog
    }

    fn taken(backlog: &mut Backlog, launching: bool, now: Instant) -> usize {
        std::iter::from_fn(|| backlog.take(launching, now)).count()
    }

    #[test]
    fn without_a_launch_the_oldest_goes_at_once() {
        let now = Instant::now();
        let mut backlog = backlog(2, now);
        assert_eq!(backlog.take(false, now), Some(RunKey(0)));
        assert_eq!(backlog.take(false, now), Some(RunKey(1)));
        assert_eq!(backlog.take(false, now), None);
    }

    #[test]
    fn launches_go_first_for_a_bounded_time() {
        let now = Instant::now();
        let mut backlog = backlog(1, now);
        assert_eq!(backlog.take(true, now), None);
        assert_eq!(backlog.due_at(), Some(now + LONGEST_WAIT));
        assert_eq!(backlog.take(true, now + LONGEST_WAIT), Some(RunKey(0)));
    }

    #[test]
    fn more_than_the_bound_never_wait() {
        let now = Instant::now();
        let mut backlog = backlog(WAITING_MAX as u64 + 3, now);
        assert_eq!(taken(&mut backlog, true, now), 3);
    }

    #[test]
    fn only_so_many_are_under_way_and_the_end_of_one_makes_room() {
        let now = Instant::now();
        let mut backlog = backlog(100, now);
        assert_eq!(taken(&mut backlog, false, now), AT_ONCE);
        assert_eq!(backlog.due_at(), None);
        backlog.done();
        assert_eq!(taken(&mut backlog, false, now), 1);
    }

    #[test]
    fn one_that_somebody_waits_for_goes_out_of_turn_and_once() {
        let now = Instant::now();
        let mut backlog = backlog(3, now);
        assert!(backlog.take_this(RunKey(1)));
        assert!(!backlog.take_this(RunKey(1)));
        assert_eq!(backlog.take(false, now), Some(RunKey(0)));
        assert_eq!(backlog.take(false, now), Some(RunKey(2)));
    }
}
