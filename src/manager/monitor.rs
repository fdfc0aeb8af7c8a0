//! Exit monitors: a callback that is told of an end exactly once.

use std::sync::{Arc, Mutex, PoisonError};

use super::callbacks::Callbacks;
use crate::id::ProcId;
use crate::status::ProcStatus;

type Callback = Box<dyn FnOnce(ProcStatus) + Send>;

/// A callback that waits for the end of a proc, as its caller has it.
///
/// Dropping it changes nothing: the callback is still called.
#[derive(Debug)]
pub struct ExitMonitor(Slot);

impl ExitMonitor {
    /// Takes the callback back. True says that it was not called and never will be; false that it was called, or is
    /// about to be.
    pub fn cancel(self) -> bool {
        self.0.take().is_some()
    }
}

/// The callback, until it is called or cancelled: whoever takes it first.
#[derive(Clone)]
pub(super) struct Slot(Arc<Mutex<Option<Callback>>>);

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

impl Slot {
    fn take(&self) -> Option<Callback> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

/// A callback, as the caller has it and as the task does.
pub(super) fn monitor(callback: Callback) -> (ExitMonitor, Slot) {
    let slot = Slot(Arc::new(Mutex::new(Some(callback))));
    (ExitMonitor(slot.clone()), slot)
}

/// The callbacks that wait for one proc. Its end, once there is nothing left to clean up after it, is told to each.
#[derive(Debug, Default)]
pub(super) struct Monitors(Vec<Slot>);

impl Monitors {
    pub(super) fn add(&mut self, slot: Slot) {
        // Those that were cancelled are no more than that.
        self.0.retain(|slot| !slot.is_empty());
        self.0.push(slot);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells all of them, each once.
    pub(super) fn tell(&mut self, callbacks: &Callbacks, status: &ProcStatus) {
        for slot in std::mem::take(&mut self.0) {
            let status = status.clone();
            // Taken when it runs: until then it can be cancelled.
            callbacks.run(move || {
                if let Some(callback) = slot.take() {
                    callback(status);
                }
            });
        }
    }
}

/// Why there is nothing to monitor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// This manager neither launched nor adopted a proc of this id, or so long ago that its record is gone.
    #[error("no {id} was launched or adopted here; launch or adopt it first")]
    NeverLaunched {
        /// The id.
        id: ProcId,
    },
    /// It is over, and what was kept of it was thrown away.
    #[error("{id} is over and was reaped; launch it again first")]
    Reaped {
        /// The id.
        id: ProcId,
    },
    /// The manager is gone.
    #[error("the manager is gone")]
    Closed,
}
