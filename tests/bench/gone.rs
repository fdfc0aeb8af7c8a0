//! Nothing of a live set is left when the next one starts.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use procunit::bus::{Bus, BusAddress, Connected};
use procunit::id::{TieName, UnitName};

/// Whatever the peers make. Slices that systemd makes by itself stay while it runs, and are not ours.
const PATTERNS: [&str; 5] = [
    UnitName::PATTERN,
    TieName::PATTERN,
    "app-procunit_*.slice",
    "app-procbench_*.slice",
    "procbench-*.service",
];

/// The longest that ending a set may take after the last call.
const BOUND: Duration = Duration::from_secs(60);

/// Runs one measurement, and waits until nothing of it is left.
pub(crate) async fn alone<T>(measurement: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    wait().await?;
    let measured = measurement.await;
    wait().await?;
    measured
}

/// Ends what would outlive a bench that was broken off: everything else is tied to a process of it.
pub(crate) fn sweep() -> anyhow::Result<()> {
    let mut stop = Command::new("systemctl");
    stop.args(["--user", "stop", "app-procbench_*.slice", "procbench-*.service"]);
    let status = stop.status().context("cannot run systemctl")?;
    ensure!(status.success(), "{stop:?}: {status}");
    Ok(())
}

/// Waits until no unit of any peer is in the manager's memory.
async fn wait() -> anyhow::Result<()> {
    let Connected { bus, .. } = Bus::connect(BusAddress::from_env()?).await?;
    let until = Instant::now() + BOUND;
    loop {
        let left = left(&bus).await?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < until, "still there after {BOUND:?}: {}", left.join(", "));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn left(bus: &Bus) -> anyhow::Result<Vec<String>> {
    let mut left = Vec::new();
    for pattern in PATTERNS {
        left.extend(bus.list(pattern).await?.into_iter().map(|unit| unit.name));
    }
    Ok(left)
}
