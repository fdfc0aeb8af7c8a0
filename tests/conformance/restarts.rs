//! Restart policies: run after run until the final end, each told exactly.

use std::collections::HashSet;
use std::sync::mpsc::channel;
use std::time::Duration;

use procunit::manager::{ProcEvent, ProcEvents};
use procunit::report::EndedBy;
use procunit::signal::Signal;
use procunit::spec::{RestartPolicy, defaults};
use procunit::status::history::Cause;
use procunit::{ProcHandle, ProcStatus};

use crate::bed::{Bed, clear, end_of, killed, ms, signal, spawn, stopped};
use crate::live::record::Record;
use crate::live::{BOUND, eventually, within};

each_backend![
    one_that_fails_three_times_and_then_succeeds_has_four_runs,
    on_failure_with_a_most_of_two_makes_three_runs,
    always_stopped_in_the_middle_of_its_delay_ends_there,
    always_that_is_killed_in_the_middle_of_its_delay_ends_there,
    after_a_stop_nothing_starts_it_again,
    what_on_failure_takes_for_a_failure,
    waits_and_monitors_see_the_final_end_alone,
    no_run_begins_before_the_delay_is_over,
    a_slow_reader_is_told_how_much_it_lost,
    every_run_is_told_its_own_id,
];

/// Longer than any test waits.
const FOR_EVER: Duration = Duration::from_secs(600);

/// Writes its pid for each run, and exits with 1 until that was the `$2`th.
const FAILS_UNTIL: &str = r#"echo pid $$ >>"$1"; test "$(wc -l <"$1")" -ge "$2""#;

/// What happened, a line for each move: where to, and where back to Starting, how the run ended.
async fn told(mut events: ProcEvents) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(event) = within("an event", events.next()).await {
        let ProcEvent::Transition(moved) = event else { panic!("{event:?}") };
        assert_eq!(moved.cause == Cause::Restart, moved.run_end.is_some(), "{moved:?}");
        told.push(match moved.run_end {
            Some(end) => format!("{} after {end}", moved.to),
            None => moved.to.to_string(),
        });
    }
    told
}

/// The report counts the runs and lists them, each with its end.
async fn assert_runs(handle: &ProcHandle, ends: &[ProcStatus]) {
    let report = within("a report", handle.report()).await.expect("a record");
    let listed: Vec<_> = report.runs.iter().filter_map(|run| run.end.clone()).collect();
    assert_eq!(listed, ends, "{report:#?}");
    assert_eq!(usize::try_from(report.restarts).expect("a count"), ends.len() - 1);
}

async fn until_between_runs(handle: &ProcHandle) {
    let is_between =
        || async { (handle.status() == ProcStatus::Starting && handle.pid().is_some()).then_some(()) };
    eventually(BOUND, "the delay", is_between).await;
}

async fn one_that_fails_three_times_and_then_succeeds_has_four_runs(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let record = Record::new();
        let spec = bed.sh(FAILS_UNTIL).arg(record.path()).arg("4").lifetime(lifetime);
        let handle = spawn(&manager, spec.restart(RestartPolicy::on_failure())).await;
        let events = handle.events();
        assert_eq!(end_of(&handle).await, stopped(0));
        let again = ["Running", "Starting after Stopped(exit=1)"];
        let expected = [&again[..], &again, &again, &["Running", "Stopped(exit=0)"]].concat();
        assert_eq!(told(events).await, expected, "{lifetime:?}");
        assert_runs(&handle, &[stopped(1), stopped(1), stopped(1), stopped(0)]).await;
        assert_eq!(record.pids().len(), 4);
        clear(&handle).await;
    }
}

async fn on_failure_with_a_most_of_two_makes_three_runs(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let record = Record::new();
        let spec = bed.sh(FAILS_UNTIL).arg(record.path()).arg("99").lifetime(lifetime);
        let handle = spawn(&manager, spec.restart(RestartPolicy::on_failure().max(2))).await;
        let events = handle.events();
        assert_eq!(end_of(&handle).await, stopped(1));
        let again = ["Running", "Starting after Stopped(exit=1)"];
        let expected = [&again[..], &again, &["Running", "Stopped(exit=1)"]].concat();
        assert_eq!(told(events).await, expected, "{lifetime:?}");
        within("nothing left", handle.gone()).await.expect("it goes");
        assert_runs(&handle, &[stopped(1), stopped(1), stopped(1)]).await;
        assert_eq!(record.pids().len(), 3);
        clear(&handle).await;
    }
}

/// The wish ends it: its end is the one its last run had.
async fn always_stopped_in_the_middle_of_its_delay_ends_there(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let spec = bed.sh("exit 6").lifetime(lifetime).restart(RestartPolicy::always().delay(FOR_EVER));
        let handle = spawn(&manager, spec).await;
        let events = handle.events();
        until_between_runs(&handle).await;
        let end = within("a stop", handle.terminate(None, "the test")).await.expect("it ends");
        assert_eq!(end, stopped(6));
        assert_eq!(told(events).await, ["Running", "Starting after Stopped(exit=6)", "Stopped(exit=6)"]);
        let report = within("a report", handle.report()).await.expect("a record");
        assert_eq!(report.ended_by, Some(EndedBy::Procunit { reason: "the test".to_owned() }));
        assert_runs(&handle, &[stopped(6)]).await;
        clear(&handle).await;
    }
}

async fn always_that_is_killed_in_the_middle_of_its_delay_ends_there(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let spec = bed.sh("exit 6").lifetime(lifetime).restart(RestartPolicy::always().delay(FOR_EVER));
        let handle = spawn(&manager, spec).await;
        until_between_runs(&handle).await;
        let end = within("a kill", handle.kill()).await.expect("it ends");
        assert_eq!(end, stopped(6), "no process was there to kill");
        clear(&handle).await;
    }
}

async fn after_a_stop_nothing_starts_it_again(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        for kills in [false, true] {
            let record = Record::new();
            let script = r#"echo pid $$ >>"$1"; exec sleep 600"#;
            let spec = bed.sh(script).arg(record.path()).lifetime(lifetime);
            let handle = spawn(&manager, spec.restart(RestartPolicy::always())).await;
            record.processes(1).await;
            let events = handle.events();
            let ended = if kills {
                within("a kill", handle.kill()).await
            } else {
                within("a stop", handle.terminate(None, "the test")).await
            };
            let end = killed(if kills { Signal::KILL } else { Signal::TERM });
            assert_eq!(ended.expect("it ends"), end);
            let told = told(events).await;
            assert!(!told.iter().any(|line| line.starts_with("Starting")), "{told:?}");
            clear(&handle).await;
            assert_eq!(record.pids().len(), 1, "it was started again");
        }
    }
}

/// systemd's meaning of it: a code that is not 0, or a signal other than HUP, INT, TERM and PIPE.
async fn what_on_failure_takes_for_a_failure(bed: &Bed) {
    let manager = bed.manager().await;
    for (script, end, fails) in [
        ("exit 0", stopped(0), false),
        ("exit 1", stopped(1), true),
        ("exit 143", stopped(143), true),
        ("kill -TERM $$", killed(Signal::TERM), false),
        ("kill -HUP $$", killed(Signal::HUP), false),
        ("kill -INT $$", killed(Signal::INT), false),
        ("kill -PIPE $$", killed(Signal::PIPE), false),
        ("kill -KILL $$", killed(Signal::KILL), true),
        ("kill -USR1 $$", killed(signal(10)), true),
    ] {
        let spec = bed.sh(script).restart(RestartPolicy::on_failure().max(1).delay(ms(1)));
        let handle = spawn(&manager, spec).await;
        assert_eq!(end_of(&handle).await, end, "{script}");
        within("nothing left", handle.gone()).await.expect("it goes");
        assert_runs(&handle, &vec![end; if fails { 2 } else { 1 }]).await;
    }
}

async fn waits_and_monitors_see_the_final_end_alone(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let record = Record::new();
        let script = r#"echo pid $$ >>"$1"; exit "$(wc -l <"$1")""#;
        let spec = bed.sh(script).arg(record.path()).lifetime(lifetime);
        let handle = spawn(&manager, spec.restart(RestartPolicy::on_failure().max(3))).await;
        let (told, heard) = channel();
        let set = manager.on_exit(handle.id(), move |status| told.send(status).expect("heard"));
        within("a monitor", set).await.expect("it is held");
        assert_eq!(end_of(&handle).await, stopped(4), "the end of the fourth");
        let heard = tokio::task::spawn_blocking(move || heard.iter().collect::<Vec<_>>());
        assert_eq!(within("the callback", heard).await.expect("heard"), [stopped(4)]);
        clear(&handle).await;
    }
}

async fn no_run_begins_before_the_delay_is_over(bed: &Bed) {
    let delay = ms(400);
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let record = Record::new();
        let script = r#"echo at ${EPOCHREALTIME//[!0-9]/} >>"$1"; exit 1"#;
        let spec = bed.spec("/bin/bash").args(["-c", script, "bash"]).arg(record.path()).lifetime(lifetime);
        let handle = spawn(&manager, spec.restart(RestartPolicy::on_failure().max(2).delay(delay))).await;
        end_of(&handle).await;
        let micros = |line: &String| line.strip_prefix("at ")?.parse().ok().map(Duration::from_micros);
        let began: Vec<_> = record.lines().iter().filter_map(micros).collect();
        assert_eq!(began.len(), 3);
        assert!(began.windows(2).all(|pair| pair[1] >= pair[0] + delay), "{began:?}");
        clear(&handle).await;
    }
}

async fn a_slow_reader_is_told_how_much_it_lost(bed: &Bed) {
    const RESTARTS: u32 = 50;
    let manager = bed.manager().await;
    let spec = bed.sh("exit 1").restart(RestartPolicy::on_failure().max(RESTARTS).delay(ms(1)));
    let handle = spawn(&manager, spec).await;
    let mut events = handle.events();
    assert_eq!(end_of(&handle).await, stopped(1));
    let report = within("a report", handle.report()).await.expect("a record");
    // Two moves for each run that was seen; of restarts that follow each other so fast one may be counted alone.
    let kept = u64::try_from(defaults::TRANSITIONS_KEPT).expect("a count");
    let all = report.transitions_dropped + kept;
    assert!((u64::from(RESTARTS)..=u64::from(RESTARTS + 1) * 2).contains(&all), "{all} transitions");
    assert_eq!(report.restarts, RESTARTS);
    assert_eq!(within("an event", events.next()).await, Some(ProcEvent::Lost(all - kept)));
    for seq in all - kept..all {
        let event = within("an event", events.next()).await;
        assert!(matches!(&event, Some(ProcEvent::Transition(moved)) if moved.seq == seq), "{seq}: {event:?}");
    }
    assert_eq!(within("an event", events.next()).await, None);
}

async fn every_run_is_told_its_own_id(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let record = Record::new();
        let spec =
            bed.sh(r#"echo "run $INVOCATION_ID" >>"$1"; exit 1"#).arg(record.path()).lifetime(lifetime);
        let handle = spawn(&manager, spec.restart(RestartPolicy::on_failure().max(2))).await;
        end_of(&handle).await;
        let report = within("a report", handle.report()).await.expect("a record");
        let ids: Vec<_> = report.runs.iter().filter_map(|run| run.invocation_id).collect();
        assert_eq!(record.lines(), ids.iter().map(|id| format!("run {id}")).collect::<Vec<_>>());
        let distinct: HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), 3, "{ids:?}");
        assert_eq!(handle.run().as_ref(), ids.last());
        clear(&handle).await;
    }
}
