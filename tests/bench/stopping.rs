//! The end of many at once: `terminate_all` against one `systemctl --user stop` of everything that they lie in.
//!
//! systemctl's are launched by raw: the same properties in the same places, and a process that holds references to
//! them and hears their signals, but looks at none. Its command line names the slices, and one by one the units that
//! are in `app.slice` among the user's other programs, as nobody else may be stopped.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use procunit::id::{SliceName, UnitName};
use tokio::process::Command;

use crate::figures::Figure;
use crate::gone::alone;
use crate::held::Held;
use crate::hold::Role;
use crate::live::DEPTH;
use crate::plan::Stop;
use crate::results::Results;
use crate::table::{Row, Target, Unit};

pub(crate) async fn measure(plan: &Stop, results: &mut Results) -> anyhow::Result<()> {
    let mut pairs = Vec::new();
    for _ in 0..plan.rounds {
        pairs.push((alone(ours(plan.count)).await?, alone(theirs(plan.count)).await?));
    }
    let ours = Figure::of(pairs.iter().map(|(ours, _)| *ours)).median;
    let theirs = Figure::of(pairs.iter().map(|(_, theirs)| *theirs)).median;
    results.table.push(Row {
        what: format!("terminate_all of {} / systemctl stop", plan.count),
        figure: Figure::of_ratios(pairs),
        unit: Unit::Ratio,
        target: Target::AtMost(1.5),
        ours: format!("{ours:.2} s"),
        theirs: format!("{theirs:.2} s"),
    });
    Ok(())
}

async fn ours(count: usize) -> anyhow::Result<f64> {
    let mut held = Held::start(Role::Library)?;
    held.launch(count, DEPTH).await?;
    let took = held.terminate_all().await?;
    held.end().await?;
    Ok(took)
}

async fn theirs(count: usize) -> anyhow::Result<f64> {
    let mut held = Held::start(Role::Raw)?;
    held.launch(count, DEPTH).await?;
    let names = names().await?;
    let began = Instant::now();
    let status = Command::new("systemctl").args(["--user", "stop"]).args(names).status().await;
    let took = began.elapsed();
    ensure!(status.context("cannot run systemctl")?.success(), "systemctl stop failed");
    held.end().await?;
    Ok(took.as_secs_f64())
}

/// The slices of all units there are, and the units that are in `app.slice`.
async fn names() -> anyhow::Result<Vec<String>> {
    let mut show = Command::new("systemctl");
    show.args(["--user", "show", "--property=Id,Slice", UnitName::PATTERN]);
    let shown = String::from_utf8(show.output().await.context("cannot run systemctl")?.stdout)?;
    let mut names: Vec<_> = shown.split("\n\n").filter_map(name).collect();
    names.sort_unstable();
    names.dedup();
    ensure!(!names.is_empty(), "systemctl shows no units");
    Ok(names)
}

fn name(unit: &str) -> Option<String> {
    let property = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name));
    let (id, slice) = (property("Id=")?, property("Slice=")?);
    Some(if slice == SliceName::app().as_str() { id } else { slice }.to_owned())
}
