//! What a handle shows: a snapshot, the newest, the next change, the end.

use futures_util::future::join_all;
use procunit::manager::{ProcEvent, ProcEvents, ReadyError, WaitError};
use procunit::status::StatusKind;
use procunit::status::history::{Cause, Transition};

use crate::bed::{Bed, Talking, begin, clear, end_of, killed, spawn, stopped};
use crate::live::within;

each_backend![
    many_wait_for_one_end_and_each_gets_it,
    a_wait_for_what_is_over_answers_at_once,
    changed_is_the_next_change_after_the_call,
    a_watch_gives_the_newest_and_every_end,
    a_dropped_handle_changes_nothing,
    a_life_is_recorded_transition_by_transition,
    events_are_every_transition_in_order_for_who_is_early_and_who_is_late,
    who_reads_events_slowly_or_not_at_all_holds_up_nobody,
    events_end_with_the_manager,
    one_that_declares_no_readiness_says_so_at_once,
    a_wait_on_a_manager_that_is_gone_says_so,
];

async fn many_wait_for_one_end_and_each_gets_it(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sh("sleep 0.2; exit 5")).await;
    let waits = join_all((0..50).map(|_| handle.wait()));
    assert_eq!(within("all waits", waits).await, vec![Ok(stopped(5)); 50]);
    let clone = handle.clone();
    drop(handle);
    assert_eq!(end_of(&clone).await, stopped(5), "a wait consumes nothing");
}

async fn a_wait_for_what_is_over_answers_at_once(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.spec("/bin/true")).await;
    end_of(&handle).await;
    let again = futures_util::FutureExt::now_or_never(handle.wait());
    assert_eq!(again, Some(Ok(stopped(0))));
}

async fn changed_is_the_next_change_after_the_call(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sleeper()).await;
    let mut changed = Box::pin(handle.changed());
    begin(changed.as_mut());
    let stop = handle.kill();
    let (next, ended) = within("a change and the end", async { tokio::join!(changed, stop) }).await;
    assert_ne!(next.expect("the manager is there").kind(), StatusKind::Running);
    ended.expect("it ends");
    let after = futures_util::FutureExt::now_or_never(handle.changed());
    assert_eq!(after, None, "nothing follows an end");
}

async fn a_watch_gives_the_newest_and_every_end(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sleeper()).await;
    let mut watch = handle.watch();
    assert_eq!(watch.status().kind(), StatusKind::Running);
    within("a kill", handle.kill()).await.expect("it ends");
    assert_eq!(watch.status(), killed(procunit::signal::Signal::KILL), "what was between is skipped");
    let last = within("the change", watch.changed()).await.expect("the manager is there");
    assert!(last.is_exit());
}

async fn a_dropped_handle_changes_nothing(bed: &Bed) {
    let manager = bed.manager().await;
    let mut proc = Talking::spawn(&manager, bed.sh("echo up; exec sleep 600")).await;
    proc.says("up").await;
    let id = proc.handle.id().clone();
    drop(proc);
    let again = within("a look", manager.get(&id)).await.expect("it is held");
    assert_eq!(again.id(), &id);
    clear(&again).await;
}

async fn a_life_is_recorded_transition_by_transition(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let handle = spawn(&manager, bed.sleeper().lifetime(lifetime)).await;
        within("a stop", handle.terminate(None, "the test")).await.expect("it ends");
        let report = within("a report", handle.report()).await.expect("a record");
        let moves = &report.transitions;
        assert!(moves.iter().map(|moved| moved.seq).eq(0..u64::try_from(moves.len()).expect("a few")));
        assert!(moves.is_sorted_by_key(|moved| moved.at), "{moves:?}");
        assert!(moves.iter().all(|moved| moved.run == handle.run()), "{moves:?}");
        assert!(moves.windows(2).all(|pair| pair[0].to.kind() == pair[1].from), "{moves:?}");
        let kinds: Vec<_> = moves.iter().map(|moved| (moved.from, moved.to.kind())).collect();
        let expected = [StatusKind::Starting, StatusKind::Running, StatusKind::Stopping, StatusKind::Killed];
        assert!(kinds.iter().copied().eq(expected.windows(2).map(|pair| (pair[0], pair[1]))), "{kinds:?}");
        assert_eq!((moves[0].cause, moves[2].cause), (Cause::Exec, Cause::Exit));
        clear(&handle).await;
    }
}

/// Every transition until the end, none of which may be lost.
async fn read(mut events: ProcEvents) -> Vec<Transition> {
    let mut all = Vec::new();
    while let Some(event) = within("an event", events.next()).await {
        match event {
            ProcEvent::Transition(transition) => all.push(transition),
            ProcEvent::Lost(count) => panic!("lost {count}"),
        }
    }
    all
}

async fn events_are_every_transition_in_order_for_who_is_early_and_who_is_late(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let handle = spawn(&manager, bed.sleeper().lifetime(lifetime)).await;
        let early = read(handle.events());
        let stop = handle.terminate(None, "the test");
        let (early, ended) = within("the events", async { tokio::join!(early, stop) }).await;
        assert_eq!(early.last().map(|last| &last.to), Some(&ended.expect("it ends")));
        assert_eq!(read(handle.events()).await, early, "who comes late gets the same");
        let report = within("a report", handle.report()).await.expect("a record");
        assert_eq!(report.transitions, early);
        clear(&handle).await;
    }
}

async fn who_reads_events_slowly_or_not_at_all_holds_up_nobody(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sh("exit 3")).await;
    let unread = handle.events();
    let unread_of_many = join_all((0..100).map(|_| async { handle.clone().events() })).await;
    assert_eq!(end_of(&handle).await, stopped(3));
    within("nothing left", handle.gone()).await.expect("it goes");
    // Whether it was seen running depends on how fast it was over.
    let all = read(unread).await;
    assert_eq!(
        (all[0].seq, all.last().map(|last| &last.to)),
        (0, Some(&stopped(3))),
        "it is all still there"
    );
    drop(unread_of_many);
}

async fn events_end_with_the_manager(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sleeper()).await;
    let events = handle.events();
    drop(manager);
    let all = read(events).await;
    assert!(all.iter().all(|moved| !moved.to.is_exit()), "nobody saw it end: {all:?}");
}

async fn one_that_declares_no_readiness_says_so_at_once(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sleeper()).await;
    let answer = futures_util::FutureExt::now_or_never(handle.ready());
    assert_eq!(answer, Some(Err(ReadyError::NotDeclared)));
    let end = within("a kill", handle.kill()).await.expect("it ends");
    let answer = futures_util::FutureExt::now_or_never(handle.ready());
    assert_eq!(answer, Some(Err(ReadyError::Terminal(end))));
}

async fn a_wait_on_a_manager_that_is_gone_says_so(bed: &Bed) {
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sleeper()).await;
    drop(manager);
    assert_eq!(within("an answer", handle.wait()).await, Err(WaitError::Closed));
    assert!(within("an answer", handle.report()).await.is_none());
    assert!(within("an answer", handle.kill()).await.is_err());
}
