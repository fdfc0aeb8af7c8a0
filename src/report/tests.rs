//! Reports as values, as JSON, and of every recorded life.

use serde_json::Value;

use super::*;
use crate::signal::Signal;
use crate::status::exit::Exit;
use crate::status::machine::{Event, Machine, Restarts};

fn id() -> ProcId {
    ProcId::new("web/1").unwrap()
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_micros((1_700_000_000 + second) * 1_000_000)
}

/// A machine that was told `events`, and the moves that followed.
fn told(events: Vec<(Event, Timestamp)>) -> (Machine, History) {
    told_to(Machine::new(), events)
}

fn told_to(mut machine: Machine, events: Vec<(Event, Timestamp)>) -> (Machine, History) {
    let mut history = History::default();
    for (event, at) in events {
        for moved in machine.step(event, at).into_transitions() {
            history.push(moved, 64);
        }
    }
    (machine, history)
}

const NOWHERE: OutputReport = OutputReport { stdout: None, stderr: None, apart: None };

fn facts<'a>(id: &'a ProcId, machine: &'a Machine, history: &'a History) -> RunFacts<'a> {
    RunFacts {
        id,
        unit: None,
        launcher: "native",
        label: None,
        lifetime: Lifetime::Attached,
        machine,
        history,
        asked: None,
        escalated: false,
        details: None,
        runtime_max: None,
        output: &NOWHERE,
        notes: &[],
    }
}

fn started() -> (Event, Timestamp) {
    (Event::Started { pid: 7, at: at(1), run: None }, at(1))
}

fn exited(exit: Exit) -> (Event, Timestamp) {
    (Event::Exited { exit, at: at(3) }, at(4))
}

#[test]
fn the_json_of_a_report_is_an_interface() {
    let asked = Asked::Reason("stop".to_owned());
    let (machine, history) = told(vec![
        started(),
        (Event::StopDelivered, at(2)),
        exited(Exit::Signal { signal: Signal::KILL, core_dumped: false }),
    ]);
    let details = UnitDetails {
        cpu_usage: Some(Duration::from_millis(1_500)),
        memory_current: Some(1),
        memory_peak: Some(4096),
        ..UnitDetails::default()
    };
    let id = id();
    let report = Report::of_run(&RunFacts {
        unit: Some(UnitName::for_proc(&id)),
        launcher: "systemd",
        label: Some("the web"),
        lifetime: Lifetime::Detached,
        asked: Some(&asked),
        escalated: true,
        details: Some(&details),
        notes: &["FOO was dropped".to_owned()],
        ..facts(&id, &machine, &history)
    });
    let json = serde_json::to_string_pretty(&report).unwrap();
    assert_eq!(json, include_str!("tests/report.json").trim_end());
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

#[test]
fn what_is_not_known_is_null() {
    let (machine, history) = told(Vec::new());
    let report = serde_json::to_value(Report::of_run(&facts(&id(), &machine, &history))).unwrap();
    for field in [
        "unit",
        "label",
        "invocation_id",
        "pid",
        "started_at",
        "ended_at",
        "wall_seconds",
        "cpu_seconds",
        "memory_bytes",
        "memory_peak_bytes",
        "leftovers",
        "ended_by",
        "result",
    ] {
        assert_eq!(report.get(field), Some(&Value::Null), "{field}");
    }
}

#[test]
fn the_memory_of_a_proc_that_is_over_is_not_what_it_uses_now() {
    let details = UnitDetails { memory_current: Some(4096), ..UnitDetails::default() };
    for (events, memory) in [(vec![started()], Some(4096)), (vec![started(), exited(Exit::Code(0))], None)] {
        let (machine, history) = told(events);
        let id = id();
        let report = Report::of_run(&RunFacts { details: Some(&details), ..facts(&id, &machine, &history) });
        assert_eq!(report.memory_bytes, memory);
    }
}

#[test]
fn a_wish_that_was_never_delivered_ended_nothing() {
    let asked = Asked::Reason("stop".to_owned());
    let (machine, history) = told(vec![started(), exited(Exit::Code(0)), (Event::StopDelivered, at(5))]);
    let id = id();
    let report = Report::of_run(&RunFacts { asked: Some(&asked), ..facts(&id, &machine, &history) });
    assert_eq!(report.ended_by, Some(EndedBy::Program));
}

#[test]
fn a_proc_is_up_from_its_start_to_now_or_to_its_end() {
    let up = |events| {
        let (machine, history) = told(events);
        Report::of_run(&facts(&id(), &machine, &history)).up(at(10))
    };
    assert_eq!(up(Vec::new()), None);
    assert_eq!(up(vec![started()]), Some(Duration::from_secs(9)));
    assert_eq!(up(vec![started(), exited(Exit::Code(0))]), Some(Duration::from_secs(2)));
    let lost = Event::Lost(crate::status::Found::NoLauncher);
    assert_eq!(up(vec![started(), (lost, at(3))]), None);
}

#[test]
fn a_proc_whose_unit_is_not_there_is_lost() {
    let mut missing = Snapshot::default();
    missing.unit.load_state = Some("not-found".into());
    let report = seen(&missing, None);
    let reason = FailReason::Lost { found: crate::status::Found::NoUnit };
    assert_eq!((report.status, report.ended_by), (ProcStatus::Failed { reason }, None));
}

#[test]
fn a_label_is_what_stands_before_the_host() {
    let label = |description: &str| {
        let description = Some(description.to_owned());
        label_of(&id(), &UnitDetails { description, ..UnitDetails::default() })
    };
    assert_eq!(label("the web @ host").as_deref(), Some("the web"));
    assert_eq!(label("me @ home @ host").as_deref(), Some("me @ home"));
    assert_eq!(label("web/1 @ host"), None, "its id");
    assert_eq!(label("no host"), None);
}

/// A report of a unit that is only looked at.
fn seen(picture: &Snapshot, runtime_max: Option<Duration>) -> Report {
    seen_of(picture, runtime_max, Restarts::Never)
}

fn seen_of(picture: &Snapshot, runtime_max: Option<Duration>, restarts: Restarts) -> Report {
    let (restart, starts) = match restarts {
        Restarts::ByUnit { max } => (Some("on-failure".to_owned()), max.map(|max| max + 1)),
        Restarts::Never | Restarts::ByManager { .. } => (None, None),
    };
    let details = UnitDetails { runtime_max, restart, start_limit_burst: starts, ..UnitDetails::default() };
    let id = id();
    let seen = SeenProc {
        id: &id,
        unit: &UnitName::for_proc(&id),
        launcher: "systemd",
        lifetime: Lifetime::Detached,
        snapshot: picture,
        details: &details,
        leftovers: None,
    };
    Report::of_seen(&seen, at(0))
}

/// A recorded life, read as far as reports need it; `tests/traces/trace.rs` has the format.
struct Life {
    name: String,
    end: ProcStatus,
    ended_by: Option<EndedBy>,
    runtime_max: Option<Duration>,
    restarts: Restarts,
    lines: Vec<Value>,
}

fn recorded() -> Vec<Life> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let mut lives = Vec::new();
    for release in ["252", "257"] {
        for entry in std::fs::read_dir(root.join(release)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let truth = lines.next().unwrap();
            lives.push(Life {
                name: path.display().to_string(),
                end: serde_json::from_value(truth["end"].clone()).unwrap(),
                ended_by: serde_json::from_value(truth["ended_by"].clone()).unwrap(),
                runtime_max: truth.get("runtime_max").and_then(Value::as_f64).map(Duration::from_secs_f64),
                restarts: truth
                    .get("restarts")
                    .map_or(Restarts::Never, |restarts| serde_json::from_value(restarts.clone()).unwrap()),
                lines: lines.collect(),
            });
        }
    }
    lives
}

fn picture(line: &Value) -> Option<Snapshot> {
    let shown = line.get("signal").or_else(|| line.get("look"))?;
    Some(serde_json::from_value(shown.clone()).unwrap())
}

#[test]
fn of_every_recorded_life_the_report_says_who_ended_it() {
    for life in recorded() {
        let (mut events, mut asked) = (Vec::new(), None);
        for line in &life.lines {
            let at = serde_json::from_value(line["at"].clone()).unwrap();
            if let Some(reason) = line.get("stop_delivered") {
                asked = reason.as_str().map(|reason| Asked::Reason(reason.to_owned()));
                events.push((Event::StopDelivered, at));
            }
            events.extend(picture(line).map(|picture| (Event::Snapshot(picture), at)));
        }
        let (machine, history) = told_to(Machine::restarting(life.restarts), events);
        let id = id();
        let report = Report::of_run(&RunFacts {
            asked: asked.as_ref(),
            runtime_max: life.runtime_max,
            ..facts(&id, &machine, &history)
        });
        assert_eq!((&report.status, &report.ended_by), (&life.end, &life.ended_by), "{}", life.name);
        assert_eq!(
            report.transitions.last().map(|last| &last.to),
            history.iter().last().map(|last| &last.to)
        );
    }
}

/// What is left of a unit tells the same to one who was not there, or less; never something else.
#[test]
fn one_who_only_looks_at_the_end_says_the_same_or_less() {
    let mut looked_at = 0;
    for life in recorded() {
        let held = life.lines.iter().take_while(|line| line["did"] != "the unit is let go");
        let pictures: Vec<_> = held.filter_map(picture).collect();
        let Some(last) = pictures.last() else { continue };
        let first = pictures.iter().find_map(|picture| picture.unit.invocation);
        if last.unit.invocation != first {
            continue;
        }
        looked_at += 1;
        let report = seen_of(last, life.runtime_max, life.restarts);
        assert_eq!(report.status, life.end, "{}", life.name);
        let less = match &life.ended_by {
            // Another client's stop is somebody else's to this one.
            Some(EndedBy::Procunit { .. }) => Some(EndedBy::SomeoneElse),
            // A unit that was never active has no times that tell of a stop.
            Some(EndedBy::SomeoneElse) if last.unit.active_enter.is_none() => Some(EndedBy::UnknownSender),
            same => same.clone(),
        };
        assert_eq!(report.ended_by, less, "{}", life.name);
    }
    assert!(looked_at > 70, "{looked_at}");
}

#[test]
fn a_status_of_200_to_243_below_256_is_told_with_its_doubt() {
    let doubts = |life: &Life| {
        let last = life.lines.iter().filter_map(picture).rfind(|picture| picture.unit.invocation.is_some());
        seen(&last.unwrap(), None).doubts
    };
    let expected = "systemd below 256 cannot tell this program's own exit 200 from a failed setup \
                    (changing to the working directory)";
    for life in recorded().into_iter().filter(|life| life.end.is_exit()) {
        if life.name.ends_with("252/missing_cwd.jsonl") {
            assert_eq!(doubts(&life), [expected]);
        } else if life.name.ends_with("exit_203_later.jsonl") || life.name.contains("/257/") {
            assert_eq!(doubts(&life), [""; 0], "{}", life.name);
        }
    }
}
