//! What systemd would show of a fake proc: the picture is its state, and is changed as systemd changes it.
//!
//! As of 252 and 257: `tests/traces` has the real ones.

use crate::id::InvocationId;
use crate::spec::Lifetime;
use crate::status::exit::Exit;
use crate::status::machine::Event;
use crate::status::snapshot::{ServiceSide, Snapshot, UnitSide};
use crate::time::Timestamp;

/// The start job is queued.
pub(super) fn queued() -> Snapshot {
    let unit = UnitSide { job: Some(1), ..activity("inactive", "dead") };
    Snapshot { unit, service: ServiceSide::default() }
}

/// Exec succeeded.
pub(super) fn running(run: InvocationId, pid: u32, at: Timestamp) -> Snapshot {
    let unit = UnitSide {
        job: Some(0),
        invocation: Some(run),
        active_enter: Some(at),
        ..activity("active", "running")
    };
    let service = ServiceSide {
        main_pid: Some(pid),
        exec_main_pid: Some(pid),
        exec_main_code: Some(0),
        exec_main_status: Some(0),
        exec_main_start: Some(at),
        handoff_monotonic: Some(at.as_micros()),
        result: Some("success".into()),
        n_restarts: Some(0),
        ..ServiceSide::default()
    };
    Snapshot { unit, service }
}

fn activity(active: &str, sub: &str) -> UnitSide {
    UnitSide {
        load_state: Some("loaded".into()),
        active_state: Some(active.to_owned().into()),
        sub_state: Some(sub.to_owned().into()),
        ..UnitSide::default()
    }
}

/// No unit of that name.
pub(super) fn none() -> Snapshot {
    let unit = UnitSide { load_state: Some("not-found".into()), ..UnitSide::default() };
    Snapshot { unit, service: ServiceSide::default() }
}

pub(super) fn is_none(picture: &Snapshot) -> bool {
    picture.unit.load_state.as_deref() == Some("not-found")
}

/// systemd is ending what is in it.
pub(super) fn is_going_down(picture: &Snapshot) -> bool {
    picture.unit.active_state.as_deref() == Some("deactivating")
}

/// A stop job has been taken.
pub(super) fn stop(picture: &mut Snapshot, at: Timestamp) {
    if picture.unit.active_state.as_deref() == Some("active") {
        picture.unit.active_exit = Some(at);
        go(picture, "deactivating", "stop-sigterm");
    }
}

/// The main process is over. [`settle`] follows.
pub(super) fn end(picture: &mut Snapshot, exit: Exit, at: Timestamp) {
    let (code, status, result) = match exit {
        Exit::Code(0) => (1, 0, "success"),
        Exit::Code(code) => (1, i32::from(code), "exit-code"),
        Exit::Signal { signal, .. } if is_clean(exit) => (2, signal.number(), "success"),
        Exit::Signal { signal, core_dumped: false } => (2, signal.number(), "signal"),
        Exit::Signal { signal, core_dumped: true } => (3, signal.number(), "core-dump"),
    };
    let service = &mut picture.service;
    service.main_pid = Some(0);
    (service.exec_main_code, service.exec_main_status) = (Some(code), Some(status));
    service.exec_main_exit = Some(at);
    service.result = Some(result.to_owned().into());
}

/// What becomes of a unit whose main process is over, while processes are left in it and when none are.
pub(super) fn settle(picture: &mut Snapshot, lifetime: Lifetime, left: bool, at: Timestamp) {
    let Some(exit) = exit(picture) else { return };
    // Detached units have RemainAfterExit, which is for clean exits.
    let was_up = picture.unit.active_state.as_deref() == Some("active");
    if was_up && lifetime == Lifetime::Detached && is_clean(exit) {
        return go(picture, "active", "exited");
    }
    picture.unit.active_exit.get_or_insert(at);
    match (left, is_clean(exit)) {
        (true, _) => go(picture, "deactivating", "stop-sigterm"),
        (false, true) => go(picture, "inactive", "dead"),
        (false, false) => go(picture, "failed", "failed"),
    }
}

fn go(picture: &mut Snapshot, active: &str, sub: &str) {
    picture.unit.active_state = Some(active.to_owned().into());
    picture.unit.sub_state = Some(sub.to_owned().into());
}

/// systemd's own idea of a clean end (`is_clean_exit`, exit-status.c).
fn is_clean(exit: Exit) -> bool {
    match exit {
        Exit::Code(code) => code == 0,
        Exit::Signal { signal, core_dumped } => !core_dumped && matches!(signal.number(), 1 | 2 | 13 | 15),
    }
}

/// How the main process ended.
pub(super) fn exit(picture: &Snapshot) -> Option<Exit> {
    let service = &picture.service;
    Exit::from_exec_main(service.exec_main_code?, service.exec_main_status?)
}

/// The same as plain facts, for a launcher that has no units.
pub(super) fn plain(picture: &Snapshot) -> Vec<Event> {
    let service = &picture.service;
    let started = service.exec_main_pid.zip(service.exec_main_start);
    let exited = exit(picture).zip(service.exec_main_exit);
    let down = matches!(picture.unit.active_state.as_deref(), Some("inactive" | "failed"));
    let started = started.map(|(pid, at)| Event::Started { pid, at, run: None });
    let gone = exited.filter(|_| down).map(|_| Event::TreeGone);
    let exited = exited.map(|(exit, at)| Event::Exited { exit, at });
    [started, exited, gone].into_iter().flatten().collect()
}
