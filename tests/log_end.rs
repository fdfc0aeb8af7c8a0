//! What a report says of a log: the last lines, and whether the journal has all of it.

#![cfg(feature = "systemd")]

mod live;

use live::{fresh, manager, within};
use procunit::report::Report;
use procunit::spec::{Output, ProcSpecBuilder};
use procunit::{ProcHandle, ProcManager, ProcSpec};

fn sh(label: &str, script: &str) -> ProcSpecBuilder {
    ProcSpec::builder(fresh(label), "/bin/sh").args(["-c", script])
}

async fn over(manager: &ProcManager, spec: ProcSpecBuilder) -> ProcHandle {
    let handle = within("a launch", manager.spawn(spec.build().expect("a spec"))).await.expect("launched");
    within("the end", handle.gone()).await.expect("an end");
    handle
}

async fn report(handle: &ProcHandle, lines: usize) -> Report {
    within("a report", handle.report_with_logs(lines)).await.expect("a report")
}

fn told(report: &Report) -> Vec<(Option<&str>, &str)> {
    report.last_lines.iter().map(|line| (line.stream.as_deref(), line.message.as_str())).collect()
}

#[tokio::test]
async fn a_report_has_the_last_lines_of_both_streams_and_says_that_they_are_all() {
    let manager = manager().await;
    let handle = over(&manager, sh("both", "echo out; echo err >&2; printf unfinished; kill -SEGV $$")).await;
    let report = report(&handle, 20).await;
    assert_eq!(report.logs_complete, Some(true), "{:?}", report.logs_complete_why);
    assert_eq!(report.output.apart, Some(true));
    let mut lines = told(&report);
    lines.sort_unstable();
    assert_eq!(lines, [(Some("stderr"), "err"), (Some("stdout"), "out"), (Some("stdout"), "unfinished")]);
}

#[tokio::test]
async fn the_tail_is_the_last_lines_and_no_more() {
    let manager = manager().await;
    let handle = over(&manager, sh("tail", "for n in $(seq 500); do echo $n; done")).await;
    let report = report(&handle, 20).await;
    let expected: Vec<_> = (481..=500).map(|n| n.to_string()).collect();
    assert_eq!(told(&report), expected.iter().map(|n| (Some("stdout"), n.as_str())).collect::<Vec<_>>());
}

#[tokio::test]
async fn of_what_writes_nothing_to_the_journal_nobody_says_that_it_is_there() {
    let manager = manager().await;
    let handle = over(&manager, sh("null", "echo lost").stdout(Output::Null).stderr(Output::Null)).await;
    let report = report(&handle, 20).await;
    assert_eq!((report.logs_complete, told(&report)), (None, Vec::new()));
    assert_eq!(report.logs_complete_why.as_deref(), Some("nothing of it goes to the journal"));
}
