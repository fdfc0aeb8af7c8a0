//! What a socket or a pipe holds that has yet to be read.

#![expect(unsafe_code, reason = "ioctls that nix does not have")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{self, c_int};

/// How much of what was written to this Unix socket has not been read yet; zero says that all of it has.
///
/// It is memory that is counted, with what the kernel needs for each message, so above zero it is no number of bytes
/// written (unix(7), `SIOCOUTQ`: `unix_outq_len`, af_unix.c). What has been read need not have been acted upon.
///
/// # Errors
/// The kernel's, for what is no socket.
pub(crate) fn unread(socket: BorrowedFd<'_>) -> io::Result<usize> {
    // The same number as SIOCOUTQ, which libc has not for every architecture.
    ask(socket, libc::TIOCOUTQ)
}

/// How many bytes can be read from this end of a pipe now (pipe(7), `FIONREAD`).
///
/// # Errors
/// The kernel's.
pub(crate) fn readable(pipe: BorrowedFd<'_>) -> io::Result<usize> {
    ask(pipe, libc::FIONREAD)
}

/// How many bytes a pipe can hold.
///
/// # Errors
/// The kernel's, for what is no pipe.
pub(crate) fn capacity(pipe: BorrowedFd<'_>) -> io::Result<usize> {
    let holds = fcntl(pipe, FcntlArg::F_GETPIPE_SZ)?;
    Ok(usize::try_from(holds).unwrap_or(0))
}

fn ask(fd: BorrowedFd<'_>, what: libc::Ioctl) -> io::Result<usize> {
    let mut held: c_int = 0;
    // SAFETY: both of these have the kernel write one int, to `held`.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), what, &raw mut held) })?;
    // It is never negative.
    Ok(usize::try_from(held).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::process::Command;

    use super::*;

    #[test]
    fn a_stream_holds_what_was_written_until_the_last_byte_is_read() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        assert_eq!(unread(near.as_fd()).unwrap(), 0);
        near.write_all(b"some words").unwrap();
        assert!(unread(near.as_fd()).unwrap() > 0);
        far.read_exact(&mut [0; 9]).unwrap();
        assert!(unread(near.as_fd()).unwrap() > 0);
        far.read_exact(&mut [0; 1]).unwrap();
        assert_eq!(unread(near.as_fd()).unwrap(), 0);
    }

    #[test]
    fn a_datagram_is_held_until_it_is_read_and_each_socket_has_a_count_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let (one, other) = (UnixDatagram::unbound().unwrap(), UnixDatagram::unbound().unwrap());
        one.send_to(b"some words", &path).unwrap();
        assert!(unread(one.as_fd()).unwrap() > 0);
        assert_eq!(unread(other.as_fd()).unwrap(), 0);
        journald.recv(&mut [0; 64]).unwrap();
        assert_eq!(unread(one.as_fd()).unwrap(), 0);
    }

    #[test]
    fn a_duplicate_in_another_process_counts_as_well() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let copy = near.try_clone().unwrap();
        let mut echo = Command::new("echo");
        assert!(echo.arg("words").stdout(OwnedFd::from(copy)).status().unwrap().success());
        assert!(unread(near.as_fd()).unwrap() > 0);
        far.read_exact(&mut [0; 6]).unwrap();
        assert_eq!(unread(near.as_fd()).unwrap(), 0);
    }

    #[test]
    fn a_pipe_tells_how_many_bytes_are_in_it() {
        let (mut read, mut write) = io::pipe().unwrap();
        assert_eq!(readable(read.as_fd()).unwrap(), 0);
        write.write_all(b"words").unwrap();
        assert_eq!(readable(read.as_fd()).unwrap(), 5);
        read.read_exact(&mut [0; 3]).unwrap();
        assert_eq!(readable(read.as_fd()).unwrap(), 2);
        assert!(capacity(read.as_fd()).unwrap() >= 4096);
    }

    #[test]
    fn what_is_no_socket_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert!(unread(file.as_fd()).is_err());
    }
}
