//! Plays acts, keeps who was promised an answer, and holds every answer against the truth.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use procunit::id::ProcId;
use procunit::launcher::fake::{FakeLauncher, FakeProc, Script};
use procunit::launcher::{AdoptError, Target};
use procunit::manager::{Concurrency, ExitMonitor, TerminateError};
use procunit::spec::{Lifetime, ProcSpec};
use procunit::status::exit::Exit;
use procunit::{ProcHandle, ProcManager, ProcStatus};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use crate::act::{Act, Caller, IDS};
use crate::check::{assert_possible, check_run};
use crate::truth::Truth;

/// Longer than every deadline there is.
const BOUND: Duration = Duration::from_secs(3600);
/// Callbacks run on threads, which the paused clock knows nothing of.
const REAL_BOUND: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    fake: FakeLauncher,
    manager: ProcManager,
    /// From which record on nobody sees anything.
    blind_since: Option<usize>,
    blind: Vec<std::ops::Range<usize>>,
    handles: List<ProcHandle>,
    /// Ends that somebody was told.
    told: List<(ProcId, ProcStatus)>,
    monitors: Vec<Monitor>,
    waiting: JoinSet<()>,
}

/// What several tasks and threads add to.
struct List<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> List<T> {
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().expect("nobody panics with it")
    }

    fn push(&self, item: T) {
        self.lock().push(item);
    }
}

/// A callback: what it was called with, and how often it has to be.
struct Monitor {
    id: ProcId,
    calls: List<ProcStatus>,
    expected: usize,
}

fn id(number: usize) -> ProcId {
    ProcId::new(IDS[number]).expect("an id")
}

impl Stage {
    pub(crate) fn new(units: bool) -> Self {
        let fake = if units { FakeLauncher::new() } else { FakeLauncher::without_units() };
        Self {
            manager: ProcManager::new(fake.clone()),
            fake,
            blind_since: None,
            blind: Vec::new(),
            handles: List::default(),
            told: List::default(),
            monitors: Vec::new(),
            waiting: JoinSet::new(),
        }
    }

    pub(crate) async fn play(&mut self, act: &Act) {
        self.happen(act);
        self.call(act);
        match act {
            Act::Spawn { id: number, lifetime, caller, .. } => self.spawn(*number, *lifetime, *caller).await,
            Act::RequestStop(number, grace) => {
                // Whether there was anything to stop is no matter.
                let _ = self.manager.request_stop(&id(*number), Some(*grace), "random").await;
            }
            Act::Monitor { id: number, cancel } => self.monitor(*number, *cancel).await,
            Act::Reap(number) => self.reap(*number).await,
            Act::Pass(span) => sleep(*span).await,
            _ => {}
        }
        yield_now().await;
    }

    /// What procs do, and the way to them.
    fn happen(&mut self, act: &Act) {
        match act {
            Act::Spawn { id: number, script, caller, .. } => {
                let script = script.as_ref().clone();
                // What its caller never asks for again leaves nothing here: see `reap`.
                let script = if *caller == Caller::GoesAway { script.leaves(0) } else { script };
                self.fake.script_for(&id(*number), script);
            }
            Act::Place(number) if self.fake.proc(&id(*number)).is_none() => {
                self.fake.place(&id(*number), Lifetime::Detached);
            }
            Act::End(number, exit) => self.proc(*number, |proc| proc.end(*exit)),
            Act::LeftoversEnd(number) => self.proc(*number, FakeProc::leftovers_end),
            Act::Vanish(number) => self.proc(*number, FakeProc::vanish),
            Act::Ready(number) => self.proc(*number, |proc| proc.ready(Some("here"))),
            Act::Answer(number) => self.proc(*number, FakeProc::answer),
            Act::Disconnect => self.disconnect(),
            Act::Reconnect => self.reconnect(),
            _ => {}
        }
    }

    /// What is asked of the manager, by somebody who waits for the answer.
    fn call(&mut self, act: &Act) {
        let manager = self.manager.clone();
        match *act {
            Act::Adopt(number) => self.adopt(number),
            Act::Terminate(number, grace) => {
                self.end(number, async move { manager.terminate(&id(number), Some(grace), "random").await });
            }
            Act::Kill(number) => self.end(number, async move { manager.kill(&id(number)).await }),
            Act::TerminateAll(grace) => drop(self.waiting.spawn(async move {
                manager.terminate_all(Some(grace), Concurrency::All, "random").await;
            })),
            Act::Signal(number, signal) => self.with(number, move |handle| async move {
                drop(handle.signal(signal, Target::Tree).await);
            }),
            Act::Wait(number) => self.wait(number),
            Act::Gone(number) => self.end(number, async move {
                match manager.get(&id(number)).await {
                    Some(handle) => handle.gone().await,
                    None => Err(TerminateError::NotHeld { id: id(number) }),
                }
            }),
            Act::Report(number) => self.with(number, |handle| async move { drop(handle.report().await) }),
            _ => {}
        }
    }

    /// A reap is for what is over, leftovers included: what it does about those that stay is not played here.
    async fn reap(&mut self, number: usize) {
        self.reconnect();
        // More than it can have held back.
        (0..20).for_each(|_| self.proc(number, FakeProc::answer));
        sleep(Duration::from_millis(1)).await;
        self.proc(number, FakeProc::leftovers_end);
        drop(timeout(BOUND, self.manager.reap(&id(number))).await.expect("a reap was left hanging"));
    }

    fn proc(&self, number: usize, act: impl FnOnce(&FakeProc)) {
        if let Some(proc) = self.fake.proc(&id(number)) {
            act(&proc);
        }
    }

    async fn spawn(&mut self, number: usize, lifetime: Lifetime, caller: Caller) {
        let spec = ProcSpec::builder(id(number), "random").lifetime(lifetime).build().expect("a spec");
        let (manager, handles) = (self.manager.clone(), self.handles.clone());
        let spawning = self.waiting.spawn(async move {
            match manager.spawn(spec).await {
                Ok(handle) if caller == Caller::Stays => handles.push(handle),
                Ok(_) | Err(_) => {}
            }
        });
        if caller == Caller::GoesAway {
            yield_now().await;
            spawning.abort();
        }
    }

    fn adopt(&mut self, number: usize) {
        let (manager, id, handles) = (self.manager.clone(), id(number), self.handles.clone());
        self.waiting.spawn(async move {
            if let Ok(handle) = manager.adopt(&id).await {
                handles.push(handle);
            }
        });
    }

    /// Somebody waits for the answer to a wish to end it.
    fn end(
        &mut self,
        number: usize,
        ended: impl Future<Output = Result<ProcStatus, TerminateError>> + Send + 'static,
    ) {
        let (id, told) = (id(number), self.told.clone());
        self.waiting.spawn(async move {
            match ended.await {
                Ok(status) | Err(TerminateError::AlreadyTerminated(status)) => {
                    told.push((id, status));
                }
                Err(
                    TerminateError::TimedOut { .. }
                    | TerminateError::Launcher { .. }
                    | TerminateError::NotHeld { .. },
                ) => {}
                Err(error) => panic!("{id}: {error}"),
            }
        });
    }

    fn wait(&mut self, number: usize) {
        let (id, told) = (id(number), self.told.clone());
        self.with(number, |handle| async move {
            let status = handle.wait().await.expect("the manager is there");
            told.push((id, status));
        });
    }

    /// Does something with the proc of this id, if there is one.
    fn with<F>(&mut self, number: usize, act: impl FnOnce(ProcHandle) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let (manager, id) = (self.manager.clone(), id(number));
        self.waiting.spawn(async move {
            if let Some(handle) = manager.get(&id).await {
                act(handle).await;
            }
        });
    }

    async fn monitor(&mut self, number: usize, cancel: bool) {
        let (id, calls) = (id(number), List::default());
        let heard = calls.clone();
        let monitor = self.manager.on_exit(&id, move |status| heard.push(status)).await;
        let cancelled = cancel && monitor.as_ref().is_ok();
        let expected = match monitor {
            Ok(monitor) if cancelled => usize::from(!ExitMonitor::cancel(monitor)),
            Ok(_) => 1,
            Err(_) => 0,
        };
        self.monitors.push(Monitor { id, calls, expected });
    }

    fn disconnect(&mut self) {
        self.fake.disconnect();
        self.blind_since.get_or_insert(self.fake.records().len());
    }

    fn reconnect(&mut self) {
        if let Some(since) = self.blind_since.take() {
            self.blind.push(since..self.fake.records().len());
        }
        self.fake.reconnect();
    }

    /// Ends what is still there, and then everything must have come to its end.
    pub(crate) async fn close(mut self) {
        self.reconnect();
        for _ in 0..200 {
            self.end_all().await;
        }
        let waiting = async {
            while let Some(done) = self.waiting.join_next().await {
                assert!(done.as_ref().err().is_none_or(tokio::task::JoinError::is_cancelled), "{done:?}");
            }
        };
        timeout(BOUND, waiting).await.expect("a waiter was left hanging");
        sleep(BOUND).await;
        let truth = Truth::new(self.fake.records(), self.blind.clone());
        let handles = std::mem::take(&mut *self.handles.lock());
        for handle in &handles {
            check_run(&truth, handle).await;
        }
        for (id, status) in self.told.lock().iter() {
            assert_possible(&truth, id, status);
        }
        self.check_monitors(&truth);
        self.check_ids_are_free().await;
    }

    async fn end_all(&mut self) {
        for number in 0..IDS.len() {
            self.fake.script_for(&id(number), Script::new());
            self.proc(number, |proc| {
                proc.script(Script::new());
                proc.answer();
                proc.end(Exit::Code(0));
                proc.leftovers_end();
            });
        }
        sleep(Duration::from_secs(1)).await;
    }

    fn check_monitors(&self, truth: &Truth) {
        let begun = std::time::Instant::now();
        for monitor in &self.monitors {
            while monitor.calls.lock().len() < monitor.expected {
                assert!(begun.elapsed() < REAL_BOUND, "{}: a callback was not called", monitor.id);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        for monitor in &self.monitors {
            let calls = monitor.calls.lock();
            assert_eq!(calls.len(), monitor.expected, "{}: calls of one monitor", monitor.id);
            calls.iter().for_each(|status| assert_possible(truth, &monitor.id, status));
        }
    }

    async fn check_ids_are_free(&self) {
        for number in 0..IDS.len() {
            let id = id(number);
            // One that somebody else started, and that nobody took hold of yet.
            match self.manager.adopt(&id).await {
                Ok(_) | Err(AdoptError::AlreadyHeld { .. } | AdoptError::NotFound { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            let _ = timeout(BOUND, self.manager.reap(&id)).await.expect("a reap was left hanging");
            let spec = ProcSpec::builder(id.clone(), "again").build().expect("a spec");
            let again = timeout(BOUND, self.manager.spawn(spec)).await.expect("a launch was left hanging");
            again.unwrap_or_else(|error| panic!("{id} is not free: {error}"));
        }
    }
}
