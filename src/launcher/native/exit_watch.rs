//! When a child is over: the way to know is chosen once for each.

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::leader::Leader;
use crate::status::exit::Exit;
use crate::sys::pidfd;

/// How often a child is looked at that is over and whose end the kernel holds back: a debugger gets to see it first
/// (ptrace(2)).
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Wakes when a child may be over.
pub(super) enum ExitWatch {
    /// A descriptor of it becomes readable. Linux 5.3.
    Pidfd(AsyncFd<OwnedFd>),
    /// Some child of this process has ended or stopped.
    Sigchld(Signal),
}

impl ExitWatch {
    /// Watches by descriptor, or, where there is none to be had, by SIGCHLD.
    pub(super) fn new(pid: Pid) -> io::Result<Self> {
        match pidfd::watch(pid) {
            Ok(fd) => Ok(Self::Pidfd(fd)),
            Err(error) => {
                tracing::debug!(%pid, %error, "no pidfd; watching for SIGCHLD");
                by_sigchld()
            }
        }
    }

    /// Resolves with the end. Cancel safe.
    ///
    /// # Errors
    /// ECHILD where somebody else has waited for the child.
    pub(super) async fn end(&mut self, leader: &Leader) -> Result<Exit, Errno> {
        let mut held_back = false;
        // Looked at before the first wait: a SIGCHLD may have come before the watch began.
        loop {
            if let Some(exit) = leader.end()? {
                return Ok(exit);
            }
            if held_back {
                sleep(LOOK_EVERY).await;
            }
            match self {
                Self::Pidfd(fd) => match fd.readable().await {
                    Ok(_) => held_back = true,
                    // The runtime is shutting down, and this task with it.
                    Err(_) => pending().await,
                },
                Self::Sigchld(signal) => drop(signal.recv().await),
            }
        }
    }
}

fn by_sigchld() -> io::Result<ExitWatch> {
    signal(SignalKind::child()).map(ExitWatch::Sigchld)
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::fs::File;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::launcher::native::spawner::{Spawner, Started};
    use crate::sys::child::Image;

    async fn exits_with(spawner: &Spawner, code: u8) -> Started {
        let null = || File::options().read(true).write(true).open("/dev/null").unwrap().into();
        let argv = ["sh", "-c", &format!("exit {code}")].map(|arg| CString::new(arg).unwrap());
        let image = Image {
            program: CString::new("/bin/sh").unwrap(),
            argv: argv.to_vec(),
            env: Vec::new(),
            cwd: None,
            umask: None,
            stdio: [null(), null(), null()],
        };
        spawner.start_child(image).await.unwrap()
    }

    /// Each way on its own, many at once: ends that come before the watch, and ends whose signals are merged.
    #[tokio::test]
    async fn both_ways_tell_every_end() {
        let spawner = Spawner::start().unwrap();
        for by_signal in [false, true] {
            let mut watched = Vec::new();
            for code in 0..50 {
                let child = exits_with(&spawner, code).await;
                let pid = child.leader.pid();
                let watch = if by_signal {
                    by_sigchld().unwrap()
                } else {
                    ExitWatch::Pidfd(pidfd::watch(pid).unwrap())
                };
                watched.push((code, watch, child));
            }
            for (code, mut watch, child) in watched {
                let end = timeout(Duration::from_secs(30), watch.end(&child.leader)).await;
                assert_eq!(end.expect("an end in time"), Ok(Exit::Code(code)), "by signal: {by_signal}");
                child.leader.reap();
                assert!(child.leader.is_reaped());
            }
        }
    }

    #[tokio::test]
    async fn an_end_that_somebody_else_took_is_lost_and_nothing_goes_by_its_number_any_more() {
        let spawner = Spawner::start().unwrap();
        let child = exits_with(&spawner, 0).await;
        let pid = child.leader.pid();
        nix::sys::wait::waitpid(pid, None).unwrap();
        let mut watch = by_sigchld().unwrap();
        let end = timeout(Duration::from_secs(30), watch.end(&child.leader)).await;
        assert_eq!(end.expect("an answer in time"), Err(Errno::ECHILD));
        assert_eq!(child.leader.signal_group(crate::signal::Signal::KILL), Err(Errno::ESRCH));
    }
}
