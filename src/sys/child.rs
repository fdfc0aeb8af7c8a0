//! One child process, from its first moment to exec.
//!
//! It is made as posix_spawn(3) makes one: until exec it runs in the memory of this process, on a stack of its own,
//! while the calling thread stands still. A fork would copy the page tables of the whole process, and make each of
//! its threads take a page fault for every page it then writes to. So between the two only async-signal-safe calls
//! are made (signal-safety(7)), and all memory is taken before.

#![expect(unsafe_code, reason = "clone, exec and _exit")]

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::OwnedFd;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::waitpid;
use nix::unistd::{self, Pid, getpid};

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
pub(crate) fn start(image: &Image) -> Result<Pid, StartError> {
    let memory = Memory {
        image,
        argv: pointers(&image.argv),
        env: pointers(&image.env),
        parent: getpid(),
        open_files: open_files_limit(),
        gave_up: Cell::new(None),
    };
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack grows down from its end, which is aligned for every architecture, and is the child's alone.
    // Stack and memory live until this call returns, which is when the child no longer uses either (CLONE_VFORK).
    // `run` makes async-signal-safe calls alone, and what it has for arguments is not written to by others: this
    // thread stands still, and nobody else knows of it.
    let pid = unsafe {
        let top = stack.as_mut_ptr_range().end;
        libc::clone(run, top.cast(), flags, (&raw const memory).cast_mut().cast())
    };
    let pid = Pid::from_raw(Errno::result(pid).map_err(StartError::Clone)?);
    match memory.gave_up.get() {
        None => Ok(pid),
        Some((step, errno)) => {
            // It is over, or on its last few instructions.
            let _ = waitpid(pid, None);
            Err(StartError::GaveUp(step, errno))
        }
    }
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

fn at<T>(step: Step, result: Result<T, Errno>) -> Result<(), (Step, Errno)> {
    result.map(drop).map_err(|errno| (step, errno))
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// How many descriptors this process can have at the most, as far as can be told.
fn open_files_limit() -> i32 {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::from(u16::MAX), |(soft, _)| soft);
    i32::try_from(soft).unwrap_or(i32::MAX)
}
