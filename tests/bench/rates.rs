//! The rate at which sets of programs are launched, by this library and by everything else.

use futures_util::future::LocalBoxFuture;

use crate::figures::Figure;
use crate::gone::alone;
use crate::plan::Launch;
use crate::results::Results;
use crate::table::{Row, Target, Unit};
use crate::work::Work;
use crate::{child, library, raw, systemd_run, transient};

/// As many launches under way as there are programs: the peer has to see itself how many at a time are good.
const ALL: usize = 5_000;

/// Who launches.
struct Peer {
    name: &'static str,
    /// Launches under way at a time that are tried, to find its best.
    depths: &'static [usize],
    /// What is asked of our rate against its rate.
    target: Target,
    rate: fn(Work, usize) -> LocalBoxFuture<'static, anyhow::Result<f64>>,
}

impl Peer {
    fn takes(&self, work: Work) -> bool {
        work.is_short() || self.name != "systemd-transient"
    }
}

/// Ours first.
const PEERS: [Peer; 5] = [
    Peer {
        name: "procunit",
        depths: &[1, 4, 8, 16, 32, ALL],
        target: Target::None,
        rate: |work, depth| Box::pin(library::rate(work, depth)),
    },
    Peer {
        name: "raw",
        depths: &[1, 4, 8, 16, 32],
        target: Target::AtLeast(0.95),
        rate: |work, depth| Box::pin(raw::rate(work, depth)),
    },
    Peer {
        name: "systemd-run",
        depths: &[1, 8],
        target: Target::AtLeast(3.0),
        rate: |work, depth| Box::pin(systemd_run::rate(work, depth)),
    },
    Peer {
        name: "tokio::process",
        depths: &[1, 4, 8, 16, 32],
        target: Target::None,
        rate: |work, depth| Box::pin(child::rate(work, depth)),
    },
    Peer {
        name: "systemd-transient",
        depths: &[1, 4, 8, 16, 32],
        target: Target::None,
        rate: |work, depth| Box::pin(transient::rate(work, depth)),
    },
];

/// The best depth of each.
type Depths = [usize; PEERS.len()];

/// Rates that were measured right after each other. `NaN` of a peer that does not take such work.
type Round = [f64; PEERS.len()];

pub(crate) async fn measure(plan: &Launch, results: &mut Results) -> anyhow::Result<()> {
    let depths = tune(plan.tuning).await?;
    for (work, rounds) in &plan.sets {
        let mut measured = Vec::new();
        for number in 0..*rounds {
            measured.push(round(*work, &depths, number).await?);
        }
        compare(*work, &depths, &measured, results);
    }
    Ok(())
}

async fn tune((count, rounds): (usize, usize)) -> anyhow::Result<Depths> {
    let mut best = [1; PEERS.len()];
    for (peer, best) in PEERS.iter().zip(&mut best) {
        let mut rates = vec![Vec::new(); peer.depths.len()];
        for _ in 0..rounds {
            for (depth, rates) in peer.depths.iter().zip(&mut rates) {
                rates.push(alone((peer.rate)(Work::short(count), *depth)).await?);
            }
        }
        let medians = rates.into_iter().map(|rates| Figure::of(rates).median).zip(peer.depths);
        *best = medians.max_by(|(one, _), (other, _)| one.total_cmp(other)).map_or(1, |(_, depth)| *depth);
    }
    Ok(best)
}

/// Each round begins with another peer: nobody always has the machine that the same one left.
async fn round(work: Work, depths: &Depths, number: usize) -> anyhow::Result<Round> {
    let mut rates = [f64::NAN; PEERS.len()];
    for at in (0..PEERS.len()).map(|at| (at + number) % PEERS.len()) {
        if PEERS[at].takes(work) {
            rates[at] = alone((PEERS[at].rate)(work, depths[at])).await?;
        }
    }
    Ok(rates)
}

fn compare(work: Work, depths: &Depths, rounds: &[Round], results: &mut Results) {
    let shown = |at: usize| {
        let depth = if depths[at] == ALL { "all".to_owned() } else { depths[at].to_string() };
        format!("{:.0}/s at {depth}", Figure::of(rounds.iter().map(|rates| rates[at])).median)
    };
    for (at, peer) in PEERS.iter().enumerate().skip(1).filter(|(_, peer)| peer.takes(work)) {
        results.table.push(Row {
            what: format!("{} x {}: rate / {}", work.count, work.program, peer.name),
            figure: Figure::of_ratios(rounds.iter().map(|rates| (rates[0], rates[at]))),
            unit: Unit::Ratio,
            target: peer.target,
            ours: shown(0),
            theirs: shown(at),
        });
    }
}
