//! Signals: sending them, and what a child and the thread that makes it do with them.

#![expect(unsafe_code, reason = "signals that nix does not know")]

use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::SigSet;
use nix::unistd::Pid;

use crate::signal::Signal;

/// Sends a signal to one process.
///
/// By its number: only for a child that has not been waited for, whose number is not given to another.
///
/// # Errors
/// ESRCH, EPERM.
pub(crate) fn send(pid: Pid, signal: Signal) -> Result<(), Errno> {
    // nix's own kill(2) knows no realtime signals.
    // SAFETY: two integers.
    Errno::result(unsafe { libc::kill(pid.as_raw(), signal.number()) }).map(drop)
}

/// Sends a signal to every process of a group, in one step that no fork escapes.
///
/// By its number, which is not given to another group while the leader has not been waited for, or while the group
/// has members.
///
/// # Errors
/// ESRCH where there is no such group; EPERM where none of it may be signalled.
pub(crate) fn send_to_group(leader: Pid, signal: Signal) -> Result<(), Errno> {
    // SAFETY: two integers.
    Errno::result(unsafe { libc::killpg(leader.as_raw(), signal.number()) }).map(drop)
}

/// Blocks every signal for the calling thread.
///
/// # Errors
/// The kernel's.
pub(crate) fn block_all() -> Result<(), Errno> {
    SigSet::all().thread_set_mask()
}

/// Bytes in the kernel's own set of 64 signals, which the call checks.
const KERNEL_SIGSET: usize = 8;

/// Puts every signal back to its default and then lets all of them in. Async-signal-safe.
///
/// exec itself puts back what has a handler; what is ignored (SIGPIPE in every Rust program) and what is blocked
/// it would hand on.
///
/// # Errors
/// The kernel's.
pub(crate) fn reset() -> Result<(), Errno> {
    // All zeroes are the default, without flags or mask, in the kernel's `struct sigaction` of every architecture.
    let default = [0_usize; 8];
    for number in 1..=libc::SIGRTMAX() {
        // By its number: the C library's sigaction(2) refuses the two signals that it keeps to itself, and they come
        // ignored from some parents (measured: 32 under a test runner). KILL and STOP give EINVAL.
        // SAFETY: the kernel reads less than what is there, and writes nothing.
        unsafe {
            let old = ptr::null_mut::<usize>();
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), old, KERNEL_SIGSET)
        };
    }
    SigSet::empty().thread_set_mask()
}

/// Has the kernel keep the exit statuses of this process's children, should it have been told to throw them away.
///
/// A process whose parent ignored SIGCHLD ignores it too (signal(7)), and then there is no exit status to wait for
/// (wait(2), NOTES). Answers whether that was so.
///
/// # Errors
/// The kernel's.
pub(crate) fn keep_exit_statuses() -> Result<bool, Errno> {
    // SAFETY: all zeroes are a valid `sigaction`, which the call then fills in.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null pointer asks for no change; `old` is a `sigaction` of ours.
    Errno::result(unsafe { libc::sigaction(libc::SIGCHLD, ptr::null(), &raw mut old) })?;
    let thrown_away = old.sa_sigaction == libc::SIG_IGN || old.sa_flags & libc::SA_NOCLDWAIT != 0;
    if thrown_away {
        old.sa_flags &= !libc::SA_NOCLDWAIT;
        if old.sa_sigaction == libc::SIG_IGN {
            old.sa_sigaction = libc::SIG_DFL;
        }
        // SAFETY: what was there before, with a handler that is the same or the default.
        Errno::result(unsafe { libc::sigaction(libc::SIGCHLD, &raw const old, ptr::null_mut()) })?;
    }
    Ok(thrown_away)
}
