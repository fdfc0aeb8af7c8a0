//! A proc's lines as they come.

use std::path::Path;

use procunit::journal::StdStream;
use procunit::manager::{LogEvent, LogLine};
use procunit::spec::{Output, RestartPolicy};
use tokio::sync::mpsc;

use crate::bed::{Bed, ms, spawn};
use crate::live::record::Record;
use crate::live::{BOUND, within};
use crate::text::{rest_of, text};
use procunit::ProcManager;

each_backend![
    the_journal_gives_all_lines_from_before_and_after_the_call,
    lines_that_this_process_alone_reads_come_from_the_call_on,
    a_slow_reader_is_told_how_many_it_lost,
    a_line_that_is_too_long_goes_on_in_the_next,
    lines_of_a_proc_that_is_over_are_all_there,
    lines_of_all_runs_come_and_say_whose_they_are,
    what_goes_elsewhere_gives_none,
];

/// Writes some lines, says so in `$1`, and when `$1.gate` is there, as many more.
const IN_TWO_PARTS: &str = r#"for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done; echo written >>"$1"
    while [ ! -e "$1.gate" ]; do sleep 0.02; done; for n in 6 7 8 9; do echo out $n; echo err $n >&2; done; printf end"#;

fn gate(record: &Record) -> std::path::PathBuf {
    let mut path = record.path().into_os_string();
    path.push(".gate");
    path.into()
}

fn open(gate: &Path) {
    std::fs::write(gate, "").expect("the gate");
}

fn of(stream: StdStream, lines: &[LogLine]) -> Vec<String> {
    let lines = lines.iter().filter(|line| line.stream == Some(stream));
    lines.map(|line| text(&line.bytes)).collect()
}

fn numbered(word: &str, numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    numbers.map(|n| format!("{word} {n}")).collect()
}

/// A manager whose procs' output this process reads.
async fn reading(bed: &Bed) -> (ProcManager, mpsc::Receiver<procunit::journal::OutputEvent>) {
    let (forward, lines) = mpsc::channel(100_000);
    (ProcManager::builder(bed.launcher().await).forward(forward).build(), lines)
}

async fn the_journal_gives_all_lines_from_before_and_after_the_call(bed: &Bed) {
    let manager = bed.manager().await;
    for output in [Output::Journal, Output::Capture { journal: true }] {
        let record = Record::new();
        let spec = bed.sh(IN_TWO_PARTS).arg(record.path()).stdout(output.clone()).stderr(output.clone());
        let handle = spawn(&manager, spec).await;
        drop((handle.take_stdout(), handle.take_stderr()));
        record.until(BOUND, "written").await;
        let mut lines = handle.lines().await.expect("lines");
        open(&gate(&record));
        let all = rest_of(&mut lines).await;
        let out = [numbered("out", 1..=9), vec!["end".to_owned()]].concat();
        assert_eq!(of(StdStream::Stdout, &all), out, "{output}");
        assert_eq!(of(StdStream::Stderr, &all), numbered("err", 1..=9), "{output}");
        let run = handle.run();
        assert!(all.iter().all(|line| line.run == run), "{output}: {run:?} {all:?}");
        assert_eq!(within("no more", lines.next()).await.expect("an end"), None);
    }
}

async fn lines_that_this_process_alone_reads_come_from_the_call_on(bed: &Bed) {
    let (manager, _lines) = reading(bed).await;
    let record = Record::new();
    let alone = || Output::Capture { journal: false };
    let spec = bed.sh(IN_TWO_PARTS).arg(record.path()).stdout(alone()).stderr(alone());
    let handle = spawn(&manager, spec).await;
    drop((handle.take_stdout(), handle.take_stderr()));
    record.until(BOUND, "written").await;
    within("all of it read", handle.handed_on()).await;
    let mut lines = handle.lines().await.expect("lines");
    open(&gate(&record));
    let all = rest_of(&mut lines).await;
    let out = [numbered("out", 6..=9), vec!["end".to_owned()]].concat();
    assert_eq!(of(StdStream::Stdout, &all), out);
    assert_eq!(of(StdStream::Stderr, &all), numbered("err", 6..=9));
    assert_eq!(within("no more", lines.next()).await.expect("an end"), None);
}

async fn a_slow_reader_is_told_how_many_it_lost(bed: &Bed) {
    let (manager, _lines) = reading(bed).await;
    let record = Record::new();
    let script = r#"while [ ! -e "$1.gate" ]; do sleep 0.02; done; seq 5000"#;
    let spec = bed.sh(script).arg(record.path()).stdout(Output::Capture { journal: false });
    let handle = spawn(&manager, spec).await;
    drop(handle.take_stdout());
    let mut lines = handle.lines().await.expect("lines");
    open(&gate(&record));
    within("its end", handle.gone()).await.expect("an end");
    within("all of it read", handle.handed_on()).await;
    let (mut lost, mut came) = (0, Vec::new());
    while let Some(event) = within("an event", lines.next()).await.expect("an event") {
        match event {
            LogEvent::Line(line) => came.push(text(&line.bytes)),
            LogEvent::Lost(count) => lost += count,
        }
    }
    assert!(lost > 0, "nothing lost");
    let expected: Vec<_> = (lost + 1..=5_000).map(|n| n.to_string()).collect();
    assert_eq!(came, expected);
}

async fn a_line_that_is_too_long_goes_on_in_the_next(bed: &Bed) {
    let manager = bed.manager().await;
    for output in [Output::Journal, Output::Capture { journal: true }] {
        let script = "head -c 100000 /dev/zero | tr '\\0' x; echo; echo next";
        let handle = spawn(&manager, bed.sh(script).stdout(output.clone())).await;
        drop(handle.take_stdout());
        let all = rest_of(&mut handle.lines().await.expect("lines")).await;
        let (next, parts) = all.split_last().expect("lines");
        assert_eq!(next.bytes, b"next", "{output}");
        assert_eq!(parts.iter().map(|part| part.bytes.len()).sum::<usize>(), 100_000, "{output}");
        let goes_on: Vec<_> = parts.iter().map(|part| part.continues).collect();
        assert_eq!(goes_on, [true, true, false], "{output}");
        assert!(!next.continues);
    }
}

async fn lines_of_a_proc_that_is_over_are_all_there(bed: &Bed) {
    let manager = bed.manager().await;
    for output in [Output::Journal, Output::Capture { journal: true }] {
        let handle = spawn(&manager, bed.sh("seq 500").stdout(output.clone())).await;
        drop(handle.take_stdout());
        within("its end", handle.gone()).await.expect("an end");
        let all = rest_of(&mut handle.lines().await.expect("lines")).await;
        let expected: Vec<_> = (1..=500).map(|n| n.to_string()).collect();
        assert_eq!(of(StdStream::Stdout, &all), expected, "{output}");
    }
}

async fn lines_of_all_runs_come_and_say_whose_they_are(bed: &Bed) {
    let manager = bed.manager().await;
    for output in [Output::Journal, Output::Capture { journal: true }] {
        let policy = RestartPolicy::on_failure().max(2).delay(ms(300));
        let spec = bed.sh("seq 3; exit 1").stdout(output.clone()).restart(Some(policy));
        let handle = spawn(&manager, spec).await;
        drop(handle.take_stdout());
        let all = rest_of(&mut handle.lines().await.expect("lines")).await;
        let texts: Vec<_> = all.iter().map(|line| text(&line.bytes)).collect();
        assert_eq!(texts, ["1", "2", "3"].repeat(3), "{output}");
        let report = within("a report", handle.report()).await.expect("a report");
        let runs: Vec<_> = report.runs.iter().map(|run| run.invocation_id).collect();
        assert_eq!(runs.len(), 3);
        // Of a program that is over when journald comes to it, nobody knows the run; and the first lines of one that is
        // read here may name the run before.
        let is_its_own = |line: &LogLine| line.run.is_none() || runs.contains(&line.run);
        assert!(all.iter().all(is_its_own), "{output}: {runs:?} {all:?}");
    }
}

async fn what_goes_elsewhere_gives_none(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sh("echo words").stdout(Output::Null)).await;
    assert_eq!(rest_of(&mut handle.lines().await.expect("lines")).await, []);
}
