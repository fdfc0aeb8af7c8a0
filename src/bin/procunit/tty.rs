//! The terminal, kept as it was.
//!
//! systemd up to 256 resets the modes of a terminal that a service gets as its standard input (ECHO and ICANON
//! come back on; measured, 252; 257 leaves it alone).

use std::io::{IsTerminal, Stdin, stdin};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

/// The modes that standard input had.
pub(crate) struct Modes(Option<(Stdin, Termios)>);

impl Modes {
    /// Reads them, where standard input is a terminal.
    pub(crate) fn keep() -> Self {
        let stdin = stdin();
        let modes = stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten();
        Self(modes.map(|modes| (stdin, modes)))
    }

    /// Puts them back, where the terminal is this command's to set: in the background it is somebody else's.
    pub(crate) fn restore(&self) {
        if let Some((stdin, modes)) = &self.0
            && tcgetpgrp(stdin) == Ok(getpgrp())
        {
            // A terminal that is gone has no modes.
            let _ = without_being_stopped(|| tcsetattr(stdin, SetArg::TCSANOW, modes));
        }
    }
}

/// Does it with SIGTTOU blocked: to set modes from the background would stop this process (tcsetattr(3p)), and it may
/// have been put there a moment ago.
fn without_being_stopped<T>(set: impl FnOnce() -> T) -> T {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTTOU);
    let before = stop.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let done = set();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    done
}

impl Drop for Modes {
    fn drop(&mut self) {
        self.restore();
    }
}
