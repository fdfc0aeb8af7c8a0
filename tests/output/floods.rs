//! More than anybody can hold: memory is bounded, nothing hangs, and what is lost is counted.

use std::process::Stdio;
use std::time::Duration;

use procunit::ProcStatus;
use procunit::spec::{Output, ProcSpecBuilder};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

use crate::bed::{Bed, end_of, spawn, stopped};
use crate::command::run;
use crate::live::journald::held_up_for;
use crate::live::{within, within_for};

/// Makes each named function of the module a test on every backend, for a bed without a rate limit.
macro_rules! each_backend_that_floods {
    ($($test:ident,)+) => {
        mod systemd_that_floods {
            $(#[test]
            #[ignore = "writes more than journald's rate limit lets through: wants a bed with RateLimitIntervalSec=0"]
            fn $test() {
                $crate::bed::run($crate::bed::Backend::Systemd, &$crate::bed::one_thread(), super::$test);
            })+
        }
        mod native_that_floods {
            $(#[test]
            #[ignore = "writes more than journald's rate limit lets through: wants a bed with RateLimitIntervalSec=0"]
            fn $test() {
                $crate::bed::run($crate::bed::Backend::Native, &$crate::bed::one_thread(), super::$test);
            })+
        }
    };
}

each_backend_that_floods![
    a_slow_reader_makes_the_program_wait_in_bounded_memory,
    a_line_without_an_end_is_shown_in_bounded_memory,
    a_line_without_an_end_is_no_burden_to_the_journals_reader,
    what_a_journald_that_stands_still_did_not_take_is_counted,
];

/// The most memory that showing output takes.
const MEMORY_KIB: u64 = 60 * 1024;
/// Journald is given up after 10 s in which it takes nothing.
const HELD: Duration = Duration::from_secs(13);
const BOUND: Duration = Duration::from_secs(120);

fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// What a script shows, read so many bytes at a time: how much, its digest, and the most memory that showing it took.
async fn shown(bed: &Bed, script: &str, at_once: usize) -> (usize, Vec<u8>, u64) {
    let mut child = run(bed, &[], script).stdout(Stdio::piped()).spawn().expect("procunit");
    let pid = child.id().expect("a pid");
    let mut stdout = child.stdout.take().expect("a pipe");
    let (mut buffer, mut got, mut most) = (vec![0; at_once], 0, 0);
    let mut digest = Sha256::new();
    loop {
        let len = within("more of it", stdout.read(&mut buffer)).await.expect("output");
        digest.update(&buffer[..len]);
        got += len;
        // Before it is over: then nobody tells.
        most = most.max(peak(pid).unwrap_or(0));
        if len == 0 {
            break;
        }
    }
    assert!(within("its end", child.wait()).await.expect("procunit").success());
    (got, digest.finalize().to_vec(), most)
}

async fn a_slow_reader_makes_the_program_wait_in_bounded_memory(bed: &Bed) {
    const LINES: usize = 200_000;
    let script = format!("yes $(head -c 1000 /dev/zero | tr '\\0' x) | head -n {LINES}");
    let (got, _, most) = within_for(BOUND, "all of it", shown(bed, &script, 4096)).await;
    assert_eq!(got, LINES * 1_001);
    assert!((1..MEMORY_KIB).contains(&most), "{most} KiB");
}

async fn a_line_without_an_end_is_shown_in_bounded_memory(bed: &Bed) {
    const BYTES: usize = 100_000_000;
    let script = format!("head -c {BYTES} /dev/zero");
    let (got, digest, most) = within_for(BOUND, "all of it", shown(bed, &script, 65_536)).await;
    assert_eq!((got, digest), (BYTES, Sha256::digest(vec![0; BYTES]).to_vec()));
    assert!((1..MEMORY_KIB).contains(&most), "{most} KiB");
}

async fn a_line_without_an_end_is_no_burden_to_the_journals_reader(bed: &Bed) {
    let manager = bed.manager().await;
    let script = bed.sh("head -c 100000000 /dev/zero; echo; echo last");
    let handle = spawn(&manager, script.stdout(Output::Journal)).await;
    assert_eq!(within_for(BOUND, "its end", handle.wait()).await.expect("an end"), stopped(0));
    let report = within("a report", handle.report_with_logs(1)).await.expect("a report");
    let last: Vec<_> = report.last_lines.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(last, ["last"], "{:?}", report.logs_complete_why);
}

fn two_hundred_thousand_lines(bed: &Bed, gate: &std::path::Path) -> ProcSpecBuilder {
    let script = format!("while [ ! -e {} ]; do sleep 0.02; done; seq 200000; exit 3", gate.display());
    bed.sh(&script).stdout(Output::Capture { journal: true })
}

async fn what_a_journald_that_stands_still_did_not_take_is_counted(bed: &Bed) {
    let manager = bed.manager().await;
    let directory = tempfile::tempdir().expect("a directory");
    let gate = directory.path().join("gate");
    let handle = spawn(&manager, two_hundred_thousand_lines(bed, &gate)).await;
    drop(handle.take_stdout());
    held_up_for(HELD, || std::fs::write(&gate, "").expect("the gate")).await;
    assert!(matches!(end_of(&handle).await, ProcStatus::Stopped { exit_code: 3, .. }));
    within("all of it handed on", handle.handed_on()).await;
    let report = within("a report", handle.report_with_logs(20)).await.expect("a report");
    let why = report.logs_complete_why.unwrap_or_default();
    assert_eq!(report.logs_complete, Some(false), "{why}");
    let lost: u64 = why.split(' ').find_map(|word| word.parse().ok()).expect("how many");
    let lines = crate::live::journald::kept(std::slice::from_ref(handle.id())).await;
    let kept = lines.get(handle.id().as_str()).map_or(0, Vec::len);
    assert_eq!(lost + kept as u64, 200_000, "{why}");
}
