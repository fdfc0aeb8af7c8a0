//! Detached procs through the library, against a real user manager.

#![cfg(feature = "systemd")]

#[expect(dead_code, reason = "it needs a part of it")]
mod support;

use std::time::Duration;

use procunit::ProcManager;
use procunit::id::ProcId;
use procunit::launcher::AdoptError;
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

/// As `run --replace` does, in a manager of its own each time.
#[tokio::test]
async fn a_name_is_free_as_soon_as_another_manager_has_reaped_it() {
    let procs = Cleanup::group("adopt-reap");
    manager().await.spawn(sh(procs.id("x"), "exit 0")).await.expect("the name is free");
    for _ in 0..20 {
        let id = ProcId::new(procs.id("x")).expect("an id");
        let manager = manager().await;
        let ended = manager.adopt(&id).await.expect("it is kept");
        within("its end", ended.wait()).await.expect("an end");
        within("it is reaped", ended.reap()).await;
        manager.spawn(sh(procs.id("x"), "exit 0")).await.expect("the name is free");
    }
}

/// A unit is signalled by its name, and somebody else's restart puts another run under it.
#[tokio::test]
async fn a_run_that_somebody_else_starts_under_the_name_is_not_ended_with_what_the_one_before_left() {
    const GRACE: Duration = Duration::from_millis(900);
    let procs = Cleanup::group("restart");
    // systemd is still ending the child when the main process is over.
    let script = "(trap '' TERM; sleep 0.6) & exec sleep 60";
    let spec = ProcSpec::builder(ProcId::new(procs.id("x")).expect("an id"), "sh").args(["-c", script]);
    let spec = spec.lifetime(Lifetime::Detached).stop_timeout(GRACE).build().expect("a spec");
    let id = manager().await.spawn(spec).await.expect("started").id().clone();
    let manager_of_waiter = manager().await;
    let waiting = manager_of_waiter.adopt(&id).await.expect("it is there");
    let unit = procs.unit("x");
    let restart = tokio::task::spawn_blocking(move || support::systemctl(&["restart", &unit]));
    let end = within("its end", waiting.gone()).await.expect("an end");
    assert_eq!(end.to_string(), "Killed(sig=15)");
    within("the restart", restart).await.expect("restarted");

    let manager = manager().await;
    let again = manager.adopt(&id).await.expect("the run after it");
    assert_ne!(again.run(), waiting.run());
    let ended = tokio::time::timeout(GRACE, again.wait()).await;
    assert!(ended.is_err(), "the run after it was ended: {ended:?}");
}

#[tokio::test]
async fn an_adoption_whose_caller_goes_away_holds_nothing() {
    let procs = Cleanup::group("adopt-cancel");
    let id = manager().await.spawn(sh(procs.id("x"), "sleep 60")).await.expect("started").id().clone();
    let manager = manager().await;
    // Asked, and not waited for.
    let asked = tokio::time::timeout(Duration::ZERO, manager.adopt(&id)).await;
    assert!(asked.is_err(), "too fast to be cancelled: {asked:?}");
    let held = async {
        while let Err(error) = manager.adopt(&id).await {
            assert!(matches!(error, AdoptError::AlreadyHeld { .. }), "{error}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("it can be held", held).await;
}
