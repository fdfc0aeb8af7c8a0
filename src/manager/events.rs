//! Every transition of one proc in order: read from the history that the manager's task writes.
//!
//! A reader keeps nothing but its place in it, so that one that never reads costs nothing: the history is bounded, and
//! who falls behind it is told how much was lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::handle::View;
use crate::status::history::{History, Transition};

/// The transitions of one proc. Its manager's task writes it, and nobody else.
#[derive(Debug, Clone, Default)]
pub(super) struct Log(Arc<Mutex<History>>);

impl Log {
    pub(super) fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a reader of [`ProcEvents`] gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcEvent {
    /// The status moved.
    Transition(Transition),
    /// So many transitions were dropped before this reader came to them; the next one follows.
    Lost(u64),
}

/// The transitions of one proc, in order, from the oldest that is kept
/// ([`TRANSITIONS_KEPT`](crate::spec::defaults::TRANSITIONS_KEPT)).
///
/// Dropping it changes nothing.
#[derive(Debug, Clone)]
pub struct ProcEvents {
    log: Log,
    view: watch::Receiver<View>,
    /// The `seq` of the next transition to give.
    next: u64,
    over: bool,
}

impl ProcEvents {
    pub(super) fn new(log: Log, view: watch::Receiver<View>, next: u64) -> Self {
        Self { log, view, next, over: false }
    }

    /// The next event; `None` after the end of the proc, or where the manager is gone.
    ///
    /// Cancel safe: nothing is lost where the future is dropped.
    pub async fn next(&mut self) -> Option<ProcEvent> {
        let mut closed = false;
        while !self.over {
            if let Some(event) = self.take() {
                return Some(event);
            }
            if closed {
                break;
            }
            // The task writes first and tells then: what it told of is there, also when it is gone itself.
            closed = self.view.changed().await.is_err();
        }
        None
    }

    /// The next event that is there already.
    fn take(&mut self) -> Option<ProcEvent> {
        let log = self.log.lock();
        let oldest = log.dropped();
        if self.next < oldest {
            let lost = oldest - self.next;
            self.next = oldest;
            return Some(ProcEvent::Lost(lost));
        }
        let transition = log.get(self.next)?.clone();
        self.next += 1;
        self.over |= transition.to.is_exit();
        Some(ProcEvent::Transition(transition))
    }
}
