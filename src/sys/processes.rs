//! The processes there are, by session and process group, from /proc.

use std::collections::HashSet;
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

/// A process as it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: Pid,
    /// The leader of its process group, all of which is in one session (setpgid(2)).
    pub(crate) group: Pid,
    /// The leader of its session.
    pub(crate) session: Pid,
}

/// What a second look finds of a process that was listed in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is there.
    Alive(Process),
    /// It is over and not waited for, so that it forks no more. Or it is somebody else's, hidden.
    Over(Pid),
    /// It is not there any more, or in another session. What it forked before that may be on no list yet.
    Gone,
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
    /// But it lists many at a time, and after the last is done (`proc_pid_readdir`): who was listed, and is gone when it
    /// is asked for its session, may have forked one that is not listed. So another reading follows where one is gone
    /// that no earlier reading had, until there is none.
    ///
    /// That holds for the list, not for what is done with it later: who is on it may have forked since, and be gone.
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
        let mut readings = Readings::default();
        for _ in 0..READINGS_MAX {
            if readings.read(proc)? {
                break;
            }
        }
        Ok(readings.found)
    }
}

/// Where processes come and go so fast that every reading has one that is gone, the list ends with this one.
const READINGS_MAX: u32 = 16;

#[derive(Default)]
struct Readings {
    known: HashSet<Pid>,
    found: Vec<Listed>,
}

impl Readings {
    /// False where one is gone that was not known.
    fn read(&mut self, proc: &mut Dir) -> Result<bool, Errno> {
        let before = self.known.len() - self.found.len();
        for entry in proc.iter() {
            let entry = entry?;
            let name = entry.file_name().to_str().ok();
            let pid = name.and_then(|name| name.parse().ok()).map(Pid::from_raw);
            if let Some(pid) = pid.filter(|pid| self.known.insert(*pid)) {
                // ESRCH: it is gone again.
                self.found.extend(getsid(Some(pid)).ok().map(|session| Listed { pid, session }));
            }
        }
        Ok(self.known.len() - self.found.len() == before)
    }
}

/// Sends signals, in order, to one process, if it still is in the session of `leader`.
///
/// # Errors
/// ESRCH where it is not, or not there; EPERM.
pub(crate) fn send(process: &Process, leader: Pid, sent: &[Signal]) -> Result<(), Errno> {
    let is_it = || match see(leader, process.pid) {
        Ok(Seen::Alive(_)) => Ok(()),
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

/// Looks again at processes that were listed in the session of `leader`, each by itself.
///
/// None alive does not mean that the session is empty: one that is [`Seen::Gone`] may have forked another after the list
/// was made, and one that is [`Seen::Over`] too, unless it was so before that.
///
/// # Errors
/// Where they cannot be read, for want of descriptors for instance.
pub(crate) fn look_again(leader: Pid, listed: &[Pid]) -> io::Result<Vec<Seen>> {
    listed.iter().map(|&pid| see(leader, pid)).collect()
}

/// Looks at one process: by now its number may be that of a process in another session.
fn see(leader: Pid, pid: Pid) -> io::Result<Seen> {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => Ok(match parse(pid, &stat) {
            Some((process, _)) if process.session != leader => Seen::Gone,
            Some((process, false)) => Seen::Alive(process),
            Some((_, true)) => Seen::Over(pid),
            None => Seen::Gone,
        }),
        // It ended between the listing and the reading, or in the middle of it.
        Err(error)
            if [Errno::ENOENT, Errno::ESRCH]
                .map(|gone| Some(gone as i32))
                .contains(&error.raw_os_error()) =>
        {
            Ok(Seen::Gone)
        }
        // Somebody else's, hidden.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Seen::Over(pid)),
        Err(error) => Err(error),
    }
}

impl Seen {
    /// The process, where it is there.
    pub(crate) fn alive(&self) -> Option<Process> {
        match self {
            Self::Alive(process) => Some(*process),
            Self::Over(_) | Self::Gone => None,
        }
    }
}

/// Reads proc_pid_stat(5), and whether the process is over. The name in brackets may hold anything, brackets and blanks
/// too.
fn parse(pid: Pid, stat: &[u8]) -> Option<(Process, bool)> {
    let behind_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[behind_name..]).ok()?.split_ascii_whitespace();
    let (state, _parent) = (fields.next()?, fields.next()?);
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    // Field 20; the session is field 6.
    let threads: u32 = fields.nth(13)?.parse().ok()?;
    // A process whose first thread alone is over shows as a zombie, too.
    let over = matches!(state, "X" | "x") || (state == "Z" && threads <= 1);
    Some((Process { pid, group: Pid::from_raw(group), session: Pid::from_raw(session) }, over))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(name: &str, state: &str, threads: u32) -> String {
        format!("7 ({name}) {state} 1 40 30 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 {threads} 0 99 0\n")
    }

    #[test]
    fn a_name_with_brackets_and_blanks_hides_nothing() {
        let (parsed, _) = parse(Pid::from_raw(7), stat("a) R 1 2 3 (", "S", 1).as_bytes()).unwrap();
        assert_eq!((parsed.group.as_raw(), parsed.session.as_raw()), (40, 30));
    }

    #[test]
    fn a_zombie_is_over_unless_another_thread_of_it_lives() {
        let is_there =
            |state, threads| !parse(Pid::from_raw(7), stat("x", state, threads).as_bytes()).unwrap().1;
        assert!(is_there("R", 1));
        assert!(!is_there("Z", 1));
        assert!(is_there("Z", 2));
        assert!(!is_there("X", 1));
    }

    #[test]
    fn a_child_is_over_until_it_is_waited_for_and_gone_then() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let (pid, session) = (Pid::from_raw(child.id().cast_signed()), getsid(None).unwrap());
        let over = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(nix::sys::wait::Id::Pid(pid), over).unwrap();
        assert_eq!(look_again(session, &[pid]).unwrap(), [Seen::Over(pid)]);
        child.wait().unwrap();
        assert_eq!(look_again(session, &[pid]).unwrap(), [Seen::Gone]);
    }

    #[test]
    fn this_process_is_listed_in_its_session() {
        let (own, session) = (nix::unistd::getpid(), getsid(None).unwrap());
        let looked = see(session, own).unwrap().alive().unwrap();
        assert_eq!(looked.group, nix::unistd::getpgrp());
        assert_eq!(see(Pid::from_raw(i32::MAX), own).unwrap(), Seen::Gone, "not in that session");
        let mut listing = Listing::default();
        for _ in 0..2 {
            let listed = listing.take().unwrap().into_iter().find(|listed| listed.pid == own).unwrap();
            assert_eq!([listed.session, looked.session], [session; 2]);
        }
    }
}
