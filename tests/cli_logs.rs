//! `procunit logs`, against a real user manager and journal.

#![cfg(feature = "cli")]

#[expect(dead_code, reason = "it needs a part of it")]
mod support;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Cleanup, procunit, run, until};

fn words(id: &str) -> String {
    procunit(&["logs", "-q", "-o", "cat", id]).out()
}

#[test]
fn a_line_says_when_who_and_what() {
    let procs = Cleanup::group("logs");
    let id = procs.start("x", "echo out; echo err >&2; sleep 60");
    until("its words", || words(&id) == "out\nerr\n");
    let pid = &procs.report("x")["pid"];
    let shown = procunit(&["logs", &id]).ok();
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].ends_with(&format!(" {id}[{pid}]: out")), "{shown}");
    assert!(lines[1].ends_with(&format!(" {id}[{pid}]: err")), "{shown}");
    assert_eq!(procunit(&["logs", "-n", "1", "-o", "cat", &id]).ok(), "err\n");
    assert_eq!(procunit(&["logs", "-n", "0", "-q", &id]).ok(), "");
}

#[test]
fn words_of_programs_that_are_over_at_once_are_found() {
    let procs = Cleanup::group("logs-short");
    let ids: Vec<_> = (0..20).map(|n| procs.start(&n.to_string(), &format!("echo word {n}"))).collect();
    for (n, id) in ids.iter().enumerate() {
        until("its word", || words(id) == format!("word {n}\n"));
    }
}

#[test]
fn runs_of_the_same_name_do_not_mix() {
    let procs = Cleanup::group("logs-runs");
    for n in 0..5 {
        let id = procs.start_with("x", &["--replace"], &format!("echo run {n}"));
        until("its words", || words(&id) == format!("run {n}\n"));
        until("its end", || procs.report("x")["ended_at"].is_string());
    }
}

#[test]
fn bytes_and_long_lines_arrive_as_they_were_written() {
    let procs = Cleanup::group("logs-bytes");
    let id =
        procs.start("x", r"printf 'a\377\376b\n\tc\n'; head -c 200000 /dev/zero | tr '\0' x; echo; echo end");
    until("its words", || words(&id).ends_with("end\n"));
    let ran = procunit(&["logs", "-o", "cat", &id]);
    let mut expected = b"a\xff\xfeb\n\tc\n".to_vec();
    expected.resize(expected.len() + 200_000, b'x');
    expected.extend(b"\nend\n");
    assert!(ran.0.stdout == expected, "{} bytes", ran.0.stdout.len());
    let first = procunit(&["logs", "-o", "jsonl", &id]).out().lines().next().map(str::to_owned);
    let first: serde_json::Value = serde_json::from_str(&first.expect("a line")).expect("JSON");
    assert_eq!(first["message"], "a\u{fffd}\u{fffd}b");
    assert_eq!(first["message_bytes"], serde_json::json!([97, 255, 254, 98]));
}

/// An interface: a change here breaks somebody's script, and is version 2.
#[test]
fn the_json_form_is_version_1() {
    let procs = Cleanup::group("logs-json");
    let id = procs.start("x", "echo one; echo two");
    until("its words", || words(&id) == "one\ntwo\n");
    let told = procunit(&["logs", "-o", "json", &id]).json();
    assert_eq!(told["version"], 1);
    let line = &told["lines"][0];
    let keys: Vec<_> = line.as_object().expect("an object").keys().map(String::as_str).collect();
    let expected = [
        "at",
        "continues",
        "cursor",
        "id",
        "invocation_id",
        "message",
        "message_bytes",
        "pid",
        "priority",
        "stream",
        "version",
    ];
    assert_eq!(keys, expected);
    assert_eq!((&line["message"], &line["id"]), (&"one".into(), &id.as_str().into()));
    assert_eq!(line["stream"], "stdout");
    assert_eq!(told["lines"][1]["message"], "two");
}

#[test]
fn following_ends_with_the_proc_and_says_how() {
    let procs = Cleanup::group("logs-follow");
    let id = procs.start("x", "for n in 1 2 3 4 5; do echo $n; sleep 0.1; done; echo last; exit 5");
    let ran = procunit(&["logs", "-f", "-o", "cat", &id]);
    assert_eq!((ran.code(), ran.out().as_str()), (0, "1\n2\n3\n4\n5\nlast\n"), "{ran:?}");
    assert!(ran.err().starts_with(&format!("procunit: {id}: exited with 5 after ")), "{ran:?}");
    let again = procunit(&["logs", "-f", "-n", "2", "-o", "cat", &id]);
    assert_eq!(again.out(), "5\nlast\n", "of one that is over, at once");
}

#[test]
fn following_where_no_manager_answers_shows_what_there_is() {
    let procs = Cleanup::group("logs-alone");
    let id = procs.start_to_end("x", "echo last words");
    until("its words", || words(&id) == "last words\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_procunit"));
    command.env_remove("DBUS_SESSION_BUS_ADDRESS").env("XDG_RUNTIME_DIR", "/nonexistent");
    let ran = run(command.args(["logs", "-q", "-f", "-o", "cat", "--launcher", "native", &id]));
    assert_eq!(ran.all(), (0, "last words\n".to_owned(), String::new()));
}

#[test]
fn a_journalctl_that_hangs_does_not_hold_up_a_status() {
    let procs = Cleanup::group("logs-hang");
    let id = procs.start_to_end("x", "echo word");
    let dir = tempfile::tempdir().expect("a directory");
    let hangs = dir.path().join("journalctl");
    std::fs::write(&hangs, "#!/bin/sh\nexec sleep 300\n").expect("a script");
    std::fs::set_permissions(&hangs, Permissions::from_mode(0o755)).expect("its mode");
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").expect("a path"));
    let start = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_procunit"));
    let told = run(command.env("PATH", path).args(["status", "-o", "json", &id])).json();
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    let report = &told["procs"][0];
    assert!(report["logs_complete"].is_null(), "{report}");
    let why = report["logs_complete_why"].as_str().expect("why");
    assert!(why.contains("longer than") || why.contains("no answer within"), "{why}");
}

#[test]
fn following_several_ends_with_the_last() {
    let procs = Cleanup::group("logs-several");
    procs.start("a", "echo a1; sleep 0.6; echo a2");
    procs.start("b", "echo b1; sleep 0.2; exit 1");
    let ran = procunit(&["logs", "-f", "-o", "cat", &procs.all()]);
    let mut lines: Vec<_> = ran.out().lines().map(str::to_owned).collect();
    assert_eq!(lines.pop().as_deref(), Some("a2"), "in the order of time");
    lines.sort();
    assert_eq!(lines, ["a1", "b1"]);
    assert_eq!(ran.err().lines().count(), 2, "{ran:?}");
}

#[test]
fn following_goes_on_where_the_last_lines_ended() {
    let procs = Cleanup::group("logs-many");
    let id = procs.start("x", "for n in $(seq 1 2000); do echo $n; done; sleep 0.5; echo end");
    let ran = procunit(&["logs", "-f", "-o", "cat", &id]);
    let expected: String = (1..=2000).map(|n| format!("{n}\n")).chain(["end\n".to_owned()]).collect();
    assert!(ran.out() == expected, "{} lines", ran.out().lines().count());
}

#[test]
fn a_window_of_time_cuts_on_both_sides() {
    let procs = Cleanup::group("logs-window");
    let id = procs.start("x", "echo early; sleep 1.2; echo late; sleep 60");
    until("its words", || words(&id) == "early\nlate\n");
    let told = procunit(&["logs", "-o", "json", &id]).json();
    let late = told["lines"][1]["at"].as_str().expect("a time").to_owned();
    let cat = |flags: &[&str]| procunit(&[&["logs", "-q", "-o", "cat", &id], flags].concat()).ok();
    assert_eq!(cat(&["--since", &late]), "late\n");
    assert_eq!(cat(&["--since", &late, "-n", "5"]), "late\n");
    let early = told["lines"][0]["at"].as_str().expect("a time").to_owned();
    assert_eq!(cat(&["--until", &early]), "early\n");
    assert_eq!(cat(&["--until", &early, "-n", "1"]), "early\n");
    assert_eq!(cat(&["--since", "10min"]), "early\nlate\n");
    assert_eq!(cat(&["--until", "2020-01-01 12:00"]), "");
}

#[test]
fn no_lines_is_told_and_no_error() {
    let procs = Cleanup::group("logs-none");
    let id = procs.start("x", "sleep 60");
    let told = format!("procunit: the journal has no lines of {id}\n");
    assert_eq!(procunit(&["logs", &id]).all(), (0, String::new(), told));
}

#[test]
fn a_reader_of_a_followed_log_that_has_enough_ends_it() {
    let procs = Cleanup::group("logs-pipe");
    let id = procs.start("x", "while :; do echo tick; sleep 0.05; done");
    let start = Instant::now();
    let line =
        format!("set -o pipefail; '{}' logs -f {id} -o cat | head -n 1", env!("CARGO_BIN_EXE_procunit"));
    let ran = run(Command::new("bash").args(["-c", &line]));
    assert_eq!(ran.all(), (0, "tick\n".to_owned(), String::new()));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn lines_that_are_there_and_not_asked_for_are_not_called_missing() {
    let procs = Cleanup::group("logs-none");
    let id = procs.start("x", "echo one; sleep 60");
    until("its words", || words(&id) == "one\n");
    for narrow in [&["-n", "0"][..], &["--until", "2001-01-01 00:00"]] {
        let ran = procunit(&[&["logs", &id], narrow].concat());
        let told = format!("procunit: none of the lines of {id} match\n");
        assert_eq!(ran.all(), (0, String::new(), told));
    }
}
