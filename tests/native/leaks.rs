//! What was started leaves nothing in this process.

use std::fs;

use crate::common::{descriptors, end_of, manager, play, plays, sh, spec, until, within};

/// Children of any thread of this process, zombies included.
fn children() -> String {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default()).collect()
}

/// Alone in its process, where no other test's descriptors and children are counted.
#[tokio::test]
async fn three_hundred_runs_of_all_kinds_leave_no_descriptor_and_no_zombie() {
    let test = "leaks::three_hundred_runs_of_all_kinds_leave_no_descriptor_and_no_zombie";
    if !plays(test) {
        return play(test);
    }
    let manager = manager();
    round(&manager).await;
    until("the first round is over", || children().is_empty()).await;
    let before = descriptors();
    for _ in 0..60 {
        round(&manager).await;
    }
    until("no child is left", || children().is_empty()).await;
    until("descriptors are back where they were", || descriptors() <= before).await;
    drop(manager);
    until("the launcher's threads have ended", || !threads().contains("procunit-")).await;
}

fn threads() -> String {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    threads.map(|thread| fs::read_to_string(thread.path().join("comm")).unwrap_or_default()).collect()
}

/// An exit, a death, a leftover, a failed exec, a failed lookup.
async fn round(manager: &procunit::ProcManager) {
    end_of(manager, spec("true")).await;
    end_of(manager, sh("kill -KILL $$")).await;
    end_of(manager, sh("sleep 1000 & exit 0")).await;
    let garbage = tempfile::Builder::new().tempfile().unwrap().into_temp_path();
    crate::refusals::make_executable(&garbage, b"no program");
    let refused = within("a launch", manager.spawn(spec(garbage.to_str().unwrap()).build().unwrap())).await;
    assert!(refused.is_err());
    let refused = within("a launch", manager.spawn(spec("no-such-program").build().unwrap())).await;
    assert!(refused.is_err());
}
