//! From the end of a main process to the end of everything it forked: what is to be done about what is left, and
//! when. It asks and signals nothing itself.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::signal::Signal;
use crate::sys::processes::Seen;

/// How long a look at what is left may lie back, should nothing else call for one.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How what a main process leaves behind is ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sweep {
    /// What asks it to end, as it would have asked the main process.
    pub(super) signal: Signal,
    /// From that to SIGKILL.
    pub(super) backstop: Duration,
}

/// What a main process left is asked to end by the stop signal, then CONT, so that a stopped process sees it; SIGKILL
/// follows at the backstop, or once it is doomed. As systemd does with what the main process of a service leaves
/// (service.c, `SERVICE_FINAL_SIGTERM`).
#[derive(Debug)]
pub(super) struct Aftermath {
    place: u64,
    asks: [Signal; 2],
    asked: bool,
    kill_at: Instant,
    look_at: Instant,
    /// Those of the session that the last look found to be over.
    over: HashSet<Pid>,
}

impl Aftermath {
    /// The main process is over, the `place`th to be, and has not been looked behind.
    pub(super) fn new(sweep: Sweep, place: u64, now: Instant) -> Self {
        let asks = [sweep.signal, Signal::CONT];
        Self { place, asks, asked: false, kill_at: now + sweep.backstop, look_at: now, over: HashSet::new() }
    }

    /// Its place among the ends: what goes at the same time goes in that order.
    pub(super) fn place(&self) -> u64 {
        self.place
    }

    /// When it is to be looked at.
    pub(super) fn look_at(&self) -> Instant {
        self.look_at
    }

    /// Something calls for a look by then.
    pub(super) fn look_by(&mut self, then: Instant) {
        self.look_at = self.look_at.min(then);
    }

    /// A look came to nothing; the next one is due later.
    pub(super) fn look_again(&mut self, now: Instant) {
        self.look_at = now + LOOK_EVERY;
    }

    /// All that a list had in the session, which was begun after the main process was over, has been looked at: what is
    /// to be sent to what is left, or `None` where nothing is.
    ///
    /// One that was listed and is gone now may have forked another that is on no list yet, and one that is over now
    /// too: it takes another list to know. One that was over before the list was begun has not: nobody may ever wait
    /// for it, and it keeps nothing.
    pub(super) fn on_look(&mut self, seen: &[Seen], doomed: bool, now: Instant) -> Option<&[Signal]> {
        let was_over = self.note_over(seen);
        if seen.iter().all(|seen| matches!(seen, Seen::Over(pid) if was_over.contains(pid))) {
            return None;
        }
        let is_there = seen.iter().any(|seen| seen.alive().is_some());
        self.look_at = if is_there { now + LOOK_EVERY } else { now };
        Some(self.due(is_there, doomed, now))
    }

    /// Those that were over before.
    fn note_over(&mut self, seen: &[Seen]) -> HashSet<Pid> {
        let over = seen.iter().filter_map(|seen| match seen {
            Seen::Over(pid) => Some(*pid),
            Seen::Alive(_) | Seen::Gone => None,
        });
        std::mem::replace(&mut self.over, over.collect())
    }

    /// What is to be sent. The kill also where nobody was seen, as the process group takes it whoever is in it.
    fn due(&mut self, is_there: bool, doomed: bool, now: Instant) -> &[Signal] {
        if doomed || now >= self.kill_at {
            return &[Signal::KILL];
        }
        self.look_by(self.kill_at);
        let first = is_there && !std::mem::replace(&mut self.asked, true);
        if first { &self.asks } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::processes::Process;

    const BACKSTOP: Duration = Duration::from_secs(1);

    const THERE: Seen =
        Seen::Alive(Process { pid: Pid::from_raw(8), group: Pid::from_raw(8), session: Pid::from_raw(7) });
    const OVER: Seen = Seen::Over(Pid::from_raw(9));
    const OTHER_OVER: Seen = Seen::Over(Pid::from_raw(10));

    fn aftermath(now: Instant) -> Aftermath {
        Aftermath::new(Sweep { signal: Signal::INT, backstop: BACKSTOP }, 0, now)
    }

    #[test]
    fn what_is_left_is_asked_once_and_killed_at_the_backstop_and_then_at_every_look() {
        let now = Instant::now();
        let mut left = aftermath(now);
        assert_eq!(left.look_at(), now);
        assert_eq!(left.on_look(&[THERE], false, now).unwrap(), [Signal::INT, Signal::CONT]);
        assert_eq!(left.look_at(), now + LOOK_EVERY);
        let late = now + BACKSTOP.saturating_sub(LOOK_EVERY / 2);
        assert_eq!(left.on_look(&[THERE], false, late).unwrap(), []);
        assert_eq!(left.look_at(), now + BACKSTOP, "not after the backstop");
        for _ in 0..2 {
            assert_eq!(left.on_look(&[THERE], false, now + BACKSTOP).unwrap(), [Signal::KILL]);
        }
    }

    #[test]
    fn what_is_doomed_is_not_asked() {
        let now = Instant::now();
        assert_eq!(aftermath(now).on_look(&[THERE], true, now).unwrap(), [Signal::KILL]);
    }

    #[test]
    fn a_list_with_nobody_on_it_says_that_nothing_is_left() {
        let now = Instant::now();
        assert_eq!(aftermath(now).on_look(&[], false, now), None);
    }

    #[test]
    fn who_was_listed_and_is_gone_calls_for_another_list_at_once_however_often() {
        let now = Instant::now();
        let mut left = aftermath(now);
        left.look_again(now);
        for _ in 0..3 {
            assert_eq!(left.on_look(&[Seen::Gone], false, now).unwrap(), [], "nobody to ask was seen");
            assert_eq!(left.look_at(), now);
        }
        let asks = [Signal::INT, Signal::CONT];
        assert_eq!(left.on_look(&[THERE, Seen::Gone], false, now).unwrap(), asks, "what it forked");
        assert_eq!(left.on_look(&[], false, now), None);
    }

    #[test]
    fn who_forks_and_goes_again_and_again_is_killed_unseen_at_the_backstop_and_where_it_is_doomed() {
        let now = Instant::now();
        assert_eq!(aftermath(now).on_look(&[Seen::Gone], true, now).unwrap(), [Signal::KILL]);
        assert_eq!(aftermath(now).on_look(&[Seen::Gone], false, now + BACKSTOP).unwrap(), [Signal::KILL]);
    }

    #[test]
    fn one_that_nobody_waits_for_keeps_nothing_once_two_looks_have_found_it_over() {
        let now = Instant::now();
        let mut left = aftermath(now);
        assert!(left.on_look(&[OVER], false, now).is_some(), "it may have forked after the list was made");
        assert!(left.on_look(&[OVER, OTHER_OVER], false, now).is_some());
        assert!(left.on_look(&[OVER, THERE], false, now).is_some());
        assert_eq!(left.on_look(&[OVER], false, now), None);
        assert_eq!(left.on_look(&[OVER], false, now), None, "its number was being used");
    }

    #[test]
    fn a_look_is_moved_forward_and_never_back() {
        let now = Instant::now();
        let mut left = aftermath(now);
        left.look_again(now);
        left.look_by(now + LOOK_EVERY * 2);
        assert_eq!(left.look_at(), now + LOOK_EVERY);
        left.look_by(now);
        assert_eq!(left.look_at(), now);
    }
}
