//! A terminal that the test is, with the command on it.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use procunit::sys::terminal::WindowSize;

use crate::support::BOUND;

pub(crate) const LAUNCHERS: [&str; 2] = ["systemd", "native"];

/// Less than a stop timeout.
const SOON: Duration = Duration::from_secs(6);

/// Whether keys come as they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    Yes,
    No,
}

/// The terminal, which is closed, and with it what is on it, when this goes.
pub(crate) struct Outer {
    pub(crate) ours: File,
    theirs: File,
    before: Termios,
    child: Child,
    seen: Vec<u8>,
}

impl Outer {
    /// The command that runs a script.
    pub(crate) fn command(launcher: &str, flags: &[&str], script: &str) -> Command {
        let mut command = Command::new("setsid");
        command.args(["--ctty", env!("CARGO_BIN_EXE_procunit"), "--launcher", launcher, "run", "-t"]);
        command.args(flags).args(["--", "sh", "-c", script]);
        command
    }

    pub(crate) fn run(launcher: &str, flags: &[&str], script: &str) -> Self {
        Self::start(&mut Self::command(launcher, flags, script))
    }

    /// On a terminal of 33 lines, where Ctrl-X interrupts.
    pub(crate) fn start(command: &mut Command) -> Self {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let ours = posix_openpt(flags).expect("a terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("its other side");
        let path = ptsname_r(&ours).expect("its name");
        let theirs = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path);
        let theirs = theirs.expect("its other side");
        let mut before = tcgetattr(&theirs).expect("its modes");
        before.control_chars[SpecialCharacterIndices::VINTR as usize] = 0x18;
        tcsetattr(&theirs, SetArg::TCSANOW, &before).expect("its modes");
        WindowSize { rows: 33, columns: 77, pixels: (0, 0) }.give_to(&ours).expect("its size");
        let stdio = || theirs.try_clone().expect("a descriptor");
        let child = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().expect("setsid");
        // It holds the descriptors that it passes on.
        *command = Command::new("true");
        Self { ours: File::from(OwnedFd::from(ours)), theirs, before, child, seen: Vec::new() }
    }

    /// Of the command: setsid(1) becomes it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    #[track_caller]
    pub(crate) fn type_in(&mut self, keys: &[u8]) {
        self.ours.write_all(keys).expect("keys");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.expect("kill").success(), "{signal}");
    }

    /// What is shown up to and with this, which is taken.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + BOUND;
        loop {
            let found = self.seen.windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(at) = found {
                let taken: Vec<u8> = self.seen.drain(..at + text.len()).collect();
                return String::from_utf8_lossy(&taken).into_owned();
            }
            let so_far = String::from_utf8_lossy(&self.seen).into_owned();
            assert!(Instant::now() < deadline, "never: {text:?} in {so_far:?}");
            self.look(100);
        }
    }

    /// The next bytes.
    #[track_caller]
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let deadline = Instant::now() + BOUND;
        while self.seen.len() < count {
            assert!(Instant::now() < deadline, "{} bytes of {count}", self.seen.len());
            self.look(100);
        }
        self.seen.drain(..count).collect()
    }

    /// Reads what there is within so many milliseconds; false where there is none.
    fn look(&mut self, millis: u8) -> bool {
        let mut fds = [PollFd::new(self.ours.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(millis)) != Ok(1) {
            return false;
        }
        let mut chunk = [0; 4096];
        let count = self.ours.read(&mut chunk).expect("what is shown");
        self.seen.extend(&chunk[..count]);
        true
    }

    pub(crate) fn is_raw(&self) -> Raw {
        let modes = tcgetattr(&self.theirs).expect("the modes");
        if modes.local_flags.intersects(LocalFlags::ICANON | LocalFlags::ISIG) { Raw::No } else { Raw::Yes }
    }

    #[track_caller]
    pub(crate) fn assert_modes_as_before(&self, label: &str) {
        assert_eq!(tcgetattr(&self.theirs).expect("the modes"), self.before, "{label}");
    }

    /// The exit code, and what was shown and not taken.
    #[track_caller]
    pub(crate) fn end(mut self) -> (i32, String) {
        let code = self.ended();
        (code, String::from_utf8_lossy(&self.seen).into_owned())
    }

    #[track_caller]
    pub(crate) fn end_with_modes_as_before(mut self, label: &str) -> i32 {
        let code = self.ended();
        self.assert_modes_as_before(label);
        code
    }

    /// Closes it, and waits for the end of the command.
    #[track_caller]
    pub(crate) fn close(self) -> i32 {
        let mut outer = self;
        let null = || File::open("/dev/null").expect("/dev/null");
        (outer.theirs, outer.ours) = (null(), null());
        end_of(&mut outer.child)
    }

    #[track_caller]
    fn ended(&mut self) -> i32 {
        let deadline = Instant::now() + BOUND;
        loop {
            let ended = self.child.try_wait().expect("its state");
            while self.look(20) {}
            if let Some(status) = ended {
                return status.code().unwrap_or(-1);
            }
            let so_far = String::from_utf8_lossy(&self.seen).into_owned();
            assert!(Instant::now() < deadline, "it does not end: {so_far:?}");
        }
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        // Its proc ends with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The state of a process as proc_pid_stat(5) names it.
pub(crate) fn state_of(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('-')
}

/// The exit code of a child that must end.
#[track_caller]
pub(crate) fn end_of(child: &mut Child) -> i32 {
    let mut code = None;
    crate::support::until("its end", || {
        code = child.try_wait().expect("its state").and_then(|status| status.code());
        code.is_some()
    });
    code.unwrap_or(-1)
}

#[track_caller]
pub(crate) fn soon<T>(label: &str, what: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let came = what();
    assert!(start.elapsed() < SOON, "{label} took {:?}", start.elapsed());
    came
}
