//! Many at a time, in a process that may have few descriptors.

use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use procunit::ProcStatus;
use procunit::manager::Concurrency;
use procunit::signal::Signal;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::common::{descriptors, manager, play, plays, sh, spawn, spec, until, within};

/// The soft limit that a login has.
const FEW: u64 = 1024;

fn with_few_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, FEW.min(hard), hard).unwrap();
}

/// Each alone in its process, whose limit and descriptors it is about.
#[tokio::test]
async fn fifteen_hundred_live_ones_fit_into_a_thousand_descriptors_and_give_them_back() {
    let test = "many::fifteen_hundred_live_ones_fit_into_a_thousand_descriptors_and_give_them_back";
    if !plays(test) {
        return play(test);
    }
    with_few_descriptors();
    let manager = manager();
    // What a launcher takes for itself, it has once it has looked behind an end.
    let first = spawn(&manager, spec("true")).await;
    within("nothing left", first.gone()).await.unwrap();
    let before = descriptors();
    let (mut launches, under_way) = (JoinSet::new(), Arc::new(Semaphore::new(200)));
    for _ in 0..1500 {
        let (manager, under_way) = (manager.clone(), Arc::clone(&under_way));
        launches.spawn(async move {
            let _place = under_way.acquire().await.unwrap();
            spawn(&manager, spec("sleep").arg("1000")).await
        });
    }
    let handles = launches.join_all().await;
    assert!(handles.iter().all(|handle| !handle.status().is_exit()));
    let taken = descriptors();
    assert!(
        u64::try_from(taken).unwrap() < FEW * 6 / 10,
        "{taken} of {FEW}: the others are this process's to use"
    );
    let summary = within("the end of all", manager.terminate_all(None, Concurrency::All, "the test")).await;
    assert_eq!((summary.ok, summary.failed.len()), (1500, 0), "{summary:?}");
    let term = ProcStatus::Killed { signal: Signal::TERM, core_dumped: false };
    assert!(handles.iter().all(|handle| handle.status() == term));
    until("descriptors are back where they were", || descriptors() <= before).await;
}

#[tokio::test]
async fn five_hundred_launches_and_failures_at_once_want_for_no_descriptor() {
    let test = "many::five_hundred_launches_and_failures_at_once_want_for_no_descriptor";
    if !plays(test) {
        return play(test);
    }
    with_few_descriptors();
    let manager = manager();
    let mut ends = JoinSet::new();
    for number in 0..500_u32 {
        let (manager, code) = (manager.clone(), number % 200);
        let spec = if code == 0 { spec("no-such-program") } else { sh(&format!("exit {code}")) };
        ends.spawn(async move {
            let Ok(handle) = manager.spawn(spec.build().unwrap()).await else { return (code, None) };
            (code, Some(handle.wait().await.unwrap()))
        });
    }
    for (code, end) in within("all ends", ends.join_all()).await {
        let exit_code = u8::try_from(code).unwrap();
        let expected = (code > 0).then_some(ProcStatus::Stopped { exit_code, stderr_tail: Vec::new() });
        assert_eq!(end, expected, "{code}");
    }
}
