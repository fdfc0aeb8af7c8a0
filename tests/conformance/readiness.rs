//! What no real program here can be made to do yet, on the scripted launcher: readiness, and procs that nothing ends.

use std::time::Duration;

use procunit::launcher::DeliverError;
use procunit::launcher::fake::{FakeLauncher, FakeProc, Reaction, Script};
use procunit::manager::{Concurrency, ReadyError, TerminateError};
use procunit::spec::defaults;
use procunit::status::StatusKind;
use procunit::{ProcHandle, ProcManager, ProcSpec, ProcStatus};

use crate::bed::{begin, stopped};
use crate::live::within;

async fn launched(manager: &ProcManager, id: &str) -> ProcHandle {
    let spec = ProcSpec::builder(id.parse().expect("an id"), "true").build().expect("a spec");
    within("a launch", manager.spawn(spec)).await.expect("a launch")
}

/// One that says when it is ready, and has not said so.
async fn starting() -> (ProcManager, ProcHandle, FakeProc) {
    let fake = FakeLauncher::new();
    fake.script(Script::new().tells_ready());
    let manager = ProcManager::new(fake.clone());
    let handle = launched(&manager, "web").await;
    let proc = fake.proc(handle.id()).expect("it is there");
    (manager, handle, proc)
}

#[tokio::test(start_paused = true)]
async fn who_waits_when_it_becomes_ready_is_told_so() {
    let (_manager, handle, proc) = starting().await;
    let waits = handle.clone();
    let mut ready = Box::pin(waits.ready());
    begin(ready.as_mut());
    proc.ready(Some("unix:/run/web"));
    // Before anybody who waits has been woken.
    proc.exit(3);
    let told = within("an answer", ready).await.expect("it was ready");
    assert_eq!(told.kind(), StatusKind::Ready);
    let ProcStatus::Ready { addr, .. } = told else { panic!("{told}") };
    assert_eq!(addr.as_deref(), Some("unix:/run/web"));
    assert_eq!(within("the end", handle.wait()).await, Ok(stopped(3)));
    let late = within("an answer", handle.ready()).await;
    assert_eq!(late, Err(ReadyError::Terminal(stopped(3))), "who comes later");
    assert_eq!(handle.addr().as_deref(), Some("unix:/run/web"), "what it said stands");
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_first_is_terminal() {
    let (_manager, handle, proc) = starting().await;
    let waits = handle.clone();
    let mut ready = Box::pin(waits.ready());
    begin(ready.as_mut());
    proc.exit(4);
    assert_eq!(within("an answer", ready).await, Err(ReadyError::Terminal(stopped(4))));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_ready_in_time_has_timed_out() {
    let (_manager, handle, proc) = starting().await;
    let began = tokio::time::Instant::now();
    let late = ReadyError::TimedOut { after: defaults::READY_TIMEOUT };
    assert_eq!(handle.ready().await, Err(late));
    assert!(began.elapsed() <= defaults::READY_TIMEOUT, "{:?}", began.elapsed());
    proc.ready(None);
    within("the change", handle.changed()).await.expect("the manager is there");
    assert_eq!(handle.status().kind(), StatusKind::Ready, "it may still become so");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_ended_is_listed_with_the_reason() {
    let fake = FakeLauncher::new();
    let manager = ProcManager::new(fake.clone());
    launched(&manager, "obeys").await;
    let refused = || DeliverError::Failed("out of reach".into());
    fake.script_for(
        &"stays".parse().expect("an id"),
        Script::new().on_stop(Reaction::ignore()).on_kill(Reaction::fail(refused)),
    );
    let stays = launched(&manager, "stays").await;
    let grace = Some(Duration::from_secs(1));
    let summary = manager.terminate_all(grace, Concurrency::All, "the test").await;
    assert_eq!((summary.attempted, summary.ok), (2, 1), "{summary:?}");
    let [(id, error)] = &summary.failed[..] else { panic!("{summary:?}") };
    assert_eq!(id, stays.id());
    assert!(!matches!(error, TerminateError::AlreadyTerminated(_) | TerminateError::Closed), "{error:?}");
    assert_eq!(stays.status().kind(), StatusKind::Stopping);
}
