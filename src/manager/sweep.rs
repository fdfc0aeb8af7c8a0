//! Ends what the main process of a detached proc left behind.
//!
//! A detached unit stays up when its main process is over, and its other processes live on in it. Stopping the
//! unit would end them, and would lose the exit status with them: exit 0 and death by TERM are forgotten
//! (measured, 252). So they are signalled, and the unit stays to be read.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::launcher::{Facts, ProcRun, Target};
use crate::signal::Signal;
use crate::spec::defaults;
use crate::status::machine::Event;

/// How often the processes left are looked at. No signal tells when the last one goes.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Ends every process of an ended proc: TERM and CONT now, SIGKILL after `grace`. Tells when none is left.
pub(super) async fn sweep(run: Arc<dyn ProcRun>, grace: Duration, facts: Facts) {
    if empty(&*run).await {
        return facts.send(Event::TreeGone);
    }
    // A process that went in between is no fault; what is left is what counts.
    let _ = run.signal(Signal::TERM, Target::Tree).await;
    let _ = run.signal(Signal::CONT, Target::Tree).await;
    if !empty_within(&*run, grace).await {
        let _ = run.kill().await;
        if !empty_within(&*run, defaults::KILL_WAIT).await {
            return tracing::warn!(unit = ?run.unit(), "processes that the main process left are still there");
        }
    }
    facts.send(Event::TreeGone);
}

async fn empty_within(run: &dyn ProcRun, bound: Duration) -> bool {
    let until = Instant::now() + bound;
    loop {
        if empty(run).await {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn empty(run: &dyn ProcRun) -> bool {
    run.processes().await.is_some_and(|pids| pids.is_empty())
}
