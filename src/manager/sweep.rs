//! Ends what the main process of a proc left behind, where nobody else does.
//!
//! A detached unit stays up when its main process is over, and its other processes live on in it. Stopping the
//! unit would end them, and would lose the exit status with them: exit 0 and death by TERM are forgotten
//! (measured, 252). So they are signalled, and the unit stays to be read.
//!
//! A unit is signalled by its name, which may be another run's at any moment: before every signal is looked whose it
//! is, and a unit that systemd is taking down itself is left to systemd, unless somebody set a deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::id::InvocationId;
use crate::launcher::{Left, ProcRun, Target};
use crate::signal::Signal;
use crate::spec::{StopPolicy, defaults};

/// How often the processes left are looked at. No signal tells when the last one goes.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// When what is left is made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Orders {
    /// When SIGKILL is due.
    pub(super) kill_at: Instant,
    /// Whether it is due also while the launcher is ending them itself, which has a deadline of its own.
    pub(super) insists: bool,
}

impl Orders {
    /// Both of two wishes: the earlier deadline of the more pressing one.
    fn and(self, other: Self) -> Self {
        match (self.insists, other.insists) {
            (true, false) => self,
            (false, true) => other,
            _ => Self { kill_at: self.kill_at.min(other.kill_at), ..self },
        }
    }
}

/// A sweep under way; dropped, it is broken off.
pub(super) struct Sweep {
    orders: watch::Sender<Orders>,
    task: AbortHandle,
}

impl Sweep {
    /// Begins, and tells `done` what came of it. The error is what outlived it all; none where it cannot be told.
    pub(super) fn start(
        swept: Swept,
        orders: Orders,
        done: impl FnOnce(Result<(), Vec<u32>>) + Send + 'static,
    ) -> Self {
        let (orders, taken) = watch::channel(orders);
        let task = tokio::spawn(async move { done(sweep(&swept, taken).await) }).abort_handle();
        Self { orders, task }
    }

    /// Joins another wish.
    pub(super) fn join(&self, other: Orders) {
        self.orders.send_modify(|orders| *orders = orders.and(other));
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is swept.
pub(super) struct Swept {
    pub(super) run: Arc<dyn ProcRun>,
    pub(super) invocation: Option<InvocationId>,
    pub(super) stop: StopPolicy,
    /// Whether this manager asks them to end. What is left of an attached proc its launcher has asked already.
    pub(super) asks: bool,
}

/// Asks them to end now, and makes them end when the orders say so.
async fn sweep(swept: &Swept, orders: watch::Receiver<Orders>) -> Result<(), Vec<u32>> {
    let began = Instant::now();
    let (mut asked, mut killed_at) = (!swept.asks, None);
    loop {
        let left = timeout(defaults::KILL_WAIT, swept.run.left(swept.invocation)).await.ok().flatten();
        let (now, orders) = (Instant::now(), *orders.borrow());
        let ours = match left {
            Some(Left::Nothing) => return Ok(()),
            Some(Left::Staying) | None => true,
            Some(Left::Ending) => orders.insists,
        };
        if left.is_some() && ours && now >= orders.kill_at && killed_at.is_none() {
            // A process that went in between is no fault; what is left is what counts.
            let _ = timeout(defaults::KILL_WAIT, swept.run.kill()).await;
            (asked, killed_at) = (true, Some(now));
        } else if left == Some(Left::Staying) && !asked {
            asked = true;
            // Whether it is answered or not: SIGKILL is not put off.
            let _ = timeout_at(orders.kill_at, ask(swept)).await;
        }
        let until = if ours { killed_at.unwrap_or(orders.kill_at) } else { began + swept.stop.backstop };
        if now >= until + defaults::KILL_WAIT {
            return Err(survivors(&*swept.run).await);
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn ask(swept: &Swept) {
    for signal in [swept.stop.signal, Signal::CONT] {
        let _ = swept.run.signal(signal, Target::Tree).await;
    }
}

async fn survivors(run: &dyn ProcRun) -> Vec<u32> {
    let pids = run.processes().await.unwrap_or_default();
    tracing::warn!(unit = ?run.unit(), ?pids, "what the main process left is still there");
    pids
}
