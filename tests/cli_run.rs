//! `procunit run`, against a real user manager: what it prints for programs, and what it says of a refusal.

#![cfg(feature = "cli")]

#[expect(dead_code, reason = "it needs a part of it")]
mod support;

use support::{Cleanup, procunit, systemctl};

#[test]
fn what_is_left_running_is_one_line_of_json() {
    let procs = Cleanup::group("run-json");
    let id = procs.id("x");
    let ran = procunit(&["run", "-d", "-o", "json", "-n", &id, "--", "sleep", "60"]);
    assert_eq!(ran.ok().lines().count(), 1, "{ran:?}");
    let known = procs.report("x");
    let expected = serde_json::json!({
        "version": 1, "id": id, "unit": procs.unit("x"), "run": known["invocation_id"], "pid": known["pid"],
    });
    assert_eq!(ran.json(), expected);
    assert!(known["pid"].is_number() && known["invocation_id"].is_string(), "{known}");
}

#[test]
fn an_attached_one_reports_its_end_in_json_whatever_it_was() {
    let procs = Cleanup::group("run-report");
    for code in [0, 3] {
        let id = procs.id(&format!("x{code}"));
        let script = format!("echo out; exit {code}");
        let ran = procunit(&["run", "-o", "json", "-n", &id, "--", "sh", "-c", &script]);
        assert_eq!((ran.code(), ran.out().as_str()), (code, "out\n"), "{ran:?}");
        assert_eq!(ran.err().lines().count(), 1, "{ran:?}");
        let report: serde_json::Value = serde_json::from_str(&ran.err()).expect("JSON");
        assert_eq!((&report["version"], &report["id"]), (&1.into(), &id.as_str().into()), "{report}");
        assert_eq!(report["status"]["state"], "stopped", "{report}");
        assert_eq!(report["status"]["exit_code"], code, "{report}");
    }
}

#[test]
fn a_refusal_of_systemds_is_one_sentence_that_names_the_property() {
    let procs = Cleanup::group("run-refused");
    let id = procs.id("x");
    for property in ["MainPID=3", "DevicePolicy=foo"] {
        let ran = procunit(&["run", "-n", &id, "-p", property, "--", "true"]);
        let (name, said) = (property.split('=').next().expect("a name"), ran.err());
        assert_eq!((ran.code(), said.lines().count()), (125, 1), "{ran:?}");
        assert!(said.contains(name), "{said}");
        assert_eq!(said.matches("org.freedesktop.").count(), 1, "{said}");
    }
}

#[test]
fn a_unit_of_somebody_elses_that_has_the_name_is_called_that() {
    let procs = Cleanup::group("run-foreign");
    let (id, unit) = (procs.id("x"), procs.unit("x"));
    let mut foreign = std::process::Command::new("systemd-run");
    foreign.args(["--user", "--quiet", &format!("--unit={unit}"), "sleep", "60"]);
    support::run(&mut foreign).ok();
    let ran = procunit(&["run", "-n", &id, "--", "true"]);
    systemctl(&["stop", &unit]);
    assert_eq!((ran.code(), ran.err().lines().count()), (125, 1), "{ran:?}");
    let expected =
        format!("{unit} exists and was not started by procunit; end it with `systemctl --user stop {unit}`");
    assert!(ran.err().contains(&expected), "{ran:?}");
}

#[test]
fn a_program_that_fails_is_started_again_and_the_last_exit_code_counts() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = format!("cd '{}'; echo >>runs; test $(wc -l <runs) -ge 3", dir.path().display());
    let policy = ["run", "--quiet", "--restart", "on-failure:5", "--restart-delay", "10ms", "--", "sh", "-c"];
    assert_eq!(procunit(&[&policy[..], &[&script]].concat()).all(), (0, String::new(), String::new()));
    let ran = procunit(&["run", "--restart", "on-failure:1", "--", "sh", "-c", "exit 6"]);
    assert_eq!(ran.code(), 6);
    assert!(ran.err().contains(", in the last run of 2"), "{ran:?}");
}

#[test]
fn a_restart_policy_that_is_none_is_refused_in_words() {
    for (flags, said) in [
        (["--restart", "unless-stopped"], "did you mean always?"),
        (["--restart", "always:0"], "no number of restarts"),
        (["--restart-delay", "1s"], "not without --restart"),
    ] {
        let ran = procunit(&[&["run"], &flags[..], &["--", "true"]].concat());
        assert_ne!(ran.code(), 0);
        assert!(ran.err().contains(said), "{ran:?}");
    }
}
