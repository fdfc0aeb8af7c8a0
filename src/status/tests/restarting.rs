//! Lives of units that are started again by their policy, and what is seen of them in any order, with losses and
//! repetitions. What each step shows is what the recorded traces show (`tests/traces`, `*restart_*`).

use proptest::prelude::*;
use proptest::sample::Index;

use super::judge::Judged;
use super::unit::{Release, Unit, at};
use crate::status::exit::Exit;
use crate::status::history::Cause;
use crate::status::machine::{Event, Machine, Restarts, Step};
use crate::status::snapshot::Snapshot;
use crate::status::{FailReason, Found, ProcStatus, StatusKind};

/// How a unit with a policy lives.
#[derive(Debug, Clone)]
struct Plan {
    release: Release,
    kept: bool,
    /// How the runs end that are followed by another, and whether they leave children.
    failures: Vec<(u8, bool)>,
    last: Last,
}

#[derive(Debug, Clone, Copy)]
enum Last {
    Success,
    /// The start limit is hit.
    UsedUp,
    /// Stopped while a run is there.
    Stopped,
    /// Stopped while it waits for the next.
    StoppedBetween,
}

struct Life {
    pictures: Vec<Snapshot>,
    restarts: Restarts,
    /// The ends of all runs.
    ends: Vec<ProcStatus>,
}

impl Plan {
    fn live(&self) -> Life {
        let mut unit = if self.kept { Unit::kept(self.release) } else { Unit::new(self.release) };
        unit.queue().fork().handoff().up();
        let mut ends = Vec::new();
        for (code, children) in &self.failures {
            ends.push(ProcStatus::from_exit(Exit::Code(*code)));
            unit.run_ends(Exit::Code(*code), *children).start_by_policy();
        }
        let last = match self.last {
            Last::Success => Exit::Code(0),
            Last::UsedUp | Last::StoppedBetween => Exit::Code(5),
            Last::Stopped => Exit::Signal { signal: crate::signal::Signal::TERM, core_dumped: false },
        };
        match self.last {
            Last::Success => drop(unit.main_ends(last, false)),
            Last::UsedUp => drop(unit.run_ends(last, false).hit_start_limit()),
            Last::Stopped => drop(unit.stop().main_ends(last, false)),
            Last::StoppedBetween => drop(unit.run_ends(last, false).stop_between()),
        }
        ends.push(ProcStatus::from_exit(last));
        let max = u32::try_from(self.failures.len()).expect("few");
        let max = matches!(self.last, Last::UsedUp).then_some(max).filter(|max| *max > 0);
        let mut pictures = unit.shown.clone();
        pictures.push(unit.look());
        Life { pictures, restarts: Restarts::ByUnit { max }, ends }
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    let release = prop_oneof![Just(Release::V252), Just(Release::V257)];
    let last =
        prop_oneof![Just(Last::Success), Just(Last::UsedUp), Just(Last::Stopped), Just(Last::StoppedBetween)];
    let failures = proptest::collection::vec((1..=199_u8, any::<bool>()), 1..5);
    (release, any::<bool>(), failures, last).prop_map(|(release, kept, failures, last)| Plan {
        release,
        kept,
        failures,
        last,
    })
}

fn tell(life: &Life, pictures: impl IntoIterator<Item = Snapshot>) -> Judged {
    Judged::restarting(life.restarts).tell(pictures.into_iter().map(Event::Snapshot))
}

fn unseen(status: &ProcStatus) -> bool {
    matches!(status, ProcStatus::Failed { reason: FailReason::Lost { found: Found::NextRun } })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_life_seen_whole_tells_every_run_and_its_end_once(plan in plans()) {
        let life = plan.live();
        let judged = tell(&life, life.pictures.clone());
        prop_assert_eq!(Some(judged.machine.status()), life.ends.last());
        let ends: Vec<_> = judged.machine.runs().filter_map(|run| run.end).collect();
        prop_assert_eq!(&ends, &life.ends);
        let told: Vec<_> = judged.moved.iter().filter_map(|moved| moved.run_end.clone()).collect();
        let between = matches!(plan.last, Last::StoppedBetween);
        prop_assert_eq!(&told[..], &life.ends[..life.ends.len() - usize::from(!between)]);
        let ups = judged.moved.iter().filter(|moved| moved.to.kind() == StatusKind::Running).count();
        prop_assert_eq!(ups, life.ends.len());
    }

    /// What comes last is a look, as where it is held.
    #[test]
    fn losses_and_repetitions_change_no_end(
        plan in plans(),
        times in proptest::collection::vec(0..3_usize, 128),
    ) {
        let life = plan.live();
        let last = life.pictures.last().cloned();
        let seen = life.pictures.iter().zip(times).flat_map(|(picture, times)| vec![picture.clone(); times]);
        let judged = tell(&life, seen.chain(last).collect::<Vec<_>>());
        prop_assert_eq!(Some(judged.machine.status()), life.ends.last());
        for run in judged.machine.runs() {
            let end = run.end.expect("all of them are over");
            prop_assert!(unseen(&end) || end == life.ends[run.number as usize - 1], "{}: {end}", run.number);
        }
    }

    #[test]
    fn any_order_gives_legal_moves_and_no_end_that_was_not_there(
        plan in plans(),
        picks in proptest::collection::vec(any::<Index>(), 0..60),
    ) {
        let mut life = plan.live();
        life.pictures.push(Unit::missing(plan.release));
        let seen: Vec<_> = picks.iter().map(|pick| pick.get(&life.pictures).clone()).collect();
        let judged = tell(&life, seen);
        let status = judged.machine.status();
        let lost = matches!(status, ProcStatus::Failed { reason: FailReason::Lost { .. } });
        prop_assert!(!status.is_exit() || lost || life.ends.contains(status), "{status}");
    }

    #[test]
    fn a_stop_among_any_pictures_is_never_followed_by_a_start(
        plan in plans(),
        picks in proptest::collection::vec(any::<Index>(), 0..60),
        stop in any::<Index>(),
    ) {
        let life = plan.live();
        let mut events: Vec<_> =
            picks.iter().map(|pick| Event::Snapshot(pick.get(&life.pictures).clone())).collect();
        events.insert(stop.index(events.len() + 1), Event::StopDelivered);
        let judged = Judged::restarting(life.restarts).tell(events);
        let stopping = judged.moved.iter().position(|moved| moved.to.kind() == StatusKind::Stopping);
        let after = stopping.map_or(&[][..], |from| &judged.moved[from..]);
        prop_assert!(!after.iter().any(|moved| moved.to.kind() == StatusKind::Starting), "{after:#?}");
    }
}

fn started(pid: u32) -> Event {
    Event::Started { pid, at: at(u64::from(pid)), run: None }
}

fn exited(code: u8) -> Event {
    Event::Exited { exit: Exit::Code(code), at: at(900) }
}

const BY_MANAGER: Restarts = Restarts::ByManager { always: false, max: Some(2) };

#[test]
fn a_manager_starts_again_what_failed_as_often_as_it_may() {
    let mut judged = Judged::restarting(BY_MANAGER);
    for restart in 1..=2 {
        judged = judged.tell([started(restart), exited(1)]);
        assert_eq!(judged.machine.restart_due(), None, "something of it may be left");
        judged = judged.tell([Event::TreeGone]);
        assert_eq!(judged.machine.restart_due(), Some(restart));
    }
    judged = judged.tell([started(3), exited(1)]);
    assert_eq!((judged.machine.status().exit(), judged.machine.restarts()), (Some(Exit::Code(1)), 2));
    assert!(Judged::restarting(BY_MANAGER).tell([started(1), exited(0)]).machine.status().is_exit());
}

#[test]
fn between_two_runs_of_a_manager_a_wish_is_the_end() {
    let mut judged = Judged::restarting(BY_MANAGER).tell([started(1), exited(7), Event::TreeGone]);
    let Step::Moved(moved) = judged.machine.no_more_runs(at(999)) else { panic!("not moved") };
    assert_eq!((moved.to, moved.cause), (ProcStatus::from_exit(Exit::Code(7)), Cause::Exit));
    assert!(judged.machine.ended_between_runs() && judged.machine.stop_delivered());
}

#[test]
fn a_wish_moves_nothing_that_a_unit_may_still_start_and_shows_no_start_in_between() {
    let mut unit = Unit::new(Release::V252);
    let mut machine = Machine::restarting(Restarts::ByUnit { max: None });
    machine.step(Event::Snapshot(unit.started().newest()), at(0));
    assert_eq!(machine.no_more_runs(at(1)), Step::Stayed);
    let seen = unit.shown.len();
    unit.run_ends(Exit::Code(9), false).stop_between();
    for picture in unit.shown[seen..].iter().cloned().chain([unit.look()]) {
        machine.step(Event::Snapshot(picture), at(2));
        assert_ne!(machine.status().kind(), StatusKind::Starting);
    }
    assert_eq!(*machine.status(), ProcStatus::from_exit(Exit::Code(9)));
}

#[test]
fn a_run_that_could_not_be_started_is_one_of_the_runs() {
    let reason = || FailReason::NoMainProcess { result: "why".to_owned() };
    let before = [started(1), exited(1), Event::TreeGone];
    let judged = Judged::restarting(BY_MANAGER).tell(before).tell([Event::NotStarted(reason())]);
    assert_eq!(judged.machine.restart_due(), Some(2));
    let judged = judged.tell([Event::NotStarted(reason())]);
    assert_eq!(*judged.machine.status(), ProcStatus::Failed { reason: reason() });
    assert_eq!(judged.machine.runs().count(), 3);
}

/// Such as after a reload below 254, which makes systemd count anew.
#[test]
fn a_run_after_the_last_one_that_is_allowed_is_seen_and_changes_no_end() {
    let mut unit = Unit::new(Release::V252);
    unit.started().run_ends(Exit::Code(3), false).start_by_policy().run_ends(Exit::Code(4), false);
    let restarts = Restarts::ByUnit { max: Some(1) };
    let mut judged = Judged::restarting(restarts).tell(unit.shown.iter().cloned().map(Event::Snapshot));
    assert_eq!(*judged.machine.status(), ProcStatus::from_exit(Exit::Code(4)));
    assert!(!judged.machine.is_revived());
    judged.step(Event::Snapshot(unit.start_by_policy().newest()));
    assert!(judged.machine.is_revived());
    assert_eq!(*judged.machine.status(), ProcStatus::from_exit(Exit::Code(4)));
}
