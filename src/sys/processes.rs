//! The processes there are, by session and process group, from /proc.

use std::fs;
use std::io;
use std::os::fd::AsFd;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getsid};

use super::{pidfd, signals};
use crate::signal::Signal;

/// A process as it was listed: it may be over, and its number another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its number.
    pub(crate) pid: Pid,
    /// The leader of its session.
    pub(crate) session: Pid,
}

/// A process that was not over when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: Pid,
    /// The leader of its process group, all of which is in one session (setpgid(2)).
    pub(crate) group: Pid,
    /// The leader of its session.
    pub(crate) session: Pid,
}

/// A list of processes that is made again and again. It keeps /proc open, so that want of descriptors does not stop it.
#[derive(Default)]
pub(crate) struct Listing(Option<Dir>);

impl Listing {
    /// Every process that can be seen, zombies too.
    ///
    /// The kernel lists by rising number as the reading goes on (`next_tgid`, fs/proc/base.c), and a child has a higher
    /// one than its parent: who forks and exits meanwhile is found in its child. Only where the numbers wrap around in
    /// just that moment can a child be missed.
    ///
    /// Sessions are asked for by getsid(2): a read of /proc/PID/stat costs many times as much, and there may be
    /// thousands of processes that are nobody's business here.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub(crate) fn take(&mut self) -> Result<Vec<Listed>, Errno> {
        let proc = match &mut self.0 {
            Some(proc) => proc,
            closed => {
                let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
                closed.insert(Dir::open("/proc", flags, Mode::empty())?)
            }
        };
        let mut found = Vec::new();
        for entry in proc.iter() {
            let entry = entry?;
            let name = entry.file_name().to_str().ok();
            let Some(pid) = name.and_then(|name| name.parse().ok()).map(Pid::from_raw) else { continue };
            // ESRCH: it is gone again.
            found.extend(getsid(Some(pid)).ok().map(|session| Listed { pid, session }));
        }
        Ok(found)
    }
}

/// Sends signals, in order, to one process, if it still is in the session of `leader`.
///
/// # Errors
/// ESRCH where it is not, or not there; EPERM.
pub(crate) fn send(process: &Process, leader: Pid, sent: &[Signal]) -> Result<(), Errno> {
    let is_it = || match look(process.pid) {
        Ok(Some(now)) if now.session == leader => Ok(()),
        _ => Err(Errno::ESRCH),
    };
    // First the hold, then the look: the number may have been given to another process since it was listed.
    match pidfd::open(process.pid) {
        Ok(held) => {
            is_it().and_then(|()| sent.iter().try_for_each(|&signal| pidfd::send(held.as_fd(), signal)))
        }
        Err(Errno::ESRCH) => Err(Errno::ESRCH),
        // No such call: by number, as near to the look as can be.
        Err(_) => {
            is_it().and_then(|()| sent.iter().try_for_each(|&signal| signals::send(process.pid, signal)))
        }
    }
}

/// Those of the listed processes that are in the session of `leader`: by now a number may be that of a process in
/// another one.
///
/// # Errors
/// As [`look`].
pub(crate) fn in_session(leader: Pid, listed: &[Pid]) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for pid in listed {
        found.extend(look(*pid)?.filter(|process| process.session == leader));
    }
    Ok(found)
}

/// The process with this number; `None` where it is over, waited for or not.
///
/// # Errors
/// Where that cannot be read, for want of descriptors for instance.
pub(crate) fn look(pid: Pid) -> io::Result<Option<Process>> {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => Ok(parse(pid, &stat)),
        // It ended between the listing and the reading, or in the middle of it.
        Err(error)
            if [Errno::ENOENT, Errno::ESRCH]
                .map(|gone| Some(gone as i32))
                .contains(&error.raw_os_error()) =>
        {
            Ok(None)
        }
        // Somebody else's, hidden.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads proc_pid_stat(5). The name in brackets may hold anything, brackets and blanks too.
fn parse(pid: Pid, stat: &[u8]) -> Option<Process> {
    let behind_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[behind_name..]).ok()?.split_ascii_whitespace();
    let (state, _parent) = (fields.next()?, fields.next()?);
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    // Field 20; the session is field 6.
    let threads: u32 = fields.nth(13)?.parse().ok()?;
    // A process whose first thread alone is over shows as a zombie, too.
    let over = matches!(state, "X" | "x") || (state == "Z" && threads <= 1);
    (!over).then_some(Process { pid, group: Pid::from_raw(group), session: Pid::from_raw(session) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(name: &str, state: &str, threads: u32) -> String {
        format!("7 ({name}) {state} 1 40 30 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 {threads} 0 99 0\n")
    }

    #[test]
    fn a_name_with_brackets_and_blanks_hides_nothing() {
        let parsed = parse(Pid::from_raw(7), stat("a) R 1 2 3 (", "S", 1).as_bytes()).unwrap();
        assert_eq!((parsed.group.as_raw(), parsed.session.as_raw()), (40, 30));
    }

    #[test]
    fn a_zombie_is_over_unless_another_thread_of_it_lives() {
        let is_there =
            |state, threads| parse(Pid::from_raw(7), stat("x", state, threads).as_bytes()).is_some();
        assert!(is_there("R", 1));
        assert!(!is_there("Z", 1));
        assert!(is_there("Z", 2));
        assert!(!is_there("X", 1));
    }

    #[test]
    fn this_process_is_listed_in_its_session() {
        let own = nix::unistd::getpid();
        let looked = look(own).unwrap().unwrap();
        assert_eq!(looked.group, nix::unistd::getpgrp());
        let mut listing = Listing::default();
        for _ in 0..2 {
            let listed = listing.take().unwrap().into_iter().find(|listed| listed.pid == own).unwrap();
            assert_eq!([listed.session, looked.session], [getsid(None).unwrap(); 2]);
        }
    }
}
