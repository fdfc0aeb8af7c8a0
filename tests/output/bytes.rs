//! Bytes arrive as they were written, whatever way they take.

use std::os::fd::OwnedFd;
use std::process::Stdio;

use procunit::spec::Output;

use crate::bed::{Bed, end_of, spawn, stopped};
use crate::command::{ran, run};
use crate::text::{MUCH, all_of, assert_same, much, much_on_stderr};

each_backend![
    what_is_captured_is_what_was_written,
    what_is_passed_on_is_what_was_written,
    a_descriptor_of_the_callers_gets_what_was_written,
];

each_backend_that_floods![
    what_is_teed_is_what_was_written,
    what_is_teed_to_a_file_is_what_was_written,
    what_is_captured_for_the_journal_too_is_what_was_written,
];

async fn captured(bed: &Bed, journal: bool) {
    let manager = bed.manager().await;
    let capture = || Output::Capture { journal };
    let handle = spawn(&manager, bed.sh(MUCH).stdout(capture()).stderr(capture())).await;
    let (stdout, stderr) = (handle.take_stdout().expect("a stream"), handle.take_stderr().expect("a stream"));
    let (out, err) = tokio::join!(all_of(stdout), all_of(stderr));
    assert_same(&out, &much());
    assert_same(&err, &much_on_stderr());
    end_of(&handle).await;
}

async fn what_is_captured_is_what_was_written(bed: &Bed) {
    captured(bed, false).await;
}

async fn what_is_captured_for_the_journal_too_is_what_was_written(bed: &Bed) {
    captured(bed, true).await;
}

async fn what_is_passed_on_is_what_was_written(bed: &Bed) {
    let (code, out, err) = ran(run(bed, &["--no-journal"], MUCH)).await;
    assert_eq!(code, 0);
    assert_same(&out, &much());
    assert_same(&err, &much_on_stderr());
}

async fn what_is_teed_is_what_was_written(bed: &Bed) {
    let (code, out, err) = ran(run(bed, &[], MUCH)).await;
    assert_eq!(code, 0);
    assert_same(&out, &much());
    assert_same(&err, &much_on_stderr());
}

async fn what_is_teed_to_a_file_is_what_was_written(bed: &Bed) {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = ["out", "err"].map(|name| directory.path().join(name));
    let [out, err] = paths.each_ref().map(|path| Stdio::from(std::fs::File::create(path).expect("a file")));
    let mut child = run(bed, &[], MUCH).stdout(out).stderr(err).spawn().expect("procunit");
    assert!(crate::live::within("its end", child.wait()).await.expect("procunit").success());
    let [out, err] = paths.map(|path| std::fs::read(path).expect("a file"));
    assert_same(&out, &much());
    assert_same(&err, &much_on_stderr());
}

async fn a_descriptor_of_the_callers_gets_what_was_written(bed: &Bed) {
    let manager = bed.manager().await;
    let (read, write) = std::io::pipe().expect("a pipe");
    let handle = spawn(&manager, bed.sh(MUCH).stdout(Output::from(OwnedFd::from(write)))).await;
    let read = tokio::net::unix::pipe::Receiver::from_owned_fd(read.into()).expect("a pipe's end");
    assert_same(&all_of(read).await, &much());
    assert_eq!(end_of(&handle).await, stopped(0));
}
