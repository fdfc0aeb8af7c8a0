//! What a child does not inherit of descriptors.

#![expect(unsafe_code, reason = "descriptors by number")]

use nix::errno::Errno;
use nix::libc;

/// The first descriptor behind standard error.
const FIRST: libc::c_uint = 3;

/// Marks every descriptor above 2 to be closed by exec. Async-signal-safe.
///
/// `limit` is how far to go on kernels before 5.11, which cannot mark a range at once: the limit of open files.
/// What was opened before that limit was lowered below it stays open there.
///
/// # Errors
/// The kernel's.
pub(crate) fn close_on_exec(limit: i32) -> Result<(), Errno> {
    // SAFETY: three integers; the kernel writes nothing. The call by number, as glibc has a function of it only from
    // 2.34 on.
    let marked =
        unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    match Errno::result(marked) {
        Ok(_) => Ok(()),
        // No such call (before 5.9), no such flag (before 5.11), or a filter that does not know it (seccomp).
        Err(Errno::ENOSYS | Errno::EINVAL | Errno::EPERM) => {
            one_by_one(limit);
            Ok(())
        }
        Err(errno) => Err(errno),
    }
}

fn one_by_one(limit: i32) {
    for fd in 3..limit {
        // SAFETY: two integers; a descriptor that is not open gives EBADF and nothing else.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::{AsRawFd, OwnedFd};

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;

    #[test]
    fn one_by_one_marks_what_is_below_the_limit_and_nothing_above() {
        let file: OwnedFd = File::open("/dev/null").unwrap().into();
        fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        one_by_one(file.as_raw_fd());
        assert_eq!(fcntl(&file, FcntlArg::F_GETFD), Ok(0));
        one_by_one(file.as_raw_fd() + 1);
        assert_eq!(fcntl(&file, FcntlArg::F_GETFD), Ok(libc::FD_CLOEXEC));
    }
}
