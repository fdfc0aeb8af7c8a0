//! The manager as a whole: what it holds, what it gives its specs, which launcher it is on.

use procunit::ProcManager;
use procunit::launcher::LauncherKind;
use procunit::manager::{ReapError, TerminateError};
use procunit::spec::Output;
use procunit::status::StatusKind;

use crate::bed::{Bed, end_of, spawn, stopped};
use crate::live::{BOUND, eventually, within};

each_backend![
    procs_are_found_by_id_and_pid_and_in_the_list_until_they_are_reaped,
    a_manager_gives_its_specs_defaults_that_each_may_override,
    a_launcher_is_chosen_by_its_name,
    only_as_many_ends_are_kept_as_the_manager_is_told_to,
    a_clone_is_the_same_manager,
    everything_may_be_sent_to_another_thread,
];

async fn procs_are_found_by_id_and_pid_and_in_the_list_until_they_are_reaped(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let handle = spawn(&manager, bed.sleeper().lifetime(lifetime)).await;
        let (id, pid) = (handle.id().clone(), handle.pid().expect("a pid"));
        assert_eq!(manager.get_by_pid(pid).await.expect("by its pid").id(), &id);
        assert_eq!(manager.get(&id).await.expect("by its id").pid(), Some(pid));
        assert!(manager.list().await.iter().any(|listed| *listed.id() == id));
        assert_eq!(manager.status(&id).await.expect("a status").kind(), StatusKind::Running);
        assert_eq!(manager.watch(&id).await.expect("a watch").status(), handle.status());
        let reap = within("a reap", manager.reap(&id)).await;
        assert!(matches!(reap, Err(ReapError::NotOver { .. })), "{reap:?}");
        within("the end", manager.terminate(&id, None, "the test")).await.expect("it ends");
        assert!(manager.get_by_pid(pid).await.is_none(), "its number may be another's");
        assert!(manager.get(&id).await.is_some(), "its record is kept");
        within("a reap", manager.reap(&id)).await.expect("it is over");
        assert!(manager.get(&id).await.is_none() && manager.list().await.is_empty());
    }
    let nobody = bed.id();
    let unknown = manager.kill(&nobody).await;
    assert!(matches!(&unknown, Err(TerminateError::NotHeld { id }) if *id == nobody), "{unknown:?}");
    assert!(unknown.expect_err("nobody").to_string().contains(nobody.as_str()));
    let unknown = manager.reap(&nobody).await;
    assert_eq!(unknown, Err(ReapError::NotHeld { id: nobody }));
}

async fn a_manager_gives_its_specs_defaults_that_each_may_override(bed: &Bed) {
    let manager = ProcManager::builder(bed.launcher().await)
        .defaults(|spec| spec.env("FROM", "default").stdout(Output::Null).stderr(Output::Null))
        .build();
    let begun = || manager.spec(bed.id(), "/bin/sh").args(["-c", r#"[ "$FROM" = default ]"#]);
    assert_eq!(end_of(&spawn(&manager, begun()).await).await, stopped(0));
    assert_eq!(end_of(&spawn(&manager, begun().env("FROM", "elsewhere")).await).await, stopped(1));
}

async fn a_launcher_is_chosen_by_its_name(bed: &Bed) {
    let name = bed.name();
    for written in [name.to_owned(), format!(" {} ", name.to_uppercase())] {
        let kind: LauncherKind = written.parse().expect("a launcher");
        let chosen = within("a launcher", kind.connect()).await.expect("it answers");
        assert!(chosen.fallback.is_none());
        let manager = ProcManager::new(chosen.launcher);
        assert_eq!(manager.launcher(), name);
        assert_eq!(end_of(&spawn(&manager, bed.sh("exit 5")).await).await, stopped(5));
    }
    for unknown in ["", "sytemd", "native,systemd", "fork"] {
        assert!(unknown.parse::<LauncherKind>().is_err(), "{unknown:?} is no fallback");
    }
}

async fn only_as_many_ends_are_kept_as_the_manager_is_told_to(bed: &Bed) {
    let manager = ProcManager::builder(bed.launcher().await).exit_records(3).build();
    let mut ids = Vec::new();
    for _ in 0..6 {
        let handle = spawn(&manager, bed.sh("exit 0")).await;
        end_of(&handle).await;
        // It counts once its last figures are read.
        within("its report", handle.report()).await;
        ids.push(handle.id().clone());
    }
    let newest = || async {
        let listed = manager.list().await;
        listed.iter().map(procunit::ProcHandle::id).eq(&ids[3..]).then_some(())
    };
    eventually(BOUND, "the newest three alone are kept", newest).await;
}

async fn a_clone_is_the_same_manager(bed: &Bed) {
    let manager = bed.manager().await;
    let clone = manager.clone();
    let handle = spawn(&manager, bed.sleeper()).await;
    drop(manager);
    assert_eq!(clone.get(handle.id()).await.expect("it is held").pid(), handle.pid());
    within("a kill", clone.kill(handle.id())).await.expect("it ends");
}

async fn everything_may_be_sent_to_another_thread(bed: &Bed) {
    fn sent<T: Send + Sync + 'static>(value: T) -> T {
        value
    }
    fn sent_future<T: Send>(future: T) -> T {
        future
    }
    let manager = sent(bed.manager().await);
    let handle =
        sent(sent_future(manager.spawn(bed.sh("exit 0").build().expect("a spec"))).await.expect("started"));
    sent(handle.watch());
    let mut events = sent(handle.events());
    within("an event", sent_future(events.next())).await;
    within("the end", sent_future(handle.wait())).await.expect("it ends");
    within("nothing left", sent_future(handle.gone())).await.expect("it goes");
    within("a report", sent_future(handle.report())).await;
}
