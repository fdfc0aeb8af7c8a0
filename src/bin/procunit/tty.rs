//! The terminal, kept as it was.
//!
//! systemd up to 256 resets the modes of a terminal that a service gets as its standard input (ECHO and ICANON
//! come back on; measured, 252; 257 leaves it alone).

use std::io::{IsTerminal, Stdin, stdin};

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};

/// The modes that standard input had.
pub(crate) struct Modes(Option<(Stdin, Termios)>);

impl Modes {
    /// Reads them, where standard input is a terminal.
    pub(crate) fn keep() -> Self {
        let stdin = stdin();
        let modes = stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten();
        Self(modes.map(|modes| (stdin, modes)))
    }

    /// Puts them back.
    pub(crate) fn restore(&self) {
        if let Some((stdin, modes)) = &self.0 {
            // A terminal that is gone has no modes.
            let _ = tcsetattr(stdin, SetArg::TCSANOW, modes);
        }
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        self.restore();
    }
}
