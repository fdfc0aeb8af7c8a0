//! The ladder of a stop: on time, to the whole tree, and told exactly.

use std::time::{Duration, Instant};

use procunit::launcher::{DeliverError, Target};
use procunit::manager::TerminateError;
use procunit::report::EndedBy;
use procunit::signal::Signal;
use procunit::spec::Lifetime;
use procunit::status::StatusKind;
use procunit::status::history::Cause;
use procunit::{ProcHandle, ProcStatus};

use crate::bed::{
    Bed, Idle, Talking, begin, clear, end_of, killed, ms, now, processes_of, signal, spawn, stopped,
};
use crate::live::outside::alive;
use crate::live::{BOUND, eventually, within};

each_backend![
    one_that_obeys_ends_with_its_own_code,
    one_without_a_handler_dies_by_the_stop_signal,
    a_stopped_process_dies_by_the_stop_signal_too,
    one_that_ignores_it_is_killed_at_the_deadline_and_not_before,
    a_tree_of_fifty_is_empty_afterwards,
    children_that_ignore_it_are_gone_when_terminate_answers,
    of_two_callers_the_earlier_deadline_wins,
    a_kill_in_the_middle_of_a_stop_escalates_at_once,
    a_kill_sends_sigkill_and_nothing_before_it,
    what_is_over_is_refused_with_its_end,
    a_timeout_beyond_the_backstop_is_cut_and_said,
    a_stop_that_is_asked_again_and_again_is_one_stop,
    a_signal_goes_where_it_is_sent_and_changes_no_status,
    the_end_does_not_wait_for_what_the_main_process_left,
    what_the_main_process_left_is_asked_and_then_killed,
    a_kill_reaches_what_is_left_when_the_main_process_is_over,
    a_time_limit_ends_it_and_is_told_as_one,
    stopping_is_the_delivery_of_the_stop_and_not_the_wish,
    a_wish_whose_caller_goes_away_is_carried_out,
];
each_backend_on_two_threads![a_stop_of_ours_is_told_as_ours_however_fast_the_end_follows,];

/// Longer than any test waits.
const FOR_EVER: Duration = Duration::from_secs(120);
/// How late SIGKILL may be on an idle machine.
const LATE: Duration = ms(500);

const IGNORES: &str = "trap '' TERM; echo up; while :; do sleep 0.05; done";
/// The shell minds TERM while it waits; what it waits for is its own.
const COUNTS_TERMS: &str = r"trap 'echo term; n=$((n+1))' TERM; echo up; n=0
    while [ $n -lt 2 ]; do sleep 0.02; done";

async fn terminate(handle: &ProcHandle, grace: Option<Duration>) -> ProcStatus {
    within("a stop", handle.terminate(grace, "the test")).await.expect("it ends")
}

/// Nothing of it is there when the answer is.
fn assert_gone(handle: &ProcHandle) {
    assert_eq!(processes_of(handle.id()), [0; 0], "left of {}", handle.id());
}

async fn one_that_obeys_ends_with_its_own_code(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let script = "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done";
        let mut proc = Talking::spawn(&manager, bed.sh(script).lifetime(lifetime)).await;
        proc.says("up").await;
        assert_eq!(terminate(&proc.handle, None).await, stopped(3));
        assert_gone(&proc.handle);
        let report = within("a report", proc.handle.report()).await.expect("a record");
        assert_eq!(report.ended_by, Some(EndedBy::Procunit { reason: "the test".to_owned() }));
        assert!(!report.escalated);
        clear(&proc.handle).await;
    }
}

async fn one_without_a_handler_dies_by_the_stop_signal(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        for stop_signal in [Signal::TERM, Signal::INT, signal(40)] {
            let spec = bed.sleeper().stop_signal(stop_signal).lifetime(lifetime);
            let handle = spawn(&manager, spec).await;
            assert_eq!(terminate(&handle, None).await, killed(stop_signal));
            assert_gone(&handle);
            clear(&handle).await;
        }
    }
}

async fn a_stopped_process_dies_by_the_stop_signal_too(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let handle = spawn(&manager, bed.sleeper().lifetime(lifetime)).await;
        let pid = handle.pid().expect("a pid");
        within("a signal", handle.signal(Signal::STOP, Target::Tree)).await.expect("delivered");
        let is_stopped = || async { (state_of(pid) == Some('T')).then_some(()) };
        eventually(BOUND, "it is stopped", is_stopped).await;
        assert_eq!(terminate(&handle, Some(FOR_EVER)).await, killed(Signal::TERM));
        clear(&handle).await;
    }
}

/// The one-letter state of proc_pid_stat(5).
fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

async fn one_that_ignores_it_is_killed_at_the_deadline_and_not_before(bed: &Bed) {
    let grace = Duration::from_secs(1);
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let mut proc = Talking::spawn(&manager, bed.sh(IGNORES).lifetime(lifetime)).await;
        proc.says("up").await;
        let (idle, called, began) = (Idle::watch(), now(), Instant::now());
        let status = terminate(&proc.handle, Some(grace)).await;
        assert!(began.elapsed() >= grace, "answered after {:?}", began.elapsed());
        assert_eq!(status, killed(Signal::KILL));
        let was_idle = idle.was();
        assert_gone(&proc.handle);
        let report = within("a report", proc.handle.report()).await.expect("a record");
        assert!(report.escalated);
        let took = report.ended_at.expect("an end").since(called);
        assert!(took >= grace, "killed after {took:?}");
        assert!(took <= grace + if was_idle { LATE } else { BOUND }, "killed after {took:?}");
        clear(&proc.handle).await;
    }
}

/// Half of them in groups of their own; where a whole control group is ended, some in sessions of their own too.
async fn a_tree_of_fifty_is_empty_afterwards(bed: &Bed) {
    let apart = if bed.is_systemd() { "setsid sleep 600" } else { "sleep 600" };
    let script = format!(
        "for i in $(seq 10); do {apart} & done; set -m; for i in $(seq 15); do sleep 600 & done; set +m; \
         for i in $(seq 24); do sleep 600 & done; wait"
    );
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let handle = spawn(&manager, bed.sh(&script).lifetime(lifetime)).await;
        let all = || async { (processes_of(handle.id()).len() == 50).then_some(()) };
        eventually(BOUND, "fifty processes", all).await;
        terminate(&handle, None).await;
        assert_gone(&handle);
        clear(&handle).await;
    }
}

async fn children_that_ignore_it_are_gone_when_terminate_answers(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let script = "for i in 1 2 3; do sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & done; \
                      exec 1>&-; exec sleep 600";
        let mut proc = Talking::spawn(&manager, bed.sh(script).lifetime(lifetime)).await;
        let children = proc.pids(3).await;
        assert_eq!(terminate(&proc.handle, Some(ms(500))).await, killed(Signal::TERM));
        assert!(!children.iter().any(|child| alive(*child)), "{children:?}");
        assert_gone(&proc.handle);
        clear(&proc.handle).await;
    }
}

async fn of_two_callers_the_earlier_deadline_wins(bed: &Bed) {
    let grace = ms(700);
    let manager = bed.manager().await;
    for graces in [[grace, FOR_EVER], [FOR_EVER, grace]] {
        let mut proc = Talking::spawn(&manager, bed.sh(IGNORES).backstop(FOR_EVER)).await;
        proc.says("up").await;
        let called = now();
        let callers = graces.map(|grace| {
            let handle = proc.handle.clone();
            async move { terminate(&handle, Some(grace)).await }
        });
        let [one, other] = callers;
        assert_eq!(tokio::join!(one, other), (killed(Signal::KILL), killed(Signal::KILL)));
        let report = within("a report", proc.handle.report()).await.expect("a record");
        let took = report.ended_at.expect("an end").since(called);
        assert!(grace <= took && took < FOR_EVER, "{graces:?}: killed after {took:?}");
    }
}

async fn a_kill_in_the_middle_of_a_stop_escalates_at_once(bed: &Bed) {
    let manager = bed.manager().await;
    let mut proc = Talking::spawn(&manager, bed.sh(COUNTS_TERMS).backstop(FOR_EVER)).await;
    proc.says("up").await;
    let asking = tokio::spawn({
        let handle = proc.handle.clone();
        async move { terminate(&handle, Some(FOR_EVER)).await }
    });
    proc.says("term").await;
    assert_eq!(within("a kill", proc.handle.kill()).await.expect("it ends"), killed(Signal::KILL));
    assert_eq!(within("the stop", asking).await.expect("its answer"), killed(Signal::KILL));
    assert_gone(&proc.handle);
    assert!(within("a report", proc.handle.report()).await.expect("a record").escalated);
}

async fn a_kill_sends_sigkill_and_nothing_before_it(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let script = "trap 'echo term' TERM; echo up; while :; do sleep 0.02; done";
        let mut proc = Talking::spawn(&manager, bed.sh(script).lifetime(lifetime)).await;
        proc.says("up").await;
        assert_eq!(within("a kill", proc.handle.kill()).await.expect("it ends"), killed(Signal::KILL));
        assert_gone(&proc.handle);
        clear(&proc.handle).await;
        assert_eq!(proc.rest().await, b"", "it was asked before");
    }
}

async fn what_is_over_is_refused_with_its_end(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let handle = spawn(&manager, bed.sh("exit 7").lifetime(lifetime)).await;
        within("nothing left", handle.gone()).await.expect("an end");
        let stop = within("a late stop", handle.terminate(None, "late")).await;
        assert!(matches!(stop, Err(TerminateError::AlreadyTerminated(end)) if end == stopped(7)));
        let kill = within("a late kill", handle.kill()).await;
        assert!(matches!(kill, Err(TerminateError::AlreadyTerminated(end)) if end == stopped(7)));
        let late = within("a late signal", handle.signal(Signal::TERM, Target::Tree)).await;
        assert!(matches!(late, Err(DeliverError::Gone)), "{late:?}");
        assert_eq!(handle.status(), stopped(7));
        clear(&handle).await;
    }
}

async fn a_timeout_beyond_the_backstop_is_cut_and_said(bed: &Bed) {
    let backstop = Duration::from_secs(1);
    let manager = bed.manager().await;
    let mut proc = Talking::spawn(&manager, bed.sh(IGNORES).backstop(backstop).stop_timeout(ms(500))).await;
    proc.says("up").await;
    assert_eq!(terminate(&proc.handle, Some(FOR_EVER)).await, killed(Signal::KILL));
    let report = within("a report", proc.handle.report()).await.expect("a record");
    assert!(report.notes.iter().any(|note| note.contains("backstop")), "{:?}", report.notes);
}

async fn a_stop_that_is_asked_again_and_again_is_one_stop(bed: &Bed) {
    let manager = bed.manager().await;
    let mut proc = Talking::spawn(&manager, bed.sh(COUNTS_TERMS)).await;
    proc.says("up").await;
    let handle = &proc.handle;
    let asking = futures_util::future::join_all((0..20).map(|_| terminate(handle, Some(ms(800)))));
    assert_eq!(within("all answers", asking).await, vec![killed(Signal::KILL); 20], "a second TERM ends it");
    assert_eq!(proc.rest().await, b"term\n");
}

async fn a_signal_goes_where_it_is_sent_and_changes_no_status(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let child = "sh -c 'trap \"echo child\" USR1; echo up; while :; do sleep 0.02; done' & ";
        let script = format!("trap 'echo main' USR1; {child} while :; do sleep 0.02; done");
        let mut proc = Talking::spawn(&manager, bed.sh(&script).lifetime(lifetime)).await;
        proc.says("up").await;
        let usr1 = signal(10);
        within("a signal", proc.handle.signal(usr1, Target::Main)).await.expect("delivered");
        proc.says("main").await;
        within("a signal", proc.handle.signal(usr1, Target::Tree)).await.expect("delivered");
        let mut said = [proc.line().await, proc.line().await];
        said.sort();
        assert_eq!(said, ["child", "main"]);
        assert_eq!(proc.handle.status().kind(), StatusKind::Running);
        clear(&proc.handle).await;
    }
}

async fn the_end_does_not_wait_for_what_the_main_process_left(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & sleep 0.3; exit 7";
        let spec = bed.sh(script).lifetime(lifetime).backstop(Duration::from_secs(5));
        let mut proc = Talking::spawn(&manager, spec.stop_timeout(Duration::from_secs(3))).await;
        let left = proc.pids(1).await[0];
        assert_eq!(end_of(&proc.handle).await, stopped(7));
        assert!(alive(left), "the status waited for it");
        clear(&proc.handle).await;
    }
}

/// systemd sweeps an attached proc's at once, with its backstop, and that of a detached one which failed; what one that
/// exits with 0 leaves is ended by who sees it.
async fn what_the_main_process_left_is_asked_and_then_killed(bed: &Bed) {
    let grace = Duration::from_secs(1);
    let manager = bed.manager().await;
    for (&lifetime, code) in bed.lifetimes().iter().flat_map(|lifetime| [(lifetime, 0), (lifetime, 7)]) {
        let asked = "sh -c 'trap \"echo asked; exit\" TERM; echo up; while :; do sleep 0.02; done' & ";
        let ignores = "sh -c 'trap \"\" TERM; echo up; while :; do sleep 0.05; done' & ";
        let script = format!("{asked} {ignores} read line <&3; exit {code}");
        let dir = tempfile::tempdir().expect("a directory");
        let gate = dir.path().join("gate");
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let script = format!("exec 3<>\"$1\"; {script}");
        let spec = bed.sh(&script).arg(&gate).lifetime(lifetime).stop_timeout(grace).backstop(grace);
        let mut proc = Talking::spawn(&manager, spec).await;
        proc.says("up").await;
        proc.says("up").await;
        let opened = now();
        std::fs::write(&gate, "\n").expect("the gate");
        assert_eq!(end_of(&proc.handle).await, stopped(code));
        let gone = within("nothing left", proc.handle.gone()).await.expect("it goes");
        assert_eq!(gone, stopped(code), "what it left changes no end");
        assert_gone(&proc.handle);
        assert!(now().since(opened) >= grace, "killed before its time: {:?}", now().since(opened));
        proc.says("asked").await;
        clear(&proc.handle).await;
    }
}

async fn a_kill_reaches_what_is_left_when_the_main_process_is_over(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let script =
            "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & exec 1>&-; exec sleep 600";
        let spec = bed.sh(script).lifetime(lifetime).stop_timeout(FOR_EVER).backstop(FOR_EVER);
        let mut proc = Talking::spawn(&manager, spec).await;
        let left = proc.pids(1).await[0];
        let asking = tokio::spawn({
            let handle = proc.handle.clone();
            async move { terminate(&handle, Some(FOR_EVER)).await }
        });
        assert_eq!(end_of(&proc.handle).await, killed(Signal::TERM));
        assert!(alive(left));
        let late = within("a kill", proc.handle.kill()).await;
        assert!(matches!(late, Err(TerminateError::AlreadyTerminated(_))), "{late:?}");
        assert_eq!(within("the stop", asking).await.expect("its answer"), killed(Signal::TERM));
        assert!(!alive(left));
        clear(&proc.handle).await;
    }
}

async fn a_time_limit_ends_it_and_is_told_as_one(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let spec = bed.sleeper().lifetime(lifetime).runtime_max(ms(300));
        let handle = spawn(&manager, spec).await;
        assert_eq!(end_of(&handle).await, killed(Signal::TERM));
        let report = within("a report", handle.report()).await.expect("a record");
        assert_eq!(report.ended_by, Some(EndedBy::TimeLimit));
        clear(&handle).await;
    }
}

async fn stopping_is_the_delivery_of_the_stop_and_not_the_wish(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let mut proc = Talking::spawn(&manager, bed.sh(COUNTS_TERMS).lifetime(lifetime)).await;
        proc.says("up").await;
        let asking = tokio::spawn({
            let handle = proc.handle.clone();
            async move { terminate(&handle, Some(ms(500))).await }
        });
        let is_stopping = || async { (proc.handle.status().kind() == StatusKind::Stopping).then_some(()) };
        eventually(BOUND, "Stopping", is_stopping).await;
        proc.says("term").await;
        within("the stop", asking).await.expect("its answer");
        let report = within("a report", proc.handle.report()).await.expect("a record");
        let stopping: Vec<_> =
            report.transitions.iter().filter(|moved| moved.to.kind() == StatusKind::Stopping).collect();
        assert_eq!(stopping.len(), 1, "{report:?}");
        assert!(matches!(stopping[0].cause, Cause::StopDelivered | Cause::Deactivating), "{report:?}");
        clear(&proc.handle).await;
    }
    if bed.is_systemd() {
        return;
    }
    // A wish that was not carried out yet is no status: nothing can have been delivered before the manager runs.
    let handle = spawn(&manager, bed.sleeper()).await;
    let mut asking = Box::pin(handle.terminate(None, "the test"));
    begin(asking.as_mut());
    assert_eq!(handle.status().kind(), StatusKind::Running);
    within("the stop", asking).await.expect("it ends");
}

async fn a_wish_whose_caller_goes_away_is_carried_out(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let handle = spawn(&manager, bed.sleeper().lifetime(lifetime)).await;
        let asked = tokio::time::timeout(Duration::ZERO, handle.terminate(None, "the test")).await;
        drop(asked);
        assert_eq!(end_of(&handle).await, killed(Signal::TERM));
        clear(&handle).await;
    }
}

async fn a_stop_of_ours_is_told_as_ours_however_fast_the_end_follows(bed: &Bed) {
    let manager = bed.manager().await;
    for round in 0..50 {
        let handle = spawn(&manager, bed.sleeper().lifetime(Lifetime::Attached)).await;
        let kills = round % 2 == 0;
        let ended = if kills { handle.kill().await } else { handle.terminate(None, "enough").await };
        ended.expect("it ends");
        let report = within("a report", handle.report()).await.expect("a record");
        let reason = if kills { "kill" } else { "enough" }.to_owned();
        assert_eq!(report.ended_by, Some(EndedBy::Procunit { reason }), "round {round}");
        assert_eq!(report.escalated, kills, "round {round}");
    }
}
