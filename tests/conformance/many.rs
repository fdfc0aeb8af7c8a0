//! Ending many at once.

use std::num::NonZeroUsize;
use std::time::Duration;

use futures_util::future::join_all;
use procunit::launcher::LaunchError;
use procunit::manager::{Concurrency, TerminateError};
use procunit::report::EndedBy;
use procunit::signal::Signal;
use procunit::status::StatusKind;
use procunit::{ProcHandle, ProcManager};

use crate::bed::{Bed, clear, end_of, killed, ms, spawn, stopped};
use crate::live::record::Record;
use crate::live::within;

each_backend![
    of_a_hundred_never_more_than_the_limit_are_between_the_stop_and_their_end,
    all_of_a_hundred_are_ended_at_once_where_that_is_wanted,
    what_was_over_before_is_no_failure,
    those_that_ignore_it_are_killed_with_the_others,
    a_requested_stop_is_not_waited_for,
    a_manager_that_is_shut_down_has_ended_everything_and_is_gone,
];
each_backend_on_two_threads![many_that_are_ended_in_different_ways_each_end_their_own_way,];

const HUNDRED: usize = 100;
/// Longer than any test waits.
const FOR_EVER: Duration = Duration::from_secs(60);

/// Each notes in one file, which all of them share, when TERM came, and when it was about to exit: what lies between is
/// within the time from the delivery to the end. By bash's own clock: whatever a trap forks may be sent TERM as well. It waits for a short sleep again and again: a child
/// that has not executed anything yet when TERM comes has the shell's handler, and lives on.
const NOTES_ITS_END: &str = r#"trap 'echo term $EPOCHREALTIME $$ >>"$1"; sleep 0.03; echo end $EPOCHREALTIME $$ >>"$1"; exit 0' TERM
    echo pid $$ >>"$1"; while :; do sleep 1 & wait; done"#;

async fn hundred(bed: &Bed, manager: &ProcManager, record: &Record) -> Vec<ProcHandle> {
    let spec = |number: usize| {
        let lifetimes = bed.lifetimes();
        bed.spec("/bin/bash")
            .args(["-c", NOTES_ITS_END, "bash"])
            .arg(record.path())
            .lifetime(lifetimes[number % lifetimes.len()])
    };
    let handles = join_all((0..HUNDRED).map(|number| spawn(manager, spec(number)))).await;
    record.processes(HUNDRED).await;
    handles
}

/// The most that were between `term` and `end` at one time.
fn at_once(record: &Record) -> usize {
    let mut moments: Vec<(u128, bool)> = record
        .lines()
        .iter()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let begins = match words.next()? {
                "term" => true,
                "end" => false,
                _ => return None,
            };
            Some((words.next()?.replace(|sign: char| !sign.is_ascii_digit(), "").parse().ok()?, begins))
        })
        .collect();
    assert_eq!(moments.len(), HUNDRED * 2, "each was asked once, and ended");
    moments.sort_unstable();
    let counts = moments.iter().scan(0_usize, |count, (_, begins)| {
        *count = if *begins { *count + 1 } else { *count - 1 };
        Some(*count)
    });
    counts.max().expect("moments")
}

async fn of_a_hundred_never_more_than_the_limit_are_between_the_stop_and_their_end(bed: &Bed) {
    let (manager, record) = (bed.manager().await, Record::new());
    let handles = hundred(bed, &manager, &record).await;
    let limit = Concurrency::Limit(NonZeroUsize::new(16).expect("a count"));
    let summary = within("the end of all", manager.terminate_all(None, limit, "the test")).await;
    assert_eq!((summary.attempted, summary.ok, summary.failed.len()), (HUNDRED, HUNDRED, 0), "{summary:?}");
    assert!(handles.iter().all(|handle| handle.status() == stopped(0)));
    let most = at_once(&record);
    assert!((2..=16).contains(&most), "{most} at once");
    join_all(handles.iter().map(clear)).await;
}

async fn all_of_a_hundred_are_ended_at_once_where_that_is_wanted(bed: &Bed) {
    let (manager, record) = (bed.manager().await, Record::new());
    let handles = hundred(bed, &manager, &record).await;
    let summary = within("the end of all", manager.terminate_all(None, Concurrency::All, "the test")).await;
    assert_eq!((summary.attempted, summary.ok, summary.failed.len()), (HUNDRED, HUNDRED, 0), "{summary:?}");
    assert!(handles.iter().all(|handle| handle.status() == stopped(0)));
    at_once(&record);
    let report = within("a report", handles[0].report()).await.expect("a record");
    assert_eq!(report.ended_by, Some(EndedBy::Procunit { reason: "the test".to_owned() }));
    join_all(handles.iter().map(clear)).await;
}

async fn what_was_over_before_is_no_failure(bed: &Bed) {
    let manager = bed.manager().await;
    let over = spawn(&manager, bed.sh("exit 7")).await;
    end_of(&over).await;
    let ends = spawn(&manager, bed.sh("sleep 0.01; exit 8")).await;
    let sleeper = spawn(&manager, bed.sleeper()).await;
    let summary = within("the end of all", manager.terminate_all(None, Concurrency::All, "the test")).await;
    assert_eq!((summary.ok, summary.failed.len()), (summary.attempted, 0), "{summary:?}");
    assert_eq!((over.status(), sleeper.status()), (stopped(7), killed(Signal::TERM)));
    assert!(ends.status().is_exit());
}

async fn those_that_ignore_it_are_killed_with_the_others(bed: &Bed) {
    let manager = bed.manager().await;
    let script = "trap '' TERM; echo pid $$ >>\"$1\"; while :; do sleep 0.05; done";
    let record = Record::new();
    let spec = || bed.sh(script).arg(record.path());
    let handles = join_all((0..6).map(|_| spawn(&manager, spec()))).await;
    record.processes(6).await;
    let limit = Concurrency::Limit(NonZeroUsize::new(3).expect("a count"));
    let summary = within("the end of all", manager.terminate_all(Some(ms(300)), limit, "the test")).await;
    assert_eq!((summary.attempted, summary.ok), (6, 6), "{summary:?}");
    assert!(handles.iter().all(|handle| handle.status() == killed(Signal::KILL)));
}

async fn a_requested_stop_is_not_waited_for(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sleeper()).await;
    let asked = within("the wish", manager.request_stop(handle.id(), None, "enough")).await;
    asked.expect("it is held");
    assert_eq!(end_of(&handle).await, killed(Signal::TERM));
    let report = within("a report", handle.report()).await.expect("a record");
    assert_eq!(report.ended_by, Some(EndedBy::Procunit { reason: "enough".to_owned() }));
    let late = within("a late wish", manager.request_stop(handle.id(), None, "late")).await;
    assert!(matches!(late, Err(TerminateError::AlreadyTerminated(end)) if end == killed(Signal::TERM)));
    let nobody = within("a wish", manager.request_stop(&bed.id(), None, "late")).await;
    assert!(matches!(nobody, Err(TerminateError::NotHeld { .. })), "{nobody:?}");
}

async fn a_manager_that_is_shut_down_has_ended_everything_and_is_gone(bed: &Bed) {
    let manager = bed.manager().await;
    let mut handles = Vec::new();
    for &lifetime in bed.lifetimes() {
        for _ in 0..5 {
            handles.push(spawn(&manager, bed.sleeper().lifetime(lifetime)).await);
        }
    }
    let summary = within("the shutdown", manager.shutdown()).await;
    assert_eq!((summary.attempted, summary.ok), (handles.len(), handles.len()), "{summary:?}");
    assert_eq!(bed.processes(), [0; 0]);
    assert!(handles.iter().all(|handle| handle.status() == killed(Signal::TERM)));
    let after = within("a launch", manager.spawn(bed.sleeper().build().expect("a spec"))).await;
    assert!(matches!(after, Err(LaunchError::Closed)), "{after:?}");
    assert!(within("a look", manager.list()).await.is_empty());
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Terminate(Duration),
    Kill,
}

async fn many_that_are_ended_in_different_ways_each_end_their_own_way(bed: &Bed) {
    let mix = [
        ("echo ready >>\"$1\"; exec sleep 600", Ending::Terminate(FOR_EVER), killed(Signal::TERM)),
        ("echo ready >>\"$1\"; exec sleep 600", Ending::Kill, killed(Signal::KILL)),
        (
            "trap 'exit 3' TERM; echo ready >>\"$1\"; while :; do sleep 1 & wait; done",
            Ending::Terminate(FOR_EVER),
            stopped(3),
        ),
        ("trap '' TERM; echo ready >>\"$1\"; sleep 600", Ending::Terminate(ms(500)), killed(Signal::KILL)),
    ];
    let manager = bed.manager().await;
    join_all((0..64).map(|index| {
        let (manager, (script, ending, expected)) = (&manager, &mix[index % mix.len()]);
        let lifetime = bed.lifetimes()[index / mix.len() % bed.lifetimes().len()];
        async move {
            let record = Record::new();
            let handle = spawn(manager, bed.sh(script).arg(record.path()).lifetime(lifetime)).await;
            record.until(crate::live::BOUND, "ready").await;
            assert_eq!(handle.status().kind(), StatusKind::Running);
            let ended = match ending {
                Ending::Terminate(grace) => {
                    within("a stop", handle.terminate(Some(*grace), "the test")).await
                }
                Ending::Kill => within("a kill", handle.kill()).await,
            };
            assert_eq!(&ended.expect("it ends"), expected, "{script} {ending:?} {lifetime:?}");
            clear(&handle).await;
        }
    }))
    .await;
}
