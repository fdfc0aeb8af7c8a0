//! The examples do what they say they do.

#![cfg(all(feature = "systemd", feature = "native", feature = "test-util"))]

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What `cargo test` built beside this test.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this binary");
    let built = test.parent().and_then(|deps| deps.parent()).expect("a target directory");
    let path = built.join("examples").join(name);
    assert!(path.is_file(), "{} is not there: `cargo test` builds it", path.display());
    path
}

/// What an example prints.
fn said(name: &str) -> String {
    let output = Command::new(example(name)).stdin(Stdio::null()).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_custom_launcher_runs_tasks_as_procs() {
    assert_eq!(
        said("custom_launcher"),
        "count: Stopped(exit=0)\nserve: Stopped(exit=3)\nstubborn: Killed(sig=9)\nnobody: not found\n"
    );
}
