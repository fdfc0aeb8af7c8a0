//! What procs cost, against what else could be used for them.
//!
//! `contrib/testbed -- cargo bench --all-features --bench cost` prints one table. Every ratio is of things measured next
//! to each other in the same run, several times over: the machine may have other work, and what hits both sides
//! cancels out. It fails where a target is missed; with `-- --quick` (a minute) only on a gross loss. Names of parts
//! run these alone. `docs/performance.md` says what the rows mean.

mod chart;
mod chatter;
mod child;
mod children;
mod delays;
mod document;
mod exit_delay;
mod figures;
mod follow;
mod gone;
mod held;
mod hold;
mod instructions;
mod journal;
mod journald;
mod library;
mod live;
mod machine;
mod native;
mod options;
mod output;
mod pass;
mod plan;
mod rates;
mod raw;
mod results;
mod stopping;
mod systemd_run;
mod table;
mod tee;
mod transient;
mod usage;
mod whole_command;
mod work;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::runtime::Runtime;

use self::options::{Options, Part};
use self::plan::Plan;
use self::results::Results;
use self::table::Strictness;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [exit_delay::STAMP] => exit_delay::stamp().map(|()| ExitCode::SUCCESS),
        [chatter::CHATTER, lines, every, after] => {
            chatter::write(lines.parse()?, millis(every)?, millis(after)?).map(|()| ExitCode::SUCCESS)
        }
        [hold::HOLD, role] => hold::run(role.parse()?).map(|()| ExitCode::SUCCESS),
        [instructions::CYCLES, client, count] => {
            let cycles = instructions::cycles(client.parse()?, count.parse()?);
            runtime()?.block_on(cycles).map(|()| ExitCode::SUCCESS)
        }
        _ => bench(&Options::of(arguments.into_iter())?),
    }
}

fn millis(text: &str) -> anyhow::Result<Duration> {
    Ok(Duration::from_millis(text.parse()?))
}

/// The command runs on one thread, too; systemd and the bus take the other cores.
fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn bench(options: &Options) -> anyhow::Result<ExitCode> {
    let (plan, runtime) = (if options.quick { Plan::quick() } else { Plan::full() }, runtime()?);
    let (machine, parts) = (runtime.block_on(machine::describe())?, options.parts());
    let measured = runtime.block_on(async {
        tokio::select! {
            measured = measure(&plan, &parts) => measured,
            interrupt = tokio::signal::ctrl_c() => interrupt.map_err(Into::into).and_then(|()| bail!("interrupted")),
        }
    });
    // Children that were left to the runtime are ended with it.
    drop(runtime);
    if measured.is_err() {
        gone::sweep()?;
    }
    let results = measured?;
    println!("{machine}\n{}", results.table);
    if options.write {
        document::write(&machine, &results)?;
    }
    Ok(verdict(&results, plan.strictness))
}

async fn measure(plan: &Plan, parts: &[Part]) -> anyhow::Result<Results> {
    let countable = instructions::is_countable();
    if parts.contains(&Part::Instructions) && !countable && plan.strictness == Strictness::Targets {
        bail!("no valgrind, which counts the instructions: apt-get install valgrind");
    }
    let mut results = Results::default();
    for part in parts {
        let began = Instant::now();
        match part {
            Part::Launch => rates::measure(&plan.launch, &mut results).await,
            Part::Commands => whole_command::measure(plan.command_pairs, &mut results),
            Part::Live => live::measure(&plan.live, &mut results).await,
            Part::Delays => delays::measure(&plan.delays, &mut results).await,
            Part::Stop => stopping::measure(&plan.stop, &mut results).await,
            Part::Native => children::measure(&plan.native, &mut results).await,
            Part::Instructions if countable => instructions::measure(&plan.instructions, &mut results),
            Part::Pass => pass::measure(&plan.pass, &mut results),
            Part::Tee => tee::measure(&plan.tee, &mut results),
            Part::Journal => journal::measure(&plan.journal, &mut results).await,
            Part::Follow => follow::measure(&plan.follow, &mut results).await,
            Part::Instructions => {
                eprintln!("not measured: instructions, which valgrind counts");
                Ok(())
            }
        }
        .with_context(|| format!("{part:?}"))?;
        eprintln!("{part:?}: {:.0} s", began.elapsed().as_secs_f64());
    }
    Ok(results)
}

fn verdict(results: &Results, strictness: Strictness) -> ExitCode {
    let missed = results.table.missed(strictness);
    if missed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("missed: {}", missed.join("; "));
    ExitCode::FAILURE
}
