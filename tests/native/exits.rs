//! How procs end by themselves is told exactly.

use procunit::ProcStatus;

use crate::common::{manager, sh, spawn, spec, within};

fn stopped(exit_code: u8) -> ProcStatus {
    ProcStatus::Stopped { exit_code, stderr_tail: Vec::new() }
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
