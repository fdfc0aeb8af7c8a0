//! Attached procs end with their manager; detached ones are found again.

use procunit::launcher::AdoptError;
use procunit::report::EndedBy;
use procunit::signal::Signal;
use procunit::spec::Lifetime;
use procunit::status::StatusKind;
use procunit::{ProcManager, ProcStatus};

use crate::bed::{Bed, Talking, clear, end_of, killed, processes_of, quiet, spawn, stopped, systemctl_on};
use crate::live::outside::{alive, all_gone};
use crate::live::record::Record;
use crate::live::{BOUND, eventually, within};

each_backend![
    a_dropped_manager_ends_what_is_attached_and_nothing_else,
    of_two_managers_in_one_process_neither_touches_the_others_procs,
    a_detached_proc_is_adopted_with_all_that_is_known_of_it,
    one_that_ended_while_nobody_held_it_is_adopted_with_its_exact_end,
    one_that_someone_stopped_while_nobody_held_it_is_exact_or_not_there,
    what_is_not_there_cannot_be_adopted,
    what_is_held_already_cannot_be_adopted,
    what_a_detached_main_process_left_is_ended_by_who_adopts_it,
    a_backend_without_detached_procs_refuses_them_with_the_reason,
];

const TELLS_TERM: &str =
    r#"trap 'echo term >>"$1"; exit 3' TERM; echo pid $$ >>"$1"; while :; do sleep 1 & wait; done"#;

async fn telling(
    manager: &ProcManager,
    bed: &Bed,
    lifetime: Lifetime,
) -> (procunit::ProcHandle, u32, Record) {
    let record = Record::new();
    let handle = spawn(manager, bed.sh(TELLS_TERM).arg(record.path()).lifetime(lifetime)).await;
    let pid = record.processes(1).await[0];
    (handle, pid, record)
}

async fn a_dropped_manager_ends_what_is_attached_and_nothing_else(bed: &Bed) {
    let manager = bed.manager().await;
    let mut kept = Vec::new();
    let mut ended = Vec::new();
    for &lifetime in bed.lifetimes() {
        let (handle, pid, record) = telling(&manager, bed, lifetime).await;
        let procs = if lifetime == Lifetime::Detached { &mut kept } else { &mut ended };
        procs.push((handle.id().clone(), pid, record));
    }
    drop(manager);
    for (id, pid, record) in &ended {
        all_gone(BOUND, "its manager is gone", &[*pid]).await;
        let none = || async { processes_of(id).is_empty().then_some(()) };
        eventually(BOUND, "nothing of it", none).await;
        // Natively what the kernel does to it comes first.
        assert!(record.says("term") || !bed.is_systemd(), "it was asked");
    }
    for (id, pid, record) in &kept {
        assert!(alive(*pid) && !record.says("term"), "a detached one lives on");
        let handle = within("an adoption", bed.manager().await.adopt(id)).await.expect("it is there");
        drop(handle);
        assert!(alive(*pid), "who looks at it ends nothing");
        let manager = bed.manager().await;
        clear(&within("an adoption", manager.adopt(id)).await.expect("it is there")).await;
    }
}

async fn of_two_managers_in_one_process_neither_touches_the_others_procs(bed: &Bed) {
    let (one, other) = (bed.manager().await, bed.manager().await);
    let (_, ended, _one) = telling(&one, bed, Lifetime::Attached).await;
    let (kept, pid, record) = telling(&other, bed, Lifetime::Attached).await;
    drop(one);
    all_gone(BOUND, "its manager is gone", &[ended]).await;
    assert!(alive(pid) && !record.says("term"));
    let later = spawn(&other, bed.sleeper()).await;
    assert_eq!(later.status().kind(), StatusKind::Running, "the other manager is as good as before");
    let end = within("a stop", kept.terminate(None, "the test")).await.expect("it ends");
    assert_eq!(end, stopped(3));
    clear(&later).await;
}

async fn a_detached_proc_is_adopted_with_all_that_is_known_of_it(bed: &Bed) {
    let Some(lifetime) = detached(bed) else { return };
    let spec = bed.sleeper().label("the label").lifetime(lifetime).stop_signal(Signal::INT);
    let first = spawn(&bed.manager().await, spec).await;
    let (id, pid, run, status) = (first.id().clone(), first.pid(), first.run(), first.status());
    let manager = bed.manager().await;
    let adopted = within("an adoption", manager.adopt(&id)).await.expect("it is there");
    assert_eq!((adopted.id(), adopted.pid(), adopted.run()), (&id, pid, run));
    assert_eq!(adopted.status(), status, "with the start time that its first manager saw");
    let report = within("a report", adopted.report()).await.expect("a record");
    assert_eq!((report.lifetime, report.label.as_deref()), (lifetime, Some("the label")));
    let end = within("a stop", adopted.terminate(None, "the test")).await.expect("it ends");
    assert_eq!(end, killed(Signal::INT), "by the stop signal of its spec");
    clear(&adopted).await;
}

fn detached(bed: &Bed) -> Option<Lifetime> {
    bed.lifetimes().iter().copied().find(|&lifetime| lifetime == Lifetime::Detached)
}

async fn one_that_ended_while_nobody_held_it_is_adopted_with_its_exact_end(bed: &Bed) {
    let Some(lifetime) = detached(bed) else { return };
    for (script, expected) in [
        ("exit 0", stopped(0)),
        ("exit 7", stopped(7)),
        ("kill -TERM $$", killed(Signal::TERM)),
        ("kill -KILL $$", killed(Signal::KILL)),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let gate = dir.path().join("gate");
        let waits = format!("echo pid $$ >>\"$2\"; while [ ! -e \"$1\" ]; do sleep 0.02; done; {script}");
        let record = Record::new();
        let first = bed.manager().await;
        let spec = bed.sh(&waits).arg(&gate).arg(record.path()).lifetime(lifetime);
        let id = spawn(&first, spec).await.id().clone();
        let pids = record.processes(1).await;
        drop(first);
        std::fs::write(&gate, "").expect("the gate");
        all_gone(BOUND, "it ends by itself", &pids).await;
        let manager = bed.manager().await;
        let adopted = within("an adoption", manager.adopt(&id)).await.expect("it is kept");
        assert_eq!(end_of(&adopted).await, expected, "{script}");
        clear(&adopted).await;
    }
}

async fn one_that_someone_stopped_while_nobody_held_it_is_exact_or_not_there(bed: &Bed) {
    let Some(lifetime) = detached(bed) else { return };
    for (script, expected) in [
        ("echo up; exec sleep 600", killed(Signal::TERM)),
        ("trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done", stopped(0)),
        ("trap 'exit 3' TERM; echo up; while :; do sleep 0.02; done", stopped(3)),
    ] {
        let first = bed.manager().await;
        let mut proc = Talking::spawn(&first, bed.sh(script).lifetime(lifetime)).await;
        proc.says("up").await;
        let handle = proc.handle;
        let (id, pid) = (handle.id().clone(), handle.pid().expect("a pid"));
        drop((first, handle));
        systemctl_on(&["stop"], &id).await;
        all_gone(BOUND, "it was stopped", &[pid]).await;
        let manager = bed.manager().await;
        match within("an adoption", manager.adopt(&id)).await {
            Err(AdoptError::NotFound { id: named }) => assert_eq!(named, id),
            Ok(adopted) => {
                let end = end_of(&adopted).await;
                assert!(end == expected || matches!(end, ProcStatus::Failed { .. }), "{script}: {end}");
                let report = within("a report", adopted.report()).await.expect("a record");
                let by = report.ended_by;
                assert!(matches!(by, None | Some(EndedBy::SomeoneElse)), "{script}: {by:?}");
                clear(&adopted).await;
            }
            Err(error) => panic!("{script}: {error}"),
        }
    }
}

async fn what_is_not_there_cannot_be_adopted(bed: &Bed) {
    let id = bed.id();
    let error = within("an adoption", bed.manager().await.adopt(&id)).await.expect_err("nothing is there");
    assert!(matches!(&error, AdoptError::NotFound { id: named } if *named == id), "{error:?}");
    assert!(error.to_string().contains(id.as_str()), "{error}");
}

async fn what_is_held_already_cannot_be_adopted(bed: &Bed) {
    let Some(lifetime) = detached(bed) else { return };
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sleeper().lifetime(lifetime)).await;
    let error = within("an adoption", manager.adopt(handle.id())).await.expect_err("it is held");
    assert!(matches!(&error, AdoptError::AlreadyHeld { id } if id == handle.id()), "{error:?}");
    assert_eq!(handle.status().kind(), StatusKind::Running);
    clear(&handle).await;
}

/// systemd itself ends what a failed main process leaves; what one that exits with 0 leaves lives on until then.
async fn what_a_detached_main_process_left_is_ended_by_who_adopts_it(bed: &Bed) {
    let Some(lifetime) = detached(bed) else { return };
    let first = bed.manager().await;
    let dir = tempfile::tempdir().expect("a directory");
    let gate = dir.path().join("gate");
    let script = "sleep 600 & while [ ! -e \"$1\" ]; do sleep 0.02; done; exit 0";
    let handle = spawn(&first, bed.sh(script).arg(&gate).lifetime(lifetime)).await;
    let (id, main) = (handle.id().clone(), handle.pid().expect("a pid"));
    drop((first, handle));
    std::fs::write(&gate, "").expect("the gate");
    all_gone(BOUND, "its main process", &[main]).await;
    let left = || async { (processes_of(&id).len() == 1).then_some(()) };
    eventually(BOUND, "its child lives on", left).await;
    let manager = bed.manager().await;
    let adopted = within("an adoption", manager.adopt(&id)).await.expect("it is kept");
    assert_eq!(within("nothing left", adopted.gone()).await.expect("it goes"), stopped(0));
    assert_eq!(processes_of(&id), [0; 0]);
    clear(&adopted).await;
}

async fn a_backend_without_detached_procs_refuses_them_with_the_reason(bed: &Bed) {
    if detached(bed).is_some() {
        return;
    }
    let manager = bed.manager().await;
    let spec = quiet(bed.id(), "/bin/true").lifetime(Lifetime::Detached).build().expect("a spec");
    let error = within("a launch", manager.spawn(spec)).await.expect_err("it would not outlive us");
    assert!(matches!(error, procunit::launcher::LaunchError::Unsupported { .. }), "{error:?}");
    assert!(error.to_string().contains("a user manager is needed"), "{error}");
}
