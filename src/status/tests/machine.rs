//! Every fact in every status.

use super::judge::Judged;
use super::unit::{Release, Unit, at, run};
use crate::signal::Signal;
use crate::status::exit::Exit;
use crate::status::history::Cause;
use crate::status::machine::{Event, Machine, Refusal, Step};
use crate::status::{FailReason, Found, ProcStatus, StatusKind};

const KILLED: Exit = Exit::Signal { signal: Signal::KILL, core_dumped: false };

fn up() -> Event {
    Event::Started { pid: 7, at: at(5), run: None }
}

fn exited(exit: Exit) -> Event {
    Event::Exited { exit, at: at(9) }
}

fn ready() -> Event {
    Event::Ready { addr: Some("unix:/run/x".to_owned()), agent: None }
}

fn lost() -> Event {
    Event::Lost(Found::NoLauncher)
}

fn shown(picture: &Unit) -> Event {
    Event::Snapshot(picture.newest())
}

/// A machine in each status, in the order of [`StatusKind::ALL`].
fn in_every_status() -> [Judged; 7] {
    [
        Judged::new(),
        Judged::after([up()]),
        Judged::after([up(), ready()]),
        Judged::after([up(), Event::StopDelivered]),
        Judged::after([up(), exited(Exit::Code(0))]),
        Judged::after([up(), exited(KILLED)]),
        Judged::after([up(), lost()]),
    ]
}

/// The outcome in one word: the kind it moved to, `on` for Running and on to an end (a program that was over before it was
/// seen up has been run all the same), `-` for nothing, `over` or `back` for a refusal.
fn outcome(step: &Step) -> &'static str {
    match step {
        Step::Moved(moved) => moved.to.kind().as_str(),
        Step::MovedOn(_) => "on",
        Step::Stayed => "-",
        Step::Refused(Refusal::Over { .. }) => "over",
        Step::Refused(Refusal::Backwards { .. }) => "back",
    }
}

#[test]
fn every_fact_does_in_every_status_what_this_table_says() {
    let unit = || Unit::new(Release::V257);
    let code = |code| unit().started().main_ends(Exit::Code(code), false).clone();
    let setup = unit().queue().fork().main_ends(Exit::Code(200), false).clone();
    #[rustfmt::skip]
    let table = [
        //                                                     starting   running    ready      stopping  over: stopped, killed, failed
        ("queued",          shown(unit().queue()),             ["-",       "-",       "-",       "-",       "-",    "-",    "-"]),
        ("starting",        shown(unit().queue().fork()),      ["-",       "-",       "-",       "-",       "-",    "-",    "-"]),
        ("up",              shown(unit().started()),           ["running", "-",       "-",       "-",       "-",    "-",    "-"]),
        ("deactivating",    shown(unit().started().stop()),    ["stopping","stopping","stopping","-",       "-",    "-",    "-"]),
        ("exit 7",          shown(&code(7)),                   ["on",      "stopped", "stopped", "stopped", "-",    "-",    "-"]),
        ("setup failed",    shown(&setup),                     ["failed",  "failed",  "failed",  "failed",  "-",    "-",    "-"]),
        ("no main process", shown(unit().queue().not_forked("resources")),
                                                               ["failed",  "failed",  "failed",  "failed",  "-",    "-",    "-"]),
        ("no unit",         Event::Snapshot(Unit::missing(Release::V257)),
                                                               ["-",       "-",       "-",       "-",       "-",    "-",    "-"]),
        ("started",         up(),                              ["running", "-",       "-",       "-",       "-",    "-",    "-"]),
        ("exited",          exited(Exit::Code(3)),             ["stopped", "stopped", "stopped", "stopped", "-",    "-",    "-"]),
        ("killed",          exited(KILLED),                    ["killed",  "killed",  "killed",  "killed",  "-",    "-",    "-"]),
        ("tree gone",       Event::TreeGone,                   ["-",       "-",       "-",       "-",       "-",    "-",    "-"]),
        ("stop delivered",  Event::StopDelivered,              ["stopping","stopping","stopping","-",       "-",    "-",    "-"]),
        ("ready",           ready(),                           ["ready",   "ready",   "-",       "back",    "over", "over", "over"]),
        ("lost",            lost(),                            ["failed",  "failed",  "failed",  "failed",  "-",    "-",    "-"]),
    ];
    for (name, event, expected) in table {
        for (mut judged, expected) in in_every_status().into_iter().zip(expected) {
            let status = judged.machine.status().kind();
            let step = judged.step(event.clone());
            assert_eq!(outcome(&step), expected, "{name} while {status}");
        }
    }
}

#[test]
fn a_unit_that_is_gone_or_runs_again_is_lost_in_every_status_of_its_run() {
    let mut unit = Unit::new(Release::V252);
    let first = shown(unit.started());
    let again = shown(unit.stop().main_ends(KILLED, false).start_again().up());
    let missing = Event::Snapshot(Unit::missing(Release::V252));
    for (event, found) in [(missing, Found::NoUnit), (again, Found::OtherRun)] {
        for before in [vec![], vec![ready()], vec![Event::StopDelivered]] {
            let mut judged = Judged::after(std::iter::once(first.clone()).chain(before));
            judged.step(event.clone());
            let reason = FailReason::Lost { found: found.clone() };
            assert_eq!(*judged.machine.status(), ProcStatus::Failed { reason });
        }
    }
}

/// A look may have been asked for before the start was.
#[test]
fn no_unit_says_nothing_of_a_run_that_was_never_seen() {
    let mut unit = Unit::new(Release::V252);
    let missing = Event::Snapshot(Unit::missing(Release::V252));
    let mut judged = Judged::after([missing.clone(), shown(unit.queue()), missing.clone()]);
    assert_eq!((judged.machine.status(), judged.machine.tree_gone()), (&ProcStatus::Starting, false));
    judged.step(shown(unit.fork().up()));
    assert_eq!(judged.machine.status().kind(), StatusKind::Running);
    judged.step(missing);
    let reason = FailReason::Lost { found: Found::NoUnit };
    assert_eq!(*judged.machine.status(), ProcStatus::Failed { reason });
}

#[test]
fn the_first_end_stands_whatever_follows() {
    for end in [exited(Exit::Code(7)), exited(KILLED), lost()] {
        let mut judged = Judged::after([up(), end]);
        let first = judged.machine.status().clone();
        for later in [exited(Exit::Code(0)), exited(KILLED), lost(), up(), Event::StopDelivered] {
            assert_eq!(judged.step(later), Step::Stayed);
        }
        assert_eq!(*judged.machine.status(), first);
    }
}

#[test]
fn started_at_is_what_running_first_reported() {
    let mut judged = Judged::new();
    let mut unit = Unit::new(Release::V257);
    let Step::Moved(moved) = judged.step(shown(unit.started())) else { panic!("not moved") };
    assert_eq!(moved.to, ProcStatus::Running { started_at: at(10) });
    // Another start, as a program that hands its main process over has it.
    let mut later = unit.newest();
    later.service.exec_main_start = Some(at(500));
    judged.step(Event::Snapshot(later.clone()));
    judged.step(ready());
    judged.step(shown(unit.stop()));
    assert_eq!(*judged.machine.status(), ProcStatus::Stopping { started_at: Some(at(10)) });
    judged.step(Event::Snapshot(unit.main_ends(Exit::Code(0), false).newest()));
    assert_eq!(judged.machine.started_at(), Some(at(10)));
}

#[test]
fn a_proc_that_is_ready_before_it_was_seen_running_keeps_that_start() {
    let mut judged = Judged::new();
    judged.step(ready());
    let since = judged.machine.status().started_at();
    assert!(since.is_some());
    judged.step(shown(Unit::new(Release::V257).started()));
    judged.step(Event::StopDelivered);
    assert_eq!(judged.machine.status().started_at(), since);
}

#[test]
fn what_ready_first_announced_stands() {
    let mut judged = Judged::after([up(), ready()]);
    let first = judged.machine.status().clone();
    let again = Event::Ready { addr: None, agent: Some("unix:/run/agent".to_owned()) };
    assert_eq!(judged.step(again), Step::Stayed);
    assert_eq!(*judged.machine.status(), first);
}

#[test]
fn a_proc_that_was_stopped_before_it_was_seen_has_no_start_to_tell() {
    let judged = Judged::after([Event::StopDelivered]);
    assert_eq!(*judged.machine.status(), ProcStatus::Stopping { started_at: None });
}

#[test]
fn the_main_process_is_told_also_after_its_end() {
    let mut unit = Unit::new(Release::V252);
    let mut judged = Judged::after([shown(unit.started())]);
    assert_eq!(judged.machine.pid(), Some(101));
    judged.step(shown(unit.main_ends(Exit::Code(0), false)));
    assert_eq!((judged.machine.pid(), judged.machine.run()), (Some(101), Some(run(1))));
    let ended = judged.machine.ended().expect("an end");
    assert_eq!((ended.pid, ended.started_at, ended.ended_at), (Some(101), Some(at(10)), Some(at(30))));
}

#[test]
fn a_stop_counts_as_ours_only_if_it_was_delivered_before_the_end() {
    let before = Judged::after([up(), Event::StopDelivered, exited(Exit::Code(0))]);
    assert!(before.machine.stop_delivered());
    assert!(before.machine.was_deactivated(), "a launcher without units has no other stop");
    let after = Judged::after([up(), exited(Exit::Code(0)), Event::StopDelivered]);
    assert!(!after.machine.stop_delivered());
    assert!(!after.machine.was_deactivated());
}

/// The answer to a stop and the end that it brought come on two connections.
#[test]
fn a_stop_whose_answer_comes_after_the_end_it_brought_counts_as_ours() {
    let mut unit = Unit::new(Release::V257);
    let end = shown(unit.started().stop().main_ends(Exit::Code(0), false));
    let judged = Judged::after([end, Event::StopDelivered]);
    assert!(judged.machine.stop_delivered());
}

/// Of a kept unit that is stopped when its program is long over.
#[test]
fn a_stop_after_the_end_did_not_bring_it() {
    let mut unit = Unit::kept(Release::V257);
    let end = shown(unit.started().main_ends(Exit::Code(0), false));
    // A picture from before the end that is read late.
    let late = shown(Unit::kept(Release::V257).started().stop());
    let judged = Judged::after([end, late, Event::StopDelivered]);
    assert!(!judged.machine.was_deactivated() && !judged.machine.stop_delivered());
}

#[test]
fn systemds_stop_is_told_by_what_was_seen_and_by_the_times() {
    let mut unit = Unit::new(Release::V252);
    let (running, stopping) = (shown(unit.started()), shown(unit.stop()));
    let end = shown(unit.main_ends(Exit::Code(0), false));
    let watched = Judged::after([running.clone(), stopping, end.clone()]);
    assert!(watched.machine.was_deactivated());
    let looked_later = Judged::after([end]);
    assert!(looked_later.machine.was_deactivated());
    let by_itself = Unit::new(Release::V252).started().main_ends(Exit::Code(0), false).newest();
    assert!(!Judged::after([running, Event::Snapshot(by_itself)]).machine.was_deactivated());
}

#[test]
fn a_main_process_that_is_over_is_terminal_while_its_children_live_on() {
    let mut unit = Unit::new(Release::V252);
    let mut judged = Judged::after([shown(unit.started()), shown(unit.main_ends(Exit::Code(5), true))]);
    let status = ProcStatus::from_exit(Exit::Code(5));
    assert_eq!((judged.machine.status(), judged.machine.tree_gone()), (&status, false));
    judged.step(shown(unit.children_end(true)));
    assert_eq!((judged.machine.status(), judged.machine.tree_gone()), (&status, true));
}

#[test]
fn a_launcher_without_units_says_itself_when_nothing_is_left() {
    let mut judged = Judged::after([up(), exited(Exit::Code(0))]);
    assert!(!judged.machine.tree_gone());
    judged.step(Event::TreeGone);
    assert!(judged.machine.tree_gone());
}

#[test]
fn every_move_tells_its_cause() {
    let unit = || Unit::new(Release::V257);
    let setup = unit().queue().fork().main_ends(Exit::Code(203), false).newest();
    let cases = [
        (vec![up()], Cause::Exec),
        (vec![up(), ready()], Cause::Announced),
        (vec![up(), Event::StopDelivered], Cause::StopDelivered),
        (vec![up(), shown(unit().started().stop())], Cause::Deactivating),
        (vec![up(), exited(Exit::Code(0))], Cause::Exit),
        (vec![Event::Snapshot(setup)], Cause::SetupFailed),
        (vec![shown(unit().queue().not_forked("resources"))], Cause::SetupFailed),
        (vec![up(), lost()], Cause::Lost),
    ];
    for (mut events, cause) in cases {
        let last = events.pop().expect("an event");
        let Step::Moved(moved) = Judged::after(events).step(last) else { panic!("not moved: {cause}") };
        assert_eq!(moved.cause, cause);
    }
}

#[test]
fn a_new_machine_is_one_that_has_seen_nothing() {
    let machine = Machine::default();
    assert_eq!(*machine.status(), ProcStatus::Starting);
    assert_eq!(
        (machine.run(), machine.pid(), machine.started_at(), machine.ended()),
        (None, None, None, None)
    );
    assert!(!machine.tree_gone() && !machine.stop_delivered() && !machine.was_deactivated());
}
