//! The hold of a manager on a fake proc.

use super::proc::FakeProc;
use super::record::What;
use crate::id::{InvocationId, UnitName};
use crate::launcher::{BoxFuture, DeliverError, Facts, Left, ProcRun, Target};
use crate::signal::Signal;
use crate::status::details::UnitDetails;

pub(super) struct FakeRun {
    proc: FakeProc,
    hold: u64,
    unit: Option<UnitName>,
}

impl FakeRun {
    pub(super) fn new(proc: FakeProc, facts: Facts) -> Self {
        let unit = proc.tells_units().then(|| UnitName::for_proc(proc.id()));
        Self { hold: proc.hold(facts), unit, proc }
    }

    async fn deliver(&self, what: What) -> Result<(), DeliverError> {
        self.proc.record(what);
        let (answer, when) = self.proc.deliver(what);
        self.proc.wait(when).await;
        answer
    }

    /// A later run may have the id.
    fn is_it(&self, run: Option<InvocationId>) -> bool {
        run.is_none_or(|run| run == self.proc.run())
    }
}

impl Drop for FakeRun {
    fn drop(&mut self) {
        self.proc.record(What::Drop);
        self.proc.untie(self.hold);
    }
}

impl ProcRun for FakeRun {
    fn unit(&self) -> Option<&UnitName> {
        self.unit.as_ref()
    }

    fn stop(&self) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(self.deliver(What::Stop))
    }

    fn kill(&self) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(self.deliver(What::Kill))
    }

    fn signal(&self, signal: Signal, to: Target) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(self.deliver(What::Signal(signal, to)))
    }

    fn processes(&self) -> BoxFuture<'_, Option<Vec<u32>>> {
        Box::pin(async {
            self.proc.record(What::Look);
            self.proc.processes()
        })
    }

    fn left(&self, run: Option<InvocationId>) -> BoxFuture<'_, Option<Left>> {
        Box::pin(async move {
            self.proc.record(What::Look);
            if self.is_it(run) { self.proc.left() } else { Some(Left::Nothing) }
        })
    }

    fn details(&self) -> BoxFuture<'_, Option<UnitDetails>> {
        Box::pin(async {
            self.proc.record(What::Look);
            self.proc.details()
        })
    }

    fn discard(&self, run: Option<InvocationId>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.proc.record(What::Discard);
            if self.is_it(run) {
                self.proc.discard();
            }
        })
    }

    fn release(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.proc.record(What::Release);
            self.proc.release(self.hold);
        })
    }
}
