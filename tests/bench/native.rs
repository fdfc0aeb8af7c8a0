//! Child processes: the native launcher against bare `tokio::process`, from the wish to the exit status.

use anyhow::ensure;
use futures_util::{StreamExt, stream};
use procunit::ProcManager;
use procunit::launcher::native::NativeLauncher;

use crate::figures::Figure;
use crate::plan::Native;
use crate::results::Results;
use crate::table::{Row, Target, Unit};
use crate::work::{Work, per_second};
use crate::{child, library};

/// How many are under way at a time.
const DEPTH: usize = 64;

pub(crate) async fn measure(plan: &Native, results: &mut Results) -> anyhow::Result<()> {
    let work = Work::short(plan.count);
    let mut pairs = Vec::new();
    for _ in 0..plan.rounds {
        pairs.push((rate(&work).await?, child::rate(work, DEPTH).await?));
    }
    let ours = Figure::of(pairs.iter().map(|(ours, _)| *ours)).median;
    let theirs = Figure::of(pairs.iter().map(|(_, theirs)| *theirs)).median;
    results.table.push(Row {
        what: format!("{} x {}, native: rate / tokio::process", work.count, work.program),
        figure: Figure::of_ratios(pairs),
        unit: Unit::Ratio,
        target: Target::AtLeast(0.9),
        ours: format!("{ours:.0}/s at {DEPTH}"),
        theirs: format!("{theirs:.0}/s at {DEPTH}"),
    });
    Ok(())
}

/// Programs a second, from the wish to the status of each.
async fn rate(work: &Work) -> anyhow::Result<f64> {
    let (set, manager) = (Work::set(), ProcManager::new(NativeLauncher::new()?));
    let specs: Vec<_> =
        (0..work.count).map(|index| library::spec(work, set, index)).collect::<Result<_, _>>()?;
    let runs = stream::iter(specs).map(|spec| async {
        let end = manager.spawn(spec).await?.wait().await?;
        ensure!(end.to_string() == "Stopped(exit=0)", "it is {end}");
        Ok(())
    });
    Ok(per_second(runs, DEPTH).await?.0)
}
