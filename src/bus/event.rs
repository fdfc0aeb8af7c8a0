//! What the bus room tells, and the queue it tells it through.
//!
//! The queue never makes the reader of the bus wait, and its memory is bounded all the same: for each tracked
//! unit it keeps at most [`PER_UNIT`] events, and then the newest replaces the one before it, so that a slow
//! consumer misses the middle and never the last picture; of the events about the connection it keeps the newest of each
//! kind.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::id::UnitName;
use crate::status::snapshot::Snapshot;

/// How many events of one unit wait at most. A run of a program has six or seven.
pub const PER_UNIT: usize = 16;

/// Something that was seen on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all events are the large one; a box would cost each of them"
)]
pub enum BusEvent {
    /// A tracked unit changed: both halves of systemd's signal, put together. `LoadState` is never in it.
    Changed(UnitName, Snapshot),
    /// A job of a tracked unit is over.
    JobRemoved {
        /// The job's id.
        id: u32,
        /// Its unit.
        unit: UnitName,
        /// systemd's word for how it ended, such as `done` or `failed`.
        result: String,
    },
    /// A connection was lost, and signals may have been missed. Unless it was only the one for signals, calls
    /// fail and this client's references are gone until [`BusEvent::Reconnected`].
    Disconnected {
        /// What it ended with.
        why: String,
    },
    /// The connections, the matches and the references on units are back. What happened in between was not
    /// seen: look at each unit again.
    Reconnected,
    /// The user manager left the bus.
    ManagerLost,
    /// A user manager is on the bus again, the same after a re-execution or another one: look at each unit again.
    ManagerBack,
}

impl BusEvent {
    fn unit(&self) -> Option<&UnitName> {
        match self {
            Self::Changed(unit, _) | Self::JobRemoved { unit, .. } => Some(unit),
            Self::Disconnected { .. } | Self::Reconnected | Self::ManagerLost | Self::ManagerBack => None,
        }
    }
}

/// The sending end of the queue.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<BusEvent>,
    /// How many of them each unit has.
    waiting: HashMap<UnitName, usize>,
    closed: bool,
}

impl Mailbox {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is whole at every point where a panic could leave the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `event` in; never waits.
    pub(super) fn push(&self, event: BusEvent) {
        self.queue().push(event);
        self.arrived.notify_one();
    }

    /// Forgets what waits of `unit`.
    pub(super) fn forget(&self, unit: &UnitName) {
        let mut queue = self.queue();
        if queue.waiting.remove(unit).is_some() {
            queue.events.retain(|event| event.unit() != Some(unit));
        }
    }

    /// Says that nothing more comes.
    pub(super) fn close(&self) {
        self.queue().closed = true;
        self.arrived.notify_one();
    }
}

impl Queue {
    fn push(&mut self, event: BusEvent) {
        if self.makes_way(&event) {
            self.events.push_back(event);
        } else if matches!(event, BusEvent::JobRemoved { .. }) {
            // A picture is never lost for it: the newest says how the unit is.
        } else if let Some(last) = self.events.iter_mut().rev().find(|last| last.unit() == event.unit()) {
            *last = event;
        }
    }

    /// Counts the event in. False where it is to replace the newest one of its unit.
    fn makes_way(&mut self, event: &BusEvent) -> bool {
        let Some(unit) = event.unit() else {
            let kind = std::mem::discriminant(event);
            self.events.retain(|old| std::mem::discriminant(old) != kind);
            return true;
        };
        match self.waiting.get_mut(unit) {
            Some(&mut PER_UNIT) => return false,
            Some(waiting) => *waiting += 1,
            None => drop(self.waiting.insert(unit.clone(), 1)),
        }
        true
    }

    fn pop(&mut self) -> Option<BusEvent> {
        let event = self.events.pop_front()?;
        if let Some(unit) = event.unit()
            && let Some(waiting) = self.waiting.get_mut(unit)
        {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting.remove(unit);
            }
        }
        Some(event)
    }
}

/// The receiving end: what the bus room saw, in order.
#[derive(Debug)]
pub struct Events(pub(super) std::sync::Arc<Mailbox>);

impl Events {
    /// The next event; `None` once the last [`super::Bus`] is gone and everything was read. Cancel safe.
    pub async fn recv(&mut self) -> Option<BusEvent> {
        loop {
            {
                let mut queue = self.0.queue();
                if let Some(event) = queue.pop() {
                    return Some(event);
                }
                if queue.closed {
                    return None;
                }
            }
            // A push between the look above and this wait has left a permit behind.
            self.0.arrived.notified().await;
        }
    }

    /// The next event, if one is there.
    pub fn try_recv(&mut self) -> Option<BusEvent> {
        self.0.queue().pop()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::ProcId;
    use crate::status::snapshot::ServiceSide;

    fn unit(name: &str) -> UnitName {
        UnitName::for_proc(&ProcId::new(name).unwrap())
    }

    fn changed(name: &str, pid: u32) -> BusEvent {
        let service = ServiceSide { main_pid: Some(pid), ..ServiceSide::default() };
        BusEvent::Changed(unit(name), Snapshot { service, ..Snapshot::default() })
    }

    fn drain(events: &mut Events) -> Vec<BusEvent> {
        std::iter::from_fn(|| events.try_recv()).collect()
    }

    fn pair() -> (Arc<Mailbox>, Events) {
        let mailbox = Arc::new(Mailbox::default());
        (Arc::clone(&mailbox), Events(mailbox))
    }

    #[test]
    fn a_slow_consumer_misses_the_middle_and_never_the_end() {
        let (mailbox, mut events) = pair();
        for pid in 0..1_000 {
            mailbox.push(changed("a", pid));
        }
        let seen = drain(&mut events);
        assert_eq!(seen.len(), PER_UNIT);
        assert_eq!(seen.first(), Some(&changed("a", 0)));
        assert_eq!(seen.last(), Some(&changed("a", 999)));
    }

    #[test]
    fn events_of_several_units_keep_their_order() {
        let (mailbox, mut events) = pair();
        let sent =
            [changed("a", 1), changed("b", 1), changed("a", 2), BusEvent::ManagerLost, changed("b", 2)];
        for event in sent.clone() {
            mailbox.push(event);
        }
        assert_eq!(drain(&mut events), sent);
    }

    #[test]
    fn a_bus_that_comes_and_goes_leaves_the_newest_of_each_kind() {
        let (mailbox, mut events) = pair();
        let lost = |why: &str| BusEvent::Disconnected { why: why.to_owned() };
        for round in 0..100 {
            mailbox.push(lost(&round.to_string()));
            mailbox.push(BusEvent::Reconnected);
        }
        mailbox.push(lost("last"));
        assert_eq!(drain(&mut events), [BusEvent::Reconnected, lost("last")]);
    }

    #[test]
    fn what_was_forgotten_is_not_told() {
        let (mailbox, mut events) = pair();
        mailbox.push(changed("a", 1));
        mailbox.push(changed("b", 1));
        mailbox.forget(&unit("a"));
        mailbox.push(changed("a", 2));
        assert_eq!(drain(&mut events), [changed("b", 1), changed("a", 2)]);
    }

    #[tokio::test]
    async fn the_end_comes_after_what_was_told_before_it() {
        let (mailbox, mut events) = pair();
        mailbox.push(changed("a", 1));
        mailbox.close();
        assert_eq!(events.recv().await, Some(changed("a", 1)));
        assert_eq!(events.recv().await, None);
    }
}
