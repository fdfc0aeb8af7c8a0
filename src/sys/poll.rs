//! One wait for many descriptors, and for a call from another thread.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// What is told at the most by one wait.
const EVENTS: usize = 64;

/// The bell's own key.
const BELL: u64 = u64::MAX;

/// What one thread waits for.
pub(crate) struct Poll {
    epoll: Epoll,
    bell: Arc<Bell>,
}

/// Ends a wait of the thread that has the [`Poll`], from any other.
pub(crate) struct Bell {
    fd: EventFd,
    /// Whether a ring would be missed otherwise.
    armed: AtomicBool,
}

impl Poll {
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub(crate) fn new() -> Result<Self, Errno> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let fd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&fd, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        Ok(Self { epoll, bell: Arc::new(Bell { fd, armed: AtomicBool::new(false) }) })
    }

    /// What ends its waits.
    pub(crate) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Tells `key` by every wait while `fd` can be read. [`Self::forget`] follows before it is closed: another process
    /// may have a copy of it that keeps it here.
    ///
    /// # Errors
    /// EPERM where it is nothing that can be waited for, ENOSPC, ENOMEM.
    pub(crate) fn add(&self, fd: impl AsFd, key: u64) -> Result<(), Errno> {
        debug_assert_ne!(key, BELL);
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, key))
    }

    /// Tells of it no more.
    pub(crate) fn forget(&self, fd: impl AsFd) {
        // It was added: there is nothing that can go wrong.
        let _ = self.epoll.delete(fd);
    }

    /// From here on the bell ends the next wait. What it is rung for is looked at between the two: who rang before
    /// is not heard.
    pub(crate) fn arm(&self) {
        self.bell.armed.store(true, Ordering::SeqCst);
    }

    /// The keys of what can be read, after `patience` at the latest (rounded up to milliseconds), which is for ever
    /// where it is `None`.
    pub(crate) fn wait(&self, patience: Option<Duration>) -> Vec<u64> {
        let mut events = [EpollEvent::empty(); EVENTS];
        // A signal to this process, or a debugger, may end it early (EINTR): with nothing to tell.
        let count = self.epoll.wait(&mut events, timeout(patience)).unwrap_or(0);
        self.bell.armed.store(false, Ordering::SeqCst);
        let (bell, keys) =
            events[..count].iter().map(EpollEvent::data).partition::<Vec<_>, _>(|key| *key == BELL);
        if !bell.is_empty() {
            // Nothing to read is no error of a bell.
            let _ = self.bell.fd.read();
        }
        keys
    }
}

fn timeout(patience: Option<Duration>) -> EpollTimeout {
    patience.map_or(EpollTimeout::NONE, |patience| {
        let millis = patience.as_nanos().div_ceil(1_000_000);
        EpollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(EpollTimeout::MAX)
    })
}

impl Bell {
    /// Ends the wait, if it was armed. What it is rung for has to be there before.
    pub(crate) fn ring(&self) {
        if self.armed.swap(false, Ordering::SeqCst) {
            // It counts to 2^64 - 2, and each wait takes it back to 0.
            let _ = self.fd.write(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_after_arming_ends_the_next_wait_and_no_later_one() {
        let poll = Poll::new().unwrap();
        poll.arm();
        poll.bell().ring();
        assert!(poll.wait(None).is_empty());
        poll.bell().ring();
        assert!(poll.wait(Some(Duration::ZERO)).is_empty(), "not armed: nobody waits");
    }

    #[test]
    fn what_can_be_read_is_told_until_it_is_forgotten() {
        let (poll, (read, mut write)) = (Poll::new().unwrap(), std::io::pipe().unwrap());
        poll.add(&read, 7).unwrap();
        assert!(poll.wait(Some(Duration::ZERO)).is_empty());
        std::io::Write::write_all(&mut write, b"x").unwrap();
        assert_eq!([poll.wait(None), poll.wait(None)], [vec![7], vec![7]]);
        poll.forget(&read);
        assert!(poll.wait(Some(Duration::ZERO)).is_empty());
    }

    #[test]
    fn less_than_a_millisecond_is_no_busy_wait() {
        assert_eq!(timeout(Some(Duration::from_micros(1))), EpollTimeout::from(1_u8));
        assert_eq!(timeout(Some(Duration::ZERO)), EpollTimeout::ZERO);
        assert_eq!(timeout(None), EpollTimeout::NONE);
    }
}
