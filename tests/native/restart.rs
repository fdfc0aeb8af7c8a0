//! Restart policies where the manager carries them out: the same statuses as with systemd's own.

use std::time::Duration;

use procunit::manager::{ProcEvent, ProcEvents};
use procunit::report::EndedBy;
use procunit::signal::Signal;
use procunit::spec::{ProcSpecBuilder, RestartPolicy};
use procunit::status::exit::Exit;
use procunit::{ProcHandle, ProcManager, ProcStatus};

use crate::common::{BOUND, Talking, is_over, manager, output_of, sh, spawn, until, within};

const FOR_EVER: Duration = Duration::from_secs(600);

fn exited(code: u8) -> ProcStatus {
    ProcStatus::from_exit(Exit::Code(code))
}

fn killed(signal: Signal) -> ProcStatus {
    ProcStatus::from_exit(Exit::Signal { signal, core_dumped: false })
}

/// `script` with a directory of its own as `$1`, which goes with the second of the two.
fn in_directory(script: &str) -> (ProcSpecBuilder, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    (sh(script).arg("sh").arg(directory.path()), directory)
}

async fn told(mut events: ProcEvents) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(event) = within("the next event", events.next()).await {
        let ProcEvent::Transition(moved) = event else { panic!("{event:?}") };
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

async fn ends(handle: &ProcHandle) -> Vec<ProcStatus> {
    let report = within("the report", handle.report()).await.expect("the manager is there");
    assert_eq!(report.restarts as usize, report.runs.len() - 1, "{report:#?}");
    report.runs.into_iter().filter_map(|run| run.end).collect()
}

async fn between_runs(manager: &ProcManager, spec: ProcSpecBuilder) -> ProcHandle {
    let handle = spawn(manager, spec).await;
    until("the delay", || handle.status() == ProcStatus::Starting).await;
    handle
}

#[tokio::test]
async fn a_program_that_fails_three_times_is_started_until_it_succeeds() {
    let manager = manager();
    let (spec, _directory) = in_directory("echo >>\"$1/runs\"; test $(wc -l <\"$1/runs\") -ge 4");
    let handle = spawn(&manager, spec.restart(RestartPolicy::on_failure())).await;
    let events = handle.events();
    assert_eq!(end_of(&handle).await, exited(0));
    let again = ["Running", "Starting after Stopped(exit=1)"];
    let expected = [&again[..], &again, &again, &["Running", "Stopped(exit=0)"]].concat();
    assert_eq!(told(events).await, expected);
    assert_eq!(ends(&handle).await, [exited(1), exited(1), exited(1), exited(0)]);
}

#[tokio::test]
async fn a_policy_of_two_restarts_makes_two_and_then_shows_the_last_end() {
    let manager = manager();
    let handle = spawn(&manager, sh("exit 1").restart(RestartPolicy::on_failure().max(2))).await;
    let events = handle.events();
    assert_eq!(end_of(&handle).await, exited(1));
    let again = ["Running", "Starting after Stopped(exit=1)"];
    assert_eq!(told(events).await, [&again[..], &again, &["Running", "Stopped(exit=1)"]].concat());
    assert_eq!(ends(&handle).await, [exited(1), exited(1), exited(1)]);
}

#[tokio::test]
async fn a_stop_a_kill_or_the_time_limit_in_the_middle_of_the_delay_ends_it_as_the_last_run_did() {
    let manager = manager();
    let policy = || RestartPolicy::always().delay(FOR_EVER);
    for reason in ["the test", "kill"] {
        let handle = between_runs(&manager, sh("exit 6").restart(policy())).await;
        let events = handle.events();
        let ended = match reason {
            "kill" => within("the kill", handle.kill()).await,
            reason => within("the stop", handle.terminate(None, reason)).await,
        };
        assert_eq!(ended.expect("ended"), exited(6));
        assert_eq!(told(events).await, ["Running", "Starting after Stopped(exit=6)", "Stopped(exit=6)"]);
        let report = within("the report", handle.report()).await.expect("the manager is there");
        assert_eq!(report.ended_by, Some(EndedBy::Procunit { reason: reason.to_owned() }));
    }
    let limited = sh("exit 6").restart(policy()).runtime_max(Duration::from_millis(200));
    let handle = between_runs(&manager, limited).await;
    assert_eq!(end_of(&handle).await, exited(6));
    let report = within("the report", handle.report()).await.expect("the manager is there");
    assert_eq!(report.ended_by, Some(EndedBy::TimeLimit));
}

#[tokio::test]
async fn a_stop_or_a_kill_of_a_run_is_not_followed_by_another() {
    let manager = manager();
    for signal in [Signal::TERM, Signal::KILL] {
        let policy = RestartPolicy::always().delay(Duration::from_millis(1));
        let handle = spawn(&manager, sh("exec sleep 600").restart(policy)).await;
        let ended = match signal {
            Signal::KILL => within("the kill", handle.kill()).await,
            _ => within("the stop", handle.terminate(None, "the test")).await,
        };
        assert_eq!(ended.expect("ended"), killed(signal));
        assert_eq!(ends(&handle).await, [killed(signal)]);
    }
}

/// What a run leaves is ended before the next one begins.
#[tokio::test]
async fn no_process_of_a_run_is_there_in_the_next() {
    let manager = manager();
    // One that is over and not waited for by its new parent is none.
    let script = r#"echo $$; if [ -e "$1/first" ]; then
            grep -qs 'State:.[^ZX]' "/proc/$(cat "$1/first")/status" && exit 9; exit 0; fi
        sleep 600 >/dev/null & echo $! >"$1/first"; echo $!; exit 1"#;
    let (spec, _directory) = in_directory(script);
    let policy = RestartPolicy::on_failure().delay(Duration::from_millis(1));
    let mut proc = Talking::spawn(&manager, spec.restart(policy)).await;
    let (first, child) = (proc.pid().await, proc.pid().await);
    assert_eq!(end_of(&proc.handle).await, exited(0));
    assert!(is_over(first) && is_over(child));
    assert_eq!(ends(&proc.handle).await, [exited(1), exited(0)]);
}

/// As with systemd, under the same name.
#[tokio::test]
async fn every_run_is_told_its_own_id() {
    let manager = manager();
    let script = "echo $INVOCATION_ID; exit 1";
    let policy = RestartPolicy::on_failure().max(2).delay(Duration::from_millis(1));
    let mut proc = Talking::spawn(&manager, sh(script).restart(policy)).await;
    let told = [proc.line().await, proc.line().await, proc.line().await];
    end_of(&proc.handle).await;
    let report = within("the report", proc.handle.report()).await.expect("the manager is there");
    let ids: Vec<_> = report.runs.iter().map(|run| run.invocation_id.expect("an id").to_string()).collect();
    assert_eq!(ids, told);
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    assert_eq!(proc.handle.run().map(|run| run.to_string()).as_ref(), ids.last());
    let hidden = output_of(&manager, sh("echo ${INVOCATION_ID-none}").env_remove("INVOCATION_ID")).await;
    assert_eq!(String::from_utf8_lossy(&hidden), "none\n");
}

#[tokio::test]
async fn a_run_that_cannot_be_set_up_counts_as_one_that_failed() {
    let manager = manager();
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("program");
    std::fs::copy("/bin/sh", &program).expect("a program");
    let policy = RestartPolicy::on_failure().max(2).delay(Duration::from_millis(1));
    let script = format!("rm {}; exit 3", program.display());
    let spec = crate::common::spec(program.to_str().expect("UTF-8")).args(["-c", &script]).restart(policy);
    let handle = spawn(&manager, spec).await;
    let status = end_of(&handle).await;
    assert!(matches!(status, ProcStatus::Failed { .. }), "{status}");
    assert_eq!(ends(&handle).await, [exited(3), status.clone(), status]);
}

#[tokio::test]
async fn the_delay_grows() {
    let manager = manager();
    let policy = RestartPolicy::always()
        .max(3)
        .delay(Duration::from_millis(100))
        .max_delay(Duration::from_millis(400));
    let handle = spawn(&manager, sh("exit 0").restart(policy)).await;
    end_of(&handle).await;
    let report = within("the report", handle.report()).await.expect("the manager is there");
    let began: Vec<_> = report.runs.iter().filter_map(|run| run.started_at).collect();
    for (pair, least) in began.windows(2).zip([100, 200, 400]) {
        let apart = pair[1].since(pair[0]);
        assert!(apart >= Duration::from_millis(least) && apart < BOUND, "{apart:?}, at least {least} ms");
    }
}

#[tokio::test]
async fn dropping_the_manager_starts_nothing_again() {
    let manager = manager();
    let script = "echo >>\"$1/runs\"; exit 1";
    let (spec, directory) = in_directory(script);
    let policy = RestartPolicy::always().delay(Duration::from_millis(100));
    drop(between_runs(&manager, spec.restart(policy)).await);
    drop(manager);
    let runs = || std::fs::read(directory.path().join("runs")).expect("a run").len();
    let before = runs();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(runs() <= before + 1, "one may have been on its way");
    let settled = runs();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(runs(), settled);
}

#[tokio::test]
async fn a_terminate_at_any_moment_ends_it_for_good() {
    let manager = manager();
    for round in 0..60_u64 {
        let policy = RestartPolicy::always().delay(Duration::from_millis(1));
        let handle = spawn(&manager, sh("exit 1").restart(policy)).await;
        tokio::time::sleep(Duration::from_micros(round * 150)).await;
        let status = within("the stop", handle.terminate(None, "the test")).await.expect("stopped");
        let report = within("the report", handle.report()).await.expect("the manager is there");
        assert_eq!(report.runs.last().and_then(|run| run.end.clone()), Some(status));
        let pid = handle.pid().expect("a pid");
        assert!(is_over(pid), "{pid} is left");
    }
}
