//! A terminal of the proc's own, `run -t`: this command is what a terminal emulator is to it.
//!
//! It has the size and the modes of the terminal that this command is on, which is raw meanwhile: every key goes
//! through as its bytes, and it is the proc's own terminal that makes signals of some. It is put back on every way out that
//! leaves this process a moment: SIGKILL does not, nor does a signal that nothing here handles, such as SIGUSR1.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, stderr, stdin, stdout};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::raise;
use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};
use procunit::signal::Signal;
use procunit::sys::terminal::WindowSize;
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::pty_bytes::Copying;
use crate::tty::Modes;
use crate::wishes::{Wish, Wishes, came, heard};

/// What it has where this command is on no terminal, as of systemd-run: programs divide by it.
const USUAL: WindowSize = WindowSize { rows: 24, columns: 80, pixels: (0, 0) };

/// A terminal that nobody is on yet.
pub(crate) struct Pty {
    ours: Arc<OwnedFd>,
    /// Kept while the proc lives: between two runs of it nobody else has it open, which is its end to who reads.
    theirs: File,
    path: String,
}

impl Pty {
    /// Makes one like that of this command.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let ours = posix_openpt(flags)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let path = ptsname_r(&ours)?;
        let theirs = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(&path)?;
        let modes = tcgetattr(stdin()).or_else(|_| tcgetattr(stdout()));
        if let Ok(modes) = modes {
            tcsetattr(&theirs, SetArg::TCSANOW, &modes)?;
        }
        own_size().unwrap_or(USUAL).give_to(&ours)?;
        // What is typed waits here, and not in a thread that could do nothing else.
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK))?;
        Ok(Self { ours: Arc::new(ours.into()), theirs, path })
    }

    /// The device.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Has the bytes go both ways from now on. What is asked for on the way becomes a wish.
    pub(crate) fn forward(self, modes: &Arc<Modes>, wishes: &mut Wishes) -> io::Result<Forwarding> {
        let events = Events::listen()?;
        modes.make_raw()?;
        let wishes = wishes.also();
        let copying = Copying::start(&self.ours, stdin().is_terminal(), &wishes)?;
        let follower = tokio::spawn(follow(self.ours, Arc::clone(modes), events, wishes));
        Ok(Forwarding { theirs: self.theirs, copying, end: End { follower, modes: Arc::clone(modes) } })
    }
}

/// A terminal whose bytes go both ways.
pub(crate) struct Forwarding {
    theirs: File,
    copying: Copying,
    end: End,
}

impl Forwarding {
    /// Of a proc that is over: shows what is left of what it wrote, and puts the terminal of this command back. A wish
    /// is not to wait for that.
    pub(crate) async fn finish(mut self, wishes: &mut Wishes) {
        drop(self.theirs);
        self.copying.drain(wishes).await;
        self.copying.end_input().await;
        drop(self.end);
    }
}

/// Puts the terminal of this command back, and has nothing make it raw again.
struct End {
    follower: JoinHandle<()>,
    modes: Arc<Modes>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.follower.abort();
        self.modes.restore();
    }
}

/// What happens to the terminal of this command, and to this command on it.
struct Events {
    resized: Listener,
    suspend: Option<Listener>,
    quit: Option<Listener>,
    resumed: Listener,
}

impl Events {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            suspend: heard(SignalKind::from_raw(libc::SIGTSTP))?,
            quit: heard(SignalKind::quit())?,
            resumed: signal(SignalKind::from_raw(libc::SIGCONT))?,
        })
    }
}

/// Keeps both terminals alike, and leaves this command's as it was while this command stands still.
async fn follow(
    ours: Arc<OwnedFd>,
    modes: Arc<Modes>,
    mut events: Events,
    wishes: mpsc::UnboundedSender<Wish>,
) {
    loop {
        if let Ok(size) = own_size() {
            // The next change is the next occasion.
            let _ = size.give_to(&ours);
        }
        tokio::select! {
            _ = events.resized.recv() => {}
            () = came(&mut events.suspend) => {
                modes.restore();
                // It comes back from this when it is resumed.
                let _ = raise(nix::sys::signal::SIGSTOP);
            }
            // It would end this command at once otherwise, and leave the terminal raw.
            () = came(&mut events.quit) => {
                let reason = "procunit was told to quit";
                let _ = wishes.send(Wish { signal: Signal::QUIT, reason });
            }
            // Whoever had the terminal meanwhile may have set it otherwise.
            _ = events.resumed.recv() => drop(modes.make_raw()),
        }
    }
}

/// The size of the terminal that this command is on.
fn own_size() -> io::Result<WindowSize> {
    let (stdin, stdout, stderr) = (stdin(), stdout(), stderr());
    let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let sizes = streams.into_iter().map(WindowSize::of);
    sizes.reduce(Result::or).unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
}
