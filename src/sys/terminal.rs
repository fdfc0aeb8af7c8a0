//! What a terminal is asked that nix has no safe words for: its size, and to be the controlling one.

#![expect(unsafe_code, reason = "ioctl")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::libc;

/// How large a terminal's window is. Zeroes are "not known".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Columns of characters.
    pub columns: u16,
    /// Pixels across and down.
    pub pixels: (u16, u16),
}

impl WindowSize {
    /// That of this terminal.
    ///
    /// # Errors
    /// The kernel's; ENOTTY where it is none.
    pub fn of(terminal: impl AsFd) -> io::Result<Self> {
        let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the kernel writes a `winsize`, which is what `size` is, and nothing else.
        Errno::result(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) })?;
        Ok(Self { rows: size.ws_row, columns: size.ws_col, pixels: (size.ws_xpixel, size.ws_ypixel) })
    }

    /// Gives it to this terminal, either side of it. Where that is a change, the foreground hears of it (SIGWINCH).
    ///
    /// # Errors
    /// As for [`of`](Self::of).
    pub fn give_to(self, terminal: impl AsFd) -> io::Result<()> {
        let (ws_xpixel, ws_ypixel) = self.pixels;
        let size = libc::winsize { ws_row: self.rows, ws_col: self.columns, ws_xpixel, ws_ypixel };
        // SAFETY: the kernel reads a `winsize`, which is what `size` is, and writes nothing.
        Errno::result(unsafe {
            libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size)
        })?;
        Ok(())
    }
}

/// Makes the terminal on standard input the controlling one of the calling process, which leads a session that has none
/// (TIOCSCTTY(2const)). Async-signal-safe.
///
/// # Errors
/// EPERM where it is that of another session.
#[cfg(feature = "native")]
pub(crate) fn control() -> Result<(), Errno> {
    const NEVER_STEAL: libc::c_int = 0;
    // SAFETY: three integers.
    Errno::result(unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, NEVER_STEAL) }).map(drop)
}

#[cfg(test)]
mod tests {
    use nix::fcntl::OFlag;
    use nix::pty::posix_openpt;

    use super::*;

    #[test]
    fn a_size_that_is_given_is_read_back_and_what_is_no_terminal_has_none() {
        let size = WindowSize { rows: 7, columns: 33, pixels: (330, 140) };
        let terminal = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        size.give_to(&terminal).unwrap();
        assert_eq!(WindowSize::of(&terminal).unwrap(), size);
        let none = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(WindowSize::of(&none).unwrap_err().raw_os_error(), Some(libc::ENOTTY));
        assert!(size.give_to(&none).is_err());
    }
}
