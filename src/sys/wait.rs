//! How a child ended: looking without taking, and taking.

#![expect(unsafe_code, reason = "waitid and wait4, which nix does not have whole")]

use std::mem::MaybeUninit;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

/// The end of a child, as waitid(2) tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// `si_code`: 1 exited, 2 killed, 3 dumped.
    pub(crate) code: i32,
    /// `si_status`: the exit code or the signal.
    pub(crate) status: i32,
    /// What it used.
    pub(crate) usage: Usage,
}

/// What a child and those it waited for have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processor time.
    pub(crate) cpu: Duration,
    /// The most memory that one of them had resident, bytes: but never less than this process's own had been when it
    /// made the child.
    pub(crate) max_resident: u64,
}

/// Whether a child is over, and how. It stays to be waited for, and keeps its number.
///
/// # Errors
/// ECHILD where it is no child, or somebody else has waited for it.
pub(crate) fn peek(child: Pid) -> Result<Option<Ended>, Errno> {
    wait(child, libc::WNOWAIT)
}

/// Waits for a child that is over, which gives its number back. `None` where it is not over.
///
/// # Errors
/// ECHILD where it is no child, or somebody else has waited for it.
pub(crate) fn reap(child: Pid) -> Result<Option<Ended>, Errno> {
    wait(child, 0)
}

/// The call by number: the C library's waitid(2) leaves out what the child used. nix's fails on a child that died by
/// a realtime signal.
fn wait(child: Pid, flags: i32) -> Result<Option<Ended>, Errno> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | flags;
    // SAFETY: both places are ours and as large as the kernel's types; it writes nothing else.
    let waited = unsafe {
        libc::syscall(
            libc::SYS_waitid,
            libc::P_PID,
            child.as_raw(),
            info.as_mut_ptr(),
            options,
            usage.as_mut_ptr(),
        )
    };
    Errno::result(waited)?;
    // SAFETY: all zeroes, which they are where the child is not over, are valid in both types.
    let (info, usage) = unsafe { (info.assume_init(), usage.assume_init()) };
    // SAFETY: the fields of SIGCHLD, which are what the kernel fills in here; zero where it filled in nothing.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((pid != 0).then(|| Ended { code: info.si_code, status, usage: Usage::of(&usage) }))
}

impl Usage {
    fn of(usage: &libc::rusage) -> Self {
        Self { cpu: span(usage.ru_utime) + span(usage.ru_stime), max_resident: bytes(usage.ru_maxrss) }
    }
}

/// The most memory that this process ever had resident, bytes.
pub(crate) fn own_max_resident() -> u64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF);
    usage.map_or(u64::MAX, |usage| bytes(usage.max_rss()))
}

/// `ru_maxrss` counts in kilobytes (getrusage(2)).
fn bytes(kilobytes: libc::c_long) -> u64 {
    u64::try_from(kilobytes).unwrap_or(0) * 1024
}

fn span(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}
