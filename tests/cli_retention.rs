//! How many ended procs are kept. Alone in its binary: it is about all procs of the user.

#![cfg(feature = "cli")]

#[expect(dead_code, reason = "it needs a part of it")]
mod support;

use std::process::Command;

use procunit::id::ProcId;
use procunit::launcher::systemd::SystemdLauncher;
use procunit::spec::{Lifetime, Output, ProcSpec, defaults};
use procunit::{ProcHandle, ProcManager};
use tokio::task::JoinSet;

use support::{BOUND, Cleanup, procunit, run_for};

const BEYOND: usize = 5;

async fn start(manager: &ProcManager, id: String) -> ProcHandle {
    let id = ProcId::new(id).expect("an id");
    let spec = ProcSpec::builder(id, "true").lifetime(Lifetime::Detached).stdout(Output::Null);
    manager.spawn(spec.stderr(Output::Null).build().expect("a spec")).await.expect("started")
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_a_thousand_ended_procs_the_oldest_go_and_it_is_told() {
    let procs = Cleanup::group("kept");
    let manager = ProcManager::new(SystemdLauncher::connect().await.expect("a user manager"));
    for number in 0..BEYOND {
        start(&manager, procs.id(&format!("old-{number}"))).await.wait().await.expect("its end");
    }
    // In any order: all of them are newer.
    let mut newer = JoinSet::new();
    for number in 0..defaults::ENDED_DETACHED_UNITS {
        let (manager, id) = (manager.clone(), procs.id(&format!("new-{number}")));
        newer.spawn(async move { start(&manager, id).await.wait().await.expect("its end") });
    }
    newer.join_all().await;
    // What is held is not kept by systemd alone.
    drop(manager);
    let id = procs.id("last");
    let ran = procunit(&["run", "-d", "-n", &id, "--", "sleep", "60"]);
    assert_eq!((ran.code(), ran.out()), (0, format!("{id}\n")), "{ran:?}");
    let told = format!("procunit: removed {BEYOND} ended procs, the oldest first: 1000 are kept\n");
    assert_eq!(ran.err(), told);
    let names = procunit(&["ps", "-a", "-o", "name", &procs.all()]).ok();
    assert_eq!(names.lines().count(), defaults::ENDED_DETACHED_UNITS + 1);
    assert!(!names.contains("/old-"), "the oldest go");
    // A thousand units, one after the other in the end: beside other work it takes more than what one command may.
    let mut rm = Command::new(env!("CARGO_BIN_EXE_procunit"));
    assert_eq!(run_for(BOUND * 6, rm.args(["rm", "-f", "-q", &procs.all()])).code(), 0);
    procs.assert_no_unit();
}
