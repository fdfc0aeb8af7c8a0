//! Exit monitors: each callback exactly once, whatever the others do.

use std::sync::mpsc::{Receiver, Sender, channel};

use procunit::manager::MonitorError;
use procunit::signal::Signal;
use procunit::spec::Lifetime;
use procunit::status::{FailReason, StatusKind};
use procunit::{ProcHandle, ProcManager, ProcStatus};

use crate::bed::{Bed, clear, end_of, killed, processes_of, sh_as, spawn, stopped};
use crate::live::{BOUND, within};

each_backend![
    a_monitor_set_before_the_end_is_told_it_once,
    a_monitor_set_after_the_end_is_told_it_once,
    every_monitor_of_a_proc_is_told,
    one_that_panics_and_one_that_is_slow_hurt_no_other,
    a_cancelled_one_is_never_told,
    a_callback_may_launch_the_same_id_and_is_told_of_no_other_run,
    everything_of_the_proc_is_cleaned_up_before_a_callback_runs,
    an_id_that_was_never_launched_has_no_monitor,
    an_id_that_was_reaped_has_no_monitor,
    an_end_that_nobody_can_see_any_more_is_told_as_lost,
];
each_backend_on_two_threads![monitors_set_around_the_end_are_each_told_once,];

/// What a callback is told goes there.
type Told = Sender<(usize, ProcStatus)>;

async fn monitor(manager: &ProcManager, handle: &ProcHandle, told: &Told, number: usize) {
    let told = told.clone();
    let set = manager.on_exit(handle.id(), move |status| drop(told.send((number, status))));
    within("a monitor", set).await.expect("it is held");
}

/// Everything that is told until nobody is left who could tell.
async fn all(heard: Receiver<(usize, ProcStatus)>, told: Told) -> Vec<(usize, ProcStatus)> {
    drop(told);
    let read = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        loop {
            match heard.recv_timeout(BOUND) {
                Ok(one) => all.push(one),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(error) => panic!("a callback was neither called nor dropped: {error}"),
            }
        }
        all.sort_by_key(|(number, _)| *number);
        all
    });
    read.await.expect("told")
}

async fn a_monitor_set_before_the_end_is_told_it_once(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let (told, heard) = channel();
        let handle = spawn(&manager, bed.sleeper().lifetime(lifetime)).await;
        monitor(&manager, &handle, &told, 0).await;
        assert!(heard.try_recv().is_err(), "it is not over");
        within("a stop", handle.terminate(None, "the test")).await.expect("it ends");
        assert_eq!(all(heard, told).await, [(0, killed(Signal::TERM))]);
        clear(&handle).await;
    }
}

async fn a_monitor_set_after_the_end_is_told_it_once(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let handle = spawn(&manager, bed.sh("exit 7").lifetime(lifetime)).await;
        end_of(&handle).await;
        for _ in 0..2 {
            let (told, heard) = channel();
            monitor(&manager, &handle, &told, 0).await;
            assert_eq!(all(heard, told).await, [(0, stopped(7))]);
            within("nothing left", handle.gone()).await.expect("it goes");
        }
        clear(&handle).await;
    }
}

async fn every_monitor_of_a_proc_is_told(bed: &Bed) {
    let manager = bed.manager().await;
    let (told, heard) = channel();
    let handle = spawn(&manager, bed.sh("sleep 0.3; exit 4")).await;
    for number in 0..50 {
        monitor(&manager, &handle, &told, number).await;
    }
    let expected: Vec<_> = (0..50).map(|number| (number, stopped(4))).collect();
    assert_eq!(all(heard, told).await, expected);
}

async fn one_that_panics_and_one_that_is_slow_hurt_no_other(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sh("sleep 0.3; exit 4")).await;
    let (release, held) = channel::<()>();
    let slow =
        manager.on_exit(handle.id(), move |_| assert!(held.recv_timeout(BOUND).is_err(), "nobody sends"));
    within("a monitor", slow).await.expect("it is held");
    let panics = manager.on_exit(handle.id(), |_| panic!("as the test wants it"));
    within("a monitor", panics).await.expect("it is held");
    let (told, heard) = channel();
    for number in 0..3 {
        monitor(&manager, &handle, &told, number).await;
    }
    assert_eq!(all(heard, told).await.len(), 3);
    // Nor the manager, nor another proc of it.
    let other = spawn(&manager, bed.sh("exit 5")).await;
    assert_eq!(end_of(&other).await, stopped(5));
    let (told, heard) = channel();
    monitor(&manager, &other, &told, 0).await;
    assert_eq!(all(heard, told).await, [(0, stopped(5))]);
    drop(release);
}

async fn a_cancelled_one_is_never_told(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sleeper()).await;
    let (told, heard) = channel();
    let cancelled = told.clone();
    let set = manager.on_exit(handle.id(), move |status| drop(cancelled.send((0, status))));
    let set = within("a monitor", set).await.expect("it is held");
    monitor(&manager, &handle, &told, 1).await;
    assert!(set.cancel(), "it had not been told");
    within("a kill", handle.kill()).await.expect("it ends");
    assert_eq!(all(heard, told).await, [(1, killed(Signal::KILL))]);
}

async fn a_callback_may_launch_the_same_id_and_is_told_of_no_other_run(bed: &Bed) {
    let manager = bed.manager().await;
    let (told, heard) = channel();
    let id = bed.id();
    launch(&manager, &told, id, 0).await;
    let expected: Vec<_> = (0..20).map(|code| (usize::from(code), stopped(code))).collect();
    assert_eq!(all(heard, told).await, expected);
}

/// A run, whose end has the next launched: twenty in all, each with an exit code of its own.
fn launch<'a>(
    manager: &'a ProcManager,
    told: &'a Told,
    id: procunit::id::ProcId,
    code: u8,
) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    Box::pin(async move {
        let handle = spawn(manager, sh_as(id.clone(), &format!("exit {code}"))).await;
        let (again, told) = (manager.clone(), told.clone());
        let set = manager.on_exit(handle.id(), move |status| {
            let runtime = tokio::runtime::Handle::current();
            drop(told.send((usize::from(code), status)));
            if code < 19 {
                runtime.block_on(launch(&again, &told, id.clone(), code + 1));
            }
        });
        within("a monitor", set).await.expect("it is held");
    })
}

async fn everything_of_the_proc_is_cleaned_up_before_a_callback_runs(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let script = "(trap '' TERM; sleep 0.3; sleep 0.3) & sleep 0.2; exit 0";
        let handle = spawn(&manager, bed.sh(script).lifetime(lifetime)).await;
        let (told, heard) = channel();
        let id = handle.id().clone();
        let set = manager.on_exit(handle.id(), move |status| {
            drop(told.send((status, processes_of(&id))));
        });
        within("a monitor", set).await.expect("it is held");
        let heard = tokio::task::spawn_blocking(move || heard.recv_timeout(BOUND));
        assert_eq!(heard.await.expect("read").expect("told"), (stopped(0), Vec::new()));
        clear(&handle).await;
    }
}

async fn an_id_that_was_never_launched_has_no_monitor(bed: &Bed) {
    let manager = bed.manager().await;
    let id = bed.id();
    let error = within("a monitor", manager.on_exit(&id, |_| ())).await.expect_err("there is no such proc");
    assert_eq!(error, MonitorError::NeverLaunched { id: id.clone() });
    assert!(error.to_string().contains(id.as_str()), "{error}");
}

async fn an_id_that_was_reaped_has_no_monitor(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let handle = spawn(&manager, bed.sh("exit 0").lifetime(lifetime)).await;
        end_of(&handle).await;
        within("it is reaped", manager.reap(handle.id())).await.expect("it is over");
        let error = within("a monitor", manager.on_exit(handle.id(), |_| ())).await;
        let reaped = MonitorError::Reaped { id: handle.id().clone() };
        assert_eq!(error.expect_err("nothing is kept"), reaped);
    }
}

async fn an_end_that_nobody_can_see_any_more_is_told_as_lost(bed: &Bed) {
    let lifetime = *bed.lifetimes().last().expect("one");
    let manager = bed.manager().await;
    let (told, heard) = channel();
    let handle = spawn(&manager, bed.sleeper().lifetime(lifetime)).await;
    monitor(&manager, &handle, &told, 0).await;
    drop(manager);
    let all = all(heard, told).await;
    assert!(
        matches!(all[..], [(0, ProcStatus::Failed { reason: FailReason::Lost { .. } })]),
        "nobody saw it end: {all:?}"
    );
    if lifetime == Lifetime::Detached {
        let manager = bed.manager().await;
        let adopted = within("an adoption", manager.adopt(handle.id())).await.expect("it lives on");
        assert_eq!(adopted.status().kind(), StatusKind::Running);
        clear(&adopted).await;
    }
}

async fn monitors_set_around_the_end_are_each_told_once(bed: &Bed) {
    let manager = bed.manager().await;
    for round in 0..20 {
        let (told, heard) = channel();
        let handle = spawn(&manager, bed.sh(&format!("exit {round}"))).await;
        for number in 0..20 {
            monitor(&manager, &handle, &told, number).await;
        }
        let expected: Vec<_> = (0..20).map(|number| (number, stopped(round))).collect();
        assert_eq!(all(heard, told).await, expected, "round {round}");
    }
}
