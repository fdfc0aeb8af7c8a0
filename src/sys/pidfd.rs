//! Descriptors of processes: they name one process for good, whoever gets its number later.

#![expect(unsafe_code, reason = "calls that nix does not have")]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

use crate::signal::Signal;

/// A descriptor of the process that has this number now; it becomes readable when that is over. Linux 5.3.
///
/// # Errors
/// ESRCH where there is none; ENOSYS or, from a filter, EPERM where the kernel has no such call.
pub(crate) fn open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: two integers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made it, closed on exec, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to that process, or to none. Linux 5.1.
///
/// # Errors
/// ESRCH where it has been waited for; EPERM.
pub(crate) fn send(process: BorrowedFd<'_>, signal: Signal) -> Result<(), Errno> {
    let (fd, number) = (process.as_raw_fd(), signal.number());
    // SAFETY: integers, and a null pointer, which asks for what kill(2) tells.
    let sent =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, number, ptr::null::<libc::siginfo_t>(), 0) };
    Errno::result(sent).map(drop)
}
