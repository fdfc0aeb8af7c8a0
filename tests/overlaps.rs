//! Wishes that overlap with what is under way: none of them is forgotten, and none is told too early.

#![cfg(feature = "test-util")]

use std::future::Future;
use std::sync::mpsc::channel;
use std::time::Duration;

use procunit::id::ProcId;
use procunit::launcher::fake::{FakeLauncher, Reaction, Script, When};
use procunit::launcher::{
    AdoptError, Adopted, BoxFuture, Facts, LaunchError, Launched, ProcLauncher, Sighting, Streams,
    SurveyError,
};
use procunit::spec::defaults::STOP_TIMEOUT;
use procunit::spec::{Lifetime, RestartPolicy};
use procunit::status::machine::Event;
use procunit::status::{Found, StatusKind};
use procunit::{ProcManager, ProcSpec};
use tokio::time::{sleep, timeout};

/// On the paused clock no wait takes any time; one that lasts this long never ends.
const BOUND: Duration = Duration::from_secs(3600);

async fn within<T>(label: &str, future: impl Future<Output = T>) -> T {
    timeout(BOUND, future).await.unwrap_or_else(|_| panic!("{label}: not within {BOUND:?}"))
}

fn web() -> ProcId {
    ProcId::new("web").expect("an id")
}

fn spec() -> ProcSpec {
    ProcSpec::builder(web(), "web").build().expect("a spec")
}

fn detached() -> ProcSpec {
    ProcSpec::builder(web(), "web").lifetime(Lifetime::Detached).build().expect("a spec")
}

/// The fake, but for adoptions and launches: those take a second longer to be answered.
struct Slow(FakeLauncher);

const ANSWER: Duration = Duration::from_secs(1);

impl ProcLauncher for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn launch(
        &self,
        spec: ProcSpec,
        streams: Streams,
        facts: Facts,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        Box::pin(async {
            let launched = self.0.launch(spec, streams, facts).await;
            sleep(ANSWER).await;
            launched
        })
    }

    fn adopt(&self, id: ProcId, facts: Facts) -> BoxFuture<'_, Result<Adopted, AdoptError>> {
        Box::pin(async {
            let adopted = self.0.adopt(id, facts).await;
            sleep(ANSWER).await;
            adopted
        })
    }

    fn survey(&self) -> BoxFuture<'_, Result<Vec<Sighting>, SurveyError>> {
        self.0.survey()
    }
}

#[tokio::test(start_paused = true)]
async fn a_wish_that_comes_during_an_adoption_is_carried_out() {
    let fake = FakeLauncher::new();
    fake.place(&web(), Lifetime::Detached);
    let manager = ProcManager::new(Slow(fake));
    let adopter = manager.clone();
    let adopting = tokio::spawn(async move { adopter.adopt(&web()).await });
    sleep(ANSWER / 2).await;
    let ended = within("its end", manager.terminate(&web(), None, "a test")).await.expect("ended");
    assert_eq!(ended.kind(), StatusKind::Killed);
    within("the adoption", adopting).await.expect("no panic").expect("adopted");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_during_an_adoption_ends_what_is_adopted() {
    let fake = FakeLauncher::new();
    let proc = fake.place(&web(), Lifetime::Detached);
    let manager = ProcManager::new(Slow(fake));
    let adopter = manager.clone();
    let adopting = tokio::spawn(async move { adopter.adopt(&web()).await });
    sleep(ANSWER / 2).await;
    within("the shutdown", manager.shutdown()).await;
    assert!(proc.is_over());
    within("the adoption", adopting).await.expect("no panic").expect("adopted");
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_waits_behind_one_that_fails_is_answered() {
    let fake = FakeLauncher::new();
    fake.script(Script::new().refuses(|id| LaunchError::NameHeld { id }).answers(When::After(ANSWER)));
    let manager = ProcManager::new(fake.clone());
    let first = manager.clone();
    let first = tokio::spawn(async move { first.spawn(spec()).await });
    sleep(ANSWER / 2).await;
    // What a unit whose setup fails shows before its launch is answered.
    fake.proc(&web()).expect("launching").tell(Event::Lost(Found::NoUnit));
    sleep(ANSWER / 4).await;
    fake.script(Script::new());
    within("the second launch", manager.spawn(spec())).await.expect("launched");
    within("the first", first).await.expect("no panic").expect_err("refused");
}

#[tokio::test(start_paused = true)]
async fn a_monitor_set_while_leftovers_are_swept_is_told_when_they_are_gone() {
    // Callbacks run on threads of their own, which the paused clock does not wait for; these are real.
    const SOON: Duration = Duration::from_millis(100);
    const REAL_BOUND: Duration = Duration::from_secs(30);
    let fake = FakeLauncher::new();
    fake.script(Script::new().leaves(2).on_signal(Reaction::ignore()));
    let manager = ProcManager::new(fake.clone());
    let handle = within("a launch", manager.spawn(detached())).await.expect("launched");
    let (tell, told) = channel();
    let monitor = async || {
        let tell = tell.clone();
        manager.on_exit(&web(), move |end| drop(tell.send(end))).await
    };
    within("a monitor", monitor()).await.expect("it is held");
    fake.proc(&web()).expect("there").exit(0);
    within("its end", handle.wait()).await.expect("over");
    sleep(STOP_TIMEOUT / 2).await;
    within("a monitor", monitor()).await.expect("it is held");
    sleep(STOP_TIMEOUT / 4).await;
    assert!(told.recv_timeout(SOON).is_err(), "told while leftovers are there");
    within("nothing left", handle.gone()).await.expect("SIGKILL ends them");
    sleep(BOUND).await;
    for _ in 0..2 {
        assert_eq!(told.recv_timeout(REAL_BOUND).expect("told").kind(), StatusKind::Stopped);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_what_an_ended_proc_left() {
    let fake = FakeLauncher::new();
    fake.script(Script::new().leaves(2).on_signal(Reaction::ignore()));
    let manager = ProcManager::new(fake.clone());
    let handle = within("a launch", manager.spawn(detached())).await.expect("launched");
    fake.proc(&web()).expect("there").exit(0);
    within("its end", handle.wait()).await.expect("over");
    within("the shutdown", manager.shutdown()).await;
    let left = fake.survey().await.expect("a survey");
    let left: Vec<_> = left.iter().flat_map(|seen| seen.processes.clone().unwrap_or_default()).collect();
    assert_eq!(left, [0_u32; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_dropped_manager_was_launching_is_ended() {
    let fake = FakeLauncher::new();
    let manager = ProcManager::new(Slow(fake.clone()));
    assert!(timeout(ANSWER / 2, manager.spawn(detached())).await.is_err());
    drop(manager);
    sleep(BOUND).await;
    let alive = fake.survey().await.expect("a survey").len();
    assert_eq!(alive, 0, "nobody knows of it");
}

#[tokio::test(start_paused = true)]
async fn a_change_between_the_call_and_the_wait_is_told() {
    let fake = FakeLauncher::new();
    let manager = ProcManager::new(fake.clone());
    let handle = within("a launch", manager.spawn(spec())).await.expect("launched");
    let change = handle.changed();
    fake.proc(&web()).expect("there").exit(3);
    within("its end", handle.wait()).await.expect("over");
    assert_eq!(within("the change", change).await.expect("one").kind(), StatusKind::Stopped);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_a_run_that_is_over_finds_nobody_between_two_runs() {
    let fake = FakeLauncher::without_units();
    let manager = ProcManager::new(fake.clone());
    let again = RestartPolicy::always().delay(BOUND / 2);
    let spec = ProcSpec::builder(web(), "web").restart(again).build().expect("a spec");
    let handle = within("a launch", manager.spawn(spec)).await.expect("launched");
    let first = handle.pid().expect("a pid");
    assert!(manager.get_by_pid(first).await.is_some());
    fake.proc(&web()).expect("there").exit(1);
    assert_eq!(within("its end", handle.changed()).await.expect("one").kind(), StatusKind::Starting);
    assert!(manager.get_by_pid(first).await.is_none(), "its number may be another's");
    assert_eq!(within("the next", handle.changed()).await.expect("one").kind(), StatusKind::Running);
    let second = handle.pid().expect("a pid");
    assert!(manager.get_by_pid(second).await.is_some());
    assert!(manager.get_by_pid(first).await.is_none());
}
