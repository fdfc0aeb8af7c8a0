//! Thousands that live at once: the rate at which they are launched, what their manager's process uses, and whether
//! it rests when nothing happens.

use std::time::Duration;

use crate::figures::Figure;
use crate::gone::alone;
use crate::held::Held;
use crate::hold::Role;
use crate::plan::Live;
use crate::results::{Curve, Results};
use crate::table::{Row, Target, Unit};
use crate::usage::{Cpu, EVERYBODY, Everybody, Process};

/// Launches under way at a time, of ours and of raw.
pub(crate) const DEPTH: usize = 8;

/// From the last launch to the first look at an idle manager: what comes late comes within a second.
const SETTLES: Duration = Duration::from_secs(3);

/// One process, from its first launch to its end.
struct Run {
    /// Launches a second, by step.
    rates: Vec<f64>,
    /// Resident MiB, by step.
    resident: Vec<f64>,
    /// Of a launch, by step.
    cpu: Vec<Cpu>,
    idle: Option<Idle>,
}

/// What the process did while nothing was asked of it.
struct Idle {
    switches: f64,
    /// In milliseconds.
    cpu: f64,
}

pub(crate) async fn measure(plan: &Live, results: &mut Results) -> anyhow::Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        let idle = (round == 0).then_some(plan.idle);
        ours.push(alone(run(plan, Role::Library, idle)).await?);
        theirs.push(alone(run(plan, Role::Raw, None)).await?);
    }
    let on_threads = alone(run(plan, Role::LibraryOnThreads, Some(plan.idle))).await?;
    rates(plan, &ours, &theirs, results);
    memory(plan, "", &ours, &theirs, results);
    memory(plan, ON_THREADS, std::slice::from_ref(&on_threads), &[], results);
    idle(plan, "", &ours, results);
    idle(plan, ON_THREADS, std::slice::from_ref(&on_threads), results);
    cpu(plan, &ours, &theirs, results);
    Ok(())
}

const ON_THREADS: &str = ", multi-thread runtime";

async fn run(plan: &Live, role: Role, idle: Option<Duration>) -> anyhow::Result<Run> {
    let mut held = Held::start(role)?;
    let everybody = Everybody::with(held.process).await?;
    let mut run = Run { rates: Vec::new(), resident: Vec::new(), cpu: Vec::new(), idle: None };
    for _ in 0..plan.steps {
        let before = everybody.cpu()?;
        run.rates.push(held.launch(plan.step, DEPTH).await?);
        run.cpu.push(everybody.cpu()?.less(before).by(plan.step));
        run.resident.push(held.process.resident_kib()? / 1024.0);
    }
    if let Some(span) = idle {
        run.idle = Some(rest(held.process, span).await?);
    }
    held.end().await?;
    // Long enough to be told what comes of it.
    eprintln!("{role:?}: {:.0?} a second", run.rates);
    Ok(run)
}

async fn rest(process: Process, span: Duration) -> anyhow::Result<Idle> {
    tokio::time::sleep(SETTLES).await;
    let (switches, cpu) = (process.switches()?, process.cpu()?);
    tokio::time::sleep(span).await;
    Ok(Idle { switches: process.switches()? - switches, cpu: process.cpu()? - cpu })
}

fn rates(plan: &Live, ours: &[Run], theirs: &[Run], results: &mut Results) {
    let ends = |run: &Run| (run.rates[plan.steps - 1], run.rates[0]);
    let shown = |runs: &[Run]| {
        let median = |at: usize| Figure::of(runs.iter().map(|run| run.rates[at])).median;
        let ratio = Figure::of_ratios(runs.iter().map(ends)).median;
        format!("{:.0}/s to {:.0}/s: {ratio:.2}", median(0), median(plan.steps - 1))
    };
    results.table.push(Row {
        what: format!("rate, last {} of {} live / first {0}", plan.step, plan.step * plan.steps),
        figure: Figure::of_ratios(ours.iter().map(ends)),
        unit: Unit::Ratio,
        target: Target::AtLeast(0.9),
        ours: shown(ours),
        theirs: format!("raw: {}", shown(theirs)),
    });
    for (name, runs) in [("procunit", ours), ("raw", theirs)] {
        let points = (0..plan.steps).map(|at| {
            let figure = Figure::of(runs.iter().map(|run| run.rates[at]));
            (plan.step * (at + 1), figure)
        });
        results.rates.push(Curve { name, points: points.collect() });
    }
}

fn memory(plan: &Live, on: &str, ours: &[Run], theirs: &[Run], results: &mut Results) {
    let all = plan.step * plan.steps;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let more = (all - plan.step) as f64;
    let after = |run: &Run, steps: usize| run.resident[steps - 1];
    let total = |runs: &[Run]| Figure::of(runs.iter().map(|run| after(run, plan.steps)));
    let first = |runs: &[Run]| Figure::of(runs.iter().map(|run| after(run, 1))).median;
    let grown = |run: &Run| (after(run, plan.steps) - after(run, 1)) * 1024.0;
    let each = |runs: &[Run]| Figure::of(runs.iter().map(|run| grown(run) / more));
    let theirs_are =
        |figure: String| if theirs.is_empty() { String::new() } else { format!("raw: {figure}") };
    results.table.push(Row {
        what: format!("memory per live proc, between {} and {all}{on}", plan.step),
        figure: each(ours),
        unit: Unit::Kib,
        target: Target::AtMost(8.0),
        ours: format!("{:.1} MiB with {}", first(ours), plan.step),
        theirs: theirs_are(format!("{:.2} KiB", each(theirs).median)),
    });
    results.table.push(Row {
        what: format!("memory in all, with {all} live{on}"),
        figure: total(ours),
        unit: Unit::Mib,
        target: Target::AtMost(64.0),
        ours: String::new(),
        theirs: theirs_are(format!("{:.1} MiB", total(theirs).median)),
    });
}

fn idle(plan: &Live, on: &str, ours: &[Run], results: &mut Results) {
    let idle: Vec<_> = ours.iter().filter_map(|run| run.idle.as_ref()).collect();
    let cpu: f64 = idle.iter().map(|idle| idle.cpu).sum();
    results.table.push(Row {
        what: format!("wake-ups in {} s, {} live{on}", plan.idle.as_secs(), plan.step * plan.steps),
        figure: Figure::of(idle.iter().map(|idle| idle.switches)),
        unit: Unit::Count,
        target: Target::Nothing,
        ours: format!("{cpu:.0} ms of CPU"),
        theirs: String::new(),
    });
}

/// Of the last step, beside the first: what does not depend on what else the machine does.
fn cpu(plan: &Live, ours: &[Run], theirs: &[Run], results: &mut Results) {
    for (at, who) in EVERYBODY.into_iter().enumerate() {
        let figure = |runs: &[Run], step: usize| Figure::of(runs.iter().map(|run| run.cpu[step].0[at]));
        let shown = |runs: &[Run]| {
            let (first, last) = (figure(runs, 0).median, figure(runs, plan.steps - 1).median);
            format!("{first:.2} ms to {last:.2} ms")
        };
        results.table.push(Row {
            what: format!("CPU per launch, last {}, {who}", plan.step),
            figure: figure(ours, plan.steps - 1),
            unit: Unit::Millis,
            target: Target::None,
            ours: shown(ours),
            theirs: format!("raw: {}", shown(theirs)),
        });
    }
}
