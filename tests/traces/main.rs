//! Lives of real units as the bus told them, recorded on systemd 252 and 257, read through the status machine.
//!
//! Nothing here needs a user manager. How the traces are made: `record.rs`.

#[cfg(feature = "systemd")]
mod record;
#[cfg(feature = "systemd")]
mod scenarios;
mod trace;

use std::sync::LazyLock;

use procunit::status::exit::Exit;
use procunit::status::machine::{Event, Machine, Restarts, Step, allowed};
use procunit::status::snapshot::Snapshot;
use procunit::status::{FailReason, ProcStatus, StatusKind};
use proptest::prelude::*;
use proptest::sample::Index;

use trace::{Line, Trace, What};

static TRACES: LazyLock<Vec<Trace>> = LazyLock::new(Trace::all);

/// What the recorder writes when it has given up its hold.
const LET_GO: &str = "the unit is let go";

fn event(line: &Line) -> Option<Event> {
    match &line.what {
        What::Signal(picture) | What::Look(picture) => Some(Event::Snapshot(picture.clone())),
        What::StopDelivered(_) => Some(Event::StopDelivered),
        What::Job(_) | What::Did(_) => None,
    }
}

fn picture(line: &Line) -> Option<&Snapshot> {
    match &line.what {
        What::Signal(picture) | What::Look(picture) => Some(picture),
        What::StopDelivered(_) | What::Job(_) | What::Did(_) => None,
    }
}

/// Tells a machine these lines, holds every move to the matrix, and every end to the first.
fn replay<'a>(name: &str, lines: impl IntoIterator<Item = &'a Line>) -> Machine {
    let mut machine = Machine::restarting(find(name).truth.restarts.unwrap_or(Restarts::Never));
    for line in lines {
        let Some(event) = event(line) else { continue };
        let mut before = machine.status().clone();
        let step = machine.step(event, line.at);
        if let Step::Refused(refusal) = step {
            panic!("{name}: {refusal}");
        }
        for moved in step.into_transitions() {
            assert_eq!(moved.from, before.kind(), "{name}");
            let restarts = machine.restarts_by() != Restarts::Never;
            assert_eq!(allowed(before.kind(), moved.to.kind(), restarts), Ok(()), "{name}");
            before = moved.to;
        }
        assert_eq!(*machine.status(), before, "{name}");
    }
    machine
}

fn while_held(trace: &Trace) -> impl Iterator<Item = &Line> {
    trace.lines.iter().take_while(|line| line.what != What::Did(LET_GO.to_owned()))
}

fn find(name: &str) -> &'static Trace {
    TRACES.iter().find(|trace| trace.name == name).unwrap_or_else(|| panic!("no trace {name}"))
}

#[test]
fn both_releases_have_the_same_lives() {
    let of = |release: &str| -> Vec<&str> {
        TRACES.iter().filter_map(|trace| trace.name.strip_prefix(release)).collect()
    };
    assert_eq!(of("252"), of("257"));
    assert!(of("252").len() >= 40);
    for trace in TRACES.iter() {
        assert_eq!(trace.truth.systemd[..3], trace.name[..3], "{}", trace.name);
    }
}

#[test]
fn every_life_ends_as_it_did() {
    for trace in TRACES.iter() {
        let machine = replay(&trace.name, &trace.lines);
        assert_eq!(*machine.status(), trace.truth.end, "{}", trace.name);
    }
}

#[test]
fn the_end_is_known_with_the_first_picture_that_carries_it() {
    // A restart may follow one; whether it does is told later.
    for trace in TRACES.iter().filter(|trace| trace.truth.restarts.is_none()) {
        let carries = |line: &&Line| picture(line).and_then(exit_in) == trace.truth.end.exit();
        let (Some(_), Some(at)) =
            (trace.truth.end.exit(), trace.lines.iter().position(|line| carries(&line)))
        else {
            continue;
        };
        let machine = replay(&trace.name, &trace.lines[..=at]);
        assert_eq!(*machine.status(), trace.truth.end, "{}", trace.name);
    }
}

#[test]
fn a_life_is_told_also_to_one_who_only_looks() {
    for trace in TRACES.iter() {
        let looks = trace.lines.iter().filter(|line| matches!(line.what, What::Look(_)));
        let machine = replay(&trace.name, looks);
        let status = machine.status();
        let missed = matches!(status, ProcStatus::Failed { reason: FailReason::Lost { .. } })
            || *status == ProcStatus::Starting;
        // Only the next run was there to be looked at.
        let other_run = trace.name.contains("restart") || missed;
        assert!(*status == trace.truth.end || other_run, "{}: {status}", trace.name);
    }
}

#[test]
fn a_proc_is_running_only_where_systemd_has_seen_exec() {
    for trace in TRACES.iter() {
        let up = |line: &Line| {
            picture(line).is_some_and(|picture| picture.unit.active_state.as_deref() == Some("active"))
        };
        let first_up = trace.lines.iter().position(up).unwrap_or(trace.lines.len());
        let machine = replay(&trace.name, &trace.lines[..first_up]);
        assert!(
            !matches!(machine.status().kind(), StatusKind::Running | StatusKind::Ready),
            "{}",
            trace.name
        );
    }
}

#[test]
fn children_that_are_left_keep_the_tree_from_being_gone() {
    for release in ["252", "257"] {
        for (life, goes) in [
            ("children_left", true),
            ("children_left_refuse", true),
            ("detached_children_left", false),
            ("detached_children_left_after_exit_5", true),
            ("detached_children_left_stopped_after", true),
            ("detached_children_left_refuse", true),
        ] {
            let trace = find(&format!("{release}/{life}"));
            let lines: Vec<_> = while_held(trace).collect();
            let end = trace.truth.end.exit();
            let first =
                lines.iter().position(|line| picture(line).and_then(exit_in) == end).expect("its end");
            let machine = replay(&trace.name, lines[..=first].iter().copied());
            assert_eq!((machine.status().exit(), machine.tree_gone()), (end, false), "{}", trace.name);
            assert_eq!(replay(&trace.name, lines).tree_gone(), goes, "{}", trace.name);
        }
    }
}

#[test]
fn a_stop_is_seen_where_one_was_before_the_end_and_nowhere_else() {
    // Who keeps a restart from being made stops no run.
    let plain = |trace: &&Trace| trace.truth.end.exit().is_some() && trace.truth.restarts.is_none();
    for trace in TRACES.iter().filter(plain) {
        let life = &trace.name[4..];
        let stopped = ["stop_", "detached_stop_", "restart_by_someone", "runtime_max"]
            .iter()
            .any(|start| life.starts_with(start));
        assert_eq!(replay(&trace.name, &trace.lines).was_deactivated(), stopped, "{}", trace.name);
    }
}

/// Each run of a restarted unit is told, with its own exact end.
#[test]
fn every_run_is_told_with_its_end() {
    for trace in TRACES.iter().filter(|trace| trace.truth.restarts.is_some()) {
        let machine = replay(&trace.name, while_held(trace));
        assert_eq!(*machine.status(), trace.truth.end, "{}", trace.name);
        let runs: Vec<_> = machine.runs().collect();
        let numbers: Vec<_> = runs.iter().map(|run| run.number).collect();
        assert_eq!(numbers, (1..=machine.restarts() + 1).collect::<Vec<_>>(), "{}", trace.name);
        let ends: Vec<_> = runs.into_iter().filter_map(|run| run.end).collect();
        let expected: Vec<_> = trace.truth.earlier.iter().chain([&trace.truth.end]).cloned().collect();
        assert_eq!(ends, expected, "{}", trace.name);
    }
}

/// The exit that a picture carries, read by waitid(2)'s numbers.
fn exit_in(picture: &Snapshot) -> Option<Exit> {
    let status = picture.service.exec_main_status?;
    match picture.service.exec_main_code? {
        1 => Some(Exit::Code(status.try_into().ok()?)),
        code @ (2 | 3) => Some(Exit::Signal { signal: status.try_into().ok()?, core_dumped: code == 3 }),
        _ => None,
    }
}

/// Whether this may be the status after any part of a trace in any order.
fn is_possible(status: &ProcStatus, trace: &Trace, run: Option<procunit::id::InvocationId>) -> bool {
    if let Some(exit) = status.exit() {
        let carries = |picture: &Snapshot| picture.unit.invocation == run && exit_in(picture) == Some(exit);
        return run.is_some() && trace.lines.iter().filter_map(picture).any(carries);
    }
    match status {
        ProcStatus::Failed { reason: FailReason::Lost { .. } } => true,
        ProcStatus::Failed { .. } => *status == trace.truth.end,
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn losses_and_repetitions_change_no_end(
        which in any::<Index>(),
        times in proptest::collection::vec(0..3_usize, 40),
    ) {
        let trace = which.get(&TRACES);
        // What comes last in a held unit is a look. Of a unit that nobody held, and after a restart, less is left.
        prop_assume!(!trace.name.contains("gone") && !trace.name.contains("restart"));
        let lines: Vec<_> = while_held(trace).collect();
        let seen = lines.iter().zip(times).flat_map(|(line, times)| vec![*line; times]);
        let machine = replay(&trace.name, seen.chain(lines.last().copied()));
        prop_assert_eq!(machine.status(), &trace.truth.end, "{}", trace.name);
    }

    #[test]
    fn any_order_gives_legal_moves_and_no_end_that_was_not_there(
        which in any::<Index>(),
        picks in proptest::collection::vec(any::<Index>(), 0..50),
    ) {
        let trace = which.get(&TRACES);
        let machine = replay(&trace.name, picks.iter().map(|pick| pick.get(&trace.lines)));
        prop_assert!(is_possible(machine.status(), trace, machine.run()), "{}: {}", trace.name, machine.status());
    }
}
