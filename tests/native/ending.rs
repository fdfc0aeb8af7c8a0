//! Ending a proc ends its session, on time and whatever it does about it.

use std::time::{Duration, Instant};

use procunit::ProcStatus;
use procunit::signal::Signal;

use crate::common::{Talking, is_over, manager, sh, spawn, until, within};

fn killed(signal: Signal) -> ProcStatus {
    ProcStatus::Killed { signal, core_dumped: false }
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
async fn what_forks_and_exits_again_and_again_is_not_taken_for_nothing_and_is_killed_at_the_backstop() {
    let (manager, start, backstop) = (manager(), Instant::now(), Duration::from_millis(300));
    let dir = tempfile::tempdir().unwrap();
    // Each starts the next and is gone: who is on a list is not there any more when it is looked at. Without the
    // directory they end, so that none of them outlives this test whatever it finds.
    let script = "[ -e \"$DIR\" ] || exit; sh -c \"$NEXT\" & exit";
    let spec = sh("trap '' TERM; eval \"$NEXT\"").env("NEXT", script).env("DIR", dir.path());
    let handle = spawn(&manager, spec.backstop(backstop)).await;
    let session = handle.pid().unwrap();
    within("nothing left", handle.gone()).await.unwrap();
    assert!(start.elapsed() >= backstop, "they end by the kill alone: {:?}", start.elapsed());
    assert_eq!(count_in_session(session), 0);
}

fn count_in_session(session: u32) -> usize {
    let is_in = |entry: &std::fs::DirEntry| {
        let pid =
            entry.file_name().to_str().and_then(|name| name.parse().ok()).map(nix::unistd::Pid::from_raw);
        let is_there = pid.filter(|pid| !is_over(pid.as_raw().cast_unsigned()));
        is_there.is_some_and(|pid| {
            nix::unistd::getsid(Some(pid)).is_ok_and(|of| of.as_raw().cast_unsigned() == session)
        })
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter(is_in).count()
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
