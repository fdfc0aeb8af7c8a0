//! The way to the two threads that make the children (`maker`) and keep them (`keeper`).

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;

use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::follow::Sweep;
use super::keeper::Keeper;
use super::maker::{self, Born, Call, Order, Terms};
use super::tree::Tree;
use crate::id::InvocationId;
use crate::launcher::{Facts, LaunchError};
use crate::sys::child::{Image, StartError, Step};
use crate::sys::poll::Bell;
use crate::sys::processes::Listed;
use crate::sys::signals;

/// The way to the threads, which end when they were told to let go and nothing is left of what was started.
#[derive(Clone)]
pub(super) struct Spawner(Arc<Line>);

struct Line {
    calls: Sender<Call>,
    requests: Sender<Request>,
    bell: Arc<Bell>,
    /// Whether somebody tells the thread of each SIGCHLD.
    heeds_sigchld: AtomicBool,
    closed: AtomicBool,
}

/// What the thread is asked that keeps the children.
pub(super) enum Request {
    /// Keep a child.
    Born(Box<Born>),
    /// No more children are made.
    NoMore,
    /// Tell which processes there are, as of a moment after this.
    Look(oneshot::Sender<Result<Arc<[Listed]>, nix::errno::Errno>>),
    /// Look now at what this child left, if it is over: its tree is doomed, or its number is used no more.
    LookBehind(Pid),
    /// Nobody holds this child or ever will.
    Abandoned(Pid),
    /// A child for which there is no descriptor may be over.
    Sigchld,
    /// Kill what there is, and end when nothing is left of it.
    Close,
}

/// A child that has reached exec. Dropped before somebody takes it, it is killed.
pub(super) struct Started {
    tree: Option<Arc<Tree>>,
    /// Whether it is SIGCHLD that tells of its end.
    by_sigchld: bool,
}

/// Why there is no child.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The thread is gone, or going.
    #[error("the thread that starts children is gone")]
    NoThread,
    /// The kernel said no.
    #[error(transparent)]
    Start(StartError),
    /// Nothing would tell of its end.
    #[error("cannot watch for SIGCHLD")]
    Unwatched(#[source] io::Error),
}

impl Refused {
    /// Whether it was exec that came to nothing.
    pub(super) fn is_exec(&self) -> bool {
        matches!(self, Self::Start(StartError::GaveUp(Step::Exec, _)))
    }
}

impl Spawner {
    /// Starts the threads. `watched_max` bounds the children that are watched by a descriptor each.
    pub(super) fn start(watched_max: usize) -> Result<Self, LaunchError> {
        let os = |doing, source| LaunchError::Os { doing, source };
        if signals::keep_exit_statuses().map_err(|errno| os("looking at SIGCHLD", errno.into()))? {
            tracing::debug!(
                "this process ignored SIGCHLD, and with it every exit status; the default is back"
            );
        }
        let ((calls, called), (requests, requested)) = (mpsc::channel(), mpsc::channel());
        let keeper = Keeper::new((requested, calls.clone()), watched_max);
        let keeper = keeper.map_err(|errno| os("watching children", errno.into()))?;
        let (bell, no) = (keeper.bell(), || AtomicBool::new(false));
        let line = Line { calls, requests, bell, heeds_sigchld: no(), closed: no() };
        let spawner = Self(Arc::new(line));
        let (maker, kept) = (spawner.clone(), spawner.clone());
        thread("procunit-spawn", move || maker::run(&called, &maker))
            .and_then(|()| thread("procunit-keep", move || keeper.run(&kept)))
            .map_err(|source| {
                let _ = spawner.0.calls.send(Call::End);
                os("starting the threads that start children and see them end", source)
            })?;
        Ok(spawner)
    }

    /// Asks the thread that keeps the children. False where it is gone.
    pub(super) fn ask(&self, request: Request) -> bool {
        let there = self.0.requests.send(request).is_ok();
        self.0.bell.ring();
        there
    }

    /// Starts a child, and answers when exec has succeeded.
    pub(super) async fn start_child(
        &self,
        image: Image,
        (run, facts): (Option<InvocationId>, Facts),
        sweep: Sweep,
    ) -> Result<Arc<Tree>, Refused> {
        let (reply, answer) = oneshot::channel();
        let order = Order { image, terms: Terms { run, facts, sweep, reply } };
        self.0.calls.send(Call::Make(Box::new(order))).map_err(|_| Refused::NoThread)?;
        let mut started = answer.await.map_err(|_| Refused::NoThread)?.map_err(Refused::Start)?;
        if started.by_sigchld {
            self.heed_sigchld().map_err(Refused::Unwatched)?;
        }
        started.tree.take().ok_or(Refused::NoThread)
    }

    /// Has the thread told of each SIGCHLD from now on, and of those before at once.
    fn heed_sigchld(&self) -> io::Result<()> {
        if !self.0.heeds_sigchld.swap(true, Ordering::SeqCst) {
            let failed = |error| {
                self.0.heeds_sigchld.store(false, Ordering::SeqCst);
                error
            };
            let mut sigchld = signal(SignalKind::child()).map_err(failed)?;
            let line = Arc::downgrade(&self.0);
            tokio::spawn(async move {
                while sigchld.recv().await.is_some()
                    && let Some(line) = line.upgrade()
                    && Self(line).ask(Request::Sigchld)
                {}
            });
        }
        self.ask(Request::Sigchld);
        Ok(())
    }

    /// The processes there are. Many who ask at a time share a look: a thousand procs that end together cost a few
    /// looks, not a thousand.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub(super) fn look(&self) -> impl Future<Output = io::Result<Arc<[Listed]>>> + use<> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Look(reply));
        async { Ok(answer.await.map_err(io::Error::other)??) }
    }

    pub(super) fn look_behind(&self, child: Pid) {
        self.ask(Request::LookBehind(child));
    }

    /// Nothing is started any more, and what there is is killed.
    pub(super) fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.ask(Request::Close);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::SeqCst)
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

impl Started {
    pub(super) fn new(tree: Arc<Tree>, by_sigchld: bool) -> Self {
        Self { tree: Some(tree), by_sigchld }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(tree) = &self.tree {
            tree.doom();
            tree.spawner().ask(Request::Abandoned(tree.leader().pid()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;
    use crate::launcher::{Fact, RunKey};
    use crate::status::exit::Exit;
    use crate::status::machine::Event;
    use crate::sys::child::Stream;
    use crate::sys::strings::Strings;

    const BOUND: Duration = Duration::from_secs(30);

    fn shell(script: &str) -> Image {
        let mut argv = Strings::default();
        for arg in ["sh", "-c", script] {
            argv.push(&[arg]).unwrap();
        }
        Image {
            program: CString::new("/bin/sh").unwrap(),
            argv,
            env: Default::default(),
            cwd: None,
            umask: None,
            stdio: [Stream::Null, Stream::Null, Stream::Null],
            controls_terminal: false,
        }
    }

    struct Told(mpsc::UnboundedReceiver<Fact>, mpsc::UnboundedSender<Fact>);

    impl Told {
        fn new() -> Self {
            let (to, facts) = mpsc::unbounded_channel();
            Self(facts, to)
        }

        async fn start(&self, spawner: &Spawner, number: u64, script: &str) -> Arc<Tree> {
            let facts = Facts { key: RunKey(number), to: self.1.clone() };
            let sweep = Sweep { signal: crate::signal::Signal::TERM, backstop: BOUND };
            spawner.start_child(shell(script), (None, facts), sweep).await.unwrap()
        }

        async fn next(&mut self) -> (u64, Event) {
            let fact = timeout(BOUND, self.0.recv()).await.expect("a fact in time").unwrap();
            (fact.key.0, fact.event)
        }
    }

    /// Each way on its own, many at once: ends that come before the watch, and ends whose signals are merged.
    #[tokio::test]
    async fn both_ways_tell_every_end_and_that_nothing_is_left() {
        for watched_max in [usize::MAX, 0, 20] {
            let (spawner, mut told) = (Spawner::start(watched_max).unwrap(), Told::new());
            for code in 0..50 {
                told.start(&spawner, code, &format!("exit {code}")).await;
            }
            let (mut ended, mut gone) = (0, 0);
            while (ended, gone) < (50, 50) {
                match told.next().await {
                    (number, Event::Exited { exit, .. }) => {
                        assert_eq!(exit, Exit::Code(u8::try_from(number).unwrap()), "{watched_max}");
                        ended += 1;
                    }
                    (_, Event::TreeGone) => gone += 1,
                    (_, Event::Started { .. }) => {}
                    (number, other) => panic!("{number}: {other:?}"),
                }
            }
            spawner.close();
        }
    }

    /// A delivery may wait for as long as it likes to be polled.
    #[tokio::test]
    async fn nothing_is_said_to_be_left_once_the_number_of_the_leader_is_used_no_more_and_not_before() {
        let (spawner, mut told) = (Spawner::start(usize::MAX).unwrap(), Told::new());
        let tree = told.start(&spawner, 0, "exec sleep 1000").await;
        let numbers = [tree.hold_number().await, tree.hold_number().await];
        tree.leader().signal(crate::signal::Signal::KILL).unwrap();
        while !matches!(told.next().await, (0, Event::Exited { .. })) {}
        for number in numbers {
            let early = timeout(Duration::from_millis(50), told.0.recv()).await;
            assert!(early.is_err(), "{early:?}");
            assert!(!tree.leader().is_reaped());
            drop(number);
        }
        assert!(matches!(told.next().await, (0, Event::TreeGone)));
        spawner.close();
    }

    #[tokio::test]
    async fn closing_it_ends_what_there_is_without_a_runtimes_help() {
        for watched_max in [usize::MAX, 0] {
            let (spawner, mut told) = (Spawner::start(watched_max).unwrap(), Told::new());
            let tree = told.start(&spawner, 0, "set -m; sleep 1000 & exec sleep 1000").await;
            spawner.close();
            while !matches!(told.next().await, (0, Event::TreeGone)) {}
            assert!(tree.leader().is_reaped());
            let late = spawner.start_child(
                shell("exit"),
                (None, Facts { key: RunKey(1), to: told.1.clone() }),
                Sweep { signal: crate::signal::Signal::TERM, backstop: BOUND },
            );
            assert!(matches!(timeout(BOUND, late).await.expect("an answer"), Err(Refused::NoThread)));
        }
    }
}
