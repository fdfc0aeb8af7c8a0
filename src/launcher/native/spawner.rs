//! The thread that forks, and that waits for children nobody else waits for.
//!
//! The parent-death signal comes when the *thread* that forked ends (prctl(2)), and a runtime's threads come and go.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::unistd::Pid;
use tokio::sync::oneshot;

use super::leader::Leader;
use crate::launcher::LaunchError;
use crate::signal::Signal;
use crate::spec::defaults;
use crate::sys::child::{self, Forked, Image};
use crate::sys::{signals, wait};

/// How often children that nobody waits for are looked at. They have been killed, so it is a matter of a few times.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The way to the thread. It ends when the last of these is gone.
#[derive(Clone)]
pub(super) struct Spawner(Sender<Request>);

enum Request {
    /// Fork a child; the sender is for its leader.
    Start { image: Box<Image>, spawner: Spawner, reply: oneshot::Sender<io::Result<Started>> },
    /// Kill a child that nobody holds any more, and wait for it.
    Orphan(Pid),
}

/// A child that was forked.
pub(super) struct Started {
    /// Dropping it ends it.
    pub(super) leader: Leader,
    /// See [`Forked::verdict`].
    pub(super) verdict: OwnedFd,
    /// When.
    pub(super) at: SystemTime,
}

impl Spawner {
    /// Starts the thread.
    pub(super) fn start() -> Result<Self, LaunchError> {
        let os = |doing, source| LaunchError::Os { doing, source };
        if signals::keep_exit_statuses().map_err(|errno| os("looking at SIGCHLD", errno.into()))? {
            tracing::debug!(
                "this process ignored SIGCHLD, and with it every exit status; the default is back"
            );
        }
        let (to, requests) = mpsc::channel();
        thread::Builder::new()
            .name("procunit-fork".to_owned())
            .spawn(move || serve(&requests))
            .map_err(|source| os("starting the thread that forks", source))?;
        Ok(Self(to))
    }

    /// Forks a child, and answers while it is on its way to exec.
    pub(super) async fn fork(&self, image: Image) -> io::Result<Started> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Start { image: Box::new(image), spawner: self.clone(), reply };
        let gone = || io::Error::other("the thread that forks is gone");
        self.0.send(request).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Gives up a child that was not waited for: it is killed and waited for.
    pub(super) fn orphan(&self, child: Pid) {
        // Where the thread is gone, the child is too.
        let _ = self.0.send(Request::Orphan(child));
    }
}

fn serve(requests: &Receiver<Request>) {
    if let Err(errno) = signals::block_all() {
        // Without requests to serve, every launch is refused.
        return tracing::error!(%errno, "the thread that forks cannot block signals");
    }
    let mut orphans = Vec::new();
    while let Some(request) = next(requests, &mut orphans) {
        match request {
            Request::Start { image, spawner, reply } => {
                // Who asked may have gone away: the child then goes with the answer.
                let _ = reply.send(start(&image, spawner));
            }
            Request::Orphan(child) => {
                let _ = signals::send_to_group(child, Signal::KILL);
                orphans.push(child);
            }
        }
    }
    let until = Instant::now() + defaults::KILL_WAIT;
    while still_there(&mut orphans) && Instant::now() < until {
        thread::sleep(LOOK_EVERY);
    }
}

/// The next request, and a look at the orphans meanwhile. `None` when no more can come.
fn next(requests: &Receiver<Request>, orphans: &mut Vec<Pid>) -> Option<Request> {
    while still_there(orphans) {
        match requests.recv_timeout(LOOK_EVERY) {
            Ok(request) => return Some(request),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    requests.recv().ok()
}

fn still_there(orphans: &mut Vec<Pid>) -> bool {
    // An error is ECHILD: somebody has waited for it.
    orphans.retain(|child| matches!(wait::reap(*child), Ok(None)));
    !orphans.is_empty()
}

fn start(image: &Image, spawner: Spawner) -> io::Result<Started> {
    let at = SystemTime::now();
    let Forked { pid, verdict } = child::start(image)?;
    let leader = Leader::new(pid, wait::own_max_resident(), spawner);
    Ok(Started { leader, verdict, at })
}
