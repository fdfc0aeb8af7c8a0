//! Exit monitors: who is told of an end, and when.

use super::Task;
use crate::id::ProcId;
use crate::launcher::RunKey;
use crate::manager::entry::{Entry, Hold};
use crate::manager::monitor::{MonitorError, Slot};
use crate::status::{FailReason, Found, ProcStatus};

impl Task {
    pub(super) fn monitor(&mut self, id: ProcId, slot: Slot) -> Result<(), MonitorError> {
        let newest = self.newest.get(&id).copied();
        let Some((key, entry)) = newest.and_then(|key| Some((key, self.entries.get_mut(&key)?))) else {
            return Err(MonitorError::NeverLaunched { id });
        };
        match entry.hold {
            // Its caller has no answer yet, which may be that there is no such proc.
            Hold::Launching => return Err(MonitorError::NeverLaunched { id }),
            _ if entry.reaped => return Err(MonitorError::Reaped { id }),
            Hold::Held(_) | Hold::Relaunching(_) | Hold::Settling(_) | Hold::Settled { .. } => {
                entry.monitors.add(slot);
            }
        }
        match entry.hold {
            Hold::Settled { .. } => self.tell_monitors(key),
            // Somebody waits for it.
            Hold::Settling(_) => self.settle_now(key),
            Hold::Held(_) if entry.is_over() => self.look_for_leftovers(key),
            Hold::Held(_) | Hold::Relaunching(_) | Hold::Launching => {}
        }
        Ok(())
    }

    /// Tells an end to everybody who waits for it.
    pub(super) fn tell_monitors(&mut self, key: RunKey) {
        if let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.is_over()) {
            let status = entry.machine.status().clone();
            entry.monitors.tell(&self.callbacks, &status);
        }
    }

    /// What it left stays. Where that is being ended, what comes of it is waited for.
    pub(super) fn on_left_stays(&mut self, key: RunKey) {
        let ends = |entry: &Entry| entry.sweep.is_some() || entry.due_at().is_some();
        if !self.entries.get(&key).is_some_and(ends) {
            self.tell_monitors(key);
        }
    }

    /// Tells everybody who still waits, as the last thing this task does: what is not over will not be seen to end.
    pub(super) fn tell_what_is_known(&mut self) {
        let lost = ProcStatus::Failed { reason: FailReason::Lost { found: Found::NoLauncher } };
        for entry in self.entries.values_mut() {
            let status = if entry.is_over() { entry.machine.status().clone() } else { lost.clone() };
            entry.monitors.tell(&self.callbacks, &status);
        }
    }
}
