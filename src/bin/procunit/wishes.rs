//! What asks `procunit run` to stop what it runs: signals, and what a terminal of its making hears.
//!
//! A signal that was ignored when this command started stays so, as a plain child would leave it: that is how `nohup` and
//! `trap '' INT` work, and what a shell without job control does to SIGINT of what it starts with `&`.

use std::io;

use procunit::signal::Signal;
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};
use tokio::sync::mpsc;

/// What asked this command to stop what it runs, as a signal would have.
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
    others: Option<mpsc::UnboundedReceiver<Wish>>,
    was_asked: bool,
}

impl Wishes {
    /// Listens for those that are not ignored.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: heard(SignalKind::interrupt())?,
            terminate: heard(SignalKind::terminate())?,
            hangup: heard(SignalKind::hangup())?,
            others: None,
            was_asked: false,
        })
    }

    /// Takes those that are sent here as well, in place of earlier ones.
    pub(crate) fn also(&mut self) -> mpsc::UnboundedSender<Wish> {
        let (to, others) = mpsc::unbounded_channel();
        self.others = Some(others);
        to
    }

    /// The next one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Wish {
        loop {
            let wish = self.any().await;
            // That nobody reads it is a reason to stop it, and none to be less patient with it.
            if !self.was_asked || wish.signal != Signal::PIPE {
                self.was_asked = true;
                return wish;
            }
        }
    }

    async fn any(&mut self) -> Wish {
        let (signal, reason) = tokio::select! {
            () = came(&mut self.interrupt) => (Signal::INT, "interrupted (Ctrl-C)"),
            () = came(&mut self.terminate) => (Signal::TERM, "procunit was terminated"),
            () = came(&mut self.hangup) => (Signal::HUP, "the terminal was closed"),
            wish = sent(&mut self.others) => return wish,
        };
        Wish { signal, reason }
    }
}

/// What hears of this signal; `None` where it is ignored.
///
/// # Errors
/// The kernel's.
pub(crate) fn heard(kind: SignalKind) -> io::Result<Option<Listener>> {
    let ignored = ignored(&std::fs::read_to_string("/proc/self/status")?);
    let is_ignored = ignored & (1 << (kind.as_raw_value() - 1)) != 0;
    if is_ignored { Ok(None) } else { signal(kind).map(Some) }
}

/// When it came; never for one that is ignored.
pub(crate) async fn came(listener: &mut Option<Listener>) {
    match listener {
        Some(listener) => {
            listener.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// The next one; never where nobody sends any.
async fn sent(others: &mut Option<mpsc::UnboundedReceiver<Wish>>) -> Wish {
    if let Some(others) = others
        && let Some(wish) = others.recv().await
    {
        return wish;
    }
    std::future::pending().await
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
