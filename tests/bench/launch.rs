//! How fast procs are launched, and their ends seen, against what else could be used for it.
//!
//! `contrib/testbed -- cargo bench --bench launch` prints one table. Every ratio is of things measured next to each
//! other in the same run, several times over: the machine may have other work, and what hits both sides cancels out.
//! It fails where a target is missed; with `-- --quick` (under a minute) only on a gross loss. `docs/performance.md`
//! says what the rows mean.

mod child;
mod exit_delay;
mod figures;
mod gone;
mod library;
mod machine;
mod raw;
mod systemd_run;
mod table;
mod whole_command;
mod work;

use std::process::ExitCode;
use std::time::Duration;

use self::figures::Figure;
use self::table::{Row, Strictness, Table, Target};
use self::work::Work;

/// Launches under way at a time that are tried, to find each peer's best.
const DEPTHS: [usize; 5] = [1, 4, 8, 16, 32];

/// How much of everything is done.
struct Plan {
    strictness: Strictness,
    /// The sets, and how many rounds of each.
    sets: Vec<(Work, usize)>,
    /// The size of the sets that find the best depth, and how many rounds of each depth.
    tuning: (usize, usize),
    /// Pairs of rows of whole commands.
    pairs: usize,
    /// Ends that are timed.
    ends: usize,
}

impl Plan {
    fn full() -> Self {
        let sets =
            vec![(Work::short(200), 7), (Work::long(200), 7), (Work::short(1000), 3), (Work::long(1000), 3)];
        Self { strictness: Strictness::Targets, sets, tuning: (100, 5), pairs: 25, ends: 300 }
    }

    fn quick() -> Self {
        let sets = vec![(Work::short(100), 3), (Work::long(100), 3)];
        Self { strictness: Strictness::GrossLoss, sets, tuning: (50, 1), pairs: 5, ends: 50 }
    }
}

/// The peers' rates in one round: measured right after each other.
struct Round {
    library: f64,
    raw: f64,
    systemd_run: [f64; 2],
    child: f64,
}

/// The best depth of each peer that has one.
struct Depths {
    library: usize,
    raw: usize,
    child: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some(exit_delay::STAMP) {
        return exit_delay::stamp().map(|()| ExitCode::SUCCESS);
    }
    let plan =
        if std::env::args().any(|argument| argument == "--quick") { Plan::quick() } else { Plan::full() };
    // The command runs on one thread, too; systemd and the bus take the other cores.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut table, machine) = (Table::default(), runtime.block_on(machine::describe())?);
    runtime.block_on(rates(&plan, &mut table))?;
    whole_commands(&plan, &mut table)?;
    runtime.block_on(exit_delays(&plan, &mut table))?;
    println!("{machine}\n{table}");
    let missed = table.missed(plan.strictness);
    if missed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("missed: {}", missed.join("; "));
    Ok(ExitCode::FAILURE)
}

async fn rates(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let depths = tune(plan.tuning).await?;
    for (work, rounds) in &plan.sets {
        let mut measured = Vec::new();
        for _ in 0..*rounds {
            measured.push(round(work, &depths).await?);
        }
        compare(work, &depths, &measured, table);
    }
    Ok(())
}

/// Runs one measurement, and waits until nothing of it is left.
async fn alone<T>(measurement: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    gone::wait().await?;
    let measured = measurement.await;
    gone::wait().await?;
    measured
}

async fn tune((count, rounds): (usize, usize)) -> anyhow::Result<Depths> {
    let work = Work::short(count);
    let mut rates = [const { [const { Vec::new() }; 3] }; DEPTHS.len()];
    for _ in 0..rounds {
        for (depth, [library, raw, child]) in DEPTHS.into_iter().zip(&mut rates) {
            library.push(alone(library::rate(&work, depth)).await?);
            raw.push(alone(raw::rate(&work, depth)).await?);
            child.push(alone(child::rate(&work, depth)).await?);
        }
    }
    let best = |peer: usize| {
        let median = |at: &usize| Figure::of(rates[*at][peer].iter().copied()).median;
        let best = (0..DEPTHS.len()).max_by(|one, other| median(one).total_cmp(&median(other)));
        best.map_or(1, |at| DEPTHS[at])
    };
    Ok(Depths { library: best(0), raw: best(1), child: best(2) })
}

async fn round(work: &Work, depths: &Depths) -> anyhow::Result<Round> {
    Ok(Round {
        library: alone(library::rate(work, depths.library)).await?,
        raw: alone(raw::rate(work, depths.raw)).await?,
        systemd_run: [alone(systemd_run::rate(work, 1)).await?, alone(systemd_run::rate(work, 8)).await?],
        child: alone(child::rate(work, depths.child)).await?,
    })
}

fn compare(work: &Work, depths: &Depths, rounds: &[Round], table: &mut Table) {
    let ours = |round: &Round| round.library;
    let best = |round: &Round| round.systemd_run[0].max(round.systemd_run[1]);
    let median = |rate: &dyn Fn(&Round) -> f64| Figure::of(rounds.iter().map(rate)).median;
    let mut row = |against: &str, target, theirs: &dyn Fn(&Round) -> f64, how: String| {
        table.push(Row {
            what: format!("{} x {}: rate / {against}", work.count, work.program),
            figure: Figure::of_ratios(rounds.iter().map(|round| (ours(round), theirs(round)))),
            target,
            ours: format!("{:.0}/s at {}", median(&ours), depths.library),
            theirs: format!("{:.0}/s {how}", median(theirs)),
        });
    };
    row("raw", Target::AtLeast(0.9), &|round| round.raw, format!("at {}", depths.raw));
    let at_once = format!("({:.0}/s in a loop)", median(&|round| round.systemd_run[0]));
    row("systemd-run", Target::AtLeast(2.5), &best, at_once);
    row("tokio::process", Target::None, &|round| round.child, format!("at {}", depths.child));
}

fn whole_commands(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let pairs = whole_command::pairs(plan.pairs)?;
    let ours = Figure::of(pairs.iter().map(|(ours, _)| millis(*ours)));
    let theirs = Figure::of(pairs.iter().map(|(_, theirs)| millis(*theirs)));
    table.push(Row {
        what: format!("{} x procunit run -- true / systemd-run --wait true", whole_command::IN_A_ROW),
        figure: Figure::of_ratios(pairs.iter().map(|(ours, theirs)| (millis(*ours), millis(*theirs)))),
        target: Target::AtMost(0.85),
        ours: format!("{:.1} ms", ours.median),
        theirs: format!("{:.1} ms", theirs.median),
    });
    Ok(())
}

async fn exit_delays(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let delays = alone(exit_delay::delays(plan.ends)).await?;
    let figure = Figure::of(delays.into_iter().map(millis));
    table.push(Row {
        what: "from exit to watch(), ms".to_owned(),
        figure,
        target: Target::AtMost(3.0),
        ours: format!("p99 {:.1} ms", figure.p99),
        theirs: String::new(),
    });
    Ok(())
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
