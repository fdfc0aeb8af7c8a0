//! How procs end by themselves is told exactly.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use procunit::ProcStatus;
use procunit::signal::Signal;

use crate::common::{end_of, manager, sh, spawn, spec, within};

fn stopped(exit_code: u8) -> ProcStatus {
    ProcStatus::Stopped { exit_code, stderr_tail: Vec::new() }
}

#[tokio::test]
async fn every_exit_code_is_told_as_it_is() {
    let manager = manager();
    for code in [0, 1, 2, 7, 42, 124, 125, 126, 127, 128, 137, 143, 200, 203, 243, 254, 255] {
        assert_eq!(end_of(&manager, sh(&format!("exit {code}"))).await, stopped(code));
    }
}

#[tokio::test]
async fn death_by_a_signal_is_told_with_the_signal_also_a_realtime_one() {
    let manager = manager();
    for number in [1, 2, 9, 13, 14, 15, 34, 37, 64] {
        let status = end_of(&manager, sh(&format!("kill -{number} $$"))).await;
        let signal = Signal::new(number).unwrap();
        assert_eq!(status, ProcStatus::Killed { signal, core_dumped: false });
    }
}

#[tokio::test]
async fn a_core_dump_is_told_as_the_kernel_tells_it_to_any_parent() {
    let manager = manager();
    for limit in ["0", "unlimited"] {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("ulimit -c {limit}; kill -SEGV $$");
        let plain = Command::new("sh").args(["-c", &script]).current_dir(&dir).status().unwrap();
        let status = end_of(&manager, sh(&script).cwd(dir.path())).await;
        let core_dumped = plain.core_dumped();
        assert_eq!(status, ProcStatus::Killed { signal: Signal::SEGV, core_dumped }, "ulimit -c {limit}");
    }
}

#[tokio::test]
async fn two_hundred_at_once_that_fail_are_two_hundred_exits_with_1() {
    let manager = manager();
    let mut handles = Vec::new();
    for _ in 0..200 {
        handles.push(spawn(&manager, spec("false")).await);
    }
    for handle in handles {
        assert_eq!(within("the end", handle.wait()).await, Ok(stopped(1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_launches_in_flight_are_two_hundred_exits_with_1() {
    let manager = manager();
    let launches: Vec<_> = (0..200).map(|_| spec("false").build().unwrap()).collect();
    let mut ends = tokio::task::JoinSet::new();
    let manager = std::sync::Arc::new(manager);
    for spec in launches {
        let manager = std::sync::Arc::clone(&manager);
        ends.spawn(async move { manager.spawn(spec).await.unwrap().wait().await });
    }
    let ends = within("all ends", ends.join_all()).await;
    assert_eq!(ends, vec![Ok(stopped(1)); 200]);
}

#[tokio::test]
async fn a_report_names_the_launcher_the_pid_and_the_time_it_took() {
    let manager = manager();
    let handle = spawn(&manager, sh("exit 3").label("three")).await;
    within("the end", handle.wait()).await.unwrap();
    let report = within("a report", handle.report()).await.unwrap();
    assert_eq!(report.launcher, "native");
    assert_eq!(report.unit, None);
    assert_eq!(report.status, stopped(3));
    assert!(report.pid.is_some_and(|pid| pid > 1));
    assert!(report.cpu_seconds.is_some_and(|seconds| seconds >= 0.0), "{:?}", report.cpu_seconds);
    assert!(report.wall_seconds.is_some_and(|seconds| seconds < 30.0), "{:?}", report.wall_seconds);
    assert!(report.doubts.is_empty(), "{:?}", report.doubts);
}

#[tokio::test]
async fn processor_time_counts_what_the_program_used() {
    let manager = manager();
    let handle = spawn(&manager, sh("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")).await;
    within("the end", handle.wait()).await.unwrap();
    let used = within("a report", handle.report()).await.unwrap().cpu_seconds.unwrap();
    assert!(used > 0.01, "{used}");
}

#[tokio::test]
async fn memory_is_told_where_it_is_the_programs_own_and_never_this_processs() {
    const SIZE: u64 = 200 * 1024 * 1024;
    let manager = manager();
    for round in 0..20 {
        let small = spawn(&manager, spec("true")).await;
        within("the end", small.wait()).await.unwrap();
        let peak = within("a report", small.report()).await.unwrap().memory_peak_bytes;
        assert_eq!(peak, None, "round {round}");
    }
    let large = spec("dd").args(["if=/dev/zero", "of=/dev/null", "count=1"]).arg(format!("bs={SIZE}"));
    let large = spawn(&manager, large).await;
    within("the end", large.wait()).await.unwrap();
    let peak = within("a report", large.report()).await.unwrap().memory_peak_bytes;
    assert!(peak.is_some_and(|peak| (SIZE..SIZE + SIZE / 2).contains(&peak)), "{peak:?}");
}

#[tokio::test]
async fn an_id_is_free_again_directly_after_its_end() {
    let manager = manager();
    let id = procunit::id::ProcId::new("again").unwrap();
    for round in 0..50 {
        let spec = procunit::ProcSpec::builder(id.clone(), "sh")
            .args(["-c", &format!("exit {round}")])
            .stdout(procunit::spec::Output::Null)
            .stderr(procunit::spec::Output::Null);
        assert_eq!(end_of(&manager, spec).await, stopped(round));
    }
}
