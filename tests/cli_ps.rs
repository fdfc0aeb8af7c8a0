//! `procunit ps` and the selection that all verbs share, against a real user manager.

#![cfg(feature = "cli")]

#[expect(dead_code, reason = "it needs a part of it")]
mod support;

use std::process::Command;

use support::{Cleanup, procunit, run};

#[test]
fn what_is_over_shows_only_when_it_is_asked_for() {
    let procs = Cleanup::group("ps-over");
    let up = procs.start("up", "sleep 60");
    let over = procs.start_to_end("over", "exit 3");
    let names = |args: &[&str]| procunit(&[&["ps", "-o", "name"], args].concat()).ok();
    let plain = names(&[]);
    assert!(plain.contains(&format!("{up}\n")) && !plain.contains(&over), "{plain}");
    let all = names(&["-a"]);
    assert!(all.contains(&up) && all.contains(&over), "{all}");
    assert_eq!(names(&[&procs.all()]), format!("{over}\n{up}\n"), "what is named shows");
    assert_eq!(names(&["--state", "stopped", &procs.all()]), format!("{over}\n"));
    assert_eq!(names(&["--state", "running", "--state", "STOPPED", &procs.all()]), format!("{over}\n{up}\n"));
}

#[test]
fn a_table_has_a_line_for_each_and_is_whole_when_piped() {
    let procs = Cleanup::group("ps-table");
    let name =
        "a-name-that-is-far-too-long-for-any-terminal-that-anybody-would-still-call-one-or-want-to-see";
    let id = procs.start(name, "sleep 60");
    let table = procunit(&["ps", &id]).ok();
    let lines: Vec<_> = table.lines().collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[0]), ["NAME", "STATUS", "READY", "PID", "UP", "CPU", "MEM", "UNIT"]);
    let row = words(lines[1]);
    assert_eq!((row[0].as_str(), row[1].as_str(), row[2].as_str()), (id.as_str(), "Running", "-"));
    assert_eq!(row[3], procs.report(name)["pid"].to_string());
    assert_eq!(row[7], procs.unit(name));
    assert_eq!(lines.len(), 2);
    assert!(!table.contains('\u{1b}'), "{table}");
    assert!(lines.iter().all(|line| line.trim_end() == *line), "{table}");
    let wide = procunit(&["ps", "-o", "wide", &id]).ok();
    assert!(wide.starts_with("NAME") && wide.contains("LIFETIME") && wide.contains("detached"), "{wide}");
}

#[test]
fn a_table_fits_the_terminal_and_has_colours_there() {
    let procs = Cleanup::group("ps-tty");
    let id = procs.start("a-name-that-is-too-long-for-a-small-terminal", "sleep 60");
    let on_terminal = |flags: &str, env: &[(&str, &str)]| {
        let program = env!("CARGO_BIN_EXE_procunit");
        let line = format!("stty cols 64; '{program}' ps {flags} {id}");
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
        run(script.envs(env.iter().copied())).ok()
    };
    let shown = on_terminal("", &[]);
    let row = shown.lines().nth(1).unwrap_or_default();
    assert!(row.contains("\u{1b}[") && row.contains("Running"), "{shown}");
    let plain = on_terminal("", &[("NO_COLOR", "1")]);
    assert!(!plain.contains('\u{1b}'), "{plain}");
    assert!(!on_terminal("", &[("TERM", "dumb"), ("CI", "1")]).contains('\u{1b}'));
    assert!(on_terminal("", &[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")]).contains('\u{1b}'));
    assert!(!on_terminal("--color never", &[]).contains('\u{1b}'));
    assert!(on_terminal("--color always", &[("NO_COLOR", "1")]).contains('\u{1b}'));
    assert!(plain.lines().all(|line| line.trim_end().chars().count() <= 64), "{plain}");
    assert!(plain.contains('…'), "{plain}");
}

#[test]
fn colours_go_into_a_pipe_only_when_forced() {
    let procs = Cleanup::group("ps-colour");
    let id = procs.start("x", "sleep 60");
    let ps = |flags: &[&str], env: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_procunit"));
        run(command.args(["ps", &id]).args(flags).envs(env.iter().copied())).ok().contains('\u{1b}')
    };
    assert!(!ps(&[], &[]));
    assert!(ps(&["--color", "always"], &[]));
    assert!(ps(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!ps(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}

/// An interface: a change here breaks somebody's script, and is version 2.
#[test]
fn the_json_form_is_version_1() {
    let procs = Cleanup::group("ps-json");
    let id = procs.start_to_end("done", "exit 3");
    let told = procunit(&["ps", "-o", "json", &id]).json();
    assert_eq!(told["version"], 1);
    let report = &told["procs"][0];
    let keys: Vec<_> = report.as_object().expect("an object").keys().map(String::as_str).collect();
    let expected = [
        "cpu_seconds",
        "doubts",
        "ended_at",
        "ended_by",
        "escalated",
        "id",
        "invocation_id",
        "label",
        "last_lines",
        "launcher",
        "leftovers",
        "lifetime",
        "logs_complete",
        "logs_complete_why",
        "logs_suppressed",
        "memory_bytes",
        "memory_peak_bytes",
        "notes",
        "output",
        "pid",
        "restarts",
        "result",
        "runs",
        "started_at",
        "status",
        "transitions",
        "transitions_dropped",
        "unit",
        "version",
        "wall_seconds",
    ];
    assert_eq!(keys, expected);
    assert_eq!(report["version"], 1);
    assert_eq!(report["id"], id);
    assert_eq!(report["unit"], procs.unit("done"));
    assert_eq!(report["lifetime"], "detached");
    assert_eq!(report["launcher"], "systemd");
    assert_eq!(report["status"], serde_json::json!({"state": "stopped", "exit_code": 3, "stderr_tail": []}));
    assert_eq!(report["ended_by"], serde_json::json!({"who": "program"}));
    assert_eq!(report["label"], serde_json::Value::Null);
    assert_eq!(report["leftovers"], serde_json::Value::Null);
    let started = report["started_at"].as_str().expect("a time");
    assert!(started.ends_with('Z') && started.len() == "2026-11-21T10:02:33.005237Z".len(), "{started}");
    assert!(report["wall_seconds"].as_f64().is_some_and(|wall| wall < 60.0), "{report}");
    let line = procunit(&["ps", "-o", "jsonl", &id]);
    assert_eq!(line.out().lines().count(), 1);
    assert_eq!(&line.json(), report);
    let other = procs.id("other");
    let nothing = procunit(&["ps", "-o", "json", &other]);
    assert_eq!(nothing.out(), "{\"version\":1,\"procs\":[]}\n");
    assert_eq!(nothing.code(), 4);
}

#[test]
fn a_selection_means_the_same_on_every_verb() {
    let procs = Cleanup::group("select");
    let ids = ["web/0", "web/1", "webcam", "db"].map(|name| procs.start(name, "sleep 60"));
    let selected = |verb: &str, sel: &str| {
        let ran = procunit(&[verb, "-o", "name", sel]);
        let mut names: Vec<_> = ran.ok().lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    for verb in ["ps", "status"] {
        assert_eq!(selected(verb, &procs.id("web")), ids[..2], "{verb}: a kind");
        assert_eq!(selected(verb, &procs.id("web*")), ids[..3], "{verb}: a pattern");
        assert_eq!(selected(verb, &procs.id("d?")), ids[3..], "{verb}: a pattern");
        assert_eq!(selected(verb, &ids[2]), ids[2..3], "{verb}: a name");
        assert_eq!(selected(verb, &procs.all()).len(), 4, "{verb}: a group");
    }
    assert_eq!(selected("kill", &procs.id("web")), ids[..2]);
    assert_eq!(selected("rm", &procs.id("web")), ids[..2]);
    assert_eq!(selected("stop", &procs.all()), [&*ids[3], &*ids[2]]);
    procs.assert_no_unit();
}

#[test]
fn what_means_nothing_is_an_error_that_offers_a_near_name() {
    let procs = Cleanup::group("no-proc");
    let id = procs.start("server", "sleep 60");
    let wrong = procs.id("sevrer");
    for verb in ["ps", "status", "logs", "wait", "stop", "kill", "rm"] {
        let ran = procunit(&[verb, &wrong]);
        assert_eq!(ran.code(), 4, "{verb}: {ran:?}");
        assert_eq!(ran.err(), format!("procunit: no proc {wrong}; did you mean {id}?\n"), "{verb}");
    }
    let pattern = procs.id("nothing-*");
    let ran = procunit(&["status", &pattern]);
    let told = format!("procunit: no proc {pattern}; `procunit ps -a` lists all\n");
    assert_eq!(ran.all(), (4, String::new(), told));
    assert_eq!(procs.report("server")["status"]["state"], "running", "it was left alone");
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let procs = Cleanup::group("ps-pipe");
    let id = procs.start("x", "echo one; echo two; sleep 60");
    let program = env!("CARGO_BIN_EXE_procunit");
    let verbs = ["ps", "ps -o json", "ps -o jsonl", "status", "logs"].map(|verb| format!("{verb} {id}"));
    for verb in verbs.iter().map(String::as_str).chain(["completions bash", "--help"]) {
        let line = format!("set -o pipefail; '{program}' {verb} | head -n 0");
        let ran = run(Command::new("bash").args(["-c", &line]));
        assert_eq!(ran.all(), (0, String::new(), String::new()), "{verb}");
    }
}

#[test]
fn data_that_cannot_be_written_is_told_with_what_it_is_about() {
    let _procs = Cleanup::group("ps-full");
    let script = format!("'{}' ps >/dev/full", env!("CARGO_BIN_EXE_procunit"));
    let ran = run(Command::new("sh").args(["-c", &script]));
    assert_eq!(ran.code(), 125, "{ran:?}");
    assert!(ran.err().starts_with("procunit: cannot write to standard output: No space left"), "{ran:?}");
}
