//! Where there are no streams of a proc's own any more, its output shares one, and everybody says so.

use procunit::ProcManager;
use procunit::spec::{Output, ProcSpecBuilder};

use crate::bed::{Bed, end_of, spawn};
use crate::command::ran;
use crate::live::{BOUND, eventually, within};
use crate::text::{rest_of, text};

each_backend![
    a_report_says_that_streams_are_shared_and_has_the_lines,
    lines_of_a_shared_stream_come_without_its_name,
    the_command_says_that_they_cannot_be_told_apart,
];

fn talking(bed: &Bed) -> ProcSpecBuilder {
    bed.sh("echo out; echo err >&2; echo end").stdout(Output::Journal).stderr(Output::Journal)
}

async fn without_streams(bed: &Bed) -> ProcManager {
    ProcManager::builder(bed.launcher().await).journal_streams(0).build()
}

async fn a_report_says_that_streams_are_shared_and_has_the_lines(bed: &Bed) {
    let manager = without_streams(bed).await;
    let handle = spawn(&manager, talking(bed)).await;
    end_of(&handle).await;
    // Nothing tells when journald has all of it.
    let report = eventually(BOUND, "all lines", || async {
        let report = within("a report", handle.report_with_logs(20)).await.expect("a report");
        (report.last_lines.len() == 3).then_some(report)
    })
    .await;
    assert_eq!(report.output.apart, Some(false));
    let told: Vec<_> =
        report.last_lines.iter().map(|line| (line.stream.as_deref(), line.message.as_str())).collect();
    assert_eq!(told, [(None, "out"), (None, "err"), (None, "end")]);
    assert_ne!(report.logs_complete, Some(false), "{:?}", report.logs_complete_why);
}

async fn lines_of_a_shared_stream_come_without_its_name(bed: &Bed) {
    let manager = without_streams(bed).await;
    let handle = spawn(&manager, talking(bed)).await;
    let mut lines = handle.lines().await.expect("lines");
    let all = rest_of(&mut lines).await;
    let told: Vec<_> = all.iter().map(|line| (line.stream, text(&line.bytes))).collect();
    assert_eq!(told, ["out", "err", "end"].map(|line| (None, line.to_owned())));
}

async fn the_command_says_that_they_cannot_be_told_apart(bed: &Bed) {
    let manager = without_streams(bed).await;
    let handle = spawn(&manager, talking(bed)).await;
    end_of(&handle).await;
    within("nothing of it", handle.gone()).await.expect("it goes");
    let logs = |flags: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_procunit"));
        command.args(["logs", "-o", "cat"]).args(flags).arg(handle.id().as_str()).kill_on_drop(true);
        ran(command)
    };
    eventually(BOUND, "all lines", || async {
        let (code, out, _) = logs(&[]).await;
        (code == 0 && out == b"out\nerr\nend\n").then_some(())
    })
    .await;
    let (code, out, err) = logs(&["--stream", "err"]).await;
    assert_eq!((code, text(&out)), (0, String::new()));
    assert!(text(&err).contains("do not say to which stream they were written"), "{}", text(&err));
}
