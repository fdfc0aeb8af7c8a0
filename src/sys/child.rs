//! One child process, from fork to exec.
//!
//! Between the two only async-signal-safe calls are made (signal-safety(7)): all memory is taken before the fork.

#![expect(unsafe_code, reason = "fork, exec and _exit")]

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{self, ForkResult, Pid, fork, getpid, pipe2};

use super::{descriptors, parent_death, signals};

/// What a child shall be.
#[derive(Debug)]
pub(crate) struct Image {
    /// The file to execute. There is no look on a PATH and no shell for a script that names no interpreter.
    pub(crate) program: CString,
    /// The whole argument vector.
    pub(crate) argv: Vec<CString>,
    /// The whole environment, `NAME=VALUE` each.
    pub(crate) env: Vec<CString>,
    /// The working directory; the parent's where there is none.
    pub(crate) cwd: Option<CString>,
    /// The file mode creation mask; the parent's where there is none.
    pub(crate) umask: Option<u32>,
    /// Descriptors 0, 1 and 2.
    pub(crate) stdio: [OwnedFd; 3],
}

/// A child that was forked and is on its way to exec.
#[derive(Debug)]
pub(crate) struct Forked {
    /// Its number.
    pub(crate) pid: Pid,
    /// Where it says what went wrong. Exec closes its end.
    pub(crate) verdict: OwnedFd,
}

/// A step between fork and exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    /// Tying it to its parent.
    ParentDeath,
    /// Making a session.
    Session,
    /// Putting standard input in place.
    Stdin,
    /// Putting standard output in place.
    Stdout,
    /// Putting standard error in place.
    Stderr,
    /// Marking all other descriptors to be closed.
    Descriptors,
    /// Changing to the working directory.
    Cwd,
    /// Resetting signals.
    Signals,
    /// Executing the program.
    Exec,
}

impl Step {
    const ALL: [Self; 9] = [
        Self::ParentDeath,
        Self::Session,
        Self::Stdin,
        Self::Stdout,
        Self::Stderr,
        Self::Descriptors,
        Self::Cwd,
        Self::Signals,
        Self::Exec,
    ];
}

/// The step at which a child gave up, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GaveUp {
    /// The step.
    pub(crate) step: Step,
    /// The kernel's answer.
    pub(crate) errno: Errno,
}

impl GaveUp {
    /// How many bytes a verdict has. They fit into a pipe in one piece.
    pub(crate) const LEN: usize = 5;

    /// Reads a verdict. `None` for none: exec has closed the pipe.
    pub(crate) fn parse(verdict: &[u8]) -> Option<Self> {
        let (&step, errno) = verdict.split_first()?;
        let step = Step::ALL.into_iter().find(|known| *known as u8 == step)?;
        Some(Self { step, errno: Errno::from_raw(i32::from_ne_bytes(errno.try_into().ok()?)) })
    }

    fn bytes(self) -> [u8; Self::LEN] {
        let [a, b, c, d] = (self.errno as i32).to_ne_bytes();
        [self.step as u8, a, b, c, d]
    }
}

/// Forks a child, which becomes the image in a session and process group of its own and dies with the calling thread.
///
/// The calling thread must have every signal blocked: a handler of this process that ran in the child would work on
/// what both share, such as the pipe that wakes a runtime. What comes for the child meanwhile waits for exec.
///
/// # Errors
/// Where there is no child, for want of descriptors, memory or processes.
pub(crate) fn start(image: &Image) -> io::Result<Forked> {
    let (verdict, report) = pipe2(OFlag::O_CLOEXEC)?;
    let report = descriptors::above_stdio(report)?;
    let memory = Memory {
        image,
        argv: pointers(&image.argv),
        env: pointers(&image.env),
        parent: getpid(),
        open_files: open_files_limit(),
    };
    // SAFETY: the child makes async-signal-safe calls alone and never returns from this block.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Forked { pid: child, verdict }),
        ForkResult::Child => {
            let gave_up = memory.become_image();
            // A parent that reads no more is over, or does not want this child any more.
            let _ = unistd::write(report.as_fd(), &gave_up.bytes());
            // SAFETY: ends the process and runs nothing of the parent's on the way.
            unsafe { libc::_exit(FAILED) }
        }
    }
}

/// The exit code of a child that never became its image. Nobody reads it: the verdict says more.
const FAILED: i32 = 127;

/// Everything the child needs, taken before the fork.
struct Memory<'a> {
    image: &'a Image,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
    parent: Pid,
    open_files: i32,
}

impl Memory<'_> {
    /// Returns only where it failed.
    fn become_image(&self) -> GaveUp {
        match self.set_up() {
            Err(gave_up) => gave_up,
            Ok(()) => GaveUp { step: Step::Exec, errno: self.exec() },
        }
    }

    fn set_up(&self) -> Result<(), GaveUp> {
        let image = self.image;
        match parent_death::arm(self.parent) {
            Ok(true) => {}
            // SAFETY: as in `start`. Nobody is there to be told.
            Ok(false) => unsafe { libc::_exit(FAILED) },
            Err(errno) => return Err(GaveUp { step: Step::ParentDeath, errno }),
        }
        at(Step::Session, unistd::setsid())?;
        let [stdin, stdout, stderr] = &image.stdio;
        at(Step::Stdin, unistd::dup2_stdin(stdin))?;
        at(Step::Stdout, unistd::dup2_stdout(stdout))?;
        at(Step::Stderr, unistd::dup2_stderr(stderr))?;
        at(Step::Descriptors, descriptors::close_on_exec(self.open_files))?;
        if let Some(cwd) = &image.cwd {
            at(Step::Cwd, unistd::chdir(CStr::as_ref(cwd)))?;
        }
        if let Some(mask) = image.umask {
            umask(Mode::from_bits_truncate(mask));
        }
        // Last: a signal that came meanwhile ends the child here.
        at(Step::Signals, signals::reset())
    }

    fn exec(&self) -> Errno {
        // SAFETY: a string and two vectors that end in null, all of which live as long as `self`.
        unsafe { libc::execve(self.image.program.as_ptr(), self.argv.as_ptr(), self.env.as_ptr()) };
        Errno::last()
    }
}

fn at<T>(step: Step, result: Result<T, Errno>) -> Result<(), GaveUp> {
    result.map(drop).map_err(|errno| GaveUp { step, errno })
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// How many descriptors this process can have at the most, as far as can be told.
fn open_files_limit() -> i32 {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::from(u16::MAX), |(soft, _)| soft);
    i32::try_from(soft).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_reads_back_and_a_closed_pipe_is_none() {
        for step in Step::ALL {
            let gave_up = GaveUp { step, errno: Errno::ENOEXEC };
            assert_eq!(GaveUp::parse(&gave_up.bytes()), Some(gave_up));
        }
        assert_eq!(GaveUp::parse(&[]), None);
    }
}
