//! What holds of a machine whatever it is told.

use crate::status::exit::Exit;
use crate::status::history::{Cause, Transition};
use crate::status::machine::{Event, Machine, Restarts, Step};
use crate::status::snapshot::Snapshot;
use crate::status::{FailReason, ProcStatus, StatusKind};
use crate::time::Timestamp;

use super::unit::at;

/// The moves there are, as contract.md lists them.
pub(super) const MOVES: [(StatusKind, &[StatusKind]); 7] = {
    use StatusKind::{Failed, Killed, Ready, Running, Starting, Stopped, Stopping};
    [
        (Starting, &[Running, Ready, Stopping, Stopped, Killed, Failed]),
        (Running, &[Ready, Stopping, Stopped, Killed, Failed]),
        (Ready, &[Stopping, Stopped, Killed, Failed]),
        (Stopping, &[Stopped, Killed, Failed]),
        (Stopped, &[]),
        (Killed, &[]),
        (Failed, &[]),
    ]
};

pub(super) fn may_move(from: StatusKind, to: StatusKind) -> bool {
    MOVES.iter().any(|(one, others)| *one == from && others.contains(&to))
}

/// What a restart policy adds.
fn may_start_again(from: StatusKind, to: StatusKind) -> bool {
    matches!((from, to), (StatusKind::Running | StatusKind::Ready, StatusKind::Starting))
}

/// A machine with everything it was told, held to its rules at each step.
pub(super) struct Judged {
    pub(super) machine: Machine,
    pub(super) moved: Vec<Transition>,
    told: Vec<Event>,
    /// What Running first reported, and of which run.
    up_since: Option<(u32, Timestamp)>,
}

impl Judged {
    pub(super) fn new() -> Self {
        Self::restarting(Restarts::Never)
    }

    pub(super) fn restarting(restarts: Restarts) -> Self {
        let machine = Machine::restarting(restarts);
        Self { machine, moved: Vec::new(), told: Vec::new(), up_since: None }
    }

    pub(super) fn tell(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        for event in events {
            self.step(event);
        }
        self
    }

    pub(super) fn after(events: impl IntoIterator<Item = Event>) -> Self {
        Self::new().tell(events)
    }

    pub(super) fn step(&mut self, event: Event) -> Step {
        let before = self.machine.status().clone();
        self.told.push(event.clone());
        let step = self.machine.step(event, at(1_000_000));
        self.check_moves(before, step.clone().into_transitions());
        self.check_start();
        self.check_end();
        self.check_runs();
        step
    }

    /// Each move follows the one before it, and the last leads where the machine is.
    fn check_moves(&mut self, mut before: ProcStatus, moves: Vec<Transition>) {
        for moved in moves {
            assert_eq!((moved.seq, moved.from), (self.moved.len() as u64, before.kind()));
            let again = self.machine.restarts_by() != Restarts::Never && moved.cause == Cause::Restart;
            let (from, to) = (before.kind(), moved.to.kind());
            assert!(may_move(from, to) || (again && may_start_again(from, to)), "{from} to {to}");
            assert_eq!(moved.run_end.is_some(), again, "the end of a run goes with what follows it");
            let of_a_run = self.machine.runs().any(|run| run.invocation_id == moved.run);
            assert!(of_a_run || moved.run.is_none() || self.machine.restarts() > 60, "{moved:?}");
            before = moved.to.clone();
            self.moved.push(moved);
        }
        assert_eq!(*self.machine.status(), before);
    }

    /// What Running first reported stands.
    fn check_start(&mut self) {
        // A stop that did not keep the next run from beginning is still on its way, as it was.
        let is_overtaken =
            self.machine.status().kind() == StatusKind::Stopping && self.machine.restarts() > 0;
        if let Some(shown) = self.machine.status().started_at().filter(|_| !is_overtaken) {
            let run = self.machine.restarts();
            let first = self.up_since.filter(|(of, _)| *of == run).unwrap_or((run, shown));
            assert_eq!(shown, first.1, "the start moved");
            self.up_since = Some(first);
            assert_eq!(self.machine.started_at(), Some(shown));
        }
    }

    /// An end is one that something told of this run carried.
    fn check_end(&self) {
        let carried = |event: &Event, exit: Exit| match event {
            Event::Snapshot(picture) => self.is_ours(picture) && exit_in(picture) == Some(exit),
            Event::Exited { exit: told, .. } => *told == exit,
            _ => false,
        };
        match self.machine.status() {
            ProcStatus::Failed { reason: FailReason::Setup { step } } => {
                let exit = Exit::Code(step.status());
                assert!(self.told.iter().any(|event| carried(event, exit)), "{step}: {:#?}", self.told);
            }
            status => {
                if let Some(exit) = status.exit() {
                    assert!(self.told.iter().any(|event| carried(event, exit)), "{status}: {:#?}", self.told);
                }
            }
        }
    }

    /// The end of every run is one that a picture of that run carried, and none is told twice.
    fn check_runs(&self) {
        let runs: Vec<_> = self.machine.runs().collect();
        assert!(runs.is_sorted_by(|one, next| one.number < next.number), "{runs:#?}");
        for run in &runs {
            let Some(exit) = run.end.as_ref().and_then(ProcStatus::exit) else { continue };
            let carried = |event: &Event| match event {
                Event::Snapshot(picture) => {
                    picture.unit.invocation == run.invocation_id && exit_in(picture) == Some(exit)
                }
                Event::Exited { exit: told, .. } => *told == exit,
                _ => false,
            };
            assert!(self.told.iter().any(carried), "{run:?}: {:#?}", self.told);
        }
    }

    fn is_ours(&self, picture: &Snapshot) -> bool {
        picture.unit.invocation == self.machine.run()
            && picture.unit.load_state.as_deref() != Some("not-found")
    }
}

/// The exit that a picture carries, read a second time: by waitid(2)'s numbers alone.
fn exit_in(picture: &Snapshot) -> Option<Exit> {
    let (code, status) = (picture.service.exec_main_code?, picture.service.exec_main_status?);
    let signal = || status.try_into().ok();
    match code {
        1 => Some(Exit::Code(status.try_into().ok()?)),
        2 => Some(Exit::Signal { signal: signal()?, core_dumped: false }),
        3 => Some(Exit::Signal { signal: signal()?, core_dumped: true }),
        _ => None,
    }
}
