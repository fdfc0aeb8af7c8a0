//! Detached procs through the library, against a real user manager.

#![cfg(feature = "systemd")]

#[expect(dead_code, reason = "it needs a part of it")]
mod support;

use std::time::Duration;

use procunit::ProcManager;
use procunit::id::ProcId;
use procunit::launcher::systemd::SystemdLauncher;
use procunit::spec::{Lifetime, Output, ProcSpec};
use support::{BOUND, Cleanup};

async fn within<T>(label: &str, what: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, what).await.unwrap_or_else(|_| panic!("never: {label}"))
}

async fn manager() -> ProcManager {
    ProcManager::new(SystemdLauncher::connect().await.expect("a user manager"))
}

fn sh(id: String, script: &str) -> ProcSpec {
    let spec = ProcSpec::builder(ProcId::new(id).expect("an id"), "sh").args(["-c", script]);
    let spec = spec.lifetime(Lifetime::Detached).stop_timeout(Duration::from_millis(500));
    spec.stdout(Output::Null).stderr(Output::Null).build().expect("a spec")
}

/// Many are over before their launch has been answered.
#[tokio::test]
async fn of_procs_that_are_over_at_once_nothing_stays_held() {
    let procs = Cleanup::group("at-once");
    let manager = manager().await;
    for number in 0..20 {
        let handle = manager.spawn(sh(procs.id(&number.to_string()), "exit 0")).await.expect("started");
        let end = within("it is gone", handle.gone()).await.expect("an end");
        assert_eq!(end.to_string(), "Stopped(exit=0)");
        // Its figures are read and its hold is given up, so that systemd alone keeps it.
        within("its report", handle.report()).await.expect("a report");
    }
    // While this manager lives, another one removes them all.
    let removed = tokio::task::spawn_blocking(move || {
        assert_eq!(support::procunit(&["rm", "-q", &procs.all()]).code(), 0);
        procs.assert_no_unit();
    });
    within("they are removed", removed).await.expect("removed");
}

#[tokio::test]
async fn what_a_main_process_left_is_ended_before_it_counts_as_gone() {
    let procs = Cleanup::group("left");
    let manager = manager().await;
    for (name, child) in [("obeys", "sleep 60"), ("ignores", "(trap '' TERM; sleep 60; sleep 60)")] {
        let spec = sh(procs.id(name), &format!("{child} & exit 0"));
        let handle = manager.spawn(spec).await.expect("started");
        within("its end", handle.wait()).await.expect("an end");
        within("it is gone", handle.gone()).await.expect("gone");
        let left = manager.survey().await.expect("a survey");
        let left = left.iter().find(|report| report.id == *handle.id()).expect("it is kept");
        assert_eq!(left.leftovers, None, "{name}");
        assert_eq!(left.status.to_string(), "Stopped(exit=0)");
    }
}
