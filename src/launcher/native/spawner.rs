//! The thread that starts children, and that waits for those nobody else waits for.
//!
//! The parent-death signal comes when the *thread* that made the child ends (prctl(2)), and a runtime's threads come
//! and go.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::unistd::Pid;
use tokio::sync::oneshot;

use super::leader::Leader;
use crate::launcher::LaunchError;
use crate::signal::Signal;
use crate::spec::defaults;
use crate::sys::child::{self, Image, StartError};
use crate::sys::{signals, wait};

/// How often children that nobody waits for are looked at. They have been killed, so it is a matter of a few times.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The way to the thread. It ends when the last of these is gone.
#[derive(Clone)]
pub(super) struct Spawner(Sender<Request>);

enum Request {
    /// Start a child; the sender is for its leader.
    Start { image: Box<Image>, spawner: Spawner, reply: oneshot::Sender<Result<Started, StartError>> },
    /// Kill a child that nobody holds any more, and wait for it.
    Orphan(Pid),
}

/// A child that has reached exec.
pub(super) struct Started {
    /// Dropping it ends it.
    pub(super) leader: Leader,
    /// When.
    pub(super) at: SystemTime,
}

/// Why there is no child.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The thread is gone.
    #[error("the thread that starts children is gone")]
    NoThread,
    /// The kernel said no.
    #[error(transparent)]
    Start(StartError),
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
            .name("procunit-spawn".to_owned())
            .spawn(move || serve(&requests))
            .map_err(|source| os("starting the thread that starts children", source))?;
        Ok(Self(to))
    }

    /// Starts a child, and answers when exec has succeeded.
    pub(super) async fn start_child(&self, image: Image) -> Result<Started, Refused> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Start { image: Box::new(image), spawner: self.clone(), reply };
        self.0.send(request).map_err(|_| Refused::NoThread)?;
        answer.await.map_err(|_| Refused::NoThread)?.map_err(Refused::Start)
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
        return tracing::error!(%errno, "the thread that starts children cannot block signals");
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

fn start(image: &Image, spawner: Spawner) -> Result<Started, StartError> {
    let at = SystemTime::now();
    let pid = child::start(image)?;
    Ok(Started { leader: Leader::new(pid, wait::own_max_resident(), spawner), at })
}
