//! The manager as a whole: many procs, by id, monitors, events, its own end.

use std::sync::mpsc::{Receiver, channel};

use procunit::id::ProcId;
use procunit::launcher::LaunchError;
use procunit::launcher::native::NativeLauncher;
use procunit::manager::{
    Concurrency, MonitorError, ProcEvent, ReadyError, ReapError, TerminateError, WaitError,
};
use procunit::spec::{Input, Output};
use procunit::status::{FailReason, Found, StatusKind};
use procunit::{ProcManager, ProcStatus};

use crate::common::{BOUND, manager, sh, spawn, spec, within};

/// What a monitor told, and nothing after it.
fn told(heard: &Receiver<ProcStatus>) -> ProcStatus {
    let status = heard.recv_timeout(BOUND).expect("a callback");
    assert!(heard.recv().is_err(), "once");
    status
}

fn stopped(exit_code: u8) -> ProcStatus {
    ProcStatus::Stopped { exit_code, stderr_tail: Vec::new() }
}

#[tokio::test]
async fn procs_are_found_by_id_and_pid_and_in_the_list_until_they_are_reaped() {
    let manager = manager();
    let handle = spawn(&manager, spec("sleep").arg("600")).await;
    let (id, pid) = (handle.id().clone(), handle.pid().expect("a pid"));
    assert_eq!(manager.get_by_pid(pid).await.expect("by its pid").id(), &id);
    assert_eq!(manager.list().await.len(), 1);
    assert!(matches!(manager.status(&id).await, Some(ProcStatus::Running { .. })));
    let reap = manager.reap(&id).await;
    assert!(matches!(reap, Err(ReapError::NotOver { .. })), "{reap:?}");
    within("the end", manager.terminate(&id, None, "test")).await.expect("an end");
    assert!(manager.get_by_pid(pid).await.is_none());
    assert!(manager.get(&id).await.is_some(), "its record is kept");
    manager.reap(&id).await.expect("it is over");
    assert!(manager.get(&id).await.is_none() && manager.list().await.is_empty());
    assert_eq!(manager.on_exit(&id, |_| ()).await.unwrap_err(), MonitorError::Reaped { id: id.clone() });
    let never = ProcId::new("never").expect("an id");
    let unknown = manager.on_exit(&never, |_| ()).await;
    assert_eq!(unknown.unwrap_err(), MonitorError::NeverLaunched { id: never.clone() });
    let unknown = manager.terminate(&never, None, "test").await;
    assert!(matches!(unknown, Err(TerminateError::NotHeld { .. })), "{unknown:?}");
}

#[tokio::test]
async fn each_monitor_is_told_once_and_may_launch_the_same_id() {
    let manager = manager();
    let handle = spawn(&manager, sh("read line; exit 3").stdin(Input::Null)).await;
    let id = handle.id().clone();
    let (tell, early) = channel();
    manager.on_exit(&id, move |status| tell.send(status).expect("heard")).await.expect("known");
    let (tell, cancelled) = channel();
    let monitor = manager.on_exit(&id, move |status| drop(tell.send(status))).await;
    if monitor.expect("known").cancel() {
        assert!(cancelled.recv_timeout(BOUND).is_err(), "taken back");
    }
    let (again, tell) = (manager.clone(), channel());
    let (send, relaunched) = tell;
    let second = spec("true");
    let second = second.build().expect("a spec");
    manager
        .on_exit(&id, move |_| {
            tokio::spawn(async move { send.send(again.spawn(second).await.is_ok()).expect("heard") });
        })
        .await
        .expect("known");
    assert_eq!(within("the end", handle.wait()).await, Ok(stopped(3)));
    assert_eq!(tokio::task::spawn_blocking(move || told(&early)).await.expect("told"), stopped(3));
    let launched = tokio::task::spawn_blocking(move || relaunched.recv_timeout(BOUND)).await;
    assert_eq!(launched.expect("told"), Ok(true));
    let (tell, late) = channel();
    manager.on_exit(&id, move |status| tell.send(status).expect("heard")).await.expect("known");
    assert_eq!(tokio::task::spawn_blocking(move || told(&late)).await.expect("told"), stopped(3));
}

#[tokio::test]
async fn a_manager_that_goes_tells_its_monitors_that_the_end_is_not_known() {
    let manager = manager();
    let handle = spawn(&manager, spec("sleep").arg("600")).await;
    let (tell, heard) = channel();
    manager.on_exit(handle.id(), move |status| tell.send(status).expect("heard")).await.expect("known");
    drop(manager);
    let lost = ProcStatus::Failed { reason: FailReason::Lost { found: Found::NoLauncher } };
    assert_eq!(tokio::task::spawn_blocking(move || told(&heard)).await.expect("told"), lost);
    assert_eq!(within("a wait", handle.wait()).await, Err(WaitError::Closed));
}

#[tokio::test]
async fn events_are_all_transitions_in_order_also_for_who_comes_late() {
    let manager = manager();
    let handle = spawn(&manager, sh("exit 4")).await;
    within("the end", handle.wait()).await.expect("an end");
    let (mut events, mut seen) = (handle.events(), Vec::new());
    while let Some(event) = within("an event", events.next()).await {
        match event {
            ProcEvent::Transition(transition) => seen.push((transition.seq, transition.to.kind())),
            ProcEvent::Lost(count) => panic!("lost {count}"),
        }
    }
    assert_eq!(seen, [(0, StatusKind::Running), (1, StatusKind::Stopped)]);
}

#[tokio::test]
async fn a_proc_that_declares_no_readiness_says_so_at_once() {
    let manager = manager();
    let handle = spawn(&manager, spec("sleep").arg("600")).await;
    assert_eq!(within("an answer", handle.ready()).await, Err(ReadyError::NotDeclared));
    let end = within("the end", handle.kill()).await.expect("an end");
    assert_eq!(within("an answer", handle.ready()).await, Err(ReadyError::Terminal(end)));
    assert_eq!((handle.addr(), handle.agent()), (None, None));
}

#[tokio::test]
async fn a_manager_gives_its_specs_defaults_that_each_may_override() {
    let manager = ProcManager::builder(NativeLauncher::new().expect("native"))
        .defaults(|spec| spec.env("FROM", "default").stdout(Output::Null).stderr(Output::Null))
        .build();
    let id = |name: &str| ProcId::new(name).expect("an id");
    let begun = |name| manager.spec(id(name), "sh").arg("-c").arg(r#"[ "$FROM" = default ]"#);
    let plain = manager.spawn(begun("plain").build().expect("a spec")).await.expect("a launch");
    assert_eq!(within("the end", plain.wait()).await, Ok(stopped(0)));
    let other = begun("other").env("FROM", "elsewhere").build().expect("a spec");
    let other = manager.spawn(other).await.expect("a launch");
    assert_eq!(within("the end", other.wait()).await, Ok(stopped(1)));
}

#[tokio::test]
async fn all_are_ended_and_who_was_over_before_counts_as_well() {
    let manager = manager();
    let over = spawn(&manager, spec("true")).await;
    within("the end", over.wait()).await.expect("an end");
    for _ in 0..20 {
        spawn(&manager, spec("sleep").arg("600")).await;
    }
    let summary = within("all ends", manager.terminate_all(None, Concurrency::All, "test")).await;
    assert_eq!((summary.attempted, summary.ok, summary.failed.len()), (20, 20, 0));
    let summary = within("no end", manager.terminate_all(None, Concurrency::default(), "test")).await;
    assert_eq!((summary.attempted, summary.ok), (0, 0));
}

#[tokio::test]
async fn a_manager_that_was_shut_down_has_ended_everything_and_is_gone() {
    let manager = manager();
    let handle = spawn(&manager, spec("sleep").arg("600")).await;
    let (tell, heard) = channel();
    manager.on_exit(handle.id(), move |status| tell.send(status).expect("heard")).await.expect("known");
    let summary = within("the end", manager.shutdown()).await;
    assert_eq!((summary.attempted, summary.ok), (1, 1));
    assert!(matches!(told(&heard), ProcStatus::Killed { .. }));
    assert!(handle.status().is_exit());
    let refused = manager.spawn(spec("true").build().expect("a spec")).await;
    assert!(matches!(refused, Err(LaunchError::Closed)), "{refused:?}");
    assert!(manager.list().await.is_empty());
    within("another", manager.shutdown()).await;
}
