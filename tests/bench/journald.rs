//! journald's own part: it works on long after who wrote has ended, as a stream to it holds megabytes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::usage::Process;

/// For so long it must have done nothing.
const QUIET: Duration = Duration::from_millis(150);
const LOOK_EVERY: Duration = Duration::from_millis(10);
const BOUND: Duration = Duration::from_secs(180);

/// The one that serves this machine, or this bed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Journald(Process);

impl Journald {
    pub(crate) fn find() -> anyhow::Result<Self> {
        Process::named("systemd-journal").map(Self)
    }

    /// Milliseconds of processor time so far.
    pub(crate) fn cpu(self) -> anyhow::Result<f64> {
        self.0.cpu()
    }

    /// Waits until it has nothing to do, and says since when.
    pub(crate) fn rests(self) -> anyhow::Result<Instant> {
        let until = Instant::now() + BOUND;
        let (mut busy, mut cpu) = (Instant::now(), self.cpu()?);
        while busy.elapsed() < QUIET {
            sleep(LOOK_EVERY);
            let now = self.cpu()?;
            if now > cpu {
                (busy, cpu) = (Instant::now(), now);
            }
            ensure!(Instant::now() < until, "journald is still at work after {BOUND:?}");
        }
        Ok(busy)
    }
}
