//! A child that does not outlive the thread that made it.

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

/// Has the kernel kill the calling process when the thread that made it ends. Async-signal-safe.
///
/// `Ok(false)` says that the parent was over before: its death sends no signal any more. `parent` is what the parent
/// called itself before, so that a parent with pid 1 is not taken for the reaper of orphans.
///
/// The setting survives exec, except of a program that gains privileges by it (set-user-ID, set-group-ID, file
/// capabilities: prctl(2), `PR_SET_PDEATHSIG`); such a program outlives its parent.
///
/// # Errors
/// Where prctl(2) is not let through.
pub(crate) fn arm(parent: Pid) -> Result<bool, Errno> {
    // First the setting, then the look: a parent that ends in between has either sent the signal or is seen gone.
    // Where another thread of the parent lives on, the child stays that thread's, and getppid(2) the same; the
    // setting then fires at the end of that one.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    Ok(getppid() == parent)
}

#[cfg(test)]
mod tests {
    use nix::unistd::getpid;

    use super::*;

    #[test]
    fn a_parent_is_known_by_its_own_number_and_by_no_other() {
        assert_eq!(arm(getppid()), Ok(true));
        assert_eq!(arm(getpid()), Ok(false), "as after the parent's end: another number");
        // This thread is no child to be tied.
        prctl::set_pdeathsig(None).unwrap();
    }
}
