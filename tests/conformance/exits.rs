//! How procs end by themselves is told exactly.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use futures_util::future::join_all;
use procunit::ProcStatus;
use procunit::report::EndedBy;
use procunit::signal::Signal;

use crate::bed::{Bed, clear, end_of, killed, signal, spawn, stopped};
use crate::live::within;

each_backend![
    every_exit_code_is_exact,
    death_by_a_signal_is_exact_whoever_sent_it,
    a_core_dump_is_told_as_the_kernel_tells_it_to_any_parent,
    a_report_tells_who_it_was_and_reads_back_the_same,
    a_program_that_ends_by_itself_was_ended_by_itself,
    a_signal_that_is_not_ours_is_not_told_as_ours,
];
each_backend_on_two_threads![two_hundred_failures_at_once_are_two_hundred_times_exit_1,];

async fn every_exit_code_is_exact(bed: &Bed) {
    let manager = &bed.manager().await;
    let ends = join_all((0..=u8::MAX).map(|code| async move {
        let handle = spawn(manager, bed.sh(&format!("exit {code}"))).await;
        end_of(&handle).await
    }));
    assert_eq!(ends.await, (0..=u8::MAX).map(stopped).collect::<Vec<_>>());
}

async fn death_by_a_signal_is_exact_whoever_sent_it(bed: &Bed) {
    let manager = bed.manager().await;
    for number in [1, 2, 9, 10, 13, 14, 15, 34, 64] {
        let by_itself = spawn(&manager, bed.sh(&format!("kill -{number} $$"))).await;
        assert_eq!(end_of(&by_itself).await, killed(signal(number)));
        let by_us = spawn(&manager, bed.sleeper()).await;
        let to = procunit::launcher::Target::Main;
        within("a signal", by_us.signal(signal(number), to)).await.expect("delivered");
        assert_eq!(end_of(&by_us).await, killed(signal(number)));
    }
}

/// Whether there is a core depends on the limit and on the host's core_pattern: a plain child tells.
async fn a_core_dump_is_told_as_the_kernel_tells_it_to_any_parent(bed: &Bed) {
    let manager = bed.manager().await;
    for limit in ["0", "unlimited"] {
        let dir = tempfile::tempdir().expect("a directory");
        let script = format!("ulimit -c {limit} && kill -SEGV $$");
        let plain = Command::new("sh").args(["-c", &script]).current_dir(&dir).status().expect("sh");
        let handle = spawn(&manager, bed.sh(&script).cwd(dir.path())).await;
        let core_dumped = plain.core_dumped();
        let expected = ProcStatus::Killed { signal: Signal::SEGV, core_dumped };
        assert_eq!(end_of(&handle).await, expected, "ulimit -c {limit}");
    }
}

async fn two_hundred_failures_at_once_are_two_hundred_times_exit_1(bed: &Bed) {
    let manager = &bed.manager().await;
    let ends = join_all((0..200).map(|_| async move {
        let handle = spawn(manager, bed.spec("/bin/false")).await;
        end_of(&handle).await
    }));
    assert_eq!(within("all ends", ends).await, vec![stopped(1); 200]);
}

async fn a_report_tells_who_it_was_and_reads_back_the_same(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let handle = spawn(&manager, bed.sh("exit 7").label("seven").lifetime(lifetime)).await;
        let status = end_of(&handle).await;
        let report = within("a report", handle.report()).await.expect("a record");
        assert_eq!((&report.id, &report.status), (handle.id(), &status));
        assert_eq!((report.lifetime, report.pid), (lifetime, handle.pid()));
        assert_eq!(report.label.as_deref(), Some("seven"));
        let (started, ended) = report.started_at.zip(report.ended_at).expect("both times");
        assert!(started <= ended, "{started} {ended}");
        assert!(!report.escalated && report.transitions_dropped == 0, "{report:?}");
        let json = serde_json::to_string(&report).expect("JSON");
        assert_eq!(serde_json::from_str::<procunit::report::Report>(&json).expect("a report"), report);
        clear(&handle).await;
    }
}

async fn a_program_that_ends_by_itself_was_ended_by_itself(bed: &Bed) {
    let manager = bed.manager().await;
    for code in [0, 1, 143] {
        let handle = spawn(&manager, bed.sh(&format!("exit {code}"))).await;
        end_of(&handle).await;
        let report = within("a report", handle.report()).await.expect("a record");
        assert_eq!(report.ended_by, Some(EndedBy::Program), "exit {code}");
    }
}

async fn a_signal_that_is_not_ours_is_not_told_as_ours(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sleeper()).await;
    crate::live::outside::signal(handle.pid().expect("a pid"), nix::sys::signal::Signal::SIGTERM);
    end_of(&handle).await;
    let report = within("a report", handle.report()).await.expect("a record");
    assert_eq!(report.ended_by, Some(EndedBy::UnknownSender));
}
