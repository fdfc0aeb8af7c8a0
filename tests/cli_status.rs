//! `procunit status`, against a real user manager.

#![cfg(feature = "cli")]

#[expect(dead_code, reason = "it needs a part of it")]
mod support;

use support::{Cleanup, procunit, systemctl, until};

#[test]
fn the_exit_code_says_whether_all_are_running() {
    let procs = Cleanup::group("status-code");
    let up = procs.start("up", "sleep 60");
    let over = procs.start_to_end("over", "exit 0");
    let none = procs.id("none");
    let code = |args: &[&str]| procunit(&[&["status", "-q"], args].concat()).code();
    assert_eq!(code(&[&up]), 0);
    assert_eq!(code(&[&over]), 3);
    assert_eq!(code(&[&up, &over]), 3);
    assert_eq!(code(&[&none]), 4);
    assert_eq!(code(&[&up, &none]), 4);
}

#[test]
fn a_running_one_is_shown_with_a_unit_that_systemctl_knows() {
    let procs = Cleanup::group("status-up");
    let id = procs.start("up", "sleep 60");
    let shown = procunit(&["status", &id]).ok();
    let unit = procs.unit("up");
    assert!(shown.starts_with(&format!("● {id}: running\n")), "{shown}");
    assert!(shown.contains(&format!("unit: {unit} (detached)\n")), "{shown}");
    assert!(shown.contains(&format!("main pid: {}\n", procs.report("up")["pid"])), "{shown}");
    assert!(shown.contains(&format!("`procunit stop {id}`")), "{shown}");
    assert!(systemctl(&["status", &unit]).contains("active (running)"));
}

#[test]
fn an_ended_one_is_shown_with_its_end_and_its_last_words() {
    let procs = Cleanup::group("status-over");
    let id = procs.start_to_end("over", "echo fine; echo 'cannot open x' >&2; exit 3");
    // A line may still be on its way to the journal.
    until("its words", || procunit(&["status", &id]).out().contains("cannot open x"));
    let shown = procunit(&["status", &id]).out();
    assert!(shown.starts_with(&format!("● {id}: exited with 3\n")), "{shown}");
    assert!(shown.contains(", by itself\n"), "{shown}");
    assert!(shown.contains("  last lines: fine\n              cannot open x\n"), "{shown}");
    assert!(shown.contains(&format!("`procunit rm {id}`")), "{shown}");
    let short = procunit(&["status", "-n", "1", &id]).out();
    assert!(short.contains("  last lines: cannot open x\n"), "{short}");
}

#[test]
fn a_time_limit_shows_as_what_ended_it() {
    let procs = Cleanup::group("status-limit");
    let id = procs.start_with("limited", &["--timeout", "300ms"], "sleep 60");
    until("its end", || procunit(&["status", "-q", &id]).code() == 3);
    let shown = procunit(&["status", &id]).out();
    assert!(shown.contains("killed by SIGTERM"), "{shown}");
    assert!(shown.contains(", by its time limit\n"), "{shown}");
}

#[test]
fn what_a_main_process_left_behind_shows_until_it_is_ended() {
    let procs = Cleanup::group("status-left");
    let id = procs.start_to_leave("left", &[], "sleep 60 & sleep 60 &");
    assert_eq!(procs.report("left")["leftovers"], 2);
    let table = procunit(&["ps"]).ok();
    let row = table.lines().find(|line| line.starts_with(&id)).unwrap_or_else(|| panic!("{table}"));
    assert!(row.contains("Stopped(exit=0) +2 processes"), "{row}");
    let shown = procunit(&["status", &id]).out();
    assert!(shown.contains("left behind: 2 processes"), "{shown}");
}

#[test]
fn json_is_the_report() {
    let procs = Cleanup::group("status-json");
    let id = procs.start("up", "sleep 60");
    let told = procunit(&["status", "-o", "json", &id]).json();
    assert_eq!(told["version"], 1);
    assert_eq!(told["procs"][0]["status"]["state"], "running");
    assert_eq!(told["procs"][0]["invocation_id"], procs.report("up")["invocation_id"]);
}
