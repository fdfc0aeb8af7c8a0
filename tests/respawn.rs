//! One id, run after run: nothing of a run touches the next. Fails where no user manager answers (see
//! contrib/testbed).

#![cfg(feature = "systemd")]

use std::sync::Arc;
use std::time::Duration;

use procunit::id::ProcId;
use procunit::launcher::systemd::SystemdLauncher;
use procunit::{ProcManager, ProcSpec, ProcStatus};
use tokio::task::JoinSet;

/// Far beyond what a run takes.
const BOUND: Duration = Duration::from_secs(30);
/// Enough for the last signals of a run to be read late: without care 2 of 100 runs were told the end of the one
/// before (measured, 252).
const IDS: u8 = 8;
const RUNS: u8 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_is_used_again_at_once_has_the_end_of_its_own_run() {
    let launcher = SystemdLauncher::connect().await.expect("a user manager to test with");
    let manager = Arc::new(ProcManager::new(launcher));
    let mut ids = JoinSet::new();
    for which in 0..IDS {
        ids.spawn(run_after_run(Arc::clone(&manager), format!("respawn/{}/{which}", std::process::id())));
    }
    while let Some(done) = ids.join_next().await {
        done.expect("every run its own end");
    }
}

async fn run_after_run(manager: Arc<ProcManager>, id: String) {
    let mut before = None;
    for exit_code in 0..RUNS {
        let spec = ProcSpec::builder(ProcId::new(&id).expect("an id"), "/bin/sh")
            .args(["-c", &format!("exit {exit_code}")])
            .build()
            .expect("a spec");
        let handle = manager.spawn(spec).await.unwrap_or_else(|error| panic!("{id}: {error}"));
        let end = tokio::time::timeout(BOUND, handle.wait()).await;
        let end = end.unwrap_or_else(|_| panic!("{id}: timed out: the end of run {exit_code}"));
        let own = ProcStatus::Stopped { exit_code, stderr_tail: Vec::new() };
        assert_eq!(end.expect("an end"), own, "{id}");
        let run = handle.run();
        assert_ne!(run, before, "{id}: run {exit_code} is the one before");
        before = run;
    }
}
