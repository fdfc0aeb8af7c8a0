//! A whole command, from fork to exit code: `procunit run -- true` against `systemd-run --user --wait --quiet true`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::figures::Figure;
use crate::results::Results;
use crate::table::{Row, Target, Unit};

/// Runs in a row, as in a script: what one leaves for the user manager to clear away is the next one's time, and so
/// on its own side.
const IN_A_ROW: u32 = 20;

pub(crate) fn measure(count: usize, results: &mut Results) -> anyhow::Result<()> {
    let pairs: Vec<_> =
        pairs(count)?.into_iter().map(|(ours, theirs)| (millis(ours), millis(theirs))).collect();
    results.table.push(Row {
        what: "procunit run -- true / systemd-run --wait true".to_owned(),
        figure: Figure::of_ratios(pairs.iter().copied()),
        unit: Unit::Ratio,
        target: Target::AtMost(0.85),
        ours: format!("{:.1} ms", Figure::of(pairs.iter().map(|(ours, _)| *ours)).median),
        theirs: format!("{:.1} ms", Figure::of(pairs.iter().map(|(_, theirs)| *theirs)).median),
    });
    Ok(())
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// Wall times of one run of each, as the mean of [`IN_A_ROW`]; ours and theirs alternating, as does which of the two
/// goes first.
fn pairs(pairs: usize) -> anyhow::Result<Vec<(Duration, Duration)>> {
    // The files of both are in memory from here on.
    ours()?;
    theirs()?;
    (0..pairs).map(|index| pair(index % 2 == 0)).collect()
}

fn pair(ours_first: bool) -> anyhow::Result<(Duration, Duration)> {
    if ours_first {
        return Ok((ours()?, theirs()?));
    }
    let theirs = theirs()?;
    Ok((ours()?, theirs))
}

fn ours() -> anyhow::Result<Duration> {
    timed(Command::new(env!("CARGO_BIN_EXE_procunit")).args(["run", "--", "true"]))
}

fn theirs() -> anyhow::Result<Duration> {
    timed(Command::new("systemd-run").args(["--user", "--wait", "--quiet", "true"]))
}

fn timed(command: &mut Command) -> anyhow::Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    for _ in 0..IN_A_ROW {
        let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
        ensure!(status.success(), "{command:?}: {status}");
    }
    Ok(began.elapsed() / IN_A_ROW)
}
