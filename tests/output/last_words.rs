//! The last lines of standard error, which an end carries.

use procunit::spec::Output;
use procunit::{ProcHandle, ProcManager, ProcStatus};
use tokio::time::Instant;

use crate::bed::{Bed, Idle, end_of, ms, spawn};
use crate::text::all_of;

each_backend![
    an_end_carries_the_last_twenty_lines,
    a_line_without_an_end_is_a_last_word_too,
    without_a_reader_here_there_are_none,
    a_stream_that_is_held_open_or_flooded_holds_no_end_back,
    a_caller_that_does_not_read_holds_no_end_back,
];

/// What an end waits for last words, and what a machine with other things to do takes besides.
const LATEST: u64 = 50 + 250;

const CAPTURE: Output = Output::Capture { journal: true };

fn tail(status: ProcStatus) -> Vec<String> {
    let ProcStatus::Stopped { stderr_tail, .. } = status else { panic!("{status:?}") };
    stderr_tail
}

/// The end of a script whose standard error is read here for the journal, and by the caller.
async fn last_words(bed: &Bed, manager: &ProcManager, script: &str) -> (ProcHandle, Vec<String>) {
    let handle = spawn(manager, bed.sh(script).stderr(CAPTURE)).await;
    let stderr = tokio::spawn(all_of(handle.take_stderr().expect("a stream")));
    let tail = tail(end_of(&handle).await);
    crate::live::within("nothing of it", handle.gone()).await.expect("it goes");
    stderr.await.expect("all of it");
    (handle, tail)
}

async fn an_end_carries_the_last_twenty_lines(bed: &Bed) {
    let manager = bed.manager().await;
    let numbers = |from: u32, to: u32| (from..=to).map(|n| n.to_string()).collect::<Vec<_>>();
    for (script, expected) in [
        ("seq 300 >&2; exit 3", numbers(281, 300)),
        ("seq 3 >&2", numbers(1, 3)),
        ("seq 3", Vec::new()),
        (
            "echo one >&2; echo >&2; printf '\\377\\n' >&2",
            vec!["one".into(), String::new(), "\u{fffd}".into()],
        ),
    ] {
        assert_eq!(last_words(bed, &manager, script).await.1, expected, "{script}");
    }
}

async fn a_line_without_an_end_is_a_last_word_too(bed: &Bed) {
    let manager = bed.manager().await;
    for script in
        ["echo one >&2; printf 'no end' >&2; exit 1", "sleep 600 & echo one >&2; printf 'no end' >&2; exit 1"]
    {
        for _ in 0..5 {
            assert_eq!(last_words(bed, &manager, script).await.1, ["one", "no end"], "{script}");
        }
    }
}

async fn without_a_reader_here_there_are_none(bed: &Bed) {
    let manager = bed.manager().await;
    for output in [Output::Journal, Output::Null, Output::Capture { journal: false }] {
        let handle = spawn(&manager, bed.sh("echo words >&2; exit 3").stderr(output)).await;
        assert_eq!(tail(end_of(&handle).await), Vec::<String>::new());
    }
}

/// How long after its main process is over an end is told; where the machine had nothing else to do.
async fn delay(bed: &Bed, script: &str) -> Option<std::time::Duration> {
    let manager = bed.manager().await;
    let directory = tempfile::tempdir().expect("a directory");
    let gate = directory.path().join("gate");
    let wait = format!("while [ ! -e {} ]; do sleep 0.01; done", gate.display());
    let script = format!("{script}\n{wait}; exit 3");
    let handle = spawn(&manager, bed.sh(&script).stderr(CAPTURE)).await;
    let stderr = tokio::spawn(all_of(handle.take_stderr().expect("a stream")));
    let idle = Idle::watch();
    let begun = Instant::now();
    std::fs::write(gate, "").expect("the gate");
    assert!(matches!(end_of(&handle).await, ProcStatus::Stopped { exit_code: 3, .. }));
    let took = begun.elapsed();
    let was_idle = idle.was();
    crate::live::within("nothing of it", handle.gone()).await.expect("it goes");
    stderr.await.expect("all of it");
    was_idle.then_some(took)
}

async fn a_stream_that_is_held_open_or_flooded_holds_no_end_back(bed: &Bed) {
    // In few long lines: journald has a limit for many short ones.
    for held in ["sleep 600 &", "(while :; do head -c 40000 /dev/zero; echo; sleep 0.02; done) >&2 &"] {
        if let Some(took) = delay(bed, held).await {
            assert!(took < ms(LATEST), "{held}: {took:?}");
        }
    }
}

async fn a_caller_that_does_not_read_holds_no_end_back(bed: &Bed) {
    let manager = bed.manager().await;
    // More than waits for a reader here, and less than the pipe holds besides.
    let script = "head -c 60000 /dev/zero | tr '\\0' x >&2; echo >&2; head -c 60000 /dev/zero | tr '\\0' y >&2; echo >&2; exit 3";
    let handle = spawn(&manager, bed.sh(script).stderr(CAPTURE)).await;
    assert!(matches!(end_of(&handle).await, ProcStatus::Stopped { exit_code: 3, .. }));
    assert_eq!(all_of(handle.take_stderr().expect("a stream")).await.len(), 120_002);
}
