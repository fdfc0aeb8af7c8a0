//! What holds of a machine whatever it is told.

use crate::status::exit::Exit;
use crate::status::machine::{Event, Machine, Step};
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

/// A machine with everything it was told, held to its rules at each step.
pub(super) struct Judged {
    pub(super) machine: Machine,
    told: Vec<Event>,
    moves: u64,
    up_since: Option<Timestamp>,
}

impl Judged {
    pub(super) fn new() -> Self {
        Self { machine: Machine::new(), told: Vec::new(), moves: 0, up_since: None }
    }

    pub(super) fn after(events: impl IntoIterator<Item = Event>) -> Self {
        let mut judged = Self::new();
        for event in events {
            judged.step(event);
        }
        judged
    }

    pub(super) fn step(&mut self, event: Event) -> Step {
        let before = self.machine.status().clone();
        self.told.push(event.clone());
        let step = self.machine.step(event, at(1_000_000));
        let after = self.machine.status();
        match &step {
            Step::Moved(moved) => {
                assert_eq!((moved.seq, moved.from, &moved.to), (self.moves, before.kind(), after));
                assert!(may_move(before.kind(), after.kind()), "{before} to {after}");
                assert_eq!(moved.run, self.machine.run());
                self.moves += 1;
            }
            Step::Stayed | Step::Refused(_) => assert_eq!(*after, before),
        }
        self.check_start();
        self.check_end();
        step
    }

    /// What Running first reported stands.
    fn check_start(&mut self) {
        if let Some(shown) = self.machine.status().started_at() {
            assert_eq!(shown, *self.up_since.get_or_insert(shown), "the start moved");
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
