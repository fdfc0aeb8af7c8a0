//! The fake launcher itself: what is scripted is what a manager sees, recorded lives included.

#![cfg(feature = "test-util")]

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use procunit::id::ProcId;
use procunit::launcher::fake::{FakeLauncher, Reaction, Script, Trace, What, When};
use procunit::launcher::{AdoptError, LaunchError};
use procunit::manager::ReadyError;
use procunit::spec::{Lifetime, ProcSpecBuilder, RestartPolicy};
use procunit::status::details::UnitDetails;
use procunit::status::exit::Exit;
use procunit::status::machine::Event;
use procunit::status::{Found, ProcStatus, StatusKind};
use procunit::{ProcHandle, ProcManager, ProcSpec};
use tokio::time::{Instant, sleep, timeout};

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

async fn launched(fake: &FakeLauncher, script: Script) -> (ProcManager, ProcHandle) {
    fake.script(script);
    let manager = ProcManager::new(fake.clone());
    let handle = within("a launch", manager.spawn(spec())).await.expect("launched");
    (manager, handle)
}

/// A recorded life.
struct Recorded {
    name: String,
    /// The status in the end.
    end: ProcStatus,
    restarts: Option<RestartPolicy>,
    trace: Trace,
}

impl Recorded {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a trace");
        let mut truth: serde_json::Value =
            serde_json::from_str(text.lines().next().expect("a first line")).expect("JSON");
        let end = serde_json::from_value(truth["end"].take()).expect("a status");
        let policy = |by_unit: &serde_json::Value| {
            let max = by_unit["max"].as_u64().and_then(|max| u32::try_from(max).ok());
            max.into_iter().fold(RestartPolicy::always(), RestartPolicy::max)
        };
        let restarts = truth["restarts"].get("by_unit").map(policy);
        let trace = Trace::from_recorded(&text).expect("a trace");
        Self { name: path.display().to_string(), end, restarts, trace }
    }

    fn all() -> Vec<Self> {
        let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
        let files = |release: &str| std::fs::read_dir(traces.join(release)).expect("traces");
        let paths = ["252", "257"].into_iter().flat_map(files);
        paths.map(|entry| Self::read(&entry.expect("an entry").path())).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn every_recorded_life_ends_in_a_manager_as_it_did() {
    for Recorded { name, end, restarts, trace } in Recorded::all() {
        let fake = FakeLauncher::new();
        fake.script(Script::new().replays(trace));
        let manager = ProcManager::new(fake);
        let spec = ProcSpec::builder(web(), "web");
        let spec = restarts.into_iter().fold(spec, ProcSpecBuilder::restart).build().expect("a spec");
        let handle = within("a launch", manager.spawn(spec)).await.expect("launched");
        // The life of one that was stopped before it began ends without an end: its launch would have been refused.
        sleep(BOUND).await;
        assert_eq!(handle.status(), end, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trace_of_ones_own_is_told_at_its_pace() {
    let started = Event::Started { pid: 7, at: std::time::SystemTime::now().into(), run: None };
    let lost = Event::Lost(Found::NoUnit);
    let trace = Trace::default().then(Duration::from_secs(1), started).then(Duration::from_secs(60), lost);
    let begun = Instant::now();
    let (_manager, handle) = launched(&FakeLauncher::new(), Script::new().replays(trace)).await;
    assert_eq!(within("a change", handle.changed()).await.expect("one").kind(), StatusKind::Running);
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    assert_eq!(within("its end", handle.wait()).await.expect("one").kind(), StatusKind::Failed);
    assert_eq!(begun.elapsed(), Duration::from_secs(61));
}

#[test]
fn a_line_that_is_no_trace_is_named() {
    let refused =
        Trace::from_recorded("{}\n{\"at\":\"2026-11-21T09:43:43Z\"}\nno JSON\n").expect_err("no JSON");
    assert_eq!(refused.line, 3);
}

#[tokio::test(start_paused = true)]
async fn a_refused_launch_leaves_nothing_and_the_id_free() {
    let fake = FakeLauncher::new();
    fake.script(Script::new().refuses(|id| LaunchError::NameHeld { id }).answers(When::After(BOUND / 2)));
    let manager = ProcManager::new(fake.clone());
    let refused = within("a launch", manager.spawn(spec())).await.expect_err("refused");
    assert!(matches!(refused, LaunchError::NameHeld { .. }), "{refused}");
    assert!(fake.proc(&web()).is_none());
    fake.script(Script::new().note("worth telling"));
    let handle = within("a launch", manager.spawn(spec())).await.expect("launched");
    assert_eq!(handle.notes(), ["worth telling"]);
}

#[tokio::test(start_paused = true)]
async fn a_launch_is_answered_when_it_is_told_to_be_and_starts_then() {
    let fake = FakeLauncher::new();
    fake.script(Script::new().answers(When::Told));
    let manager = ProcManager::new(fake.clone());
    let launching = tokio::spawn(async move { (manager.spawn(spec()).await, manager) });
    let asked = within("the call", fake.recorded(|record| record.what == What::Launch)).await;
    sleep(Duration::from_secs(60)).await;
    assert!(!launching.is_finished());
    let proc = fake.proc(&web()).expect("a launch under way");
    assert_eq!((proc.run(), proc.pid()), (asked.run, asked.pid));
    proc.answer();
    let (launched, _manager) = within("the launch", launching).await.expect("no panic");
    let handle = launched.expect("launched");
    assert_eq!((handle.run(), handle.pid()), (Some(proc.run()), Some(proc.pid())));
}

#[tokio::test(start_paused = true)]
async fn without_units_there_are_no_runs_to_be_told_of() {
    let fake = FakeLauncher::without_units();
    let (_manager, handle) = launched(&fake, Script::new()).await;
    assert_eq!((handle.run(), handle.pid()), (None, fake.proc(&web()).map(|proc| proc.pid())));
    let report = within("a report", handle.report()).await.expect("a report");
    assert!(report.unit.is_none());
}

#[tokio::test(start_paused = true)]
async fn readiness_is_told_where_it_was_declared() {
    let fake = FakeLauncher::new();
    let (_manager, silent) = launched(&fake, Script::new()).await;
    assert_eq!(within("an answer", silent.ready()).await, Err(ReadyError::NotDeclared));
    let fake = FakeLauncher::new();
    let (_manager, handle) = launched(&fake, Script::new().tells_ready()).await;
    fake.proc(&web()).expect("it is there").ready(Some("unix:/here"));
    assert_eq!(within("readiness", handle.ready()).await.expect("ready").kind(), StatusKind::Ready);
    assert_eq!(handle.addr().as_deref(), Some("unix:/here"));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_swallowed_is_seen_after_the_reconnect_and_one_that_vanished_is_lost() {
    let cases = [("Stopped(exit=7)", false), ("Failed(lost: its unit is gone and nobody saw the end)", true)];
    for fake in [FakeLauncher::new, FakeLauncher::without_units] {
        for (end, vanishes) in cases {
            let fake = fake();
            let (_manager, handle) = launched(&fake, Script::new()).await;
            let proc = fake.proc(&web()).expect("it is there");
            fake.disconnect();
            proc.exit(7);
            if vanishes {
                proc.vanish();
            }
            sleep(Duration::from_secs(1)).await;
            assert_eq!(handle.status().kind(), StatusKind::Running, "nobody was told");
            fake.reconnect();
            assert_eq!(within("its end", handle.wait()).await.expect("an end").to_string(), end);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn out_of_reach_it_answers_nothing() {
    let fake = FakeLauncher::new();
    let manager = ProcManager::new(fake.clone());
    fake.place(&web(), Lifetime::Detached);
    fake.disconnect();
    let refused = within("a launch", manager.spawn(spec())).await.expect_err("no way");
    assert!(matches!(refused, LaunchError::Unreachable { .. }), "{refused}");
    let refused = within("an adoption", manager.adopt(&web())).await.expect_err("no way");
    assert!(matches!(refused, AdoptError::Launcher { .. }), "{refused}");
    assert!(within("a survey", manager.survey()).await.is_err());
    assert!(within("a count", manager.ended_kept()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_started_is_surveyed_and_adopted_with_its_exact_end() {
    let fake = FakeLauncher::new();
    let details = UnitDetails { tasks_current: Some(3), ..UnitDetails::default() };
    fake.script_for(&web(), Script::new().details(details));
    let placed = fake.place(&web(), Lifetime::Detached);
    let manager = ProcManager::new(fake.clone());
    let seen = within("a survey", manager.survey()).await.expect("a survey");
    assert_eq!(seen.iter().map(|report| report.status.kind()).collect::<Vec<_>>(), [StatusKind::Running]);
    assert_eq!(within("a count", manager.ended_kept()).await.expect("a count"), 0);
    placed.end(Exit::Code(3));
    assert_eq!(within("a count", manager.ended_kept()).await.expect("a count"), 1);
    let handle = within("an adoption", manager.adopt(&web())).await.expect("adopted");
    assert_eq!(handle.status().to_string(), "Stopped(exit=3)");
    within("a reap", handle.reap()).await;
    assert!(fake.proc(&web()).is_none());
}

#[tokio::test(start_paused = true)]
async fn an_adoption_is_refused_where_the_script_says_so() {
    let fake = FakeLauncher::new();
    let why = "it was not started by procunit";
    let refuses = move |id: ProcId| AdoptError::NotOurs { unit: id.to_string(), why };
    fake.script_for(&web(), Script::new().refuses_adoption(refuses));
    fake.place(&web(), Lifetime::Detached);
    let manager = ProcManager::new(fake);
    let refused = within("an adoption", manager.adopt(&web())).await.expect_err("refused");
    assert!(matches!(refused, AdoptError::NotOurs { .. }), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn an_attached_proc_ends_with_its_manager_and_a_detached_one_lives_on() {
    for lifetime in [Lifetime::Attached, Lifetime::Detached] {
        let fake = FakeLauncher::new();
        let manager = ProcManager::new(fake.clone());
        let spec = ProcSpec::builder(web(), "web").lifetime(lifetime).build().expect("a spec");
        within("a launch", manager.spawn(spec)).await.expect("launched");
        let proc = fake.proc(&web()).expect("it is there");
        drop(manager);
        within("the drop", fake.recorded(|record| record.what == What::Drop)).await;
        assert_eq!(proc.is_over(), lifetime == Lifetime::Attached);
    }
}

#[tokio::test(start_paused = true)]
async fn reactions_follow_one_another_and_the_last_stays() {
    let fake = FakeLauncher::new();
    let chain = Reaction::ignore().then(Reaction::ignore()).then(Reaction::exit(4));
    let (_manager, handle) = launched(&fake, Script::new().on_signal(chain)).await;
    for expected in [StatusKind::Running, StatusKind::Running, StatusKind::Stopped] {
        let signalled = handle.signal(procunit::signal::Signal::HUP, procunit::launcher::Target::Main);
        within("a signal", signalled).await.expect("delivered");
        sleep(Duration::from_millis(1)).await;
        assert_eq!(handle.status().kind(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_is_free_after_a_reap_that_could_not_end_what_was_left() {
    let fake = FakeLauncher::new();
    let spec = || ProcSpec::builder(web(), "web").lifetime(Lifetime::Detached).build().expect("a spec");
    fake.script(Script::new().leaves(1).on_signal(Reaction::ignore()).on_kill(Reaction::ignore()));
    let manager = ProcManager::new(fake.clone());
    let handle = within("a launch", manager.spawn(spec())).await.expect("launched");
    fake.proc(&web()).expect("it is there").exit(0);
    within("its end", handle.wait()).await.expect("an end");
    fake.disconnect();
    within("a reap", handle.reap()).await;
    fake.reconnect();
    fake.proc(&web()).expect("it is kept").vanish();
    within("a launch", manager.spawn(spec())).await.expect("its id is free");
}
