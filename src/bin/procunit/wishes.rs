//! Signals that ask `procunit run` to stop what it runs.
//!
//! One that was ignored when this command started stays so, as a plain child would leave it: that is how `nohup` and
//! `trap '' INT` work, and what a shell without job control does to SIGINT of what it starts with `&`.

use std::io;

use procunit::signal::Signal;
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

/// What asked this command to stop what it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) signal: Signal,
    pub(crate) reason: &'static str,
}

/// The signals that do so; `None` for one that is ignored.
pub(crate) struct Wishes {
    interrupt: Option<Listener>,
    terminate: Option<Listener>,
    hangup: Option<Listener>,
}

impl Wishes {
    /// Listens for those that are not ignored.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn listen() -> io::Result<Self> {
        let ignored = ignored(&std::fs::read_to_string("/proc/self/status")?);
        let unless_ignored = |what: Signal, kind| {
            let is_ignored = ignored & (1 << (what.number() - 1)) != 0;
            if is_ignored { Ok(None) } else { signal(kind).map(Some) }
        };
        Ok(Self {
            interrupt: unless_ignored(Signal::INT, SignalKind::interrupt())?,
            terminate: unless_ignored(Signal::TERM, SignalKind::terminate())?,
            hangup: unless_ignored(Signal::HUP, SignalKind::hangup())?,
        })
    }

    /// The next one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Wish {
        let (signal, reason) = tokio::select! {
            () = came(&mut self.interrupt) => (Signal::INT, "interrupted (Ctrl-C)"),
            () = came(&mut self.terminate) => (Signal::TERM, "procunit was terminated"),
            () = came(&mut self.hangup) => (Signal::HUP, "the terminal was closed"),
        };
        Wish { signal, reason }
    }
}

/// When it came; never for one that is ignored.
async fn came(listener: &mut Option<Listener>) {
    match listener {
        Some(listener) => {
            listener.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// The signals that a process ignores, one bit each from signal 1 on (proc_pid_status(5)).
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_as_the_kernel_tells_it() {
        let status = "Name:\tsh\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(status), 1 << (1 - 1) | 1 << (13 - 1));
        assert_eq!(ignored("Name:\tsh\n"), 0);
    }
}
