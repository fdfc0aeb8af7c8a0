//! How statuses read, for people and in JSON. Both are interfaces.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::unit::{at, run};
use crate::signal::Signal;
use crate::status::exit::{Exit, SetupStep};
use crate::status::history::{Cause, Transition};
use crate::status::{FailReason, Found, ProcStatus, StatusKind};

fn stopped(exit_code: u8) -> ProcStatus {
    ProcStatus::Stopped { exit_code, stderr_tail: Vec::new() }
}

fn killed(core_dumped: bool) -> ProcStatus {
    ProcStatus::Killed { signal: Signal::KILL, core_dumped }
}

fn failed(reason: FailReason) -> ProcStatus {
    ProcStatus::Failed { reason }
}

fn lost(found: Found) -> ProcStatus {
    failed(FailReason::Lost { found })
}

fn setup(status: u8) -> ProcStatus {
    failed(FailReason::Setup { step: SetupStep::from_status(status).unwrap() })
}

fn ready(addr: Option<&str>, agent: Option<&str>) -> ProcStatus {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    ProcStatus::Ready { started_at: at(0), addr: owned(addr), agent: owned(agent) }
}

#[test]
fn a_status_is_one_line() {
    let no_main = FailReason::NoMainProcess { result: "resources".to_owned() };
    let reset = FailReason::NoMainProcess { result: "success".to_owned() };
    let cases = [
        (ProcStatus::Starting, "Starting"),
        (ProcStatus::Running { started_at: at(0) }, "Running up 42s"),
        (ready(None, None), "Ready up 42s"),
        (ready(Some("10.0.0.1:80"), None), "Ready at 10.0.0.1:80 up 42s"),
        (ProcStatus::Stopping { started_at: Some(at(0)) }, "Stopping up 42s"),
        (ProcStatus::Stopping { started_at: None }, "Stopping"),
        (stopped(0), "Stopped(exit=0)"),
        (stopped(7), "Stopped(exit=7)"),
        (killed(false), "Killed(sig=9)"),
        (killed(true), "Killed(sig=9, core)"),
        (lost(Found::NoUnit), "Failed(lost: its unit is gone and nobody saw the end)"),
        (lost(Found::OtherRun), "Failed(lost: its unit runs again and nobody saw the end)"),
        (lost(Found::NoExitStatus), "Failed(lost: its unit has ended without an exit status)"),
        (lost(Found::NoLauncher), "Failed(lost: its launcher can no longer be reached)"),
        (setup(200), "Failed(setup failed: changing to the working directory (200/CHDIR))"),
        (failed(no_main), "Failed(no main process was started: resources)"),
        (failed(reset), "Failed(no main process was started)"),
    ];
    for (status, line) in cases {
        assert_eq!(status.at(at(42_999)).to_string(), line);
        // Without a moment, without the time it is up.
        assert_eq!(status.to_string(), line.replace(" up 42s", ""));
    }
}

#[test]
fn the_time_it_is_up_is_in_its_two_largest_units() {
    let seconds = |seconds: u64| at(seconds * 1000);
    let cases = [
        (0, "0s"),
        (59, "59s"),
        (60, "1min 0s"),
        (320, "5min 20s"),
        (3_599, "59min 59s"),
        (11_040, "3h 4min"),
        (86_399, "23h 59min"),
        (198_000, "2d 7h"),
    ];
    for (up, words) in cases {
        let status = ProcStatus::Running { started_at: at(0) };
        assert_eq!(status.at(seconds(up)).to_string(), format!("Running up {words}"));
    }
    let ahead = ProcStatus::Running { started_at: at(1) };
    assert_eq!(ahead.at(at(0)).to_string(), "Running up 0s", "the clock was set back");
}

fn reads_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, json: &str) {
    assert_eq!(serde_json::to_string(value).unwrap(), json);
    assert_eq!(serde_json::from_str::<T>(json).unwrap(), *value, "{json}");
}

#[test]
fn every_status_has_its_json() {
    let since = r#""started_at":"2023-11-14T22:13:20.000000Z""#;
    reads_back(&ProcStatus::Starting, r#"{"state":"starting"}"#);
    let running = ProcStatus::Running { started_at: at(0) };
    reads_back(&running, &format!(r#"{{"state":"running",{since}}}"#));
    reads_back(&ready(None, None), &format!(r#"{{"state":"ready",{since},"addr":null,"agent":null}}"#));
    let both = ready(Some("unix:/a"), Some("unix:/b"));
    reads_back(&both, &format!(r#"{{"state":"ready",{since},"addr":"unix:/a","agent":"unix:/b"}}"#));
    let stopping = ProcStatus::Stopping { started_at: Some(at(0)) };
    reads_back(&stopping, &format!(r#"{{"state":"stopping",{since}}}"#));
    let unseen = ProcStatus::Stopping { started_at: None };
    reads_back(&unseen, r#"{"state":"stopping","started_at":null}"#);
    reads_back(&stopped(7), r#"{"state":"stopped","exit_code":7,"stderr_tail":[]}"#);
    let told = ProcStatus::Stopped { exit_code: 1, stderr_tail: vec!["no such file".to_owned()] };
    reads_back(&told, r#"{"state":"stopped","exit_code":1,"stderr_tail":["no such file"]}"#);
    reads_back(&killed(true), r#"{"state":"killed","signal":9,"core_dumped":true}"#);
}

#[test]
fn every_failure_has_its_json() {
    for (found, word) in [
        (Found::NoUnit, "no_unit"),
        (Found::OtherRun, "other_run"),
        (Found::NoExitStatus, "no_exit_status"),
        (Found::NoLauncher, "no_launcher"),
    ] {
        let json = format!(r#"{{"state":"failed","reason":{{"kind":"lost","found":"{word}"}}}}"#);
        reads_back(&lost(found), &json);
    }
    reads_back(&setup(203), r#"{"state":"failed","reason":{"kind":"setup","step":203}}"#);
    let no_main = FailReason::NoMainProcess { result: "resources".to_owned() };
    let json = r#"{"state":"failed","reason":{"kind":"no_main_process","result":"resources"}}"#;
    reads_back(&failed(no_main), json);
}

#[test]
fn an_older_end_without_a_tail_is_read() {
    let read: ProcStatus = serde_json::from_str(r#"{"state":"stopped","exit_code":7}"#).unwrap();
    assert_eq!(read, stopped(7));
}

#[test]
fn what_is_no_status_is_refused() {
    for json in [
        "{}",
        r#"{"state":"gone"}"#,
        r#"{"state":"running"}"#,
        r#"{"state":"stopped","exit_code":256}"#,
        r#"{"state":"killed","signal":0,"core_dumped":false}"#,
        r#"{"state":"failed","reason":{"kind":"setup","step":7}}"#,
    ] {
        assert!(serde_json::from_str::<ProcStatus>(json).is_err(), "{json}");
    }
}

#[test]
fn a_kind_is_the_state_that_json_names() {
    for (status, kind) in [
        (ProcStatus::Starting, StatusKind::Starting),
        (ProcStatus::Running { started_at: at(0) }, StatusKind::Running),
        (ready(None, None), StatusKind::Ready),
        (ProcStatus::Stopping { started_at: None }, StatusKind::Stopping),
        (stopped(0), StatusKind::Stopped),
        (killed(false), StatusKind::Killed),
        (lost(Found::NoUnit), StatusKind::Failed),
    ] {
        assert_eq!((status.kind(), status.is_exit()), (kind, kind.is_exit()));
        assert_eq!(serde_json::to_value(&status).unwrap()["state"], kind.as_str());
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
    assert_eq!(format!("{:<9}|", StatusKind::Ready), "ready    |", "it can be put into columns");
}

#[test]
fn an_exit_gives_a_status_and_is_read_from_it() {
    for exit in [Exit::Code(0), Exit::Code(255), Exit::Signal { signal: Signal::SEGV, core_dumped: true }] {
        assert_eq!(ProcStatus::from_exit(exit).exit(), Some(exit));
    }
    assert_eq!(lost(Found::NoUnit).exit(), None);
    assert_eq!(ProcStatus::Starting.exit(), None);
}

#[test]
fn a_transition_reads_back() {
    let moved = Transition {
        seq: 2,
        at: at(0),
        from: StatusKind::Running,
        to: stopped(7),
        cause: Cause::Exit,
        run: Some(run(1)),
        run_end: None,
    };
    let json = concat!(
        r#"{"seq":2,"at":"2023-11-14T22:13:20.000000Z","from":"running","#,
        r#""to":{"state":"stopped","exit_code":7,"stderr_tail":[]},"#,
        r#""cause":"exit","run":"01010101010101010101010101010101"}"#,
    );
    reads_back(&moved, json);
    let again = Transition { to: ProcStatus::Starting, run_end: Some(stopped(7)), ..moved.clone() };
    let json_again = json
        .replace(r#""to":{"state":"stopped","exit_code":7,"stderr_tail":[]}"#, r#""to":{"state":"starting"}"#)
        .trim_end_matches('}')
        .to_owned()
        + r#","run_end":{"state":"stopped","exit_code":7,"stderr_tail":[]}}"#;
    reads_back(&again, &json_again);
    let unnamed = Transition { run: None, ..moved };
    reads_back(&unnamed, &json.replace(r#","run":"01010101010101010101010101010101""#, ""));
}

#[test]
fn every_cause_has_its_words_and_its_json() {
    for (cause, words, json) in [
        (Cause::Exec, "exec succeeded", "exec"),
        (Cause::Announced, "announced", "announced"),
        (Cause::StopDelivered, "stop delivered", "stop_delivered"),
        (Cause::Deactivating, "systemd ends it", "deactivating"),
        (Cause::Exit, "main process over", "exit"),
        (Cause::SetupFailed, "setup failed", "setup_failed"),
        (Cause::Lost, "lost", "lost"),
    ] {
        assert_eq!(cause.to_string(), words);
        reads_back(&cause, &format!("{json:?}"));
    }
}
