//! Instructions that the client executes from a launch to the exit status, counted by callgrind.
//!
//! Of a program that goes on, that is what a further launch costs it; a command has to be run again for each.

use std::process::{Command, Stdio};
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};

use crate::figures::Figure;
use crate::library::Library;
use crate::plan::Instructions;
use crate::raw::Raw;
use crate::results::Results;
use crate::table::{Row, Target, Unit};
use crate::work::Work;

/// As the bench's first argument: be what is counted. The second one is a [`Client`], the third the number of cycles.
pub(crate) const CYCLES: &str = "__cycles";

/// Who launches, one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Client {
    /// To the exit status.
    Library,
    /// To the end of the start job.
    Raw,
}

impl Client {
    fn name(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::Raw => "raw",
        }
    }
}

impl FromStr for Client {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let found = [Self::Library, Self::Raw].into_iter().find(|client| client.name() == name);
        found.with_context(|| format!("no client {name}"))
    }
}

/// The process that is counted.
pub(crate) async fn cycles(client: Client, count: usize) -> anyhow::Result<()> {
    let work = Work::short(1);
    match client {
        Client::Library => {
            let library = Library::connect().await?;
            for _ in 0..count {
                library.cycle(&work).await?;
            }
        }
        Client::Raw => drop(Raw::connect().await?.launch(&Work::short(count), 1).await?),
    }
    Ok(())
}

/// Whether there is a callgrind.
pub(crate) fn is_countable() -> bool {
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    valgrind.status().is_ok_and(|status| status.success())
}

pub(crate) fn measure(plan: &Instructions, results: &mut Results) -> anyhow::Result<()> {
    let waits = ["systemd-run", "--user", "--quiet", "--wait", "--collect", "true"];
    let leaves = ["systemd-run", "--user", "--quiet", "--collect", "true"];
    let whole = [env!("CARGO_BIN_EXE_procunit"), "run", "--", "true"];
    let [ours, raw] =
        [Client::Library, Client::Raw].map(|client| repeat(plan.rounds, || cycle(client, plan.cycles)));
    let [waits, leaves, whole] =
        [&waits[..], &leaves, &whole].map(|command| repeat(plan.rounds, || collected(command)));
    let (ours, raw, waits, leaves, whole) = (ours?, raw?, waits?, leaves?, whole?);
    let mut row = |what: &str, ours: &[f64], theirs: &[f64], target, by: &str| {
        let median = |counted: &[f64]| Figure::of(counted.iter().copied()).median / 1e6;
        results.table.push(Row {
            what: format!("instructions, {what}"),
            figure: Figure::of_ratios(ours.iter().copied().zip(theirs.iter().copied())),
            unit: Unit::Ratio,
            target,
            ours: format!("{:.2} million", median(ours)),
            theirs: format!("{by}{:.2} million", median(theirs)),
        });
    };
    row("launch and exit / systemd-run --wait", &ours, &waits, Target::AtMost(0.5), "");
    row("launch and exit / systemd-run that waits for no exit", &ours, &leaves, Target::None, "");
    row("launch and exit / raw's launch alone", &ours, &raw, Target::None, "");
    row("procunit run / systemd-run --wait", &whole, &waits, Target::None, "");
    Ok(())
}

fn repeat(rounds: usize, count: impl Fn() -> anyhow::Result<f64>) -> anyhow::Result<Vec<f64>> {
    (0..rounds).map(|_| count()).collect()
}

/// Of one cycle: what more of them need more.
fn cycle(client: Client, [few, many]: [usize; 2]) -> anyhow::Result<f64> {
    let program = std::env::current_exe()?.into_os_string().into_string();
    let program = program.ok().context("the bench's own path is not UTF-8")?;
    let count = |cycles: usize| collected(&[&program, CYCLES, client.name(), &cycles.to_string()]);
    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
    Ok((count(many)? - count(few)?) / (many - few) as f64)
}

/// Of a whole command, in its own process.
fn collected(command: &[&str]) -> anyhow::Result<f64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--vgdb=no"]);
    let output = valgrind.args(command).stdin(Stdio::null()).output().context("cannot run valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} under valgrind: {}: {said}", output.status);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let Some((_, count)) = collected else { bail!("callgrind counted nothing of {command:?}: {said}") };
    Ok(count.trim().parse()?)
}
