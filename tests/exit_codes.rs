//! Every row of the exit table for `procunit run`, on a real user manager; each test fails where none answers (see
//! contrib/testbed).

#![cfg(feature = "cli")]

#[path = "support/alone.rs"]
mod alone;
#[expect(dead_code, reason = "it needs a part of it")]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::Signal;

use alone::{alone, beside_others};
use procunit::unit::{Feature, SystemdVersion};
use support::{run, systemctl};

/// Procs at one time where a test has many.
const AT_ONCE: usize = 8;

/// What came of `procunit run FLAGS -- ARGV` in a directory of its own: the exit code, and the words for people.
fn ran(flags: &[&str], argv: &[&str]) -> (i32, String) {
    ran_in(tempfile::tempdir().expect("a directory").path(), flags, argv)
}

fn ran_in(directory: &Path, flags: &[&str], argv: &[&str]) -> (i32, String) {
    procunit_in(directory, &[&["--launcher", "systemd", "run"], flags, &["--"], argv].concat())
}

fn procunit_in(directory: &Path, words: &[&str]) -> (i32, String) {
    let mut procunit = Command::new(env!("CARGO_BIN_EXE_procunit"));
    let ran = run(procunit.args(words).current_dir(directory));
    (ran.code(), ran.err())
}

/// Runs a script.
fn sh(script: &str) -> (i32, String) {
    ran(&[], &["sh", "-c", script])
}

/// A file of that text and mode.
fn file(directory: &Path, name: &str, text: &str, mode: u32) {
    let path = directory.join(name);
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
}

/// Runs `check` on every number below `end`, several at a time.
fn for_each_below(end: i32, check: impl Fn(i32) + Sync) {
    let next = AtomicI32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&it| it < end) {
                    check(number);
                }
            });
        }
    });
}

#[test]
fn every_code_a_program_can_exit_with_is_passed_on() {
    let _manager = beside_others();
    for_each_below(256, |wanted| {
        let (code, said) = sh(&format!("exit {wanted}"));
        assert_eq!(code, wanted, "{said}");
        assert_eq!(said.contains(&format!("exited with {wanted}")), wanted != 0, "{said:?}");
    });
}

#[test]
fn death_by_a_signal_is_128_and_the_signal() {
    let _manager = beside_others();
    for signal in ["HUP", "INT", "QUIT", "ABRT", "KILL", "USR1", "SEGV", "PIPE", "ALRM", "TERM"] {
        let number: Signal = format!("SIG{signal}").parse().expect("a signal");
        let (code, said) = sh(&format!("ulimit -c 0; kill -{signal} $$"));
        assert_eq!(code, 128 + number as i32, "SIG{signal}: {said}");
        assert!(said.contains(&format!("killed by SIG{signal}")), "{said:?}");
    }
}

/// Whether there is a core depends on the limit and on the host's core_pattern: a plain child tells.
#[test]
fn a_core_dump_is_told_as_the_kernel_tells_it() {
    let _manager = beside_others();
    for limit in ["0", "unlimited"] {
        let script = format!("ulimit -c {limit} && kill -SEGV $$");
        let directory = tempfile::tempdir().expect("a directory");
        let mut child = Command::new("sh");
        let plain = run(child.args(["-c", &script]).current_dir(directory.path())).0.status;
        assert_eq!(plain.signal(), Some(Signal::SIGSEGV as i32), "{plain:?}");
        let (code, said) = ran_in(directory.path(), &[], &["sh", "-c", &script]);
        assert_eq!(code, 128 + Signal::SIGSEGV as i32, "{said}");
        assert!(said.contains("killed by SIGSEGV"), "{said:?}");
        assert_eq!(said.contains("core dumped"), plain.core_dumped(), "{limit}: {said:?}");
    }
}

#[test]
fn a_time_limit_is_124_whatever_the_program_makes_of_it() {
    let _manager = beside_others();
    let loops = "while :; do sleep 0.05; done";
    for (behaviour, stop_timeout, script, told) in [
        ("obeys", "30s", "exec sleep 60".to_owned(), "killed by SIGTERM"),
        ("exits with 0", "30s", format!("trap 'exit 0' TERM; {loops}"), "exited with 0"),
        ("exits with 7", "30s", format!("trap 'exit 7' TERM; {loops}"), "exited with 7"),
        ("ignores", "500ms", format!("trap '' TERM; {loops}"), "killed by SIGKILL"),
    ] {
        // Long enough for the trap to be set.
        let flags = ["--timeout", "1s", "--stop-timeout", stop_timeout];
        let (code, said) = ran(&flags, &["sh", "-c", &script]);
        assert_eq!(code, 124, "{behaviour}: {said}");
        assert!(said.contains(told) && said.contains("time limit"), "{behaviour}: {said:?}");
    }
}

#[test]
fn a_program_that_is_over_before_its_time_limit_keeps_its_code() {
    let _manager = beside_others();
    for wanted in [0, 7, 124] {
        let (code, said) = ran(&["--timeout", "50s"], &["sh", "-c", &format!("exit {wanted}")]);
        assert_eq!(code, wanted, "{said}");
        assert!(!said.contains("time limit"), "{said:?}");
    }
}

/// The launcher's own codes. The line on stderr tells each from a program's own exit with that code.
#[test]
fn what_cannot_be_launched_is_told_by_code_and_by_words_and_leaves_nothing() {
    let _manager = alone();
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    file(at, "data", "just data\n", 0o644);
    file(at, "no-interpreter", "#!/nope/sh -e\nexit 0\n", 0o755);
    file(at, "odd-interpreter", "#! /tmp\nexit 0\n", 0o755);
    file(at, "no-format", "exit 0\n", 0o755);
    file(at, "empty", "", 0o755);
    for (wanted, flags, program, words) in [
        (125, &["-C", "/nope/nowhere"][..], "true", "working directory /nope/nowhere"),
        (125, &["-C", "data"], "true", "data: not a directory"),
        (125, &["-e", "1BAD=x"], "true", "environment name \"1BAD\""),
        (125, &["-p", "NoSuchThing=1"], "true", "NoSuchThing"),
        (125, &["--env-file", "/nope/file"], "true", "--env-file /nope/file"),
        (127, &[], "no-such-program", "no-such-program: not found"),
        (127, &[], "./no-such-program", "./no-such-program: not found"),
        (127, &[], "/nope/no-such-program", "/nope/no-such-program: not found"),
        (126, &[], "./data", "no execute bit"),
        (126, &[], "/", "is a directory"),
        (126, &[], "./no-interpreter", "/nope/sh"),
        (126, &[], "./odd-interpreter", "/tmp"),
        (126, &[], "./no-format", "#!"),
        (126, &[], "./empty", "empty"),
    ] {
        let (code, said) = ran_in(at, flags, &[program]);
        assert_eq!(code, wanted, "{flags:?} {program}: {said}");
        assert!(said.contains(words), "{words}: {said:?}");
        assert!(!said.contains("exited with"), "nothing ran: {said:?}");
        assert_eq!(said.lines().count(), 1, "{said:?}");
    }
}

/// A handler of binfmt_misc might know such a file: the kernel alone can tell. Its no is systemd's 203, which from 256
/// on is told from the program's own, and below is passed on with the doubt.
#[test]
fn what_only_the_kernel_can_refuse_is_told_as_far_as_systemd_tells_it() {
    let _manager = beside_others();
    let directory = tempfile::tempdir().expect("a directory");
    file(directory.path(), "junk", "\0\u{1}\u{2}", 0o755);
    let (code, said) = ran_in(directory.path(), &[], &["./junk"]);
    let version = systemctl(&["show", "--value", "--property=Version"]);
    if version.parse::<SystemdVersion>().expect("a version").has(Feature::HandoffTimestamp) {
        assert_eq!(code, 126, "{said}");
    } else {
        assert_eq!(code, 203, "{said}");
    }
    assert!(said.contains("executing the program"), "{said:?}");
}

/// A misspelt flag must not become the program.
#[test]
fn what_cannot_be_read_is_2_and_runs_nothing() {
    let _manager = beside_others();
    for words in [
        &["run"][..],
        &["run", "--"],
        &["run", "--no-such-flag", "--", "sh", "-c", "exit 9"],
        &["run", "--tmeout", "5s", "sh", "-c", "exit 9"],
        &["run", "--timeout", "soon", "--", "sh", "-c", "exit 9"],
        &["run", "--stop-timeout", "infinity", "--", "sh", "-c", "exit 9"],
        &["run", "--stop-signal", "SIGNOPE", "--", "sh", "-c", "exit 9"],
        &["run", "-p", "=5", "--", "sh", "-c", "exit 9"],
        &["--launcher", "sytemd", "run", "--", "sh", "-c", "exit 9"],
        &["rnu", "--", "sh", "-c", "exit 9"],
    ] {
        let (code, said) = procunit_in(Path::new("/"), words);
        assert_eq!(code, 2, "{words:?}: {said}");
        assert!(!said.is_empty(), "{words:?}");
    }
}

/// What follows the program is the program's, dashes and all.
#[test]
fn flags_after_the_program_are_the_programs() {
    let _manager = beside_others();
    let words = ["--launcher", "systemd", "run", "sh", "-c", "test \"$1\" = --timeout", "sh", "--timeout"];
    let (code, said) = procunit_in(Path::new("/"), &words);
    assert_eq!(code, 0, "{said}");
}
