//! What it costs to show output and have it in the journal as well: `procunit run` as it is by default, against the ways
//! that have one of the two alone.

use std::time::Instant;

use crate::figures::Figure;
use crate::journald::Journald;
use crate::output::{Sink, Took, Writer};
use crate::pass;
use crate::plan::Tee;
use crate::results::Results;
use crate::table::{Row, Target, Unit};

const TEE: &[&str] = &[env!("CARGO_BIN_EXE_procunit"), "run"];
/// Standard output is a stream to the journal that systemd opened: how fast journald is by itself.
const JOURNAL: &[&str] = &["systemd-run", "--user", "--wait", "--quiet"];

/// Who is held against ours.
const PEERS: [(&str, &[&str]); 3] = [
    ("systemd-run to the journal", JOURNAL),
    ("systemd-run --pipe", pass::THEIRS),
    ("run --no-journal", pass::OURS),
];

/// One run, and journald's part in it.
#[derive(Debug, Clone, Copy)]
struct Kept {
    took: Took,
    /// Seconds until journald had nothing more to do.
    seconds: f64,
    /// Seconds of processor time of journald's.
    cpu: f64,
}

/// Ours, and theirs.
type Round = (Kept, [Kept; PEERS.len()]);

pub(crate) fn measure(plan: &Tee, results: &mut Results) -> anyhow::Result<()> {
    let (lines, mib) = (f64::from(plan.lines), f64::from(plan.mib));
    let rate = |seconds: f64| format!("{:.0} thousand/s", lines / 1e3 / seconds);
    let what = format!("tee, {} short lines", plan.lines);
    compare(&what, &rounds(&Writer::lines(plan.lines), plan.rounds)?, rate, results);
    let rate = |seconds: f64| format!("{:.0} MiB/s", mib / seconds);
    let what = format!("tee, {} MiB without an end of line", plan.mib);
    compare(&what, &rounds(&Writer::bytes(plan.mib), plan.rounds)?, rate, results);
    Ok(())
}

fn rounds(writer: &Writer, count: usize) -> anyhow::Result<Vec<Round>> {
    let journald = Journald::find()?;
    (0..count).map(|_| round(writer, journald)).collect()
}

fn round(writer: &Writer, journald: Journald) -> anyhow::Result<Round> {
    let ours = kept(writer, TEE, journald)?;
    let mut theirs = [ours; PEERS.len()];
    for ((_, runner), kept_by) in PEERS.iter().zip(&mut theirs) {
        *kept_by = kept(writer, runner, journald)?;
    }
    Ok((ours, theirs))
}

fn kept(writer: &Writer, runner: &[&str], journald: Journald) -> anyhow::Result<Kept> {
    journald.rests()?;
    let (began, before) = (Instant::now(), journald.cpu()?);
    // What goes to the journal alone does not come back.
    let sink = if runner == JOURNAL { Sink::DevNull } else { Sink::Pipe };
    let took = writer.run(runner, sink)?;
    let seconds = journald.rests()?.duration_since(began).as_secs_f64();
    Ok(Kept { took, seconds, cpu: (journald.cpu()? - before) / 1e3 })
}

fn compare(what: &str, rounds: &[Round], rate: impl Fn(f64) -> String, results: &mut Results) {
    for (at, (name, runner)) in PEERS.iter().enumerate() {
        // Who does not wait for journald is not done before it is.
        let seconds = |kept: &Kept| if *runner == JOURNAL { kept.seconds } else { kept.took.seconds };
        let shown = |all: &[Kept]| {
            let median = |of: &dyn Fn(&Kept) -> f64| Figure::of(all.iter().map(of)).median;
            let (own, journald) = (median(&|kept| kept.took.cpu), median(&|kept| kept.cpu));
            format!("{}, CPU {own:.2} s, journald's {journald:.2} s", rate(median(&seconds)))
        };
        let ours: Vec<_> = rounds.iter().map(|(ours, _)| *ours).collect();
        let theirs: Vec<_> = rounds.iter().map(|(_, theirs)| theirs[at]).collect();
        results.table.push(Row {
            what: format!("{what}: time / {name}"),
            figure: Figure::of_ratios(ours.iter().map(seconds).zip(theirs.iter().map(seconds))),
            unit: Unit::Ratio,
            target: Target::None,
            ours: shown(&ours),
            theirs: shown(&theirs),
        });
    }
}
