//! Ending everything at once, through the manager: the stops go to the launcher together, and each proc has its own end.
//!
//! On tokio's paused clock. What systemd makes of it is in `slices`, on real processes.

#![cfg(feature = "test-util")]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use procunit::id::ProcId;
use procunit::launcher::fake::{FakeLauncher, Reaction, Script, What, When};
use procunit::launcher::{
    AdoptError, Adopted, BoxFuture, DeliverError, Facts, LaunchError, Launched, ProcLauncher, Sighting, Stop,
    Streams, SurveyError,
};
use procunit::manager::{Concurrency, TerminateSummary};
use procunit::status::StatusKind;
use procunit::{ProcHandle, ProcManager, ProcSpec};
use tokio::time::{Instant, sleep, timeout};

const GRACE: Duration = Duration::from_secs(10);
/// On the paused clock no wait takes any time; one that lasts this long never ends.
const BOUND: Duration = Duration::from_secs(3600);

async fn within<T>(label: &str, future: impl Future<Output = T>) -> T {
    timeout(BOUND, future).await.unwrap_or_else(|_| panic!("{label}: not within {BOUND:?}"))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The fake, which notes how many stops it is given at once, and forgets some of those.
#[derive(Clone)]
struct Bulk {
    fake: FakeLauncher,
    given: Arc<Mutex<Vec<usize>>>,
    /// How many times it forgets all that it is given.
    forgets: Arc<Mutex<usize>>,
}

impl Bulk {
    fn new() -> Self {
        Self { fake: FakeLauncher::new(), given: Arc::default(), forgets: Arc::default() }
    }

    fn given(&self) -> Vec<usize> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn launch(&self, manager: &ProcManager, id: &str, script: Script) -> ProcHandle {
        let id: ProcId = id.parse().expect("an id");
        self.fake.script_for(&id, script);
        let spec = ProcSpec::builder(id, "program").build().expect("a spec");
        within("a launch", manager.spawn(spec)).await.expect("launched")
    }

    /// How often each was asked to stop.
    fn stops(&self) -> BTreeMap<String, usize> {
        let records = self.fake.records();
        records.iter().filter(|record| record.what == What::Stop).fold(
            BTreeMap::new(),
            |mut stops, record| {
                *stops.entry(record.id.to_string()).or_default() += 1;
                stops
            },
        )
    }
}

impl ProcLauncher for Bulk {
    fn name(&self) -> &'static str {
        "bulk"
    }

    fn launch(
        &self,
        spec: ProcSpec,
        streams: Streams,
        facts: Facts,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        self.fake.launch(spec, streams, facts)
    }

    fn adopt(&self, id: ProcId, facts: Facts) -> BoxFuture<'_, Result<Adopted, AdoptError>> {
        self.fake.adopt(id, facts)
    }

    fn survey(&self) -> BoxFuture<'_, Result<Vec<Sighting>, SurveyError>> {
        self.fake.survey()
    }

    fn stop_many(&self, stops: Vec<Stop>) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.given.lock().unwrap_or_else(PoisonError::into_inner).push(stops.len());
            {
                let mut forgets = self.forgets.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(left) = forgets.checked_sub(1) {
                    *forgets = left;
                    return;
                }
            }
            Stop::deliver_each(stops).await;
        })
    }
}

async fn end_all(manager: &ProcManager) -> TerminateSummary {
    within("the end of all", manager.terminate_all(Some(GRACE), Concurrency::All, "a test")).await
}

fn counts(summary: &TerminateSummary) -> (usize, usize, usize) {
    (summary.attempted, summary.ok, summary.failed.len())
}

#[tokio::test(start_paused = true)]
async fn the_launcher_is_given_all_stops_together_and_each_proc_has_its_own_end() {
    let bulk = Bulk::new();
    let manager = ProcManager::new(bulk.clone());
    let over = bulk.launch(&manager, "over", Script::new()).await;
    bulk.fake.proc(over.id()).expect("there").exit(7);
    within("its end", over.wait()).await.expect("over");
    let asked = bulk.launch(&manager, "asked", Script::new().on_stop(Reaction::exit(4).after(secs(3)))).await;
    asked.request_stop(Some(secs(5)), "another").expect("asked");
    sleep(secs(1)).await;
    let obeys = bulk.launch(&manager, "obeys", Script::new()).await;
    let exits = bulk.launch(&manager, "exits", Script::new().on_stop(Reaction::exit(3).after(secs(1)))).await;
    let deaf = bulk.launch(&manager, "deaf", Script::new().on_stop(Reaction::ignore())).await;

    let begun = Instant::now();
    let summary = end_all(&manager).await;
    assert_eq!((counts(&summary), begun.elapsed()), ((4, 4, 0), GRACE), "{summary:?}");
    assert_eq!(bulk.given(), [3], "what was asked before is not asked again");
    let ends = [&over, &asked, &obeys, &exits, &deaf].map(|handle| handle.status().to_string());
    assert_eq!(
        ends,
        ["Stopped(exit=7)", "Stopped(exit=4)", "Killed(sig=15)", "Stopped(exit=3)", "Killed(sig=9)"]
    );
    assert!(bulk.stops().values().all(|count| *count == 1), "{:?}", bulk.stops());
    let report = within("a report", exits.report()).await.expect("a record");
    assert!(format!("{:?}", report.ended_by).contains("a test"), "{:?}", report.ended_by);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_not_delivered_goes_out_again_alone() {
    let bulk = Bulk::new();
    let manager = ProcManager::new(bulk.clone());
    let unreachable = || DeliverError::Failed("no way".into());
    let second_time = Script::new().on_stop(Reaction::fail(unreachable).then(Reaction::exit(0)));
    let late = bulk.launch(&manager, "late", second_time).await;
    for number in 0..4 {
        bulk.launch(&manager, &format!("web-{number}"), Script::new()).await;
    }
    assert_eq!(counts(&end_all(&manager).await), (5, 5, 0));
    assert_eq!(late.status().to_string(), "Stopped(exit=0)");
    assert_eq!(bulk.given(), [5]);
    let twice = bulk.stops().into_iter().filter(|(_, count)| *count == 2).map(|(id, _)| id);
    assert_eq!(twice.collect::<Vec<_>>(), ["late"]);
}

#[tokio::test(start_paused = true)]
async fn stops_that_a_launcher_forgets_are_given_to_it_again() {
    let bulk = Bulk::new();
    *bulk.forgets.lock().expect("no panic") = 2;
    let manager = ProcManager::new(bulk.clone());
    let first = bulk.launch(&manager, "web-0", Script::new()).await;
    bulk.launch(&manager, "web-1", Script::new()).await;
    let begun = Instant::now();
    assert_eq!(counts(&end_all(&manager).await), (2, 2, 0));
    assert_eq!(first.status().to_string(), "Killed(sig=15)");
    assert_eq!(bulk.given(), [2, 2, 2]);
    assert!(begun.elapsed() < secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_being_launched_is_ended_when_that_is_answered() {
    let bulk = Bulk::new();
    let manager = ProcManager::new(bulk.clone());
    for number in 0..3 {
        bulk.launch(&manager, &format!("web-{number}"), Script::new()).await;
    }
    let (launcher, launching) = (bulk.clone(), manager.clone());
    let slow = Script::new().answers(When::After(secs(2)));
    let slow = tokio::spawn(async move { launcher.launch(&launching, "slow", slow).await });
    sleep(secs(1)).await;
    let summary = end_all(&manager).await;
    assert_eq!((counts(&summary), bulk.given()), ((4, 4, 0), vec![3]), "{summary:?}");
    let slow = within("the launch", slow).await.expect("no panic");
    assert_eq!(slow.status().to_string(), "Killed(sig=15)");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_takes_no_stop_back() {
    let bulk = Bulk::new();
    let manager = ProcManager::new(bulk.clone());
    let deaf = Script::new().on_stop(Reaction::ignore());
    let deaf =
        [bulk.launch(&manager, "web-0", deaf.clone()).await, bulk.launch(&manager, "web-1", deaf).await];
    let all = manager.terminate_all(Some(GRACE), Concurrency::All, "a test");
    assert!(timeout(secs(1), all).await.is_err());
    assert!(deaf.iter().all(|handle| handle.status().kind() == StatusKind::Stopping));
    for handle in deaf {
        assert_eq!(within("its end", handle.wait()).await.expect("over").to_string(), "Killed(sig=9)");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_grace_each_is_still_asked_before_it_is_killed() {
    let bulk = Bulk::new();
    let manager = ProcManager::new(bulk.clone());
    for number in 0..3 {
        let deaf = Script::new().on_stop(Reaction::ignore());
        bulk.launch(&manager, &format!("web-{number}"), deaf).await;
    }
    let all = manager.terminate_all(Some(Duration::ZERO), Concurrency::All, "a test");
    assert_eq!(counts(&within("the end of all", all).await), (3, 3, 0));
    for number in 0..3 {
        let of_one = |what| {
            let records = bulk.fake.records();
            records
                .iter()
                .position(|record| record.id.as_str() == format!("web-{number}") && record.what == what)
        };
        assert!(of_one(What::Stop) < of_one(What::Kill) && of_one(What::Stop).is_some());
    }
}
