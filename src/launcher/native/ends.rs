//! Which children may be over: by a descriptor of each, or, where there is none to be had, by SIGCHLD.
//!
//! It knows numbers alone, and looks at no child.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::sys::poll::{Bell, Poll};
use crate::sys::{open_files, pidfd};

/// How often a child is looked at that is over and whose end the kernel holds back: a debugger gets to see it first
/// (ptrace(2)).
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Children, and others whose ends call for a look.
pub(super) struct Ends {
    poll: Poll,
    /// A descriptor of each, which becomes readable at its end (Linux 5.3), by the leader that it belongs to.
    watched: HashMap<Pid, OwnedFd>,
    /// At the most so many.
    watched_max: usize,
    /// Children that have none.
    by_sigchld: HashSet<Pid>,
    /// Whether one of those may be over.
    sigchld: bool,
    held_back: Vec<Pid>,
    /// When those are looked at.
    held_back_until: Option<Instant>,
}

impl Ends {
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub(super) fn new(watched_max: usize) -> Result<Self, Errno> {
        Ok(Self {
            poll: Poll::new()?,
            watched: HashMap::new(),
            watched_max,
            by_sigchld: HashSet::new(),
            sigchld: false,
            held_back: Vec::new(),
            held_back_until: None,
        })
    }

    pub(super) fn bell(&self) -> Arc<Bell> {
        self.poll.bell()
    }

    pub(super) fn arm(&self) {
        self.poll.arm();
    }

    /// Whether one more may be watched by a descriptor: half of those that this process can have are others' to use.
    fn may_watch(&self) -> bool {
        let half = usize::try_from(open_files::limit() / 2).unwrap_or(0);
        self.watched.len() < self.watched_max.min(half)
    }

    /// Watches a child. False where only SIGCHLD tells of its end.
    pub(super) fn watch(&mut self, child: Pid, fd: Option<OwnedFd>) -> bool {
        let fd = fd.filter(|_| self.may_watch());
        let is_watched = fd.is_some_and(|fd| self.watch_by(child, fd));
        if !is_watched {
            self.by_sigchld.insert(child);
        }
        is_watched
    }

    fn watch_by(&mut self, leader: Pid, fd: OwnedFd) -> bool {
        let key = u64::from(leader.as_raw().cast_unsigned());
        let added = self.poll.add(&fd, key);
        if added.is_ok() {
            self.watched.insert(leader, fd);
        }
        added.is_ok()
    }

    /// Watches a process that the leader, which is over, has left, instead of the one before. Where that cannot be
    /// done, the next look comes by itself.
    pub(super) fn watch_left(&mut self, leader: Pid, left: Pid) {
        self.forget(leader);
        if self.may_watch()
            && let Ok(fd) = pidfd::open(left)
        {
            self.watch_by(leader, fd);
        }
    }

    /// Watches nothing of this leader any more.
    pub(super) fn forget(&mut self, leader: Pid) {
        if let Some(fd) = self.watched.remove(&leader) {
            self.poll.forget(fd.as_fd());
        }
        self.by_sigchld.remove(&leader);
    }

    /// A child that was told is not over. Where its descriptor says that it is, the end is held back.
    pub(super) fn on_still_there(&mut self, child: Pid, now: Instant) {
        if self.by_sigchld.contains(&child) {
            return;
        }
        // Its descriptor would end every wait.
        self.forget(child);
        self.held_back.push(child);
        self.held_back_until = Some(now + LOOK_EVERY);
    }

    pub(super) fn on_sigchld(&mut self) {
        self.sigchld = true;
    }

    /// Whether there are children that SIGCHLD alone tells of.
    pub(super) fn relies_on_sigchld(&self) -> bool {
        !self.by_sigchld.is_empty()
    }

    /// When it has something to tell by itself.
    pub(super) fn due_at(&self, now: Instant) -> Option<Instant> {
        if self.sigchld { Some(now) } else { self.held_back_until }
    }

    /// The leaders of which a look is called for, after `patience` at the latest.
    pub(super) fn wait(&mut self, patience: Option<Duration>) -> Vec<Pid> {
        let keys = self.poll.wait(patience);
        let mut found: Vec<_> =
            keys.into_iter().filter_map(|key| i32::try_from(key).ok()).map(Pid::from_raw).collect();
        if std::mem::take(&mut self.sigchld) {
            found.extend(&self.by_sigchld);
        }
        if self.held_back_until.is_some_and(|until| until <= Instant::now()) {
            self.held_back_until = None;
            found.append(&mut self.held_back);
        }
        found
    }
}
