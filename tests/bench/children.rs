//! Child processes: the native launcher against bare `tokio::process`, from the wish to the exit status.

use crate::figures::Figure;
use crate::native;
use crate::plan::Native;
use crate::results::Results;
use crate::table::{Row, Target, Unit};

/// How many are under way at a time.
const IN_FLIGHT: usize = 64;

pub(crate) async fn measure(plan: &Native, results: &mut Results) -> anyhow::Result<()> {
    let mut pairs = Vec::new();
    for _ in 0..plan.rounds {
        let ours = native::rate(plan.count, IN_FLIGHT).await?;
        pairs.push((ours, native::bare_rate(plan.count, IN_FLIGHT).await?));
    }
    let ours = Figure::of(pairs.iter().map(|(ours, _)| *ours)).median;
    let theirs = Figure::of(pairs.iter().map(|(_, theirs)| *theirs)).median;
    results.table.push(Row {
        what: format!("{} x /bin/true, native: rate / tokio::process", plan.count),
        figure: Figure::of_ratios(pairs),
        unit: Unit::Ratio,
        target: Target::AtLeast(0.9),
        ours: format!("{ours:.0}/s at {IN_FLIGHT}"),
        theirs: format!("{theirs:.0}/s at {IN_FLIGHT}"),
    });
    Ok(())
}
