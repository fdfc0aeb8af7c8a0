//! A stream that the caller reads.

use procunit::ProcStatus;
use procunit::signal::Signal;
use procunit::spec::{Lifetime, Output, RestartPolicy};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::bed::{Bed, end_of, killed, ms, spawn, stopped};
use crate::live::journald::kept;
use crate::live::{BOUND, eventually, within};
use crate::text::{all_of, text};

each_backend![
    dropped_it_ends_its_writer,
    dropped_it_ends_nobody_where_the_journal_has_it,
    it_is_taken_once,
    it_ends_when_nobody_has_it_open,
    it_ends_with_the_last_run_that_has_it,
    unread_it_makes_its_writer_wait,
    what_is_left_in_it_outlives_the_proc,
    a_detached_proc_has_none,
];

const ALONE: Output = Output::Capture { journal: false };
const WITH_JOURNAL: Output = Output::Capture { journal: true };

async fn dropped_it_ends_its_writer(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.spec("/usr/bin/yes").stdout(ALONE)).await;
    drop(handle.take_stdout().expect("a stream"));
    assert_eq!(end_of(&handle).await, killed(Signal::PIPE));
}

async fn dropped_it_ends_nobody_where_the_journal_has_it(bed: &Bed) {
    let manager = bed.manager().await;
    let script = "for n in $(seq 200); do echo $n; done; echo end >&2; exit 7";
    let handle = spawn(&manager, bed.sh(script).stdout(WITH_JOURNAL).stderr(WITH_JOURNAL)).await;
    drop((handle.take_stdout().expect("a stream"), handle.take_stderr().expect("a stream")));
    assert!(matches!(end_of(&handle).await, ProcStatus::Stopped { exit_code: 7, .. }));
    within("all of it", handle.handed_on()).await;
    let ids = [handle.id().clone()];
    let records = eventually(BOUND, "all lines", || async {
        kept(&ids).await.remove(handle.id().as_str()).filter(|records| records.len() >= 201)
    })
    .await;
    let of = |priority: &str| {
        let records = records.iter().filter(|record| record.priority == priority);
        records.map(|record| record.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("6"), (1..=200).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(of("3"), ["end"]);
    let report = within("a report", handle.report_with_logs(3)).await.expect("a report");
    assert_ne!(report.logs_complete, Some(false), "{:?}", report.logs_complete_why);
    assert_eq!(report.last_lines.len(), 3, "{:?}", report.logs_complete_why);
}

async fn it_is_taken_once(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sh("echo out; echo err >&2").stdout(ALONE)).await;
    let stdout = handle.take_stdout().expect("a stream");
    assert!(handle.clone().take_stdout().is_none());
    assert!(handle.take_stderr().is_none(), "it goes elsewhere");
    assert_eq!(all_of(stdout).await, b"out\n");
    end_of(&handle).await;
}

async fn it_ends_when_nobody_has_it_open(bed: &Bed) {
    let manager = bed.manager().await;
    for capture in [ALONE, WITH_JOURNAL] {
        // What is left is ended at once, and takes its time.
        let script =
            "(trap 'sleep 0.3; echo left; exit' TERM; while :; do sleep 0.02; done) & echo first; exit 3";
        let handle = spawn(&manager, bed.sh(script).stdout(capture)).await;
        let mut stdout = handle.take_stdout().expect("a stream");
        assert_eq!(end_of(&handle).await, stopped(3));
        let mut first = [0; 6];
        within("a line", stdout.read_exact(&mut first)).await.expect("a line");
        assert_eq!(text(&first), "first\n");
        let rest = all_of(stdout).await;
        // Whether the shell had set its trap before it was told, is chance.
        assert!(rest.is_empty() || rest == b"left\n", "{rest:?}");
        within("nothing of it", handle.gone()).await.expect("it goes");
    }
}

async fn it_ends_with_the_last_run_that_has_it(bed: &Bed) {
    let manager = bed.manager().await;
    let policy = RestartPolicy::on_failure().max(2).delay(ms(10));
    let handle = spawn(&manager, bed.sh("echo run; exit 1").stdout(ALONE).restart(Some(policy))).await;
    let all = all_of(handle.take_stdout().expect("a stream")).await;
    assert_eq!(end_of(&handle).await, stopped(1));
    assert_eq!(text(&all), "run\nrun\nrun\n");
}

async fn unread_it_makes_its_writer_wait(bed: &Bed) {
    let manager = bed.manager().await;
    for capture in [ALONE, WITH_JOURNAL] {
        let handle = spawn(&manager, bed.sh("head -c 1M /dev/zero").stdout(capture)).await;
        // It cannot be over: a pipe and what waits here do not hold as much.
        assert!(timeout(ms(200), handle.wait()).await.is_err());
        let all = all_of(handle.take_stdout().expect("a stream")).await;
        assert_eq!(all.len(), 1024 * 1024);
        assert_eq!(end_of(&handle).await, stopped(0));
    }
}

async fn what_is_left_in_it_outlives_the_proc(bed: &Bed) {
    let manager = bed.manager().await;
    for capture in [ALONE, WITH_JOURNAL] {
        let handle = spawn(&manager, bed.sh("echo last words").stdout(capture)).await;
        within("nothing of it", handle.gone()).await.expect("it goes");
        let stdout = handle.take_stdout().expect("a stream");
        drop(handle);
        assert_eq!(all_of(stdout).await, b"last words\n");
    }
}

async fn a_detached_proc_has_none(bed: &Bed) {
    for output in [ALONE, WITH_JOURNAL, Output::Tee] {
        let refused = bed.sh("echo").stdout(output).lifetime(Lifetime::Detached).build();
        assert!(refused.expect_err("it outlives its reader").to_string().contains("standard output"));
    }
}
