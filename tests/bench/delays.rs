//! From a program's exit to its status in `watch()`, beside so many others of the same manager.

use crate::figures::Figure;
use crate::gone::alone;
use crate::held::Held;
use crate::hold::Role;
use crate::live::DEPTH;
use crate::plan::Delays;
use crate::results::{Curve, Results};
use crate::table::{Row, Target, Unit};

/// Delays in milliseconds, by how many others there were.
type Round = [Vec<f64>; 3];

pub(crate) async fn measure(plan: &Delays, results: &mut Results) -> anyhow::Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        rounds.push(alone(round(plan)).await?);
    }
    let figure = |at: usize| Figure::of(rounds.iter().flat_map(|round: &Round| round[at].iter().copied()));
    let row = |at: usize, target| Row {
        what: format!("from exit to `watch()`, {} live", plan.live[at]),
        figure: figure(at),
        unit: Unit::Millis,
        target,
        ours: format!("p99 {:.1} ms", figure(at).p99),
        theirs: String::new(),
    };
    results.table.push(row(0, Target::AtMost(3.0)));
    results.table.push(row(1, Target::None));
    results.table.push(row(2, Target::None));
    let median = |round: &Round, at: usize| Figure::of(round[at].iter().copied()).median;
    results.table.push(Row {
        what: format!("the median of that, {} live more than none", plan.live[2]),
        figure: Figure::of(rounds.iter().map(|round| median(round, 2) - median(round, 0))),
        unit: Unit::Millis,
        target: Target::AtMost(2.0),
        ours: String::new(),
        theirs: String::new(),
    });
    let points = plan.live.iter().enumerate().map(|(at, live)| (*live, figure(at))).collect();
    results.delays.push(Curve { name: "procunit", points });
    Ok(())
}

async fn round(plan: &Delays) -> anyhow::Result<Round> {
    let (mut held, mut live) = (Held::start(Role::Library)?, 0);
    let mut round = Round::default();
    for (wanted, delays) in plan.live.into_iter().zip(&mut round) {
        if wanted > live {
            held.launch(wanted - live, DEPTH).await?;
            live = wanted;
        }
        *delays = held.delays(plan.ends).await?.into_iter().map(|seconds| seconds * 1e3).collect();
    }
    held.end().await?;
    Ok(round)
}
