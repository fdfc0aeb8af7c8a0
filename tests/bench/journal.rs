//! Procs with their output to the journal, as it goes by default, against the same with `/dev/null`, and against raw with
//! the streams that systemd opens: launches, ends, and what each holds.

use crate::figures::Figure;
use crate::gone::alone;
use crate::held::Held;
use crate::hold::Role;
use crate::live::DEPTH;
use crate::plan::Journal;
use crate::results::Results;
use crate::table::{Row, Target, Unit};
use crate::work::{To, Work};
use crate::{library, raw};

pub(crate) async fn measure(plan: &Journal, results: &mut Results) -> anyhow::Result<()> {
    for (work, rounds) in &plan.sets {
        rates(*work, *rounds, results).await?;
    }
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        with.push(alone(run(plan, Role::LibraryWithLogs)).await?);
        without.push(alone(run(plan, Role::Library)).await?);
    }
    delays(plan, &with, &without, results);
    held(plan, &with, &without, results);
    Ok(())
}

/// Ours with logs, raw with logs, ours without; each begins in turn.
async fn rates(work: Work, count: usize, results: &mut Results) -> anyhow::Result<()> {
    let (logged, mut rounds) = (work.to(To::Journal), Vec::new());
    for number in 0..count {
        let mut rates = [0.0; 3];
        for at in (0..rates.len()).map(|at| (at + number) % 3) {
            rates[at] = match at {
                0 => alone(library::rate(logged, DEPTH)).await?,
                1 => alone(raw::rate(logged, DEPTH)).await?,
                _ => alone(library::rate(work, DEPTH)).await?,
            };
        }
        rounds.push(rates);
    }
    let shown =
        |at: usize| format!("{:.0}/s at {DEPTH}", Figure::of(rounds.iter().map(|rates| rates[at])).median);
    let peers = [("raw, StandardOutput=journal", Target::AtLeast(0.95)), ("to /dev/null", Target::None)];
    for (at, (peer, target)) in (1..).zip(peers) {
        results.table.push(Row {
            what: format!("{} x {}, to the journal: rate / {peer}", work.count, work.program),
            figure: Figure::of_ratios(rounds.iter().map(|rates| (rates[0], rates[at]))),
            unit: Unit::Ratio,
            target,
            ours: shown(0),
            theirs: shown(at),
        });
    }
    Ok(())
}

/// One manager's process.
struct Run {
    /// Exit delays in milliseconds, beside none and beside all.
    delays: [Vec<f64>; 2],
    /// KiB of memory for each of those between the two steps.
    kib: f64,
    /// Descriptors for each of them.
    descriptors: f64,
}

async fn run(plan: &Journal, role: Role) -> anyhow::Result<Run> {
    let mut held = Held::start(role)?;
    let alone = millis(held.delays(plan.ends).await?);
    let [few, all] = plan.live;
    held.launch(few, DEPTH).await?;
    let before = (held.process.resident_kib()?, held.process.descriptors()?);
    held.launch(all - few, DEPTH).await?;
    let after = (held.process.resident_kib()?, held.process.descriptors()?);
    let beside_all = millis(held.delays(plan.ends).await?);
    held.end().await?;
    #[expect(clippy::cast_precision_loss, reason = "some thousands at the most")]
    let (more, descriptors) = ((all - few) as f64, after.1 as f64 - before.1 as f64);
    Ok(Run { delays: [alone, beside_all], kib: (after.0 - before.0) / more, descriptors: descriptors / more })
}

fn millis(seconds: Vec<f64>) -> Vec<f64> {
    seconds.into_iter().map(|seconds| seconds * 1e3).collect()
}

fn delays(plan: &Journal, with: &[Run], without: &[Run], results: &mut Results) {
    let median = |run: &Run, at: usize| Figure::of(run.delays[at].iter().copied()).median;
    let shown = |runs: &[Run], at: usize| {
        let all = Figure::of(runs.iter().flat_map(|run| run.delays[at].iter().copied()));
        format!("{:.2} ms, p99 {:.1} ms", all.median, all.p99)
    };
    for (at, live) in [0, plan.live[1]].into_iter().enumerate() {
        let pairs = with.iter().zip(without);
        results.table.push(Row {
            what: format!("exit delay, {live} live, to the journal less to /dev/null"),
            figure: Figure::of(pairs.map(|(with, without)| median(with, at) - median(without, at))),
            unit: Unit::Millis,
            target: Target::AtMost(2.0),
            ours: shown(with, at),
            theirs: shown(without, at),
        });
    }
    results.table.push(Row {
        what: format!("exit delay to the journal, {} live less none", plan.live[1]),
        figure: Figure::of(with.iter().map(|run| median(run, 1) - median(run, 0))),
        unit: Unit::Millis,
        target: Target::AtMost(2.0),
        ours: String::new(),
        theirs: String::new(),
    });
}

fn held(plan: &Journal, with: &[Run], without: &[Run], results: &mut Results) {
    let kib = |runs: &[Run]| Figure::of(runs.iter().map(|run| run.kib));
    let descriptors = |runs: &[Run]| Figure::of(runs.iter().map(|run| run.descriptors)).median;
    results.table.push(Row {
        what: format!("memory per live proc, to the journal, between {} and {}", plan.live[0], plan.live[1]),
        figure: kib(with),
        unit: Unit::Kib,
        target: Target::None,
        ours: format!("{:.1} descriptors each", descriptors(with)),
        theirs: format!("/dev/null: {:.2} KiB, {:.1}", kib(without).median, descriptors(without)),
    });
}
