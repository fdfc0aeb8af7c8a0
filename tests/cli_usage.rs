//! What the command says without a user manager.

#![cfg(feature = "cli")]

#[expect(dead_code, reason = "it needs a part of it")]
mod support;

use std::process::Command;

use support::{procunit, run};

/// The command where nothing of a session is known.
fn nowhere(args: &[&str]) -> support::Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procunit"));
    command.env_remove("DBUS_SESSION_BUS_ADDRESS").env("XDG_RUNTIME_DIR", "/nonexistent");
    run(command.args(args))
}

#[test]
fn usage_errors_are_2_and_offer_what_was_meant() {
    let wrong = [
        (&["sttop", "x"][..], "stop"),
        (&["ps", "--stat", "running"], "--state"),
        (&["ps", "--state", "up"], "running"),
        (&["wait", "--timeout", "soon", "x"], "soon"),
        (&["kill", "-s", "NOPE", "x"], "NOPE"),
        (&["logs", "--since", "whenever", "x"], "2026-07-30 14:00"),
        (&["ps", "-o", "cat"], "jsonl"),
        (&["logs", "-o", "name", "x"], "jsonl"),
        (&["stop"], "SEL"),
        (&["stop", "--all", "x"], "--all"),
    ];
    for (args, offered) in wrong {
        let ran = procunit(args);
        assert_eq!((ran.code(), ran.out()), (2, String::new()), "{args:?}");
        assert!(ran.err().contains(offered), "{args:?}: {ran:?}");
    }
}

#[test]
fn a_setting_of_the_environment_that_cannot_be_read_is_refused_by_name() {
    for (name, given) in
        [("PROCUNIT_JOURNAL_STREAMS", "many"), ("PROCUNIT_FORWARD", "perhaps"), ("PROCUNIT_AGGREGATE", "2")]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_procunit"));
        command.args(["--launcher", "native", "run", "--", "echo", "it ran"]).env(name, given);
        let ran = run(&mut command);
        assert_eq!((ran.code(), ran.out()), (2, String::new()), "{name}: {ran:?}");
        let told = format!("procunit: {name}=\"{given}\": it takes ");
        assert!(ran.err().starts_with(&told) && ran.err().lines().count() == 1, "{ran:?}");
    }
}

#[test]
fn without_a_user_manager_every_verb_says_so_in_one_line() {
    for args in
        [&["ps"][..], &["status", "x"], &["logs", "x"], &["wait", "x"], &["stop", "x"], &["rm", "--all"]]
    {
        let ran = nowhere(args);
        assert_eq!((ran.code(), ran.out()), (125, String::new()), "{args:?}");
        assert_eq!(ran.err().lines().count(), 1, "{args:?}: {ran:?}");
        assert!(ran.err().contains("procunit doctor"), "{args:?}: {ran:?}");
    }
}

#[test]
fn the_native_launcher_knows_nothing_of_other_commands() {
    let ran = procunit(&["ps", "--launcher", "native"]);
    let told = "procunit: procs of the native launcher are known only to what started them\n";
    assert_eq!(ran.all(), (125, String::new(), told.to_owned()));
}

#[test]
fn completions_and_pages_are_there_for_every_verb() {
    let verbs = ["run", "ps", "status", "logs", "wait", "stop", "kill", "rm", "doctor"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = nowhere(&["completions", shell]).ok();
        assert!(verbs.iter().all(|verb| script.contains(verb)), "{shell}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let pages = dir.path().join("man1");
    nowhere(&["man", pages.to_str().expect("UTF-8")]).ok();
    for verb in verbs {
        let page = std::fs::read_to_string(pages.join(format!("procunit-{verb}.1"))).expect(verb);
        assert!(page.contains("procunit"), "{verb}");
    }
    assert!(pages.join("procunit.1").exists());
}

#[test]
fn help_tells_exit_code_1_and_the_formats_of_each_verb() {
    for verb in ["stop", "kill", "rm"] {
        assert!(nowhere(&[verb, "--help"]).ok().contains("Exit codes: 1 "), "{verb}");
    }
    let logs = nowhere(&["logs", "--help"]).ok();
    assert!(logs.contains("Output formats: short") && logs.contains("cat, json or jsonl"), "{logs}");
    assert!(!logs.contains("possible values: table"), "{logs}");
    assert!(nowhere(&["run", "--help"]).ok().contains("With -o json"));
}
