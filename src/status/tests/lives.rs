//! True lives, and what is seen of them in any order, with losses and repetitions.

use proptest::prelude::*;
use proptest::sample::Index;

use super::judge::Judged;
use super::unit::{Release, Unit, at};
use crate::signal::Signal;
use crate::status::exit::{Exit, SetupStep};
use crate::status::machine::Event;
use crate::status::snapshot::{ServiceSide, Snapshot, UnitSide, Word};
use crate::status::{FailReason, Found, ProcStatus};

/// How a life goes.
#[derive(Debug, Clone)]
struct Plan {
    release: Release,
    kept: bool,
    /// Whether the manager saw exec succeed before the program was over.
    seen_active: bool,
    course: Course,
    children: Option<Refuse>,
    after: After,
}

#[derive(Debug, Clone)]
enum Course {
    ByItself(Exit),
    /// Somebody stops it.
    Stopped(Exit),
    /// A limit of systemd's ends it.
    Limited(&'static str, Exit),
    SetupFails(SetupStep),
    NotForked(&'static str),
    Cancelled,
}

/// Whether children that are left refuse to end.
type Refuse = bool;

#[derive(Debug, Clone)]
enum After {
    Nothing,
    Reset,
    Stopped,
    Collected,
    Restarted(Exit),
}

/// What a unit showed in the course of one life, and the truth of it.
struct Life {
    /// In order; looks among signals.
    pictures: Vec<Snapshot>,
    truth: ProcStatus,
}

impl Plan {
    fn live(&self) -> Life {
        let mut unit = if self.kept { Unit::kept(self.release) } else { Unit::new(self.release) };
        let truth = self.run(&mut unit);
        let mut pictures = with_looks(&unit, 0);
        let seen = unit.shown.len();
        match self.after {
            After::Nothing => {}
            After::Reset => drop(unit.reset_failed()),
            After::Stopped => drop(unit.stop().children_end(false)),
            After::Collected => pictures.push(Unit::missing(self.release)),
            After::Restarted(exit) => drop(unit.start_again().up().main_ends(exit, false)),
        }
        pictures.extend(with_looks(&unit, seen));
        Life { pictures, truth }
    }

    /// The life up to its end, and what that is.
    fn run(&self, unit: &mut Unit) -> ProcStatus {
        unit.queue();
        let exit = match self.course {
            Course::Cancelled => {
                unit.cancel();
                return ProcStatus::Starting;
            }
            Course::NotForked(result) => {
                unit.not_forked(result);
                return ProcStatus::Failed {
                    reason: FailReason::NoMainProcess { result: result.to_owned() },
                };
            }
            Course::SetupFails(step) => {
                unit.fork().main_ends(Exit::Code(step.status()), false);
                return match self.release {
                    Release::V252 => ProcStatus::from_exit(Exit::Code(step.status())),
                    Release::V257 => ProcStatus::Failed { reason: FailReason::Setup { step } },
                };
            }
            Course::ByItself(exit) => {
                unit.fork().handoff();
                if self.seen_active {
                    unit.up();
                }
                exit
            }
            Course::Stopped(exit) => {
                unit.fork().handoff();
                if self.seen_active {
                    unit.up();
                }
                unit.stop();
                exit
            }
            Course::Limited(result, exit) => {
                unit.fork().handoff().up().limit(result);
                exit
            }
        };
        unit.main_ends(exit, self.children.is_some());
        if let Some(refuse) = self.children {
            unit.children_end(refuse);
        }
        ProcStatus::from_exit(exit)
    }
}

/// The signals from the one with this number on, each with a look that shows the same.
fn with_looks(unit: &Unit, from: usize) -> Vec<Snapshot> {
    let look = |signal: &Snapshot| {
        let mut look = signal.clone();
        look.unit.load_state = Some("loaded".into());
        [signal.clone(), look]
    };
    unit.shown[from..].iter().flat_map(look).collect()
}

fn exits() -> impl Strategy<Value = Exit> {
    let signal = (1..=64_i32).prop_map(|number| Signal::new(number).expect("a signal"));
    prop_oneof![
        any::<u8>().prop_map(Exit::Code),
        (signal, any::<bool>()).prop_map(|(signal, core_dumped)| Exit::Signal { signal, core_dumped }),
    ]
}

fn courses() -> impl Strategy<Value = Course> {
    let steps = (200..=243_u8).prop_map(|status| SetupStep::from_status(status).expect("a step"));
    prop_oneof![
        4 => exits().prop_map(Course::ByItself),
        4 => exits().prop_map(Course::Stopped),
        1 => (proptest::sample::select(&["timeout", "oom-kill", "watchdog"][..]), exits())
            .prop_map(|(result, exit)| Course::Limited(result, exit)),
        1 => steps.prop_map(Course::SetupFails),
        1 => proptest::sample::select(&["resources", "start-limit-hit"][..]).prop_map(Course::NotForked),
        1 => Just(Course::Cancelled),
    ]
}

fn plans() -> impl Strategy<Value = Plan> {
    plans_with(prop_oneof![
        3 => quiet_after(),
        1 => Just(After::Collected),
        1 => exits().prop_map(After::Restarted),
    ])
}

/// What leaves the end readable.
fn quiet_after() -> impl Strategy<Value = After> {
    prop_oneof![Just(After::Nothing), Just(After::Reset), Just(After::Stopped)]
}

fn plans_with(after: impl Strategy<Value = After>) -> impl Strategy<Value = Plan> {
    let release = prop_oneof![Just(Release::V252), Just(Release::V257)];
    (release, any::<[bool; 2]>(), courses(), any::<Option<Refuse>>(), after).prop_map(
        |(release, [kept, seen_active], course, children, after)| Plan {
            release,
            kept,
            // Always, from 256 on (measured, 257).
            seen_active: seen_active || release == Release::V257,
            course,
            children,
            after,
        },
    )
}

/// What comes from elsewhere than from the unit.
fn other_facts() -> impl Strategy<Value = Event> {
    let ready = Event::Ready { addr: Some("unix:/run/x".to_owned()), agent: None };
    prop_oneof![
        4 => Just(Event::StopDelivered),
        4 => Just(ready),
        1 => Just(Event::TreeGone),
        1 => Just(Event::Lost(Found::NoLauncher)),
        1 => Just(Event::Started { pid: 5, at: at(3), run: None }),
        1 => exits().prop_map(|exit| Event::Exited { exit, at: at(4) }),
    ]
}

/// A picture that no systemd ever showed.
fn any_picture() -> impl Strategy<Value = Snapshot> {
    let word = |words: &'static [&'static str]| {
        proptest::option::of(proptest::sample::select(words)).prop_map(|word| word.map(Word::from))
    };
    let unit = (
        word(&["loaded", "not-found", "error"]),
        word(&["active", "inactive", "failed", "deactivating", "activating", "reloading", "?"]),
        word(&["running", "exited", "dead", "?"]),
        any::<Option<u32>>(),
        proptest::option::of(1..4_u8),
        proptest::array::uniform2(proptest::option::of(0..100_u64)),
    );
    let service = (
        proptest::array::uniform2(proptest::option::of(0..3_u32)),
        proptest::option::of(-1..5_i32),
        proptest::option::of(-1..300_i32),
        proptest::array::uniform2(proptest::option::of(0..100_u64)),
        proptest::option::of(0..2_u64),
        word(&["success", "timeout", "exit-code"]),
    );
    (unit, service).prop_map(|(unit, service)| {
        let (load_state, active_state, sub_state, job, run, [enter, exit]) = unit;
        let ([main_pid, exec_main_pid], code, status, [start, end], handoff_monotonic, result) = service;
        Snapshot {
            unit: UnitSide {
                load_state,
                active_state,
                sub_state,
                job: job.map(|job| job % 2),
                invocation: run.map(super::unit::run),
                active_enter: enter.map(at),
                active_exit: exit.map(at),
            },
            service: ServiceSide {
                main_pid,
                exec_main_pid,
                exec_main_code: code,
                exec_main_status: status,
                exec_main_start: start.map(at),
                exec_main_exit: end.map(at),
                handoff_monotonic,
                result,
                ..ServiceSide::default()
            },
        }
    })
}

/// Whether this is the true end. systemd's reason why it started nothing goes with a reset.
fn is_end(status: &ProcStatus, truth: &ProcStatus) -> bool {
    let no_main = |status: &ProcStatus| {
        matches!(status, ProcStatus::Failed { reason: FailReason::NoMainProcess { .. } })
    };
    status == truth || (no_main(status) && no_main(truth))
}

fn facts(pictures: Vec<Snapshot>) -> impl Iterator<Item = Event> {
    pictures.into_iter().map(Event::Snapshot)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_life_seen_whole_and_in_order_ends_as_it_did(plan in plans()) {
        let life = plan.live();
        let judged = Judged::after(facts(life.pictures));
        // A start that was cancelled has no end; the unit may be started again, and then it shows a first run.
        if life.truth.is_exit() || !matches!(plan.after, After::Restarted(_)) {
            prop_assert_eq!(judged.machine.status(), &life.truth);
        }
    }

    #[test]
    fn one_who_comes_late_sees_the_same_end(plan in plans_with(quiet_after()), from in any::<Index>()) {
        let mut life = plan.live();
        let from = from.index(life.pictures.len());
        let judged = Judged::after(facts(life.pictures.split_off(from)));
        prop_assert!(is_end(judged.machine.status(), &life.truth), "{}", judged.machine.status());
    }

    #[test]
    fn losses_and_repetitions_change_no_end(
        plan in plans_with(quiet_after()),
        times in proptest::collection::vec(0..3_usize, 64),
    ) {
        let Life { pictures, truth } = plan.live();
        let last = pictures.last().cloned();
        let seen = pictures.into_iter().zip(times).flat_map(|(picture, times)| vec![picture; times]);
        let judged = Judged::after(facts(seen.chain(last).collect()));
        prop_assert!(is_end(judged.machine.status(), &truth), "{}", judged.machine.status());
    }

    #[test]
    fn any_order_gives_legal_moves_and_no_end_that_was_not_there(
        plan in plans(),
        picks in proptest::collection::vec(any::<Index>(), 0..60),
    ) {
        let mut life = plan.live();
        life.pictures.push(Unit::missing(plan.release));
        let seen = picks.iter().map(|pick| pick.get(&life.pictures).clone()).collect();
        let judged = Judged::after(facts(seen));
        // Nothing but the end of this life, that of the one after it, or a loss.
        let status = judged.machine.status();
        let again = match plan.after {
            After::Restarted(exit) => Some(ProcStatus::from_exit(exit)),
            _ => None,
        };
        let lost = matches!(status, ProcStatus::Failed { reason: FailReason::Lost { .. } });
        prop_assert!(!status.is_exit() || is_end(status, &life.truth) || Some(status) == again.as_ref() || lost);
    }

    #[test]
    fn any_facts_between_any_pictures_give_legal_moves_only(
        plan in plans(),
        picks in proptest::collection::vec(
            prop_oneof![3 => any::<Index>().prop_map(Ok), 1 => other_facts().prop_map(Err)], 0..40),
    ) {
        let pictures = plan.live().pictures;
        Judged::after(picks.into_iter().map(|pick| match pick {
            Ok(index) => Event::Snapshot(index.get(&pictures).clone()),
            Err(fact) => fact,
        }));
    }

    #[test]
    fn pictures_that_no_systemd_shows_give_legal_moves_only(
        pictures in proptest::collection::vec(any_picture(), 0..30),
    ) {
        Judged::after(facts(pictures));
    }
}
