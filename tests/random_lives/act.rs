//! What can happen: values, drawn at random.

use std::time::Duration;

use procunit::launcher::DeliverError;
use procunit::launcher::fake::{Reaction, Script, When};
use procunit::signal::Signal;
use procunit::spec::Lifetime;
use procunit::status::exit::Exit;
use proptest::prelude::*;

/// Few ids, so that runs of the same one meet.
pub(crate) const IDS: [&str; 3] = ["a", "b", "c"];

/// One thing that happens. The number is the id's.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Launch it; this is what it will do.
    Spawn {
        id: usize,
        script: Box<Script>,
        lifetime: Lifetime,
        caller: Caller,
    },
    /// Somebody else starts it, where there is none.
    Place(usize),
    Adopt(usize),
    Terminate(usize, Duration),
    RequestStop(usize, Duration),
    TerminateAll(Duration),
    Kill(usize),
    Signal(usize, Signal),
    Wait(usize),
    Gone(usize),
    Report(usize),
    Monitor {
        id: usize,
        cancel: bool,
    },
    Reap(usize),
    /// The main process ends.
    End(usize, Exit),
    LeftoversEnd(usize),
    Vanish(usize),
    Ready(usize),
    /// An answer that was held back goes.
    Answer(usize),
    Disconnect,
    Reconnect,
    /// Time passes.
    Pass(Duration),
}

/// What becomes of who asked for a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// It keeps the handle.
    Stays,
    /// It drops the handle at once.
    DropsHandle,
    /// It goes away before it has an answer.
    GoesAway,
}

pub(crate) fn acts() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(act(), 1..60)
}

fn act() -> impl Strategy<Value = Act> {
    let id = || 0..IDS.len();
    prop_oneof![
        6 => (id(), script(), lifetime(), caller())
            .prop_map(|(id, script, lifetime, caller)| Act::Spawn { id, script: Box::new(script), lifetime, caller }),
        1 => id().prop_map(Act::Place),
        2 => id().prop_map(Act::Adopt),
        3 => (id(), span()).prop_map(|(id, grace)| Act::Terminate(id, grace)),
        1 => (id(), span()).prop_map(|(id, grace)| Act::RequestStop(id, grace)),
        1 => span().prop_map(Act::TerminateAll),
        2 => id().prop_map(Act::Kill),
        1 => (id(), signal()).prop_map(|(id, signal)| Act::Signal(id, signal)),
        2 => id().prop_map(Act::Wait),
        1 => id().prop_map(Act::Gone),
        1 => id().prop_map(Act::Report),
        3 => (id(), any::<bool>()).prop_map(|(id, cancel)| Act::Monitor { id, cancel }),
        2 => id().prop_map(Act::Reap),
        4 => (id(), exit()).prop_map(|(id, exit)| Act::End(id, exit)),
        1 => id().prop_map(Act::LeftoversEnd),
        1 => id().prop_map(Act::Vanish),
        1 => id().prop_map(Act::Ready),
        2 => id().prop_map(Act::Answer),
        1 => Just(Act::Disconnect),
        2 => Just(Act::Reconnect),
        5 => span().prop_map(Act::Pass),
    ]
}

/// From nothing to longer than any deadline.
fn span() -> impl Strategy<Value = Duration> {
    let milliseconds = prop_oneof![Just(0), 1..50_u64, 50..3_000_u64, 3_000..100_000_u64];
    milliseconds.prop_map(Duration::from_millis)
}

fn exit() -> impl Strategy<Value = Exit> {
    prop_oneof![
        any::<u8>().prop_map(Exit::Code),
        (signal(), any::<bool>()).prop_map(|(signal, core_dumped)| Exit::Signal { signal, core_dumped }),
    ]
}

fn signal() -> impl Strategy<Value = Signal> {
    prop_oneof![
        Just(Signal::TERM),
        Just(Signal::KILL),
        Just(Signal::CONT),
        Just(Signal::HUP),
        Just(Signal::SEGV)
    ]
}

fn lifetime() -> impl Strategy<Value = Lifetime> {
    prop_oneof![2 => Just(Lifetime::Attached), 1 => Just(Lifetime::Detached)]
}

fn caller() -> impl Strategy<Value = Caller> {
    prop_oneof![4 => Just(Caller::Stays), 1 => Just(Caller::DropsHandle), 1 => Just(Caller::GoesAway)]
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![3 => Just(When::Now), 2 => span().prop_map(When::After), 1 => Just(When::Told)]
}

fn reaction() -> impl Strategy<Value = Reaction> {
    let effect = prop_oneof![
        3 => Just(Reaction::obey()),
        2 => exit().prop_map(Reaction::end),
        2 => Just(Reaction::ignore()),
        1 => Just(Reaction::fail(|| DeliverError::Failed("scripted".into()))),
    ];
    let one =
        (effect, span(), when()).prop_map(|(reaction, after, when)| reaction.after(after).answers(when));
    prop::collection::vec(one, 1..3)
        .prop_map(|chain| chain.into_iter().rev().reduce(|next, one| one.then(next)).unwrap_or_default())
}

fn script() -> impl Strategy<Value = Script> {
    let ends = prop::option::of((span(), exit()));
    let reactions = (reaction(), reaction(), reaction());
    (when(), ends, reactions, 0..3_usize).prop_map(|(when, ends, (on_stop, on_kill, on_signal), leaves)| {
        let script = Script::new().answers(when).leaves(leaves).tells_ready();
        let script = script.on_stop(on_stop).on_kill(on_kill).on_signal(on_signal);
        ends.into_iter().fold(script, |script, (after, exit)| script.ends(after, exit))
    })
}
