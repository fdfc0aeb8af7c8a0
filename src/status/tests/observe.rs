//! What one picture means: each trap of systemd-facts by name.

use super::unit::{Release, Unit, at, run};
use crate::signal::Signal;
use crate::status::exit::{ExecReached, Exit, SetupStep};
use crate::status::observe::{Alive, Ended, Main, Tree, observe};
use crate::status::snapshot::Snapshot;
use crate::status::{FailReason, Found};

const RELEASES: [Release; 2] = [Release::V252, Release::V257];
const TERM: Exit = Exit::Signal { signal: Signal::TERM, core_dumped: false };

fn main_of(picture: &Snapshot) -> Main {
    observe(picture, None).main
}

fn end_of(picture: &Snapshot) -> Ended {
    match main_of(picture) {
        Main::Ended(ended) => ended,
        other => panic!("no end: {other:?} in {picture:#?}"),
    }
}

fn lost(found: Found) -> Main {
    Main::Failed(FailReason::Lost { found })
}

mod a_missing_unit_reads_as_success {
    use super::*;

    #[test]
    fn and_is_lost_all_the_same() {
        for release in RELEASES {
            let missing = Unit::missing(release);
            assert_eq!(missing.service.result.as_deref(), Some("success"), "the trap");
            let seen = observe(&missing, Some(run(1)));
            assert_eq!((seen.main, seen.tree), (lost(Found::NoUnit), Tree::Gone));
        }
    }

    #[test]
    fn also_where_an_exit_status_of_0_stands_in_it() {
        let mut missing = Unit::missing(Release::V252);
        (missing.service.exec_main_code, missing.service.exec_main_status) = (Some(1), Some(0));
        missing.unit.invocation = Some(run(1));
        assert_eq!(observe(&missing, Some(run(1))).main, lost(Found::NoUnit));
    }

    #[test]
    fn another_run_of_it_is_no_end_of_ours() {
        let other = Unit::new(Release::V252).started().main_ends(Exit::Code(0), false).newest();
        let seen = observe(&other, Some(run(9)));
        assert_eq!((seen.run, seen.main), (Some(run(1)), lost(Found::OtherRun)));
    }

    #[test]
    fn a_picture_that_names_no_run_says_nothing_of_ours() {
        let unnamed = Unit::new(Release::V252).queue().cancel().newest();
        let seen = observe(&unnamed, Some(run(1)));
        assert_eq!((seen.main, seen.tree), (Main::Pending, Tree::Maybe));
    }

    #[test]
    fn a_reload_that_breaks_a_running_unit_leaves_it_ours() {
        for load_state in ["bad-setting", "error"] {
            let mut broken = Unit::new(Release::V252).started().look();
            broken.unit.load_state = Some(load_state.to_owned().into());
            assert!(matches!(observe(&broken, Some(run(1))).main, Main::Alive(_)), "{load_state}");
        }
    }
}

mod a_signal_is_a_full_picture {
    use super::*;

    #[test]
    fn an_empty_one_says_nothing() {
        let seen = observe(&Snapshot::default(), None);
        assert_eq!((seen.run, seen.main, seen.tree), (None, Main::Pending, Tree::Maybe));
    }

    #[test]
    fn a_state_that_no_release_has_says_nothing() {
        let mut odd = Unit::new(Release::V257).started().newest();
        odd.unit.active_state = Some("maintenance".into());
        assert_eq!(main_of(&odd), Main::Pending);
    }

    #[test]
    fn up_is_up_by_whatever_word() {
        for state in ["active", "reloading", "refreshing"] {
            let mut picture = Unit::new(Release::V257).started().newest();
            picture.unit.active_state = Some(state.to_owned().into());
            let alive = Alive { pid: Some(101), started_at: Some(at(10)) };
            assert_eq!(main_of(&picture), Main::Alive(alive), "{state}");
        }
    }

    /// The accounting is in no signal: a picture is judged without it.
    #[test]
    fn a_look_says_the_same_as_the_signal_before_it() {
        for release in RELEASES {
            let mut unit = Unit::kept(release);
            unit.started().main_ends(Exit::Code(3), false);
            assert_eq!(observe(&unit.look(), Some(run(1))), observe(&unit.newest(), Some(run(1))));
        }
    }
}

mod inactive_comes_first {
    use super::*;

    #[test]
    fn with_the_start_job_pending_it_is_no_end() {
        for release in RELEASES {
            let mut unit = Unit::new(release);
            unit.queue().fork();
            for picture in &unit.shown {
                let seen = observe(picture, None);
                assert_eq!((seen.main, seen.tree), (Main::Pending, Tree::Maybe), "{picture:#?}");
            }
        }
    }

    #[test]
    fn without_a_word_about_jobs_it_is_no_end_either() {
        let mut picture = Unit::new(Release::V252).queue().newest();
        picture.unit.invocation = Some(run(1));
        picture.unit.job = None;
        assert_eq!(main_of(&picture), Main::Pending);
    }

    #[test]
    fn a_start_that_was_cancelled_before_it_began_had_no_run_to_end() {
        let seen = observe(&Unit::new(Release::V252).queue().cancel().newest(), None);
        assert_eq!((seen.run, seen.main), (None, Main::Pending));
    }
}

mod start_verdicts_lie_below_256 {
    use super::*;

    #[test]
    fn a_program_that_never_became_active_has_its_own_end() {
        let mut unit = Unit::new(Release::V252);
        let ended = end_of(&unit.queue().fork().main_ends(Exit::Code(1), false).newest());
        assert_eq!((ended.exit, ended.exec), (Exit::Code(1), ExecReached::Unknown));
        assert_eq!(ended.stopped_first, None, "it was never active: no time tells");
    }

    #[test]
    fn its_end_counts_before_its_start_job_is_gone() {
        let mut unit = Unit::new(Release::V252);
        unit.queue().fork().main_ends(Exit::Code(1), false);
        let with_job = &unit.shown[unit.shown.len() - 2];
        assert_ne!(with_job.unit.job, Some(0));
        let seen = observe(with_job, None);
        assert!(matches!(seen.main, Main::Ended(_)));
        assert_eq!(seen.tree, Tree::Maybe, "the unit is down only without the job");
    }
}

mod exit_truth_is_exec_main {
    use super::*;

    #[test]
    fn death_by_term_is_no_success_although_systemd_calls_it_one() {
        for number in [1, 2, 13, 15] {
            let exit = Exit::Signal { signal: Signal::new(number).unwrap(), core_dumped: false };
            let picture = Unit::new(Release::V252).started().main_ends(exit, false).newest();
            assert_eq!(picture.service.result.as_deref(), Some("success"), "the trap");
            assert_eq!(end_of(&picture).exit, exit);
        }
    }

    #[test]
    fn a_core_dump_is_told() {
        let exit = Exit::Signal { signal: Signal::SEGV, core_dumped: true };
        assert_eq!(end_of(&Unit::new(Release::V257).started().main_ends(exit, false).newest()).exit, exit);
    }

    #[test]
    fn a_reset_takes_the_result_and_leaves_the_exit() {
        let mut unit = Unit::kept(Release::V252);
        let picture = unit.started().main_ends(Exit::Code(3), false).reset_failed().newest();
        let ended = end_of(&picture);
        assert_eq!((ended.exit, ended.result.as_deref()), (Exit::Code(3), Some("success")));
    }

    #[test]
    fn from_256_a_setup_step_is_told_from_the_programs_own_status() {
        let mut setup = Unit::new(Release::V257);
        let step = SetupStep::from_status(203).unwrap();
        let picture = setup.queue().fork().main_ends(Exit::Code(203), false).newest();
        assert_eq!(main_of(&picture), Main::Failed(FailReason::Setup { step }));

        let mut own = Unit::new(Release::V257);
        let ended = end_of(&own.queue().fork().handoff().up().main_ends(Exit::Code(203), false).newest());
        assert_eq!((ended.exec, ended.may_be_setup()), (ExecReached::Yes, None));
    }

    /// The handoff comes before execve(2) (measured, 257: a missing interpreter).
    #[test]
    fn from_256_a_failure_of_exec_itself_is_told_by_never_having_been_active() {
        let mut failed = Unit::new(Release::V257);
        let step = SetupStep::from_status(203).unwrap();
        let picture = failed.queue().fork().handoff().main_ends(Exit::Code(203), false).newest();
        assert_eq!(main_of(&picture), Main::Failed(FailReason::Setup { step }));

        let mut other = Unit::new(Release::V257);
        let ended = end_of(&other.queue().fork().handoff().main_ends(Exit::Code(200), false).newest());
        assert_eq!(ended.exec, ExecReached::Yes, "no other step comes after the handoff");
    }

    #[test]
    fn below_256_the_doubt_stays_where_the_unit_was_never_active() {
        let mut fast = Unit::new(Release::V252);
        let ended = end_of(&fast.queue().fork().main_ends(Exit::Code(203), false).newest());
        assert_eq!(ended.may_be_setup(), SetupStep::from_status(203));

        let ended = end_of(&Unit::new(Release::V252).started().main_ends(Exit::Code(203), false).newest());
        assert_eq!(ended.may_be_setup(), None);
    }

    #[test]
    fn an_end_before_exec_that_is_no_setup_step_is_still_an_end() {
        for exit in [Exit::Code(1), TERM] {
            let ended = end_of(&Unit::new(Release::V257).queue().fork().main_ends(exit, false).newest());
            assert_eq!((ended.exit, ended.exec), (exit, ExecReached::No));
        }
    }

    #[test]
    fn a_unit_that_went_down_without_an_exit_status_is_lost() {
        let mut picture = Unit::new(Release::V252).started().main_ends(Exit::Code(0), false).newest();
        (picture.service.exec_main_code, picture.service.exec_main_status) = (Some(0), Some(0));
        assert_eq!(main_of(&picture), lost(Found::NoExitStatus));
    }

    #[test]
    fn a_unit_that_is_up_without_a_main_process_and_its_exit_is_lost_too() {
        let mut picture = Unit::kept(Release::V252).started().main_ends(Exit::Code(0), false).newest();
        assert_eq!(picture.unit.sub_state.as_deref(), Some("exited"));
        (picture.service.exec_main_code, picture.service.exec_main_status) = (Some(0), Some(0));
        assert_eq!(main_of(&picture), lost(Found::NoExitStatus));
    }

    #[test]
    fn numbers_that_no_kernel_gives_are_no_exit() {
        for (code, status) in [(1, 256), (1, -1), (2, 0), (2, 65), (3, -9), (4, 5), (-1, 0)] {
            let mut picture = Unit::new(Release::V252).started().main_ends(TERM, false).newest();
            (picture.service.exec_main_code, picture.service.exec_main_status) = (Some(code), Some(status));
            assert_eq!(main_of(&picture), lost(Found::NoExitStatus), "{code}/{status}");
        }
    }

    #[test]
    fn a_start_without_a_main_process_tells_systemds_reason() {
        let picture = Unit::new(Release::V252).queue().not_forked("resources").newest();
        let reason = FailReason::NoMainProcess { result: "resources".to_owned() };
        assert_eq!(main_of(&picture), Main::Failed(reason));
    }
}

mod main_gone_children_left {
    use super::*;

    #[test]
    fn is_an_end_while_the_unit_is_deactivating() {
        for release in RELEASES {
            let seen = observe(&Unit::new(release).started().main_ends(Exit::Code(5), true).newest(), None);
            assert!(matches!(seen.main, Main::Ended(Ended { exit: Exit::Code(5), .. })));
            assert_eq!(seen.tree, Tree::Maybe);
        }
    }

    #[test]
    fn is_an_end_while_a_kept_unit_stays_active() {
        for release in RELEASES {
            let seen = observe(&Unit::kept(release).started().main_ends(TERM, true).newest(), None);
            assert!(matches!(seen.main, Main::Ended(Ended { exit: TERM, .. })));
            assert_eq!(seen.tree, Tree::Maybe);
        }
    }

    #[test]
    fn nothing_is_left_once_the_unit_is_down() {
        let mut unit = Unit::new(Release::V252);
        let seen = observe(&unit.started().main_ends(Exit::Code(0), true).children_end(true).newest(), None);
        assert_eq!(seen.tree, Tree::Gone);
        let Main::Ended(ended) = seen.main else { panic!("{seen:?}") };
        assert_eq!((ended.exit, ended.result.as_deref()), (Exit::Code(0), Some("timeout")));
        assert_eq!(ended.stopped_first, Some(false), "the timeout is the children's");
    }

    #[test]
    fn a_main_process_that_is_there_is_being_ended() {
        let picture = Unit::new(Release::V252).started().stop().newest();
        let alive = Alive { pid: Some(101), started_at: Some(at(10)) };
        assert_eq!(main_of(&picture), Main::Deactivating(alive));
    }

    #[test]
    fn deactivating_without_any_main_process_says_nothing_yet() {
        let mut picture = Unit::new(Release::V252).started().stop().newest();
        picture.service.main_pid = Some(0);
        assert_eq!(main_of(&picture), Main::Pending);
    }
}

mod the_times_of_an_end {
    use super::*;

    #[test]
    fn tell_a_stop_before_it_from_one_after_it() {
        for release in RELEASES {
            let stopped = Unit::new(release).started().stop().main_ends(TERM, false).newest();
            assert_eq!(end_of(&stopped).stopped_first, Some(true));
            let by_itself = Unit::new(release).started().main_ends(Exit::Code(0), false).newest();
            assert_eq!(end_of(&by_itself).stopped_first, Some(false));
            let kept = Unit::kept(release).started().main_ends(Exit::Code(0), false).clone();
            assert_eq!(end_of(&kept.newest()).stopped_first, Some(false));
            let stopped_after = kept.clone().stop().children_end(false).newest();
            assert_eq!(end_of(&stopped_after).stopped_first, Some(false));
        }
    }

    /// A unit keeps the times of the run before until the new one passes the same point (252 and 257, see the trace
    /// `seen_after_a_restart`).
    #[test]
    fn are_not_those_of_the_run_before() {
        let mut unit = Unit::kept(Release::V252);
        unit.started().stop().main_ends(TERM, false);
        unit.start_again();
        let fast = unit.clone().main_ends(Exit::Code(203), false).newest();
        let ended = end_of(&fast);
        assert_eq!((ended.exec, ended.stopped_first), (ExecReached::Unknown, None), "{fast:#?}");
        assert_eq!(ended.may_be_setup(), SetupStep::from_status(203));

        let later = unit.up().main_ends(Exit::Code(0), false).newest();
        assert!(later.unit.active_exit < later.unit.active_enter, "the trap");
        assert_eq!(end_of(&later).stopped_first, Some(false));
    }
}
