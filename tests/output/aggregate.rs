//! Two files that every line of a manager's procs goes to.

use std::io::ErrorKind;
use std::path::Path;

use procunit::ProcManager;
use procunit::journal::AggregateLimits;
use procunit::spec::{Output, ProcSpecBuilder};

use crate::bed::{Bed, end_of, spawn};
use crate::live::{BOUND, eventually, within};

each_backend![
    every_line_stands_behind_the_rank_or_the_id,
    files_are_set_aside_by_size_and_no_line_is_lost,
    a_second_manager_is_refused_in_words,
    what_was_there_is_appended_to,
];

async fn manager(bed: &Bed, directory: &Path, limits: AggregateLimits) -> ProcManager {
    let builder = ProcManager::builder(bed.launcher().await);
    builder.aggregate(directory, limits).expect("the files").build()
}

/// Runs it to its end, and waits until what it wrote is in the files.
async fn written(manager: &ProcManager, spec: ProcSpecBuilder) {
    let alone = || Output::Capture { journal: false };
    let handle = spawn(manager, spec.stdout(alone()).stderr(alone())).await;
    drop((handle.take_stdout(), handle.take_stderr()));
    end_of(&handle).await;
    within("all of it", handle.handed_on()).await;
}

fn read(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).expect("a file")
}

async fn every_line_stands_behind_the_rank_or_the_id(bed: &Bed) {
    let directory = tempfile::tempdir().expect("a directory");
    let manager = manager(bed, directory.path(), AggregateLimits::default()).await;
    let id = bed.id();
    let script = "echo one; echo two >&2; printf three";
    written(&manager, bed.sh(script).rank(12)).await;
    written(&manager, crate::bed::sh_as(id.clone(), script)).await;
    written(&manager, bed.sh(script).aggregate(false)).await;
    let out = format!("[12] one\n[12] three\n[{id}] one\n[{id}] three\n");
    assert_eq!(read(directory.path(), "stdout.log"), out);
    assert_eq!(read(directory.path(), "stderr.log"), format!("[12] two\n[{id}] two\n"));
}

async fn files_are_set_aside_by_size_and_no_line_is_lost(bed: &Bed) {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = AggregateLimits { size: 20_000, keep: 1_000 };
    let manager = manager(bed, directory.path(), limits).await;
    // Short waits, as what comes at once is written at once, whatever the size.
    let script = "for n in $(seq 20); do seq $((n * 1000 - 999)) $((n * 1000)); sleep 0.01; done";
    written(&manager, bed.sh(script).rank(0)).await;
    let aside = std::fs::read_dir(directory.path()).expect("a directory").flatten();
    let aside = aside.filter(|entry| entry.file_name().to_string_lossy().starts_with("stdout.log.")).count();
    assert!(aside > 1, "{aside} files were set aside");
    let older = (1..=aside).rev().map(|number| read(directory.path(), &format!("stdout.log.{number}")));
    let all: String = older.chain([read(directory.path(), "stdout.log")]).collect();
    let expected: Vec<_> = (1..=20_000).map(|n| format!("[0] {n}\n")).collect();
    let expected = expected.concat();
    crate::text::assert_same(all.as_bytes(), expected.as_bytes());
}

async fn a_second_manager_is_refused_in_words(bed: &Bed) {
    let directory = tempfile::tempdir().expect("a directory");
    let first = manager(bed, directory.path(), AggregateLimits::default()).await;
    let second = ProcManager::builder(bed.launcher().await);
    let refused = second.aggregate(directory.path(), AggregateLimits::default()).err().expect("it is taken");
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    let said = refused.to_string();
    assert!(said.contains(directory.path().to_str().expect("text")) && said.contains("manager"), "{said}");
    within("its end", first.shutdown()).await;
}

async fn what_was_there_is_appended_to(bed: &Bed) {
    let directory = tempfile::tempdir().expect("a directory");
    for _ in 0..2 {
        let manager = manager(bed, directory.path(), AggregateLimits::default()).await;
        written(&manager, bed.sh("echo line").rank(1)).await;
        within("its end", manager.shutdown()).await;
        drop(manager);
        eventually(BOUND, "a lock that is let go", || async {
            let directory = std::fs::File::open(directory.path()).expect("a directory");
            directory.try_lock().ok()
        })
        .await;
    }
    assert_eq!(read(directory.path(), "stdout.log"), "[1] line\n[1] line\n");
}
