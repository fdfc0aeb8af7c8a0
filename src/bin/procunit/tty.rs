//! The terminal, kept as it was.
//!
//! systemd up to 256 resets the modes of a terminal that a service gets as its standard input (ECHO and ICANON
//! come back on; measured, 252; 257 leaves it alone). And `run -t` makes it raw.

use std::io::{self, IsTerminal, Stdin, stdin};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

/// The modes that standard input had; the C library's, which any thread may have.
pub(crate) struct Modes(Option<(Stdin, libc::termios)>);

impl Modes {
    /// Reads them, where standard input is a terminal.
    pub(crate) fn keep() -> Self {
        let stdin = stdin();
        let modes = stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten();
        Self(modes.map(|modes| (stdin, modes.into())))
    }

    /// Has every key come as its bytes, and every byte go out as it is, until they are put back. From the background it is
    /// stopped for that, as every program is that wants the terminal.
    pub(crate) fn make_raw(&self) -> io::Result<()> {
        let Some((stdin, modes)) = &self.0 else { return Ok(()) };
        let mut raw = Termios::from(*modes);
        cfmakeraw(&mut raw);
        Ok(tcsetattr(stdin, SetArg::TCSANOW, &raw)?)
    }

    /// Puts them back, where the terminal is this command's to set: in the background it is somebody else's. One that is not
    /// the controlling terminal has no background.
    pub(crate) fn restore(&self) {
        if let Some((stdin, modes)) = &self.0
            && [Ok(getpgrp()), Err(Errno::ENOTTY)].contains(&tcgetpgrp(stdin))
        {
            // A terminal that is gone has no modes.
            let _ = without_being_stopped(|| tcsetattr(stdin, SetArg::TCSANOW, &Termios::from(*modes)));
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
