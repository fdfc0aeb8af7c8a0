//! One held proc.

use std::sync::Arc;

use super::tree::Tree;
use crate::id::{InvocationId, UnitName};
use crate::launcher::{BoxFuture, DeliverError, ProcRun, Target};
use crate::signal::Signal;
use crate::status::details::UnitDetails;

/// A proc that this process started. What follows it goes on without this.
pub(super) struct NativeRun {
    tree: Arc<Tree>,
    stop_signal: Signal,
}

impl NativeRun {
    pub(super) fn new(tree: Arc<Tree>, stop_signal: Signal) -> Self {
        Self { tree, stop_signal }
    }

    fn signal_main(&self, signal: Signal) -> Result<(), DeliverError> {
        self.tree.leader().signal(signal).map_err(super::tree::failed)
    }
}

impl ProcRun for NativeRun {
    fn unit(&self) -> Option<&UnitName> {
        None
    }

    /// The stop signal to the session, then CONT, so that a stopped process sees it.
    fn stop(&self) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(async { self.tree.stop(&[self.stop_signal, Signal::CONT]).await })
    }

    /// Reaches what is left of the session also when the main process is over.
    fn kill(&self) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(self.tree.kill())
    }

    fn signal(&self, signal: Signal, to: Target) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(async move {
            match to {
                Target::Main => self.signal_main(signal),
                Target::Tree => self.tree.signal(&[signal]).await,
            }
        })
    }

    fn processes(&self) -> BoxFuture<'_, Option<Vec<u32>>> {
        Box::pin(async {
            let left = self.tree.processes().await.ok()?;
            Some(left.into_iter().map(|pid| pid.as_raw().cast_unsigned()).collect())
        })
    }

    /// Known once the main process is over: what it used, and those that it waited for. The memory is that of
    /// the largest of them, where it exceeds this process's own.
    fn details(&self) -> BoxFuture<'_, Option<UnitDetails>> {
        Box::pin(async {
            let leader = self.tree.leader();
            let usage = leader.usage()?;
            Some(UnitDetails {
                cpu_usage: Some(usage.cpu),
                memory_peak: leader.max_resident(),
                ..UnitDetails::default()
            })
        })
    }

    /// Nothing is kept of a proc that is over.
    fn discard(&self, _run: Option<InvocationId>) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn release(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
