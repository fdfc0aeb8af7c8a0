//! One child process, from its first moment to exec.
//!
//! It is made as posix_spawn(3) makes one: until exec it runs in the memory of this process, on a stack of its own,
//! while the calling thread stands still. A fork would copy the page tables of the whole process, and make each of
//! its threads take a page fault for every page it then writes to. So between the two only async-signal-safe calls
//! are made (signal-safety(7)), and all memory is taken before.

#![expect(unsafe_code, reason = "clone, exec and _exit")]

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::waitpid;
use nix::unistd::{self, Pid, getpid};

use super::strings::Strings;
use super::{descriptors, open_files, parent_death, signals, terminal};

/// What a child shall be.
pub(crate) struct Image {
    /// The file to execute. There is no look on a PATH and no shell for a script that names no interpreter.
    pub(crate) program: CString,
    /// The whole argument vector.
    pub(crate) argv: Strings,
    /// The whole environment, `NAME=VALUE` each: what it has in common with others, and what is its own.
    pub(crate) env: (Arc<Strings>, Strings),
    /// The working directory; the parent's where there is none.
    pub(crate) cwd: Option<CString>,
    /// The file mode creation mask; the parent's where there is none.
    pub(crate) umask: Option<u32>,
    /// Descriptors 0, 1 and 2.
    pub(crate) stdio: [Stream; 3],
    /// Whether standard input is a terminal that becomes its controlling one.
    pub(crate) controls_terminal: bool,
}

/// A standard stream of a child.
pub(crate) enum Stream {
    /// `/dev/null`, which the child opens itself: until then it takes no descriptor.
    Null,
    /// A duplicate of this one, whose own number is above 2.
    Open(Arc<OwnedFd>),
}

/// A child that was made.
pub(crate) struct Made {
    /// Its number.
    pub(crate) pid: Pid,
    /// A descriptor of it, if one was asked for and is to be had (`CLONE_PIDFD`: Linux 5.2).
    pub(crate) pidfd: Option<OwnedFd>,
}

/// Where a child runs until exec. One child is made on it at a time.
pub(crate) struct Stack(Vec<u128>);

impl Stack {
    pub(crate) fn new() -> Self {
        Self(vec![0; STACK / size_of::<u128>()])
    }
}

/// Why there is no child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StartError {
    /// There was none: for want of processes or memory.
    #[error("no new process: {0}")]
    Clone(#[source] Errno),
    /// It was over before exec.
    #[error("{0:?}: {1}")]
    GaveUp(Step, #[source] Errno),
}

/// A step on the way to exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Making standard input its controlling terminal.
    Terminal,
    /// Marking all other descriptors to be closed.
    Descriptors,
    /// Changing to the working directory.
    Cwd,
    /// Resetting signals.
    Signals,
    /// Executing the program.
    Exec,
}

/// Starts a child, which becomes the image in a session and process group of its own and dies with the calling
/// thread. Answers when exec has succeeded, or the child has died on the way there.
///
/// The calling thread must have every signal blocked: a handler of this process that ran in the child would do its
/// work on memory that both share. What comes for the child meanwhile waits until its signals are reset.
///
/// # Errors
/// [`StartError`]; nothing is left of the child then.
pub(crate) fn start(image: &Image, stack: &mut Stack, with_pidfd: bool) -> Result<Made, StartError> {
    let memory = Memory {
        image,
        argv: Strings::pointers(&[&image.argv]),
        env: Strings::pointers(&[&image.env.0, &image.env.1]),
        parent: getpid(),
        open_files: open_files::limit(),
        gave_up: Cell::new(None),
    };
    let with = with_pidfd.then(|| clone(&memory, stack, true).ok()).flatten();
    // Want of descriptors is no reason not to start it.
    let (pid, pidfd) = with.map_or_else(|| clone(&memory, stack, false), Ok).map_err(StartError::Clone)?;
    match memory.gave_up.get() {
        None => Ok(Made { pid, pidfd }),
        Some((step, errno)) => {
            // It is over, or on its last few instructions.
            let _ = waitpid(pid, None);
            Err(StartError::GaveUp(step, errno))
        }
    }
}

/// Makes a child, and stands still until it has become its image or is over.
fn clone(memory: &Memory<'_>, stack: &mut Stack, with_pidfd: bool) -> Result<(Pid, Option<OwnedFd>), Errno> {
    const NONE: c_int = -1;
    let pidfd_flag = if with_pidfd { libc::CLONE_PIDFD } else { 0 };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD | pidfd_flag;
    let mut fd = NONE;
    // SAFETY: the stack grows down from its end, which is aligned for every architecture, and is the child's alone.
    // Stack and memory live until this call returns, which is when the child no longer uses either (CLONE_VFORK).
    // `run` makes async-signal-safe calls alone, and what it has for arguments is not written to by others: this
    // thread stands still, and nobody else knows of it. The kernel writes the descriptor to `fd` and nowhere else.
    let pid = unsafe {
        let top = stack.0.as_mut_ptr_range().end;
        libc::clone(run, top.cast(), flags, ptr::from_ref(memory).cast_mut().cast(), &raw mut fd)
    };
    let pid = Pid::from_raw(Errno::result(pid)?);
    // SAFETY: the kernel has just made it, closed on exec, and nothing else knows it. One without the flag leaves
    // `fd` as it was.
    let pidfd = (fd != NONE).then(|| unsafe { OwnedFd::from_raw_fd(fd) });
    Ok((pid, pidfd))
}

/// Bytes of stack for the way to exec, which needs a fraction of that.
const STACK: usize = 64 * 1024;

/// The exit code of a child that never became its image. Nobody reads it.
const FAILED: i32 = 127;

/// Everything the child needs, and where it leaves word.
struct Memory<'a> {
    image: &'a Image,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
    parent: Pid,
    open_files: i32,
    gave_up: Cell<Option<(Step, Errno)>>,
}

/// What the child does. Returning ends it, without anything of this process's being run on the way (clone(2)).
extern "C" fn run(memory: *mut c_void) -> c_int {
    // SAFETY: `start` passes its `Memory`, and stands still while this runs.
    let memory = unsafe { &*memory.cast_const().cast::<Memory<'_>>() };
    memory.gave_up.set(Some(memory.become_image()));
    FAILED
}

impl Memory<'_> {
    /// Returns only where it failed.
    fn become_image(&self) -> (Step, Errno) {
        match self.set_up() {
            Err(gave_up) => gave_up,
            Ok(()) => (Step::Exec, self.exec()),
        }
    }

    fn set_up(&self) -> Result<(), (Step, Errno)> {
        let image = self.image;
        match parent_death::arm(self.parent) {
            Ok(true) => {}
            // Nobody is there to be told.
            Ok(false) => return Err((Step::ParentDeath, Errno::ESRCH)),
            Err(errno) => return Err((Step::ParentDeath, errno)),
        }
        at(Step::Session, unistd::setsid())?;
        let [stdin, stdout, stderr] = &image.stdio;
        // In this order: where /dev/null is opened, every lower number is taken.
        at(Step::Stdin, stdin.put(0, OFlag::O_RDONLY))?;
        at(Step::Stdout, stdout.put(1, OFlag::O_WRONLY))?;
        at(Step::Stderr, stderr.put(2, OFlag::O_WRONLY))?;
        if image.controls_terminal {
            at(Step::Terminal, terminal::control())?;
        }
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

fn at<T>(step: Step, result: Result<T, Errno>) -> Result<(), (Step, Errno)> {
    result.map(drop).map_err(|errno| (step, errno))
}

impl Stream {
    /// Puts it under this number. Async-signal-safe.
    fn put(&self, number: c_int, how: OFlag) -> Result<(), Errno> {
        match self {
            Self::Null => {
                // Its number is free then, and the lowest that is: no other one need be free.
                // SAFETY: an integer; the descriptors are the child's own, copied from this process's.
                unsafe { libc::close(number) };
                // SAFETY: a string that ends in NUL, and an integer.
                let opened = Errno::result(unsafe { libc::open(c"/dev/null".as_ptr(), how.bits()) })?;
                if opened == number { Ok(()) } else { Err(Errno::EBADF) }
            }
            Self::Open(fd) => {
                // SAFETY: two integers; as above.
                Errno::result(unsafe { libc::dup2(fd.as_raw_fd(), number) }).map(drop)
            }
        }
    }
}
