//! As many launches are under way as help the launcher; who asks for more waits in order and may leave.

#![cfg(all(feature = "test-util", feature = "systemd"))]

use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use procunit::id::ProcId;
use procunit::launcher::fake::{FakeLauncher, Reaction, Script};
use procunit::launcher::{
    AdoptError, Adopted, BoxFuture, Facts, LaunchError, Launched, ProcLauncher, Sighting, Streams,
    SurveyError,
};
use procunit::spec::RestartPolicy;
use procunit::status::StatusKind;
use procunit::status::exit::Exit;
use procunit::{ProcHandle, ProcManager, ProcSpec};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// On the paused clock no wait takes any time; one that lasts this long never ends.
const BOUND: Duration = Duration::from_secs(3600);
/// How long a launch takes that nothing else is said of.
const ANSWER: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 4;

async fn within<T>(label: &str, future: impl Future<Output = T>) -> T {
    timeout(BOUND, future).await.unwrap_or_else(|_| panic!("{label}: not within {BOUND:?}"))
}

fn id(index: usize) -> ProcId {
    ProcId::new(format!("web:{index}")).expect("an id")
}

fn spec(index: usize) -> ProcSpec {
    ProcSpec::builder(id(index), "web").build().expect("a spec")
}

/// The fake, which takes its time and is helped by four at once.
#[derive(Clone)]
struct Paced {
    fake: FakeLauncher,
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    /// In the order in which they came.
    asked: Vec<ProcId>,
    under_way: usize,
    most: usize,
    /// Those that take another time than [`ANSWER`].
    slow: HashMap<ProcId, Duration>,
}

impl Paced {
    fn new(fake: FakeLauncher) -> Self {
        Self { fake, log: Arc::default() }
    }

    fn log<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.log.lock().expect("no panic holds it"))
    }

    fn asked(&self) -> Vec<ProcId> {
        self.log(|log| log.asked.clone())
    }
}

impl ProcLauncher for Paced {
    fn name(&self) -> &'static str {
        "paced"
    }

    fn launches_at_once(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(AT_ONCE)
    }

    fn launch(
        &self,
        spec: ProcSpec,
        streams: Streams,
        facts: Facts,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        Box::pin(async move {
            let takes = self.log(|log| {
                log.asked.push(spec.id().clone());
                log.under_way += 1;
                log.most = log.most.max(log.under_way);
                log.slow.get(spec.id()).copied().unwrap_or(ANSWER)
            });
            sleep(takes).await;
            self.log(|log| log.under_way -= 1);
            self.fake.launch(spec, streams, facts).await
        })
    }

    fn adopt(&self, id: ProcId, facts: Facts) -> BoxFuture<'_, Result<Adopted, AdoptError>> {
        self.fake.adopt(id, facts)
    }

    fn survey(&self) -> BoxFuture<'_, Result<Vec<Sighting>, SurveyError>> {
        self.fake.survey()
    }
}

/// Spawns in a task, which has begun to wait when this returns.
async fn spawning(manager: &ProcManager, index: usize) -> JoinHandle<Result<(), LaunchError>> {
    let manager = manager.clone();
    let spawning = tokio::spawn(async move { manager.spawn(spec(index)).await.map(drop) });
    tokio::task::yield_now().await;
    spawning
}

#[tokio::test(start_paused = true)]
async fn five_thousand_at_once_are_served_in_order_and_no_more_are_under_way_than_help() {
    let paced = Paced::new(FakeLauncher::new());
    let manager = ProcManager::new(paced.clone());
    let began = Instant::now();
    let launched = within("all of them", join_all((0..5_000).map(|index| manager.spawn(spec(index))))).await;
    assert!(launched.iter().all(Result::is_ok));
    assert_eq!(paced.asked(), (0..5_000).map(id).collect::<Vec<_>>());
    assert_eq!(paced.log(|log| log.most), AT_ONCE);
    let rounds = u32::try_from(5_000 / AT_ONCE).expect("a few thousand");
    assert!(began.elapsed() < ANSWER * (rounds + 1), "a turn was left unused: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_row_is_never_launched_and_keeps_nobody_waiting() {
    let paced = Paced::new(FakeLauncher::new());
    let manager = ProcManager::new(paced.clone());
    let mut row = Vec::new();
    for index in 0..AT_ONCE * 3 {
        row.push(spawning(&manager, index).await);
    }
    for leaving in &row[AT_ONCE..AT_ONCE * 2] {
        leaving.abort();
    }
    for (index, spawned) in row.into_iter().enumerate() {
        let spawned = within("its answer", spawned).await;
        let left = (AT_ONCE..AT_ONCE * 2).contains(&index);
        assert_eq!(spawned.is_err_and(|error| error.is_cancelled()), left, "{index}");
    }
    let served = (0..AT_ONCE).chain(AT_ONCE * 2..AT_ONCE * 3);
    assert_eq!(paced.asked(), served.map(id).collect::<Vec<_>>());
    assert!(manager.get(&id(AT_ONCE)).await.is_none(), "nothing is known of it");
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_long_gives_its_turn_on_and_is_answered_all_the_same() {
    let paced = Paced::new(FakeLauncher::new());
    let slow = Duration::from_secs(60);
    paced.log(|log| log.slow.extend((0..AT_ONCE).map(|index| (id(index), slow))));
    let manager = ProcManager::new(paced.clone());
    let mut row = Vec::new();
    for index in 0..=AT_ONCE {
        row.push(spawning(&manager, index).await);
    }
    let began = Instant::now();
    let quick = row.pop().expect("the last");
    within("the quick one", quick).await.expect("no panic").expect("launched");
    assert_eq!(began.elapsed(), Duration::from_secs(5) + ANSWER);
    for slow in row {
        within("a slow one", slow).await.expect("no panic").expect("launched");
    }
    assert_eq!(began.elapsed(), slow);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_refuses_who_waits_and_ends_what_is_under_way() {
    let paced = Paced::new(FakeLauncher::new());
    let manager = ProcManager::new(paced.clone());
    let mut row = Vec::new();
    for index in 0..=AT_ONCE {
        row.push(spawning(&manager, index).await);
    }
    let summary = within("the shutdown", manager.shutdown()).await;
    assert_eq!((summary.attempted, summary.ok), (AT_ONCE, AT_ONCE), "{summary:?}");
    let waited = within("its answer", row.pop().expect("the last")).await.expect("no panic");
    assert!(matches!(waited, Err(LaunchError::Closed)), "{waited:?}");
    assert_eq!(paced.asked().len(), AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn the_next_runs_of_many_that_end_together_wait_their_turn() {
    let fake = FakeLauncher::without_units();
    fake.script(Script::new().ends(Duration::from_secs(100), Exit::Code(1)));
    let paced = Paced::new(fake);
    let manager = ProcManager::new(paced.clone());
    let restarted = |index| {
        let policy = RestartPolicy::on_failure().max(1);
        ProcSpec::builder(id(index), "web").restart(policy).build().expect("a spec")
    };
    let handles = within("all of them", join_all((0..40).map(|index| manager.spawn(restarted(index))))).await;
    for handle in handles {
        within("its end", handle.expect("launched").wait()).await.expect("an end");
    }
    assert_eq!(paced.asked().len(), 80);
    assert_eq!(paced.log(|log| log.most), AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_is_told_a_number_keeps_to_it() {
    let paced = Paced::new(FakeLauncher::new());
    let two = NonZeroUsize::new(2).expect("not zero");
    let manager = ProcManager::builder(paced.clone()).launches_at_once(two).build();
    within("all of them", join_all((0..5_000).map(|index| manager.spawn(spec(index))))).await;
    assert_eq!(paced.log(|log| log.most), 2);
}

/// A manager whose `web:0` is over after a while and to be launched again, behind a row that takes minutes.
async fn due_behind_a_row(fake: &FakeLauncher) -> (Paced, ProcManager, ProcHandle) {
    fake.script_for(&id(0), Script::new().ends(Duration::from_secs(10), Exit::Code(1)));
    let paced = Paced::new(fake.clone());
    paced.log(|log| log.slow.extend((1..=100).map(|index| (id(index), Duration::from_secs(60)))));
    let manager = ProcManager::new(paced.clone());
    let policy = RestartPolicy::on_failure();
    let spec = ProcSpec::builder(id(0), "web").restart(policy).build().expect("a spec");
    let handle = within("the first run", manager.spawn(spec)).await.expect("launched");
    for index in 1..=100 {
        spawning(&manager, index).await;
    }
    sleep(Duration::from_secs(15)).await;
    assert_eq!(handle.status().kind(), StatusKind::Starting, "its next run is due");
    (paced, manager, handle)
}

fn launches_of_the_first(paced: &Paced) -> usize {
    paced.asked().iter().filter(|asked| **asked == id(0)).count()
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_one_whose_next_run_waits_its_turn_ends_it_at_once_and_it_is_never_started() {
    let (paced, _manager, handle) = due_behind_a_row(&FakeLauncher::without_units()).await;
    let began = Instant::now();
    let ended = within("the stop", handle.terminate(None, "a test")).await.expect("ended");
    assert_eq!((ended.to_string().as_str(), began.elapsed()), ("Stopped(exit=1)", Duration::ZERO));
    sleep(BOUND).await;
    assert_eq!(launches_of_the_first(&paced), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_starts_no_run_that_waits_its_turn() {
    let (paced, manager, handle) = due_behind_a_row(&FakeLauncher::without_units()).await;
    within("the shutdown", manager.shutdown()).await;
    assert_eq!(handle.status().to_string(), "Stopped(exit=1)");
    assert_eq!(launches_of_the_first(&paced), 1);
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_is_dropped_starts_no_run_that_waits_its_turn() {
    let fake = FakeLauncher::without_units();
    fake.script(Script::new().ends(Duration::from_secs(100), Exit::Code(1)));
    let paced = Paced::new(fake);
    let manager = ProcManager::new(paced.clone());
    let restarted = |index| {
        let spec = ProcSpec::builder(id(index), "web").restart(RestartPolicy::on_failure());
        manager.spawn(spec.build().expect("a spec"))
    };
    let launched = within("all of them", join_all((0..40).map(restarted))).await;
    assert!(launched.iter().all(Result::is_ok));
    while paced.asked().len() == 40 {
        sleep(ANSWER / 10).await;
    }
    drop((launched, manager));
    sleep(BOUND).await;
    assert_eq!(paced.asked().len(), 40 + AT_ONCE, "those that were under way");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_id_to_be_free_spends_no_turn_on_it() {
    let fake = FakeLauncher::new();
    fake.script(Script::new().leaves(2).on_stop(Reaction::ignore()).on_signal(Reaction::ignore()));
    let paced = Paced::new(fake.clone());
    let manager = ProcManager::new(paced);
    for index in 0..AT_ONCE {
        let handle = within("a launch", manager.spawn(spec(index))).await.expect("launched");
        fake.proc(&id(index)).expect("there").exit(0);
        within("its end", handle.wait()).await.expect("an end");
    }
    let mut row = Vec::new();
    for index in 0..AT_ONCE {
        row.push(spawning(&manager, index).await);
    }
    let began = Instant::now();
    within("another one", manager.spawn(spec(99))).await.expect("launched");
    assert_eq!(began.elapsed(), ANSWER);
    assert!(row.iter().all(|waits| !waits.is_finished()), "what they left is still there");
    for waits in row {
        within("its id", waits).await.expect("no panic").expect("launched");
    }
}
