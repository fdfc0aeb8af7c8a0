//! What a report says of a log: the last lines, and whether the journal has all of it.

#![cfg(feature = "systemd")]

mod live;

use live::{fresh, manager, within};
use procunit::report::Report;
use procunit::spec::{Lifetime, Output, ProcSpecBuilder};
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
async fn lines_that_alternate_between_the_streams_keep_the_order_of_each() {
    let manager = manager().await;
    let script = "for n in $(seq 500); do echo out $n; echo err $n >&2; done";
    let handle = over(&manager, sh("order", script)).await;
    let all = report(&handle, 1_000).await;
    assert_eq!(all.logs_complete, Some(true), "{:?}", all.logs_complete_why);
    let all = told(&all).into_iter().map(|(stream, line)| (stream.map(str::to_owned), line.to_owned()));
    let (out, err): (Vec<_>, Vec<_>) = all.partition(|(stream, _)| stream.as_deref() == Some("stdout"));
    let expected = |stream: &str, word: &str| -> Vec<_> {
        (1..=500).map(|n| (Some(stream.to_owned()), format!("{word} {n}"))).collect()
    };
    assert_eq!(out, expected("stdout", "out"));
    assert_eq!(err, expected("stderr", "err"));
    // Whose line journald takes first of two streams is its own affair, the end of each is not.
    let tail = report(&handle, 20).await;
    let last = told(&tail).into_iter().map(|(stream, line)| (stream.map(str::to_owned), line.to_owned()));
    let (out, err): (Vec<_>, Vec<_>) = last.partition(|(stream, _)| stream.as_deref() == Some("stdout"));
    assert_eq!(out.len() + err.len(), 20);
    assert!(expected("stdout", "out").ends_with(&out), "{out:?}");
    assert!(expected("stderr", "err").ends_with(&err), "{err:?}");
}

#[tokio::test]
async fn the_lines_of_two_runs_of_one_id_never_mix() {
    let manager = manager().await;
    let id = fresh("runs");
    let mut earlier = Vec::new();
    for n in 0..5 {
        let spec =
            ProcSpec::builder(id.clone(), "/bin/sh").args(["-c", &format!("echo run {n}; echo err {n} >&2")]);
        let handle = over(&manager, spec.replace_ended(true)).await;
        earlier.push((n, handle));
    }
    for (n, handle) in &earlier {
        let report = report(handle, 20).await;
        let mut lines = told(&report);
        lines.sort_unstable();
        let (run, err) = (format!("run {n}"), format!("err {n}"));
        assert_eq!(lines, [(Some("stderr"), err.as_str()), (Some("stdout"), run.as_str())]);
    }
}

#[tokio::test]
async fn of_a_proc_that_another_manager_launched_it_is_not_known_whether_all_is_there_or_it_is() {
    let launched = manager().await;
    let (gate, opens) = std::io::pipe().expect("a pipe");
    let spec = sh("adopted", "read _; echo words").lifetime(Lifetime::Detached);
    let spec = spec.stdin(std::os::fd::OwnedFd::from(gate)).build().expect("a spec");
    let first = within("a launch", launched.spawn(spec)).await.expect("launched");
    let adopting = manager().await;
    let handle = within("an adoption", adopting.adopt(first.id())).await.expect("adopted");
    drop(opens);
    within("the end", handle.gone()).await.expect("an end");
    let report = report(&handle, 20).await;
    // journald answers root's Synchronize, and from 258 on everybody's.
    match report.logs_complete {
        None => assert!(report.logs_complete_why.is_some()),
        Some(complete) => assert!(complete && report.last_lines.len() == 1, "{:?}", report.logs_complete_why),
    }
    within("its removal", handle.reap()).await;
}

#[tokio::test]
async fn of_what_writes_nothing_to_the_journal_nobody_says_that_it_is_there() {
    let manager = manager().await;
    let handle = over(&manager, sh("null", "echo lost").stdout(Output::Null).stderr(Output::Null)).await;
    let report = report(&handle, 20).await;
    assert_eq!((report.logs_complete, told(&report)), (None, Vec::new()));
    assert_eq!(report.logs_complete_why.as_deref(), Some("nothing of it goes to the journal"));
}
