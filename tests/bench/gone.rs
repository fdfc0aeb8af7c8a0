//! Nothing of a live set is left when the next one starts.

use std::time::{Duration, Instant};

use anyhow::ensure;
use procunit::bus::{Bus, BusAddress, Connected};
use procunit::id::{TieName, UnitName};

/// Whatever the peers make. Slices that systemd makes by itself stay while it runs, and are not ours.
const PATTERNS: [&str; 4] =
    [UnitName::PATTERN, TieName::PATTERN, "app-procunit_*.slice", "app-procbench_*.slice"];

/// The longest that ending a set may take after the last call.
const BOUND: Duration = Duration::from_secs(60);

/// Waits until no unit of any peer is in the manager's memory.
pub(crate) async fn wait() -> anyhow::Result<()> {
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
