//! The end of the manager itself.

use tokio::sync::oneshot;

use super::Task;
use crate::launcher::{AdoptError, LaunchError};
use crate::manager::message::Spawned;

impl Task {
    /// Launches and adopts nothing any more. What is on its way is answered as ever.
    pub(super) fn close(&mut self, reply: oneshot::Sender<()>) {
        self.closed = true;
        // They ask again, and are refused.
        self.queued.clear();
        let _ = reply.send(());
    }

    pub(super) fn finish(&mut self, reply: oneshot::Sender<()>) {
        self.closed = true;
        self.finishing.push(reply);
        self.settle_next();
    }

    /// Whether it was told to finish and nothing is under way any more. What could not be ended is left as it is.
    pub(super) fn is_finished(&self) -> bool {
        let under_way = || {
            let sweeps = || self.entries.values().any(|entry| entry.sweep.is_some());
            !self.launching.is_empty() || !self.adopting.is_empty() || !self.backlog.is_idle() || sweeps()
        };
        !self.finishing.is_empty() && !under_way()
    }

    /// The last thing it does.
    pub(super) fn part(mut self) {
        self.take_held_back();
        self.tell_what_is_known();
        for (_, reply) in self.launching.drain() {
            let _ = reply.send(Spawned::Done(Err(LaunchError::Closed)));
        }
        for (_, reply) in self.adopting.drain() {
            let _ = reply.send(Err(AdoptError::Closed));
        }
        for waiter in std::mem::take(&mut self.finishing) {
            let _ = waiter.send(());
        }
    }
}
