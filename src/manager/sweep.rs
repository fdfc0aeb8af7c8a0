//! Ends what the main process of a detached proc left behind.
//!
//! A detached unit stays up when its main process is over, and its other processes live on in it. Stopping the
//! unit would end them, and would lose the exit status with them: exit 0 and death by TERM are forgotten
//! (measured, 252). So they are signalled, and the unit stays to be read.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::launcher::{ProcRun, Target};
use crate::signal::Signal;
use crate::spec::defaults;

/// How often the processes left are looked at. No signal tells when the last one goes.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Ends every process of an ended proc: TERM and CONT now, SIGKILL after `grace`. The error is what outlived that;
/// none where it cannot be told.
pub(super) async fn sweep(run: &dyn ProcRun, grace: Duration) -> Result<(), Vec<u32>> {
    if run.processes().await.is_some_and(|left| left.is_empty()) {
        return Ok(());
    }
    // A process that went in between is no fault; what is left is what counts.
    let _ = run.signal(Signal::TERM, Target::Tree).await;
    let _ = run.signal(Signal::CONT, Target::Tree).await;
    if empty_within(run, grace).await.is_ok() {
        return Ok(());
    }
    let _ = run.kill().await;
    let swept = empty_within(run, defaults::KILL_WAIT).await;
    if let Err(pids) = &swept {
        tracing::warn!(unit = ?run.unit(), ?pids, "what the main process left is still there after SIGKILL");
    }
    swept
}

async fn empty_within(run: &dyn ProcRun, bound: Duration) -> Result<(), Vec<u32>> {
    let until = Instant::now() + bound;
    loop {
        let left = run.processes().await;
        if left.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(left.unwrap_or_default());
        }
        sleep(LOOK_EVERY).await;
    }
}
