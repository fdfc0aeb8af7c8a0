//! From the end of a main process to the end of everything it forked: what is to be done about what is left, and
//! when. It asks and signals nothing itself.

use std::time::{Duration, Instant};

use crate::signal::Signal;

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
}

impl Aftermath {
    /// The main process is over, the `place`th to be, and has not been looked behind.
    pub(super) fn new(sweep: Sweep, place: u64, now: Instant) -> Self {
        let asks = [sweep.signal, Signal::CONT];
        Self { place, asks, asked: false, kill_at: now + sweep.backstop, look_at: now }
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

    /// Something is left: what is to be sent to it.
    pub(super) fn on_left(&mut self, doomed: bool, now: Instant) -> &[Signal] {
        self.look_again(now);
        if doomed || now >= self.kill_at {
            return &[Signal::KILL];
        }
        self.look_by(self.kill_at);
        let first = !std::mem::replace(&mut self.asked, true);
        if first { &self.asks } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKSTOP: Duration = Duration::from_secs(1);

    fn aftermath(now: Instant) -> Aftermath {
        Aftermath::new(Sweep { signal: Signal::INT, backstop: BACKSTOP }, 0, now)
    }

    #[test]
    fn what_is_left_is_asked_once_and_killed_at_the_backstop_and_then_at_every_look() {
        let now = Instant::now();
        let mut left = aftermath(now);
        assert_eq!(left.look_at(), now);
        assert_eq!(left.on_left(false, now), [Signal::INT, Signal::CONT]);
        assert_eq!(left.look_at(), now + LOOK_EVERY);
        let late = now + BACKSTOP.saturating_sub(LOOK_EVERY / 2);
        assert_eq!(left.on_left(false, late), []);
        assert_eq!(left.look_at(), now + BACKSTOP, "not after the backstop");
        for _ in 0..2 {
            assert_eq!(left.on_left(false, now + BACKSTOP), [Signal::KILL]);
        }
    }

    #[test]
    fn what_is_doomed_is_not_asked() {
        let now = Instant::now();
        assert_eq!(aftermath(now).on_left(true, now), [Signal::KILL]);
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
