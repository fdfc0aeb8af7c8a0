//! Ending a proc ends its session, on time and whatever it does about it.

use std::time::{Duration, Instant};

use procunit::ProcStatus;
use procunit::launcher::{DeliverError, Target};
use procunit::manager::TerminateError;
use procunit::report::EndedBy;
use procunit::signal::Signal;

use crate::common::{Talking, end_of, is_over, manager, sh, spawn, spec, state_of, until, within};

fn killed(signal: Signal) -> ProcStatus {
    ProcStatus::Killed { signal, core_dumped: false }
}

#[tokio::test]
async fn a_program_that_obeys_ends_with_its_own_code() {
    let manager = manager();
    let mut proc =
        Talking::spawn(&manager, sh("trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done")).await;
    assert_eq!(proc.line().await, "up");
    let status = within("the stop", proc.handle.terminate(None, "enough")).await.unwrap();
    assert_eq!(status, ProcStatus::Stopped { exit_code: 3, stderr_tail: Vec::new() });
}

#[tokio::test]
async fn a_program_without_a_handler_dies_by_the_stop_signal_of_its_spec() {
    let manager = manager();
    for signal in [Signal::TERM, Signal::INT, Signal::new(40).unwrap()] {
        let handle = spawn(&manager, spec("sleep").arg("1000").stop_signal(signal)).await;
        let status = within("the stop", handle.terminate(None, "enough")).await.unwrap();
        assert_eq!(status, killed(signal));
    }
}

#[tokio::test]
async fn a_program_that_ignores_the_stop_signal_is_killed_at_the_deadline_and_not_before() {
    let manager = manager();
    let mut proc = Talking::spawn(&manager, sh("trap '' TERM; echo up; while :; do sleep 0.05; done")).await;
    assert_eq!(proc.line().await, "up");
    let start = Instant::now();
    let grace = Duration::from_secs(1);
    let status = within("the stop", proc.handle.terminate(Some(grace), "enough")).await.unwrap();
    assert_eq!(status, killed(Signal::KILL));
    assert!((grace..grace * 4).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert!(within("a report", proc.handle.report()).await.unwrap().escalated);
}

#[tokio::test]
async fn children_that_ignore_the_stop_signal_are_gone_when_terminate_answers() {
    let manager = manager();
    let script = "for i in 1 2 3; do sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & done; \
                  exec 1>&-; sleep 1000";
    let mut proc = Talking::spawn(&manager, sh(script)).await;
    let pids = [proc.pid().await, proc.pid().await, proc.pid().await];
    let status = within("the stop", proc.handle.terminate(Some(Duration::from_secs(1)), "enough")).await;
    assert_eq!(status.unwrap(), killed(Signal::TERM));
    for pid in pids {
        assert!(is_over(pid), "{pid} is there");
    }
}

#[tokio::test]
async fn groups_of_their_own_in_the_session_end_too() {
    let manager = manager();
    // With `-m` a shell puts every job into a process group of its own.
    let script = "set -m; for i in 1 2 3; do sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & done; wait";
    let mut proc = Talking::spawn(&manager, sh(script)).await;
    let pids = [proc.pid().await, proc.pid().await, proc.pid().await];
    let status = within("the kill", proc.handle.kill()).await;
    assert_eq!(status.unwrap(), killed(Signal::KILL));
    for pid in pids {
        assert!(is_over(pid), "{pid} is there");
    }
}

#[tokio::test]
async fn a_tree_of_fifty_is_empty_after_a_stop() {
    let manager = manager();
    let script = "set -m; for i in $(seq 25); do sleep 1000 & echo $!; done; set +m; \
                  for i in $(seq 25); do sleep 1000 & echo $!; done; wait";
    let mut proc = Talking::spawn(&manager, sh(script)).await;
    let mut pids = Vec::new();
    for _ in 0..50 {
        pids.push(proc.pid().await);
    }
    within("the stop", proc.handle.terminate(None, "enough")).await.unwrap();
    assert!(pids.iter().all(|pid| is_over(*pid)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_of_ours_is_told_as_ours_however_fast_the_end_follows() {
    let manager = manager();
    for round in 0..100 {
        let handle = spawn(&manager, spec("sleep").arg("1000")).await;
        let kills = round % 2 == 0;
        let ended = if kills { handle.kill().await } else { handle.terminate(None, "enough").await };
        ended.unwrap();
        let report = within("a report", handle.report()).await.unwrap();
        let reason = if kills { "kill" } else { "enough" }.to_owned();
        assert_eq!(report.ended_by, Some(EndedBy::Procunit { reason }), "round {round}");
        assert_eq!(report.escalated, kills, "round {round}");
    }
}

#[tokio::test]
async fn a_signal_of_somebody_elses_is_not_told_as_ours() {
    let manager = manager();
    let handle = spawn(&manager, sh("kill -TERM $$")).await;
    within("the end", handle.wait()).await.unwrap();
    let report = within("a report", handle.report()).await.unwrap();
    assert_eq!(report.ended_by, Some(EndedBy::UnknownSender));
}

#[tokio::test]
async fn a_stopped_process_ends_by_the_stop_signal() {
    let manager = manager();
    let handle = spawn(&manager, spec("sleep").arg("1000")).await;
    let pid = handle.pid().unwrap();
    handle.signal(Signal::STOP, Target::Tree).await.unwrap();
    until("it is stopped", || state_of(pid) == Some('T')).await;
    let start = Instant::now();
    let status = within("the stop", handle.terminate(None, "enough")).await.unwrap();
    assert_eq!(status, killed(Signal::TERM));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn what_a_main_process_leaves_is_asked_at_once_and_its_own_end_does_not_wait_for_that() {
    let manager = manager();
    let script = "sh -c 'trap \"echo asked; exit\" TERM; echo $$; while :; do sleep 0.05; done' & \
                  read line; exit 7";
    let (read, mut write) = std::io::pipe().unwrap();
    let spec = sh(&script.replace("& ", "<&- & ")).stdin(std::os::fd::OwnedFd::from(read));
    let mut proc = Talking::spawn(&manager, spec).await;
    let left = proc.pid().await;
    std::io::Write::write_all(&mut write, b"\n").unwrap();
    let status = within("the end", proc.handle.wait()).await.unwrap();
    assert_eq!(status, ProcStatus::Stopped { exit_code: 7, stderr_tail: Vec::new() });
    assert_eq!(proc.line().await, "asked");
    until("what was left is over", || is_over(left)).await;
}

#[tokio::test]
async fn what_a_main_process_leaves_and_that_ignores_being_asked_is_killed_at_the_backstop() {
    let manager = manager();
    let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & sleep 0.2; exit 0";
    let backstop = Duration::from_secs(1);
    let mut proc = Talking::spawn(&manager, sh(script).backstop(backstop)).await;
    let left = proc.pid().await;
    within("the end", proc.handle.wait()).await.unwrap();
    let start = Instant::now();
    until("what was left is over", || is_over(left)).await;
    assert!((backstop / 2..backstop * 4).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_kill_reaches_what_is_left_also_when_the_main_process_is_over() {
    let manager = manager();
    // The main process obeys at once, its child never does.
    let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & exec 1>&-; sleep 1000";
    let mut proc = Talking::spawn(&manager, sh(script)).await;
    let left = proc.pid().await;
    let handle = proc.handle.clone();
    let stop = tokio::spawn(async move { handle.terminate(Some(Duration::from_secs(2)), "enough").await });
    within("the end of the main process", proc.handle.wait()).await.unwrap();
    assert!(!is_over(left));
    within("the stop", stop).await.unwrap().unwrap();
    assert!(is_over(left));
}

#[tokio::test]
async fn a_time_limit_ends_it() {
    let manager = manager();
    let spec = spec("sleep").arg("1000").runtime_max(Duration::from_millis(300));
    assert_eq!(end_of(&manager, spec).await, killed(Signal::TERM));
}

#[tokio::test]
async fn a_signal_goes_to_the_main_process_or_to_all_and_changes_no_status() {
    let manager = manager();
    let child = "sh -c 'trap \"echo child\" USR1; echo up; while :; do sleep 0.05; done' & ";
    let script = format!("trap 'echo main' USR1; {child} while :; do sleep 0.05; done");
    let mut proc = Talking::spawn(&manager, sh(&script)).await;
    assert_eq!(proc.line().await, "up");
    let usr1 = Signal::new(10).unwrap();
    proc.handle.signal(usr1, Target::Main).await.unwrap();
    assert_eq!(proc.line().await, "main");
    proc.handle.signal(usr1, Target::Tree).await.unwrap();
    let mut said = [proc.line().await, proc.line().await];
    said.sort();
    assert_eq!(said, ["child", "main"]);
    assert!(matches!(proc.handle.status(), ProcStatus::Running { .. }));
    within("the kill", proc.handle.kill()).await.unwrap();
}

#[tokio::test]
async fn nothing_is_delivered_to_what_is_over() {
    let manager = manager();
    let handle = spawn(&manager, spec("true")).await;
    within("the end", handle.wait()).await.unwrap();
    within("its settling", handle.report()).await.unwrap();
    assert!(matches!(handle.signal(Signal::TERM, Target::Tree).await, Err(DeliverError::Gone)));
    assert!(matches!(handle.signal(Signal::TERM, Target::Main).await, Err(DeliverError::Gone)));
    let again = within("a late stop", handle.terminate(None, "late")).await;
    assert!(matches!(again, Err(TerminateError::AlreadyTerminated(_))));
}

#[tokio::test]
async fn dropping_a_launch_ends_what_it_started() {
    let manager = manager();
    let dir = tempfile::tempdir().unwrap();
    for delay in 0..20 {
        let spec = sh("echo $$ > pid; exec sleep 1000").cwd(dir.path()).build().unwrap();
        let launch = manager.spawn(spec);
        let _ = tokio::time::timeout(Duration::from_micros(delay * 150), launch).await.map(|handle| {
            let handle = handle.unwrap();
            tokio::spawn(async move { handle.kill().await })
        });
    }
    // Whoever got as far as to write its number is over.
    let own = nix::unistd::getpid().as_raw();
    let sleepers = move || sleepers_of(own, dir.path());
    until("no sleeper is left", || sleepers() == 0).await;
}

/// How many processes have this parent and this working directory.
fn sleepers_of(parent: i32, cwd: &std::path::Path) -> usize {
    let is_one = |entry: &std::fs::DirEntry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parents = stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(&parent.to_string()));
        parents && std::fs::read_link(entry.path().join("cwd")).is_ok_and(|link| link == cwd)
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter(is_one).count()
}
