//! Restart policies on a real user manager: the exact end of each run, what a stop or a kill does in the middle of them,
//! and who goes on when the owner does not.

#![cfg(all(feature = "systemd", feature = "cli"))]

mod live;

use std::process::Stdio;
use std::time::Duration;

use live::outside::{all_gone, nothing_left, signal, unit_of};
use live::record::Record;
use live::{BOUND, eventually, fresh, manager, within};
use nix::sys::signal::Signal as OsSignal;
use procunit::manager::{ProcEvent, ProcEvents};
use procunit::report::EndedBy;
use procunit::signal::Signal;
use procunit::spec::{Lifetime, ProcSpecBuilder, RestartPolicy};
use procunit::status::exit::Exit;
use procunit::status::history::Cause;
use procunit::{ProcHandle, ProcManager, ProcSpec, ProcStatus};

/// So long a delay that nothing happens in it by itself.
const FOR_EVER: Duration = Duration::from_secs(600);
const BOTH: [Lifetime; 2] = [Lifetime::Attached, Lifetime::Detached];

/// Writes its pid for each run, and exits with 1 until that was the `$2`th.
const FAILS_UNTIL: &str = r#"echo pid $$ >>"$1"; test "$(wc -l <"$1")" -ge "$2""#;
/// Writes its pid, and stays.
const STAYS: &str = r#"echo pid $$ >>"$1"; exec sleep 600"#;

fn sh(label: &str, lifetime: Lifetime, script: &str, record: &Record) -> ProcSpecBuilder {
    let spec = ProcSpec::builder(fresh(label), "/bin/sh").args(["-c", script, "sh"]);
    spec.arg(record.path()).lifetime(lifetime)
}

async fn spawn(manager: &ProcManager, spec: ProcSpecBuilder) -> ProcHandle {
    within("the start", manager.spawn(spec.build().expect("a spec"))).await.expect("started")
}

fn exited(code: u8) -> ProcStatus {
    ProcStatus::from_exit(Exit::Code(code))
}

fn killed(signal: Signal) -> ProcStatus {
    ProcStatus::from_exit(Exit::Signal { signal, core_dumped: false })
}

/// What happened, a line for each move: where to, and where back to Starting, how the run ended.
async fn told(mut events: ProcEvents) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(event) = within("the next event", events.next()).await {
        let ProcEvent::Transition(moved) = event else { panic!("{event:?}") };
        assert_eq!(moved.cause == Cause::Restart, moved.run_end.is_some(), "{moved:?}");
        told.push(match moved.run_end {
            Some(end) => format!("{} after {end}", moved.to),
            None => moved.to.to_string(),
        });
    }
    told
}

async fn end_of(handle: &ProcHandle) -> ProcStatus {
    within("the final end", handle.wait()).await.expect("the manager is there")
}

async fn until_between_runs(handle: &ProcHandle) {
    eventually(BOUND, "the delay", || async {
        (handle.status() == ProcStatus::Starting && handle.pid().is_some()).then_some(())
    })
    .await;
}

/// Every run has a number and an id of its own, and these ends.
async fn runs_ended(handle: &ProcHandle, ends: &[ProcStatus]) {
    let report = within("the report", handle.report()).await.expect("the manager is there");
    let seen: Vec<_> = report.runs.iter().filter_map(|run| run.end.clone()).collect();
    assert_eq!((seen.as_slice(), report.restarts as usize), (ends, ends.len() - 1), "{report:#?}");
    let mut ids: Vec<_> = report.runs.iter().filter_map(|run| run.invocation_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), ends.len(), "{report:#?}");
    let numbers: Vec<_> = report.runs.iter().map(|run| run.number as usize).collect();
    assert_eq!(numbers, (1..=ends.len()).collect::<Vec<_>>());
}

async fn leave_nothing(label: &str, handle: &ProcHandle) {
    let _ = within(label, handle.gone()).await;
    within(label, handle.reap()).await;
    nothing_left(label).await;
}

#[tokio::test]
async fn a_program_that_fails_three_times_is_started_until_it_succeeds() {
    for lifetime in BOTH {
        let (manager, record) = (manager().await, Record::new());
        let spec = sh("thrice", lifetime, FAILS_UNTIL, &record).arg("4").restart(RestartPolicy::on_failure());
        let handle = spawn(&manager, spec).await;
        let events = handle.events();
        assert_eq!(end_of(&handle).await, exited(0));
        let again = ["Running", "Starting after Stopped(exit=1)"];
        let expected = [&again[..], &again, &again, &["Running", "Stopped(exit=0)"]].concat();
        assert_eq!(told(events).await, expected, "{lifetime:?}");
        runs_ended(&handle, &[exited(1), exited(1), exited(1), exited(0)]).await;
        assert_eq!(record.pids().len(), 4);
        leave_nothing("thrice", &handle).await;
    }
}

#[tokio::test]
async fn a_policy_of_two_restarts_makes_two_and_then_shows_the_last_end() {
    for lifetime in BOTH {
        let (manager, record) = (manager().await, Record::new());
        let policy = RestartPolicy::on_failure().max(2);
        let spec = sh("twice", lifetime, FAILS_UNTIL, &record).arg("99").restart(policy);
        let handle = spawn(&manager, spec).await;
        let events = handle.events();
        assert_eq!(end_of(&handle).await, exited(1));
        let again = ["Running", "Starting after Stopped(exit=1)"];
        let expected = [&again[..], &again, &["Running", "Stopped(exit=1)"]].concat();
        assert_eq!(told(events).await, expected, "{lifetime:?}");
        within("nothing is left", handle.gone()).await.expect("gone");
        runs_ended(&handle, &[exited(1), exited(1), exited(1)]).await;
        assert_eq!(record.pids().len(), 3);
        leave_nothing("twice", &handle).await;
    }
}

#[tokio::test]
async fn a_stop_in_the_middle_of_the_delay_ends_it_as_the_last_run_did() {
    for lifetime in BOTH {
        let (manager, record) = (manager().await, Record::new());
        let policy = RestartPolicy::always().delay(FOR_EVER);
        let spec = sh("between", lifetime, FAILS_UNTIL, &record).arg("1").restart(policy);
        let handle = spawn(&manager, spec).await;
        let events = handle.events();
        until_between_runs(&handle).await;
        let status = within("the stop", handle.terminate(None, "the test")).await.expect("stopped");
        assert_eq!(status, exited(0));
        assert_eq!(told(events).await, ["Running", "Starting after Stopped(exit=0)", "Stopped(exit=0)"]);
        let report = within("the report", handle.report()).await.expect("the manager is there");
        assert_eq!(report.ended_by, Some(EndedBy::Procunit { reason: "the test".to_owned() }));
        runs_ended(&handle, &[exited(0)]).await;
        leave_nothing("between", &handle).await;
    }
}

#[tokio::test]
async fn a_stop_or_a_kill_of_a_run_is_not_followed_by_another() {
    for (lifetime, kill) in BOTH.into_iter().flat_map(|lifetime| [(lifetime, false), (lifetime, true)]) {
        let (manager, record) = (manager().await, Record::new());
        let spec = sh("ended", lifetime, STAYS, &record).restart(RestartPolicy::always());
        let handle = spawn(&manager, spec).await;
        record.processes(1).await;
        let events = handle.events();
        let ended = if kill {
            within("the kill", handle.kill()).await
        } else {
            within("the stop", handle.terminate(None, "the test")).await
        };
        let end = killed(if kill { Signal::KILL } else { Signal::TERM });
        assert_eq!(ended.expect("ended"), end, "{lifetime:?}");
        let told = told(events).await;
        assert_eq!(
            (told.first().map(String::as_str), told.last()),
            (Some("Running"), Some(&end.to_string()))
        );
        assert!(!told.iter().any(|line| line.starts_with("Starting")), "{told:?}");
        runs_ended(&handle, &[end]).await;
        assert_eq!(record.pids().len(), 1);
        leave_nothing("ended", &handle).await;
    }
}

/// The program hears nothing of it: SIGKILL is the first that comes.
#[tokio::test]
async fn a_kill_sends_no_term_first() {
    let (manager, record) = (manager().await, Record::new());
    let script = r#"trap 'echo term >>"$1"' TERM; echo pid $$ >>"$1"; while :; do sleep 0.01; done"#;
    for _ in 0..10 {
        let spec = sh("silent", Lifetime::Attached, script, &record).restart(RestartPolicy::always());
        let handle = spawn(&manager, spec).await;
        assert_eq!(within("the kill", handle.kill()).await.expect("killed"), killed(Signal::KILL));
    }
    assert!(!record.says("term"), "{:?}", record.lines());
    nothing_left("silent").await;
}

#[tokio::test]
async fn a_death_that_somebody_else_brought_is_followed_by_the_next_run() {
    let (manager, record) = (manager().await, Record::new());
    let spec = sh("others", Lifetime::Attached, STAYS, &record).restart(RestartPolicy::on_failure());
    let handle = spawn(&manager, spec).await;
    let events = handle.events();
    signal(record.processes(1).await[0], OsSignal::SIGKILL);
    let pids = record.processes(2).await;
    eventually(BOUND, "the second run", || async { (handle.pid() == Some(pids[1])).then_some(()) }).await;
    // TERM is no failure to systemd.
    signal(pids[1], OsSignal::SIGTERM);
    assert_eq!(end_of(&handle).await, killed(Signal::TERM));
    let expected = ["Running", "Starting after Killed(sig=9)", "Running", "Killed(sig=15)"];
    assert_eq!(told(events).await, expected);
    runs_ended(&handle, &[killed(Signal::KILL), killed(Signal::TERM)]).await;
    nothing_left("others").await;
}

#[tokio::test]
async fn an_owner_that_is_killed_takes_its_procs_with_it_in_every_phase() {
    for (script, delay) in
        [(STAYS, "1ms"), ("echo pid $$ >>\"$1\"; exit 3", "1ms"), ("echo pid $$ >>\"$1\"; exit 3", "10min")]
    {
        let (id, record) = (fresh("owner"), Record::new());
        let mut owner = tokio::process::Command::new(env!("CARGO_BIN_EXE_procunit"));
        owner.args([
            "run",
            "-n",
            id.as_str(),
            "--restart",
            "always",
            "--restart-delay",
            delay,
            "--",
            "/bin/sh",
            "-c",
        ]);
        owner.args([script, "sh"]).arg(record.path());
        owner.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let mut owner = owner.spawn().expect("procunit");
        eventually(BOUND, "a run", || async { (!record.pids().is_empty()).then_some(()) }).await;
        owner.kill().await.expect("killed");
        nothing_left("owner").await;
        let pids = record.pids();
        all_gone(BOUND, "the owner was killed", &pids).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(record.pids(), pids, "started again without its owner");
    }
}

#[tokio::test]
async fn one_that_is_adopted_in_the_middle_goes_on_counting() {
    let record = Record::new();
    let policy = RestartPolicy::always().delay(Duration::from_millis(50));
    let id = {
        let first = manager().await;
        let handle = spawn(&first, sh("adopted", Lifetime::Detached, STAYS, &record).restart(policy)).await;
        handle.id().clone()
    };
    signal(record.processes(1).await[0], OsSignal::SIGKILL);
    record.processes(2).await;
    let second = manager().await;
    let handle = within("the adoption", second.adopt(&id)).await.expect("adopted");
    let again = |count: u32| {
        let handle = handle.clone();
        async move { handle.report().await.filter(|report| report.restarts == count) }
    };
    eventually(BOUND, "the count of restarts", || again(1)).await;
    signal(record.pids()[1], OsSignal::SIGKILL);
    record.processes(3).await;
    let report = eventually(BOUND, "one more", || again(2)).await;
    assert_eq!(report.lifetime, Lifetime::Detached);
    let numbers: Vec<_> = report.runs.iter().map(|run| run.number).collect();
    assert_eq!(numbers, [2, 3], "the first was over before");
    assert_eq!(report.runs[0].end, Some(killed(Signal::KILL)));
    within("the stop", handle.terminate(None, "the test")).await.expect("stopped");
    leave_nothing("adopted", &handle).await;
}

#[tokio::test]
async fn what_waits_for_its_restart_is_starting_to_everybody() {
    let (manager, record) = (manager().await, Record::new());
    let policy = RestartPolicy::on_failure().delay(FOR_EVER);
    for lifetime in BOTH {
        let handle = spawn(&manager, sh("seen", lifetime, "exit 4", &record).restart(policy.clone())).await;
        until_between_runs(&handle).await;
        let seen = within("a survey", manager.survey()).await.expect("seen");
        let report = seen.into_iter().find(|report| report.id == *handle.id()).expect("its report");
        assert_eq!(
            (report.status, report.lifetime),
            (ProcStatus::Starting, lifetime),
            "{}",
            unit_of(handle.id())
        );
        assert_eq!(report.runs.first().and_then(|run| run.end.clone()), Some(exited(4)));
        within("the kill", handle.kill()).await.expect("killed");
        leave_nothing("seen", &handle).await;
    }
}

/// systemd tells 100 ms and the like later that no start is left; an attached proc's id is free before.
#[tokio::test]
async fn an_id_is_free_as_soon_as_its_restarts_are_used_up() {
    let (manager, record) = (manager().await, Record::new());
    let id = fresh("free");
    let policy = RestartPolicy::on_failure().max(1).delay(Duration::from_millis(200));
    for _ in 0..5 {
        let spec = ProcSpec::builder(id.clone(), "/bin/sh").args(["-c", "exit 2"]).restart(policy.clone());
        let handle = spawn(&manager, spec).await;
        assert_eq!(end_of(&handle).await, exited(2));
        runs_ended(&handle, &[exited(2), exited(2)]).await;
    }
    drop(record);
    nothing_left("free").await;
}
