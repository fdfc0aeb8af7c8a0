//! One id, run after run: nothing of a run touches the next.

use std::collections::HashSet;
use std::time::Duration;

use procunit::spec::Lifetime;
use procunit::status::StatusKind;

use crate::bed::{Bed, Talking, clear, end_of, killed, ms, sh_as, spawn, stopped};
use crate::live::within;

each_backend![
    the_id_of_an_attached_proc_is_free_directly_after_its_end_five_hundred_times,
    it_is_free_also_while_what_a_run_left_is_being_ended,
    the_id_of_a_detached_proc_is_free_as_soon_as_it_is_reaped,
    an_ended_detached_proc_is_replaced_where_that_is_wanted,
    a_handle_keeps_the_end_of_its_own_run,
    an_escalation_belongs_to_a_run_and_not_to_its_id,
    a_wish_for_a_run_that_is_over_does_not_reach_the_next,
];
each_backend_on_two_threads![ids_side_by_side_each_have_their_own_runs,];

async fn the_id_of_an_attached_proc_is_free_directly_after_its_end_five_hundred_times(bed: &Bed) {
    const RUNS: u32 = 500;
    let manager = bed.manager().await;
    let id = bed.id();
    let mut runs = HashSet::new();
    for number in 0..RUNS {
        let code = u8::try_from(number % 251).expect("a code");
        let spec = sh_as(id.clone(), r#"echo "$1"; exit "$2""#).args([number.to_string(), code.to_string()]);
        let proc = Talking::spawn(&manager, spec).await;
        assert_eq!(end_of(&proc.handle).await, stopped(code), "run {number}");
        runs.insert((proc.handle.run(), proc.handle.pid()));
        assert_eq!(proc.rest().await, format!("{number}\n").as_bytes(), "the output of another run");
    }
    assert_eq!(runs.len(), 500, "each run is one of its own");
}

async fn it_is_free_also_while_what_a_run_left_is_being_ended(bed: &Bed) {
    let manager = bed.manager().await;
    let id = bed.id();
    for code in 0..60 {
        let left = if code % 2 == 0 { "sleep 600" } else { "(trap '' TERM; sleep 0.2; sleep 0.2)" };
        let spec = sh_as(id.clone(), &format!("{left} & exit {code}"));
        let handle = spawn(&manager, spec.backstop(Duration::from_secs(1))).await;
        assert_eq!(end_of(&handle).await, stopped(code));
    }
}

async fn the_id_of_a_detached_proc_is_free_as_soon_as_it_is_reaped(bed: &Bed) {
    if !bed.lifetimes().contains(&Lifetime::Detached) {
        return;
    }
    let manager = bed.manager().await;
    let id = bed.id();
    for code in 0..20 {
        let spec = || sh_as(id.clone(), &format!("exit {code}")).lifetime(Lifetime::Detached);
        let handle = spawn(&manager, spec()).await;
        assert_eq!(end_of(&handle).await, stopped(code));
        let again = within("a launch", manager.spawn(spec().build().expect("a spec"))).await;
        assert!(again.is_err(), "it has not been reaped");
        within("it is reaped", handle.reap()).await;
    }
}

/// By the manager that holds it, and by one that has never heard of it.
async fn an_ended_detached_proc_is_replaced_where_that_is_wanted(bed: &Bed) {
    if !bed.lifetimes().contains(&Lifetime::Detached) {
        return;
    }
    let (one, other) = (bed.manager().await, bed.manager().await);
    let id = bed.id();
    for (code, manager) in (0..6).zip([&one, &one, &other].into_iter().cycle()) {
        let spec = sh_as(id.clone(), &format!("exit {code}")).lifetime(Lifetime::Detached);
        let handle = spawn(manager, spec.replace_ended(true)).await;
        assert_eq!(end_of(&handle).await, stopped(code));
        within("nothing left", handle.gone()).await.expect("it goes");
        within("its report", handle.report()).await;
    }
    let running = sh_as(id.clone(), "exec sleep 600").lifetime(Lifetime::Detached).replace_ended(true);
    let running = spawn(&one, running).await;
    let spec = sh_as(id, "exit 0").lifetime(Lifetime::Detached).replace_ended(true).build();
    let refused = within("a launch", one.spawn(spec.expect("a spec"))).await;
    assert!(refused.is_err(), "one that is not over is never replaced");
    assert_eq!(running.status().kind(), StatusKind::Running);
    clear(&running).await;
}

async fn a_handle_keeps_the_end_of_its_own_run(bed: &Bed) {
    let manager = bed.manager().await;
    let id = bed.id();
    let mut handles = Vec::new();
    for code in 0..30 {
        let handle = spawn(&manager, sh_as(id.clone(), &format!("exit {code}"))).await;
        assert_eq!(end_of(&handle).await, stopped(code));
        handles.push(handle);
    }
    for (code, handle) in (0..30).zip(&handles) {
        assert_eq!(handle.status(), stopped(code));
        let report = within("a report", handle.report()).await.expect("a record");
        assert_eq!((report.status, report.pid), (stopped(code), handle.pid()));
    }
    let newest = within("a look", manager.get(&id)).await.expect("a record");
    assert_eq!(newest.status(), stopped(29));
}

async fn an_escalation_belongs_to_a_run_and_not_to_its_id(bed: &Bed) {
    let grace = ms(700);
    let manager = bed.manager().await;
    let id = bed.id();
    let first = spawn(&manager, sh_as(id.clone(), "exec sleep 600")).await;
    within("a stop", first.terminate(Some(grace), "the test")).await.expect("it ends");
    // It does not mind TERM, and is there when the first run's SIGKILL would have been due.
    let second = spawn(&manager, sh_as(id, "trap '' TERM; sleep 1.5; exit 7")).await;
    assert_eq!(end_of(&second).await, stopped(7));
}

async fn a_wish_for_a_run_that_is_over_does_not_reach_the_next(bed: &Bed) {
    let manager = bed.manager().await;
    let id = bed.id();
    let first = spawn(&manager, sh_as(id.clone(), "exit 3")).await;
    end_of(&first).await;
    let second = spawn(&manager, sh_as(id, "exec sleep 600")).await;
    assert!(within("a late kill", first.kill()).await.is_err());
    assert!(within("a late stop", first.terminate(Some(Duration::ZERO), "late")).await.is_err());
    let to = procunit::launcher::Target::Tree;
    assert!(within("a late signal", first.signal(procunit::signal::Signal::KILL, to)).await.is_err());
    within("a late reap", first.reap()).await;
    assert_eq!((first.status(), second.status().kind()), (stopped(3), StatusKind::Running));
    assert_eq!(
        within("a kill", second.kill()).await.expect("it ends"),
        killed(procunit::signal::Signal::KILL)
    );
    clear(&second).await;
}

async fn ids_side_by_side_each_have_their_own_runs(bed: &Bed) {
    let manager = &bed.manager().await;
    futures_util::future::join_all((0..8).map(|_| async move {
        let (id, mut before) = (bed.id(), None);
        for code in 0..40 {
            let handle = spawn(manager, sh_as(id.clone(), &format!("exit {code}"))).await;
            assert_eq!(end_of(&handle).await, stopped(code), "{id}");
            let run = (handle.run(), handle.pid());
            assert_ne!(Some(run), before, "{id}: the run before");
            before = Some(run);
        }
    }))
    .await;
}
