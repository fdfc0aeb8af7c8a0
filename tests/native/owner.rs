//! An attached proc does not outlive its manager, however that ends.

use std::time::Duration;

use crate::common::{Talking, again, is_over, manager, plays, sh, spawn, spec, told, until};

#[tokio::test]
async fn a_process_that_is_killed_takes_the_main_process_with_it() {
    let test = "owner::a_process_that_is_killed_takes_the_main_process_with_it";
    if plays(test) {
        let manager = manager();
        // Ignoring every signal that can be ignored helps nothing.
        let handle = spawn(&manager, sh("trap '' TERM HUP INT; while :; do sleep 0.05; done")).await;
        println!("pid={}", handle.pid().unwrap());
        return std::future::pending().await;
    }
    let mut owner = again(test).spawn().unwrap();
    let pid = told(&mut owner, "pid");
    assert!(!is_over(pid));
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("the proc is over", || is_over(pid)).await;
}

#[tokio::test]
async fn it_lives_on_when_the_runtime_thread_that_asked_for_it_ends() {
    let manager = std::sync::Arc::new(manager());
    let asked = std::sync::Arc::clone(&manager);
    let handle = tokio::runtime::Handle::current();
    let proc = std::thread::spawn(move || handle.block_on(spawn(&asked, spec("sleep").arg("1000"))));
    let proc = tokio::task::spawn_blocking(|| proc.join().unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!proc.status().is_exit(), "{}", proc.status());
    proc.kill().await.unwrap();
}

#[tokio::test]
async fn dropping_the_manager_ends_the_whole_tree() {
    let manager = manager();
    let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & exec 1>&-; wait";
    let mut proc = Talking::spawn(&manager, sh(script)).await;
    let (main, child) = (proc.handle.pid().unwrap(), proc.pid().await);
    drop(manager);
    until("all of it is over", || is_over(main) && is_over(child)).await;
}

#[test]
fn the_end_of_the_runtime_ends_the_proc() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (manager, pid) = runtime.block_on(async {
        let manager = manager();
        let pid = spawn(&manager, spec("sleep").arg("1000")).await.pid().unwrap();
        (manager, pid)
    });
    drop(runtime);
    drop(manager);
    let start = std::time::Instant::now();
    while std::fs::exists(format!("/proc/{pid}")).unwrap() {
        assert!(start.elapsed() < crate::common::BOUND, "{pid} is there, or was not waited for");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_process_that_ignores_sigchld_still_learns_exact_ends() {
    let test = "owner::a_process_that_ignores_sigchld_still_learns_exact_ends";
    if !plays(test) {
        // The shell hands the ignored signal on through exec.
        let exe = std::env::current_exe().unwrap();
        let mut command = again(test);
        let args: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
        let envs: Vec<_> = command.get_envs().map(|(k, v)| (k.to_owned(), v.unwrap().to_owned())).collect();
        command = std::process::Command::new("bash");
        command.args(["-c", "trap '' CHLD; exec \"$0\" \"$@\""]).arg(exe).args(args).envs(envs);
        return assert!(command.status().unwrap().success());
    }
    let manager = manager();
    let status = crate::common::end_of(&manager, sh("exit 9")).await;
    assert_eq!(status.to_string(), "Stopped(exit=9)");
}
