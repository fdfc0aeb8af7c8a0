//! The main process of a proc, and its number: signals go by it only while it is sure to be its own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::signal::Signal;
use crate::status::exit::Exit;
use crate::sys::signals;
use crate::sys::wait::{self, Ended, Usage};

/// The leader of a proc's session and process group.
///
/// It is waited for last, when nothing else of the proc is left: until then the kernel gives its number to no other
/// process, group or session.
pub(super) struct Leader {
    pid: Pid,
    /// What this process had resident at the most when it made the child.
    own_max_resident: u64,
    stage: Mutex<Stage>,
}

#[derive(Clone, Copy)]
enum Stage {
    /// It was not over when it was last looked at.
    Alive,
    /// Over, and not waited for.
    Over(Exit, Usage),
    /// Waited for by us.
    Reaped(Usage),
    /// Waited for by somebody else in this process.
    Stolen,
}

impl Leader {
    pub(super) fn new(pid: Pid, own_max_resident: u64) -> Self {
        Self { pid, own_max_resident, stage: Mutex::new(Stage::Alive) }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// The number as people and reports have it.
    pub(super) fn number(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// The stage as of now.
    fn look(&self) -> MutexGuard<'_, Stage> {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*stage, Stage::Alive) {
            *stage = match wait::peek(self.pid) {
                Ok(ended) => ended.and_then(Stage::over).unwrap_or(Stage::Alive),
                Err(_) => Stage::Stolen,
            };
        }
        stage
    }

    /// How it ended, while it is not waited for; `None` while it lives.
    ///
    /// # Errors
    /// ECHILD where it was waited for.
    pub(super) fn end(&self) -> Result<Option<Exit>, Errno> {
        match *self.look() {
            Stage::Alive => Ok(None),
            Stage::Over(exit, _) => Ok(Some(exit)),
            Stage::Reaped(_) | Stage::Stolen => Err(Errno::ECHILD),
        }
    }

    /// Waits for it, if it is over.
    pub(super) fn reap(&self) {
        let mut stage = self.look();
        if let Stage::Over(_, usage) = *stage {
            *stage = match wait::reap(self.pid) {
                Ok(_) => Stage::Reaped(usage),
                Err(_) => Stage::Stolen,
            };
        }
    }

    /// Sends a signal to it alone.
    ///
    /// # Errors
    /// ESRCH where it is over; EPERM.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Errno> {
        let stage = self.look();
        match *stage {
            Stage::Alive => signals::send(self.pid, signal),
            Stage::Over(..) | Stage::Reaped(_) | Stage::Stolen => Err(Errno::ESRCH),
        }
    }

    /// Sends a signal to its process group, also where it is over itself.
    ///
    /// # Errors
    /// ESRCH where it has been waited for; EPERM.
    pub(super) fn signal_group(&self, signal: Signal) -> Result<(), Errno> {
        let stage = self.look();
        match *stage {
            Stage::Alive | Stage::Over(..) => signals::send_to_group(self.pid, signal),
            Stage::Reaped(_) | Stage::Stolen => Err(Errno::ESRCH),
        }
    }

    /// Whether it was waited for: nothing of the proc is left then.
    pub(super) fn is_reaped(&self) -> bool {
        matches!(*self.look(), Stage::Reaped(_))
    }

    /// What it and those it waited for have used, once it is over.
    pub(super) fn usage(&self) -> Option<Usage> {
        match *self.look() {
            Stage::Over(_, usage) | Stage::Reaped(usage) => Some(usage),
            Stage::Alive | Stage::Stolen => None,
        }
    }

    /// The most memory that one of its processes had resident, bytes, as far as it can be told.
    ///
    /// A child begins in this process's memory and keeps its figure through exec (`exec_mmap`, fs/exec.c): what is not
    /// above this process's own says nothing.
    pub(super) fn max_resident(&self) -> Option<u64> {
        let max = self.usage()?.max_resident;
        (max > self.own_max_resident).then_some(max)
    }
}

impl Stage {
    /// `None` where it is no end that waitid(2) tells of.
    fn over(ended: Ended) -> Option<Self> {
        Exit::from_exec_main(ended.code, ended.status).map(|exit| Self::Over(exit, ended.usage))
    }
}
