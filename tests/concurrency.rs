//! Many procs at once, and the same name again and again: each has its own exact end.

#![cfg(feature = "systemd")]

mod live;

use std::time::Duration;

use live::outside::{Traces, alive, all_gone, nothing_left};
use live::record::Record;
use live::{BOUND, fresh, manager, within};
use procunit::id::ProcId;
use procunit::manager::TerminateError;
use procunit::signal::Signal;
use procunit::spec::{Lifetime, Output};
use procunit::{ProcManager, ProcSpec, ProcStatus};

fn stopped(exit_code: u8) -> ProcStatus {
    ProcStatus::Stopped { exit_code, stderr_tail: Vec::new() }
}

fn killed(signal: Signal) -> ProcStatus {
    ProcStatus::Killed { signal, core_dumped: false }
}

fn shell(id: ProcId, script: &str) -> procunit::spec::ProcSpecBuilder {
    ProcSpec::builder(id, "/bin/sh").args(["-c", script, "sh"]).stdout(Output::Null).stderr(Output::Null)
}

/// Starts all of them at once on one manager, and gives their ends in the order of the specs.
async fn ends(manager: &ProcManager, specs: impl IntoIterator<Item = ProcSpec>) -> Vec<ProcStatus> {
    let spawns = specs.into_iter().map(|spec| async move {
        let handle = within("a start", manager.spawn(spec)).await.expect("started");
        within("an end", handle.wait()).await.expect("the manager is there")
    });
    futures_util::future::join_all(spawns).await
}

#[tokio::test]
async fn two_hundred_short_failures_at_once_are_two_hundred_times_exit_1() {
    let manager = manager().await;
    let specs = (0..200).map(|_| ProcSpec::builder(fresh("false"), "/bin/false").build().expect("a spec"));
    let ends = ends(&manager, specs).await;
    assert_eq!(ends, vec![stopped(1); 200]);
    nothing_left("false").await;
}

#[tokio::test]
async fn every_exit_code_arrives_as_it_is_with_all_of_them_at_once() {
    let manager = manager().await;
    let specs =
        (0..=u8::MAX).map(|code| shell(fresh("code"), &format!("exit {code}")).build().expect("a spec"));
    let ends = ends(&manager, specs).await;
    assert_eq!(ends, (0..=u8::MAX).map(stopped).collect::<Vec<_>>());
    nothing_left("code").await;
}

/// How a proc of the mix takes TERM, how it is ended, and what must come of it.
const MIX: [(&str, Ending, fn() -> ProcStatus); 4] = [
    ("echo ready >&3; exec sleep 60", Ending::Terminate, || killed(Signal::TERM)),
    ("echo ready >&3; exec sleep 60", Ending::Kill, || killed(Signal::KILL)),
    (r"trap 'exit 3' TERM; echo ready >&3; sleep 60 & wait", Ending::Terminate, || stopped(3)),
    (r"trap '' TERM; echo ready >&3; sleep 60", Ending::Terminate, || killed(Signal::KILL)),
];

#[derive(Debug, Clone, Copy)]
enum Ending {
    Terminate,
    Kill,
}

#[tokio::test]
async fn sixty_four_ended_at_once_in_different_ways_each_end_their_own_way() {
    const GRACE: Duration = Duration::from_millis(500);
    let manager = manager().await;
    let all = (0..64).map(|index| {
        let (manager, (script, ending, expected)) = (&manager, MIX[index % MIX.len()]);
        async move {
            let record = Record::new();
            let script = format!(r#"exec 3>>"$1"; {script}"#);
            let lifetime = if index % 8 < 4 { Lifetime::Attached } else { Lifetime::Detached };
            let spec = shell(fresh("mix"), &script).arg(record.path()).lifetime(lifetime);
            let spec = spec.build().expect("a spec");
            let handle = within("a start", manager.spawn(spec)).await.expect("started");
            record.until(BOUND, "ready").await;
            let ended = match ending {
                Ending::Terminate => within("terminate", handle.terminate(Some(GRACE), "the test")).await,
                Ending::Kill => within("kill", handle.kill()).await,
            };
            assert_eq!(ended.expect("it ends"), expected(), "{script} {ending:?} {lifetime:?}");
            let again = handle.kill().await;
            assert!(matches!(again, Err(TerminateError::AlreadyTerminated(end)) if end == expected()));
            within("the removal", handle.reap()).await;
        }
    });
    futures_util::future::join_all(all).await;
    nothing_left("mix").await;
}

/// A proc that writes its process id and, when it gets TERM, `term`.
struct Telling {
    id: ProcId,
    pid: u32,
    record: Record,
    traces: Traces,
}

async fn start_telling(manager: &ProcManager, label: &str, lifetime: Lifetime) -> Telling {
    let record = Record::new();
    let script = r#"trap 'echo term >>"$1"; exit 3' TERM; echo pid $$ >>"$1"; sleep 60 & wait"#;
    let spec = shell(fresh(label), script).arg(record.path()).lifetime(lifetime).build().expect("a spec");
    let handle = within("a start", manager.spawn(spec)).await.expect("started");
    let pid = record.processes(1).await[0];
    let traces = Traces::of(handle.id()).await;
    Telling { id: handle.id().clone(), pid, record, traces }
}

#[tokio::test]
async fn of_two_managers_in_one_process_the_one_that_goes_ends_its_own_attached_procs_alone() {
    let (one, other) = (manager().await, manager().await);
    let attached = start_telling(&one, "one", Lifetime::Attached).await;
    let detached = start_telling(&one, "one", Lifetime::Detached).await;
    let others = start_telling(&other, "other", Lifetime::Attached).await;
    drop(one);
    all_gone(BOUND, "its manager is gone", &[attached.pid]).await;
    assert!(attached.record.says("term"), "it was asked");
    assert!(alive(detached.pid) && !detached.record.says("term"), "a detached one lives on");
    assert!(alive(others.pid) && !others.record.says("term"), "the other manager's lives on");

    // The other manager's tie is as good as before, and so is the manager.
    let later = start_telling(&other, "other", Lifetime::Attached).await;
    assert_eq!(later.traces.tie(), others.traces.tie());
    let adopted = within("the adoption", other.adopt(&detached.id)).await.expect("what the first left");
    assert_eq!(within("terminate", adopted.terminate(None, "the test")).await.expect("it ends"), stopped(3));
    within("the removal", adopted.reap()).await;
    drop(other);
    all_gone(BOUND, "its manager is gone", &[others.pid, later.pid]).await;
    for proc in [others, later, detached, attached] {
        proc.traces.gone(BOUND).await;
    }
}

#[tokio::test]
async fn an_id_whose_attached_proc_is_over_is_free_at_once_and_its_runs_are_never_mixed() {
    const RUNS: u8 = 100;
    let manager = manager().await;
    let id = fresh("again");
    let mut handles = Vec::new();
    for run in 0..RUNS {
        // Each third leaves a child behind, which systemd is still ending when the next run is asked for.
        let script = if run % 3 == 0 { format!("sleep 60 & exit {run}") } else { format!("exit {run}") };
        let spec = shell(id.clone(), &script).build().expect("a spec");
        let handle = within("a start", manager.spawn(spec)).await;
        let handle = handle.unwrap_or_else(|error| panic!("run {run}: {error}"));
        assert_eq!(within("an end", handle.wait()).await.expect("the manager is there"), stopped(run));
        handles.push(handle);
    }
    let runs: std::collections::HashSet<_> = handles.iter().filter_map(procunit::ProcHandle::run).collect();
    assert_eq!(runs.len(), usize::from(RUNS), "each run has an id of its own");
    for (run, handle) in (0..RUNS).zip(&handles) {
        assert_eq!(handle.status(), stopped(run), "an older handle keeps its own end");
    }
    nothing_left("again").await;
}
