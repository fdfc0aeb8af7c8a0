//! What is said of a log while journald's rate limit, which all units of a user share, takes lines of it.

#![cfg(feature = "systemd")]

mod live;

use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::time::Duration;

use futures_util::future::join_all;
use live::journald::{kept, told_dropped};
use live::outside::nothing_left;
use live::{eventually, fresh, launcher, manager, within, within_for};
use procunit::report::Report;
use procunit::spec::ProcSpecBuilder;
use procunit::{ProcHandle, ProcManager, ProcSpec};
use tokio::sync::{Mutex, MutexGuard, Semaphore};

/// More than the limit lets through at once by default: 10,000, and up to six times that where the disk has room
/// (journald.conf(5), `RateLimitBurst=`).
const LOUD: usize = 100_000;
const QUIET_PROCS: usize = 100;
const AT_ONCE: usize = 25;
const BOUND: Duration = Duration::from_secs(60);

/// The limit is one for all of them.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

fn sh(label: &str, script: &str) -> ProcSpecBuilder {
    ProcSpec::builder(fresh(label), "/bin/sh").args(["-c", script])
}

async fn spawn(manager: &ProcManager, spec: ProcSpecBuilder) -> ProcHandle {
    within("a launch", manager.spawn(spec.build().expect("a spec"))).await.expect("launched")
}

async fn over(manager: &ProcManager, spec: ProcSpecBuilder) -> ProcHandle {
    let handle = spawn(manager, spec).await;
    within_for(BOUND, "the end", handle.gone()).await.expect("an end");
    handle
}

async fn report(handle: &ProcHandle) -> Report {
    within("a report", handle.report_with_logs(20)).await.expect("a report")
}

/// A proc that writes a line, and another one when the pipe is closed.
async fn waiting(manager: &ProcManager) -> (ProcHandle, PipeWriter) {
    let (gate, opens) = io::pipe().expect("a pipe");
    let spec = sh("quiet", "echo first; read _; echo last").stdin(OwnedFd::from(gate));
    let handle = spawn(manager, spec).await;
    eventually(live::BOUND, "its first line", || async {
        (lines_of(&handle).await == ["first"]).then_some(())
    })
    .await;
    (handle, opens)
}

/// Writes without end, until it is killed.
async fn noise(manager: &ProcManager) -> ProcHandle {
    let noise = spawn(manager, ProcSpec::builder(fresh("noise"), "/usr/bin/yes").arg("noise")).await;
    limit_is_in_force(manager).await;
    noise
}

/// Waits until journald drops lines.
async fn limit_is_in_force(manager: &ProcManager) {
    eventually(BOUND, "a line that journald drops", || async {
        let probe = over(manager, sh("probe", "echo probe")).await;
        // Asked for its end, which waits until journald is through with it.
        let report = report(&probe).await;
        (lines_of(&probe).await.is_empty() && report.logs_complete != Some(true)).then_some(())
    })
    .await;
}

async fn lines_of(handle: &ProcHandle) -> Vec<String> {
    let found = kept(std::slice::from_ref(handle.id())).await;
    found.into_values().flatten().map(|record| record.message).collect()
}

#[tokio::test]
#[ignore = "trips journald's rate limit, which drops what others write: wants a bed of its own"]
async fn a_noisy_neighbour_that_trips_the_default_limit_makes_a_quiet_log_incomplete() {
    /// Longer than the limit's interval.
    const TOLD_WITHIN: Duration = Duration::from_secs(45);

    let _alone = alone().await;
    let manager = manager().await;
    let (quiet, gate) = waiting(&manager).await;
    over(&manager, sh("noise", &format!("seq {LOUD}"))).await;
    drop(gate);
    within("its end", quiet.gone()).await.expect("an end");
    let at_once = report(&quiet).await;
    assert_eq!(lines_of(&quiet).await, ["first"], "the limit was not tripped");
    assert_ne!(at_once.logs_complete, Some(true));
    let why = at_once.logs_complete_why.expect("why");
    assert!(why.contains("rate limit"), "{why}");
    let told = eventually(TOLD_WITHIN, "what was dropped is told", || async {
        over(&manager, sh("probe", "echo probe")).await;
        let report = report(&quiet).await;
        (report.logs_complete == Some(false)).then_some(report)
    })
    .await;
    assert!(told.logs_suppressed > Some(0), "{told:?}");
    let why = told.logs_complete_why.expect("why");
    assert!(why.contains("rate limit") && why.contains("RateLimitBurst="), "{why}");
    nothing_left("quiet").await;
}

#[tokio::test]
#[ignore = "wants a bed with RateLimitIntervalSec=3s and RateLimitBurst=1000"]
async fn how_many_lines_were_dropped_is_told_as_soon_as_journald_tells_it() {
    let _alone = alone().await;
    let manager = manager().await;
    let before = told_dropped().await;
    let (quiet, gate) = waiting(&manager).await;
    let noise = noise(&manager).await;
    drop(gate);
    within("its end", quiet.gone()).await.expect("an end");
    within("the end of the noise", noise.kill()).await.expect("killed");
    // journald tells it with the first line that it keeps of a program that it still finds.
    let told = eventually(BOUND, "what was dropped is told", || async {
        over(&manager, sh("probe", "echo probe; sleep 0.1")).await;
        Some(told_dropped().await - before).filter(|told| *told > 0)
    })
    .await;
    let report = report(&quiet).await;
    assert_eq!((report.logs_complete, report.logs_suppressed), (Some(false), Some(told)));
    let why = report.logs_complete_why.expect("why");
    assert!(why.contains(&told.to_string()), "{why}");
    // Until as many as the limit allows are as old as its interval, it may be in force.
    eventually(BOUND, "a log that is complete", || async {
        let after = over(&manager, sh("quiet", "echo after")).await;
        let complete = self::report(&after).await.logs_complete == Some(true);
        assert!(!complete || lines_of(&after).await == ["after"]);
        complete.then_some(())
    })
    .await;
    nothing_left("quiet").await;
}

#[tokio::test]
#[ignore = "wants a bed with RateLimitIntervalSec=3s and RateLimitBurst=1000"]
async fn no_log_is_called_complete_that_lacks_a_line() {
    let _alone = alone().await;
    // Some have streams of their own, the others share systemd's.
    let manager = ProcManager::builder(launcher().await).journal_streams(AT_ONCE).build();
    let noise = noise(&manager).await;
    let places = Semaphore::new(AT_ONCE);
    let quiet = (0..QUIET_PROCS).map(|number| {
        let (manager, places) = (&manager, &places);
        let script = format!("echo one; echo two >&2; sleep 0.{:02}; echo three", number % 100);
        async move {
            let _place = places.acquire().await.expect("a place");
            let handle = over(manager, sh("quiet", &script)).await;
            let report = report(&handle).await;
            (handle, report)
        }
    });
    let quiet = within_for(BOUND, "all ends", join_all(quiet)).await;
    within("the end of the noise", noise.kill()).await.expect("killed");
    let (mut complete, mut incomplete) = (0, 0);
    for (handle, report) in &quiet {
        let mut lines = lines_of(handle).await;
        lines.sort();
        let all = lines == ["one", "three", "two"];
        complete += usize::from(report.logs_complete == Some(true));
        incomplete += usize::from(!all);
        assert!(all || report.logs_complete != Some(true), "{}: {lines:?}, {:?}", report.id, report.output);
    }
    assert!(incomplete > 0, "no line was dropped; {complete} were called complete");
    nothing_left("quiet").await;
}
