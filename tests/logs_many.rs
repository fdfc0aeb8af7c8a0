//! Many live procs with default logs: journald has room for them and for others, and reports say whose streams are apart.

#![cfg(feature = "systemd")]

mod live;

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use live::journald::{elsewhere, kept};
use live::outside::nothing_left;
use live::{eventually, fresh, manager, within, within_for};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use procunit::id::ProcId;
use procunit::manager::Concurrency;
use procunit::signal::Signal;
use procunit::{ProcHandle, ProcManager, ProcSpec, ProcStatus};
use tokio::sync::{Mutex, MutexGuard};

const MANY: usize = 3_000;
/// The most streams of a manager, two a proc.
const APART: usize = 512;
/// What a login has (systemd's `DefaultLimitNOFILE=`).
const OF_A_LOGIN: u64 = 1_024;
/// More than fit into that with two streams each.
const BEYOND: usize = 600;
const BOUND: Duration = Duration::from_secs(120);

/// The limit of open files is the process's, and journald's streams are everybody's.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

fn with_descriptors(soft: impl FnOnce(u64) -> u64) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, soft(hard), hard).expect("a limit");
}

async fn start(manager: &ProcManager, label: &str, count: usize) -> Vec<ProcHandle> {
    let launches = (0..count).map(|_| {
        let spec = ProcSpec::builder(fresh(label), "/bin/sh").args(["-c", "echo started; exec sleep 1000"]);
        manager.spawn(spec.build().expect("a spec"))
    });
    let launched = within_for(BOUND, "launches", join_all(launches)).await;
    launched.into_iter().map(|launched| launched.expect("launched")).collect()
}

/// How many have streams of their own, and how many have not; of the others it is not known.
async fn apart(handles: &[ProcHandle]) -> HashMap<Option<bool>, usize> {
    let mut count = HashMap::new();
    for handle in handles {
        let report = within("a report", handle.report()).await.expect("a report");
        *count.entry(report.output.apart).or_default() += 1;
    }
    count
}

async fn all_end(manager: &ProcManager, handles: &[ProcHandle]) {
    let all = manager.terminate_all(Some(BOUND / 2), Concurrency::All, "the test");
    let summary = within_for(BOUND, "the end of all", all).await;
    let first = summary.failed.first();
    assert_eq!((summary.ok, summary.failed.len()), (handles.len(), 0), "{first:?}");
    let term = ProcStatus::Killed { signal: Signal::TERM, core_dumped: false };
    let ends = join_all(handles.iter().map(ProcHandle::gone));
    let ends = within_for(BOUND, "each end", ends).await;
    assert!(ends.into_iter().all(|end| end.expect("an end") == term));
}

#[tokio::test]
#[ignore = "starts 3,000 procs, which takes a minute"]
async fn three_thousand_start_and_end_and_journald_still_serves_others() {
    let _alone = alone().await;
    with_descriptors(|hard| hard);
    let manager = manager().await;
    let handles = start(&manager, "many", MANY).await;
    assert_eq!(apart(&handles).await, HashMap::from([(Some(true), APART), (Some(false), MANY - APART)]));
    let other: ProcId = fresh("other");
    let mut echo = elsewhere(other.as_str(), "echo", &["hello"]);
    assert!(within("systemd-cat", echo.wait()).await.expect("systemd-cat").success());
    eventually(live::BOUND, "somebody else's line", || async {
        let found = kept(std::slice::from_ref(&other)).await;
        found.values().flatten().any(|record| record.message == "hello").then_some(())
    })
    .await;
    all_end(&manager, &handles).await;
    let ids: Vec<_> = handles.iter().map(|handle| handle.id().clone()).collect();
    let found = kept(&ids).await;
    let silent = ids.iter().filter(|id| !found.contains_key(id.as_str())).count();
    assert_eq!(silent, 0, "of so many the journal has nothing");
    nothing_left("many").await;
}

#[tokio::test]
async fn a_process_with_few_descriptors_keeps_half_of_them_for_itself() {
    let _alone = alone().await;
    with_descriptors(|hard| hard.min(OF_A_LOGIN));
    let manager = manager().await;
    let handles = start(&manager, "few", BEYOND).await;
    let apart = apart(&handles).await;
    let streams = 2 * apart[&Some(true)];
    assert!(u64::try_from(streams).expect("a number") <= OF_A_LOGIN / 2, "{apart:?}");
    assert_eq!(apart[&Some(true)] + apart[&Some(false)], BEYOND);
    all_end(&manager, &handles).await;
    nothing_left("few").await;
}
