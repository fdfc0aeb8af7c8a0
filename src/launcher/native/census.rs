//! Which processes there are, asked by many at once and looked up once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use tokio::sync::oneshot;

use crate::sys::processes::{Listed, Listing};

/// From one look to the next, at the least: what is asked meanwhile shares that.
const REST: Duration = Duration::from_millis(4);

/// How many times as long as a look the rest after it is, where nobody waits for the next. A look at a hundred
/// processes takes 0.1 ms, one at 6,000 takes 10 ms (measured), and no child is made meanwhile.
const REST_FACTOR: u32 = 10;

/// The longest rest.
const REST_MAX: Duration = Duration::from_millis(100);

/// Looks at all processes.
#[derive(Default)]
pub(super) struct Census {
    listing: Listing,
    /// When the last look ended, and how long it took.
    last: Option<(Instant, Duration)>,
    asked: Vec<oneshot::Sender<Result<Arc<[Listed]>, Errno>>>,
}

impl Census {
    /// Somebody wants to know.
    pub(super) fn ask(&mut self, reply: oneshot::Sender<Result<Arc<[Listed]>, Errno>>) {
        self.asked.push(reply);
    }

    /// Whether somebody wants to know.
    pub(super) fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// When a look that is wanted at `wanted` is made: soon where somebody waits for it.
    pub(super) fn due_at(&self, wanted: Instant, is_awaited: bool) -> Instant {
        let Some((ended, took)) = self.last else { return wanted };
        let rest = if is_awaited { took } else { REST.max((took * REST_FACTOR).min(REST_MAX)) };
        wanted.max(ended + rest)
    }

    /// Looks, and tells those who asked before.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub(super) fn look(&mut self) -> Result<Arc<[Listed]>, Errno> {
        let began = Instant::now();
        let found = self.listing.take().map(Arc::from);
        let now = Instant::now();
        self.last = Some((now, now - began));
        for reply in self.asked.drain(..) {
            // Who is gone wants to know no more.
            let _ = reply.send(found.clone());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_ask_before_a_look_share_it() {
        let mut census = Census::default();
        let ((one, mut first), (other, mut second)) = (oneshot::channel(), oneshot::channel());
        census.ask(one);
        census.ask(other);
        let found = census.look().unwrap();
        assert!(!census.is_asked());
        for answer in [&mut first, &mut second] {
            assert!(Arc::ptr_eq(&answer.try_recv().unwrap().unwrap(), &found));
        }
    }

    #[test]
    fn the_rest_after_a_look_is_long_only_where_nobody_waits_and_never_longer_than_its_bound() {
        let now = Instant::now();
        let after = |took| Census { last: Some((now, took)), ..Census::default() };
        let rest = |took, is_awaited| after(took).due_at(now, is_awaited) - now;
        let millis = Duration::from_millis;
        assert_eq!(Census::default().due_at(now, false), now, "it has not looked yet");
        assert_eq!([rest(millis(1), true), rest(millis(1), false)], [millis(1), millis(10)]);
        assert_eq!([rest(millis(30), true), rest(millis(30), false)], [millis(30), REST_MAX]);
        assert_eq!(rest(Duration::from_micros(1), false), REST);
        assert_eq!(after(millis(1)).due_at(now + REST_MAX, false), now + REST_MAX);
    }
}
