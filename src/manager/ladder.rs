//! The terminate ladder as a value: what is due when. No IO and no clock; time comes in.

use std::time::Duration;

use tokio::time::Instant;

/// What the ladder asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rung {
    /// Deliver the stop signal to the whole tree.
    Stop,
    /// Deliver SIGKILL to the whole tree.
    Kill,
    /// Tell the waiters that it is still there.
    GiveUp,
}

/// Where one run stands between the first wish to end it and its end.
///
/// It belongs to a run, never to an id: it is dropped with the run, so that no rung of it can touch a later one.
#[derive(Debug, Clone)]
pub(super) struct Ladder {
    next: Option<Rung>,
    due_at: Instant,
    kill_at: Instant,
    /// Set with the first try of SIGKILL.
    give_up_at: Option<Instant>,
    kill_wait: Duration,
}

/// How long after a signal could not be delivered it is tried again. The way to the launcher is made again within
/// tens of milliseconds, mostly.
pub(super) const REDELIVER_AFTER: Duration = Duration::from_millis(100);

impl Ladder {
    /// Begins with the stop signal now and SIGKILL after `grace`; gives up `kill_wait` after SIGKILL.
    pub(super) fn stop(now: Instant, grace: Duration, kill_wait: Duration) -> Self {
        let kill_at = later(now, grace);
        Self { next: Some(Rung::Stop), due_at: now, kill_at, give_up_at: None, kill_wait }
    }

    /// Begins with SIGKILL now.
    pub(super) fn kill(now: Instant, kill_wait: Duration) -> Self {
        Self { next: Some(Rung::Kill), due_at: now, kill_at: now, give_up_at: None, kill_wait }
    }

    /// Joins another wish to stop: the earlier deadline wins, and no second signal is sent. On a ladder that
    /// has given up it starts over.
    pub(super) fn join_stop(&mut self, now: Instant, grace: Duration) {
        match self.next {
            Some(Rung::Stop) => self.kill_at = self.kill_at.min(later(now, grace)),
            Some(Rung::Kill) => {
                self.kill_at = self.kill_at.min(later(now, grace));
                self.due_at = self.kill_at;
            }
            Some(Rung::GiveUp) => {}
            None => *self = Self::stop(now, grace, self.kill_wait),
        }
    }

    /// Joins a wish to kill: SIGKILL is due at once, unless it has been sent and may still work.
    pub(super) fn join_kill(&mut self, now: Instant) {
        match self.next {
            Some(Rung::GiveUp) => {}
            Some(Rung::Stop | Rung::Kill) | None => *self = Self::kill(now, self.kill_wait),
        }
    }

    /// `rung` was not delivered: it is due again, unless the one after it comes first.
    pub(super) fn undelivered(&mut self, rung: Rung, now: Instant) {
        let again = later(now, REDELIVER_AFTER);
        let overtaken = match (rung, self.next) {
            (Rung::Stop, Some(Rung::Kill)) => self.kill_at <= again,
            (Rung::Kill, Some(Rung::GiveUp)) => self.give_up_at.is_some_and(|end| end <= again),
            _ => true,
        };
        if !overtaken {
            (self.next, self.due_at) = (Some(rung), again);
        }
    }

    /// When the next rung is due; `None` when the ladder has given up.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.next.map(|_| self.due_at)
    }

    /// When SIGKILL is, or was, due.
    pub(super) fn kill_at(&self) -> Instant {
        self.kill_at
    }

    /// The next rung, if it is due, and moves on past it.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Rung> {
        let rung = self.next.filter(|_| self.due_at <= now)?;
        (self.next, self.due_at) = match rung {
            Rung::Stop => (Some(Rung::Kill), self.kill_at),
            Rung::Kill => {
                let end = later(now, self.kill_wait);
                (Some(Rung::GiveUp), *self.give_up_at.get_or_insert(end))
            }
            Rung::GiveUp => (None, self.due_at),
        };
        Some(rung)
    }
}

/// `Instant` has no saturating sum; thirty years are for ever.
fn later(now: Instant, by: Duration) -> Instant {
    const FOR_EVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);
    now + by.min(FOR_EVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILL_WAIT: Duration = Duration::from_secs(5);

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn stop_is_due_at_once_kill_at_the_deadline_and_giving_up_after_the_kill_wait() {
        let start = Instant::now();
        let mut ladder = Ladder::stop(start, secs(10), KILL_WAIT);
        assert_eq!(ladder.take_due(start), Some(Rung::Stop));
        assert_eq!(ladder.take_due(start + secs(9)), None, "not before the deadline");
        assert_eq!(ladder.due_at(), Some(start + secs(10)));
        assert_eq!(ladder.take_due(start + secs(10)), Some(Rung::Kill));
        assert_eq!(ladder.take_due(start + secs(14)), None);
        assert_eq!(ladder.take_due(start + secs(15)), Some(Rung::GiveUp));
        assert_eq!(ladder.due_at(), None);
    }

    #[test]
    fn of_two_deadlines_the_earlier_wins_and_the_stop_signal_goes_out_once() {
        let start = Instant::now();
        let mut ladder = Ladder::stop(start, secs(10), KILL_WAIT);
        assert_eq!(ladder.take_due(start), Some(Rung::Stop));
        ladder.join_stop(start + secs(1), secs(2));
        assert_eq!(ladder.take_due(start + secs(2)), None);
        ladder.join_stop(start + secs(2), secs(60));
        assert_eq!(ladder.take_due(start + secs(3)), Some(Rung::Kill));
    }

    #[test]
    fn a_kill_in_the_middle_is_due_at_once_and_once_only() {
        let start = Instant::now();
        let mut ladder = Ladder::stop(start, secs(10), KILL_WAIT);
        assert_eq!(ladder.take_due(start), Some(Rung::Stop));
        ladder.join_kill(start + secs(1));
        assert_eq!(ladder.take_due(start + secs(1)), Some(Rung::Kill));
        ladder.join_kill(start + secs(2));
        assert_eq!(ladder.take_due(start + secs(2)), None, "SIGKILL is on its way");
    }

    #[test]
    fn what_was_not_delivered_is_due_again_and_moves_no_deadline() {
        let start = Instant::now();
        let mut ladder = Ladder::stop(start, secs(1), KILL_WAIT);
        assert_eq!(ladder.take_due(start), Some(Rung::Stop));
        ladder.undelivered(Rung::Stop, start);
        assert_eq!(ladder.due_at(), Some(start + REDELIVER_AFTER));
        assert_eq!(ladder.take_due(start + REDELIVER_AFTER), Some(Rung::Stop));
        ladder.undelivered(Rung::Stop, start + secs(1) - REDELIVER_AFTER);
        assert_eq!(ladder.take_due(start + secs(1)), Some(Rung::Kill), "the deadline comes first");
        ladder.undelivered(Rung::Stop, start + secs(1));
        ladder.undelivered(Rung::Kill, start + secs(2));
        assert_eq!(ladder.take_due(start + secs(3)), Some(Rung::Kill));
        ladder.undelivered(Rung::Kill, start + secs(6));
        assert_eq!(ladder.take_due(start + secs(6)), Some(Rung::GiveUp));
    }

    #[test]
    fn a_kill_overtakes_a_stop_that_was_not_delivered() {
        let start = Instant::now();
        let mut ladder = Ladder::stop(start, secs(10), KILL_WAIT);
        assert_eq!(ladder.take_due(start), Some(Rung::Stop));
        ladder.undelivered(Rung::Stop, start);
        ladder.join_kill(start);
        assert_eq!(ladder.take_due(start), Some(Rung::Kill));
    }

    #[test]
    fn a_ladder_that_gave_up_starts_over_when_asked_again() {
        let start = Instant::now();
        let mut ladder = Ladder::kill(start, KILL_WAIT);
        assert_eq!(ladder.take_due(start), Some(Rung::Kill));
        assert_eq!(ladder.take_due(start + secs(5)), Some(Rung::GiveUp));
        ladder.join_stop(start + secs(6), secs(1));
        assert_eq!(ladder.take_due(start + secs(6)), Some(Rung::Stop));
    }
}
