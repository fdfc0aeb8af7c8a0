//! The examples of `docs/examples`, run as they are and held to what they print.

#![cfg(all(feature = "systemd", feature = "native"))]

use std::path::PathBuf;
use std::process::{Command, Output};

/// Beside the directory of the test binaries, where cargo builds them with the tests.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("its own path");
    let built: PathBuf = test.ancestors().nth(2).expect("target/debug").join("examples").join(name);
    assert!(built.exists(), "{} is not built: run the tests with cargo test", built.display());
    Command::new(built)
}

/// What it prints, when all went well.
fn said(mut example: Command) -> Vec<String> {
    let Output { status, stdout, stderr } = example.output().expect("it runs");
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{status}\n{out}\n{err}");
    assert_eq!(err, "");
    out.lines().map(str::to_owned).collect()
}

/// The same, of one that needs no user manager, where there is none.
fn said_natively(name: &str) -> Vec<String> {
    let mut example = example(name);
    example.env_remove("DBUS_SESSION_BUS_ADDRESS").env("XDG_RUNTIME_DIR", "/nonexistent");
    said(example)
}

const LAUNCH: [&str; 5] = [
    "hello from a proc",
    "greets: starting -> running (exec succeeded)",
    "greets: running -> stopped (main process over)",
    "sleeps: Killed(sig=15)",
    "ended by procunit: the example is over",
];

#[test]
fn launch_waits_for_the_exact_end_of_one_and_ends_the_other() {
    assert_eq!(said(example("launch")), LAUNCH);
}

#[test]
fn launch_says_the_same_without_systemd() {
    assert_eq!(said_natively("launch"), LAUNCH);
}

const SUPERVISE: [&str; 3] =
    ["worker-3 ended: Stopped(exit=7)", "worker-3 runs again", "ended 10 of 10 workers"];

#[test]
fn supervise_launches_the_worker_that_failed_again() {
    assert_eq!(said(example("supervise")), SUPERVISE);
}

#[test]
fn supervise_says_the_same_without_systemd() {
    assert_eq!(said_natively("supervise"), SUPERVISE);
}

#[test]
fn adopt_takes_over_what_a_dead_manager_left() {
    let expected = [
        "the first manager died: true",
        "/batch: stopped",
        "/server: running",
        "/worker: running",
        "ended 2 of 2",
    ];
    assert_eq!(said(example("adopt")), expected);
}

#[test]
fn nested_ends_the_procs_of_a_proc_with_it() {
    let expected = [
        "the inner manager says: ready",
        "there are 3 procs",
        "the inner manager: Killed(sig=15)",
        "its procs ended with it",
    ];
    assert_eq!(said(example("nested")), expected);
}

#[test]
fn custom_launcher_runs_tasks_as_procs() {
    let expected =
        ["count: Stopped(exit=0)", "serve: Stopped(exit=3)", "stubborn: Killed(sig=9)", "nobody: not found"];
    assert_eq!(said_natively("custom_launcher"), expected);
}
