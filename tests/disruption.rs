//! The user manager reloads, re-executes itself, and loses its bus while procs run, end and start.

#![cfg(feature = "systemd")]

mod live;

use std::time::Duration;

use futures_util::future::join_all;
use live::chance::Chance;
use live::outside::{all_gone, loaded, nothing_left, systemctl, unit_of};
use live::record::Record;
use live::{BOUND, eventually, fresh, manager, within};
use procunit::spec::Lifetime;
use procunit::status::{FailReason, StatusKind};
use procunit::{ProcHandle, ProcManager, ProcSpec, ProcStatus};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::sleep;

/// How long the procs of a crowd live at most.
const CROWD_ENDS: Duration = Duration::from_millis(500);
const CROWD: u8 = 50;

/// One disruption at a time.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

async fn systemctl_ok(args: &[&str]) {
    let (ok, said) = systemctl(args).await;
    assert!(ok, "systemctl --user {args:?}: {said}");
}

/// Until the user manager is on the bus again.
async fn manager_is_back() {
    eventually(BOUND, "the user manager on the bus", || async {
        let mut busctl = tokio::process::Command::new("busctl");
        busctl.args(["--user", "--quiet", "status", "org.freedesktop.systemd1"]);
        let output = within("busctl", busctl.output()).await.expect("busctl");
        output.status.success().then_some(())
    })
    .await;
}

async fn reload() {
    systemctl_ok(&["daemon-reload"]).await;
}

async fn reexec() {
    systemctl_ok(&["daemon-reexec"]).await;
    manager_is_back().await;
}

async fn restart_bus() {
    // Or it is refused, as attempted too often.
    systemctl_ok(&["reset-failed", "dbus.service"]).await;
    systemctl_ok(&["restart", "dbus.service"]).await;
    manager_is_back().await;
}

fn stopped(exit_code: u8) -> ProcStatus {
    ProcStatus::Stopped { exit_code, stderr_tail: Vec::new() }
}

fn lost(status: &ProcStatus) -> bool {
    matches!(status, ProcStatus::Failed { reason: FailReason::Lost { .. } })
}

/// A proc that exits with 3 when it gets TERM, and writes so.
async fn start_telling(manager: &ProcManager, lifetime: Lifetime) -> (ProcHandle, Record) {
    let record = Record::new();
    let script = r#"trap 'echo term >>"$1"; exit 3' TERM; echo pid $$ >>"$1"; sleep 60 & wait"#;
    let spec = ProcSpec::builder(fresh("told"), "/bin/sh").args(["-c", script, "sh"]);
    let spec = spec.arg(record.path()).lifetime(lifetime).build().expect("a spec");
    let handle = within("a start", manager.spawn(spec)).await.expect("started");
    record.processes(1).await;
    (handle, record)
}

/// What runs is Running before and after it, and ends exactly.
async fn leaves_alone(disrupt: impl AsyncFn()) {
    let manager = manager().await;
    for lifetime in [Lifetime::Attached, Lifetime::Detached] {
        let (handle, record) = start_telling(&manager, lifetime).await;
        let (run, running) = (handle.run(), handle.status());
        assert_eq!(running.kind(), StatusKind::Running);
        disrupt().await;
        assert_eq!((handle.status(), handle.run()), (running, run), "{lifetime:?}");
        // The first call after a lost connection may find it not made again yet.
        let ended = within("its end", handle.terminate(None, "the test")).await.expect("it ends");
        assert_eq!(ended, stopped(3), "{lifetime:?}");
        assert!(record.says("term"));
        within("its removal", handle.reap()).await;
        drop(handle);
        let spec = ProcSpec::builder(fresh("told"), "/bin/false").lifetime(lifetime).build().expect("a spec");
        let next = within("a later start", manager.spawn(spec)).await.expect("started");
        assert_eq!(within("its end", next.wait()).await.expect("the manager is there"), stopped(1));
        within("its removal", next.reap()).await;
    }
    nothing_left("told").await;
}

/// Procs that end at random moments of it, each in its own way.
async fn crowd(manager: &ProcManager, chance: &mut Chance) -> Vec<(u8, Lifetime, ProcHandle)> {
    let starts = (0..CROWD).map(|code| {
        let lifetime = if code % 2 == 0 { Lifetime::Attached } else { Lifetime::Detached };
        let pause = chance.before(CROWD_ENDS).as_secs_f64();
        let script = format!("sleep {pause:.3}; exit {code}");
        let spec = ProcSpec::builder(fresh("crowd"), "/bin/sh").args(["-c", &script]).lifetime(lifetime);
        let spec = spec.build().expect("a spec");
        async move {
            let handle = within("a start", manager.spawn(spec)).await.expect("started");
            (code, lifetime, handle)
        }
    });
    join_all(starts).await
}

/// Ends that happen in the middle of it are exact; an attached proc's may be lost where `may_lose`.
async fn loses_no_end(label: &str, disrupt: impl AsyncFn(), may_lose: bool) {
    let (manager, mut chance) = (manager().await, Chance::new(label));
    let crowd = crowd(&manager, &mut chance).await;
    for _ in 0..3 {
        disrupt().await;
        sleep(chance.before(CROWD_ENDS / 3)).await;
    }
    for (code, lifetime, handle) in &crowd {
        let status = within("an end", handle.wait()).await.expect("the manager is there");
        let forgotten = lost(&status) && may_lose && *lifetime == Lifetime::Attached;
        assert!(status == stopped(*code) || forgotten, "{status} of exit {code}, {lifetime:?}");
        within("a removal", handle.reap()).await;
    }
    nothing_left("crowd").await;
}

#[tokio::test]
async fn a_reload_leaves_what_runs_alone() {
    let _alone = alone().await;
    leaves_alone(reload).await;
}

#[tokio::test]
async fn a_reload_loses_no_end() {
    let _alone = alone().await;
    loses_no_end("reload", reload, false).await;
}

#[tokio::test]
async fn a_reexecution_leaves_what_runs_alone() {
    let _alone = alone().await;
    leaves_alone(reexec).await;
}

#[tokio::test]
async fn a_reexecution_loses_no_end() {
    let _alone = alone().await;
    loses_no_end("reexec", reexec, false).await;
}

#[tokio::test]
#[ignore = "ends every program on this user's bus, such as a desktop; for contrib/testbed"]
async fn a_restart_of_the_bus_leaves_what_runs_alone() {
    let _alone = alone().await;
    leaves_alone(restart_bus).await;
}

/// The reference on an attached proc goes with the connection: what ends before it is taken again may be forgotten.
#[tokio::test]
#[ignore = "ends every program on this user's bus, such as a desktop; for contrib/testbed"]
async fn a_restart_of_the_bus_makes_no_end_wrong() {
    let _alone = alone().await;
    loses_no_end("bus", restart_bus, true).await;
}

#[tokio::test]
#[ignore = "ends every program on this user's bus, such as a desktop; for contrib/testbed"]
async fn a_launch_during_a_restart_of_the_bus_works_or_leaves_nothing() {
    let _alone = alone().await;
    let (manager, mut chance) = (manager().await, Chance::new("launches"));
    for round in 0..4 {
        let launches = (0..15).map(|index| {
            let lifetime = if index % 2 == 0 { Lifetime::Attached } else { Lifetime::Detached };
            let (after, manager) = (chance.before(Duration::from_millis(100)), &manager);
            async move {
                sleep(after).await;
                let record = Record::new();
                let script = r#"echo pid $$ >>"$1"; exec sleep 60"#;
                let spec = ProcSpec::builder(fresh("launched"), "/bin/sh").args(["-c", script, "sh"]);
                let spec = spec.arg(record.path()).lifetime(lifetime).build().expect("a spec");
                let unit = unit_of(spec.id());
                match within("a launch", manager.spawn(spec)).await {
                    Ok(handle) => {
                        let ended = within("its end", handle.kill()).await.expect("it ends");
                        let forgotten = lost(&ended) && lifetime == Lifetime::Attached;
                        assert!(ended.to_string() == "Killed(sig=9)" || forgotten, "{ended} {lifetime:?}");
                        within("its removal", handle.reap()).await;
                    }
                    Err(error) => {
                        let label = format!("round {round}: {error}");
                        all_gone(BOUND, &label, &record.pids()).await;
                        let gone = || async { loaded(&[&unit]).await.is_empty().then_some(()) };
                        eventually(BOUND, &label, gone).await;
                    }
                }
            }
        });
        tokio::join!(join_all(launches), restart_bus());
    }
    nothing_left("launched").await;
}
