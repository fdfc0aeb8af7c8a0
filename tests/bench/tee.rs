//! What it costs to show output and have it in the journal as well: `procunit run` as it is by default, against the ways
//! that have one of the two alone.

use crate::figures::Figure;
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

/// Ours, and theirs.
type Round = (Took, [Took; PEERS.len()]);

pub(crate) fn measure(plan: &Tee, results: &mut Results) -> anyhow::Result<()> {
    let (lines, mib) = (f64::from(plan.lines), f64::from(plan.mib));
    let per_second = |seconds: f64| format!("{:.0} thousand a second", lines / 1e3 / seconds);
    let writer = Writer::lines(plan.lines);
    compare(&format!("tee, {} lines", plan.lines), &rounds(&writer, plan.rounds)?, per_second, results);
    let per_second = |seconds: f64| format!("{:.0} MiB/s", mib / seconds);
    let writer = Writer::bytes(plan.mib);
    let what = format!("tee, {} MiB without an end of line", plan.mib);
    compare(&what, &rounds(&writer, plan.rounds)?, per_second, results);
    Ok(())
}

fn rounds(writer: &Writer, count: usize) -> anyhow::Result<Vec<Round>> {
    (0..count).map(|_| round(writer)).collect()
}

fn round(writer: &Writer) -> anyhow::Result<Round> {
    let ours = writer.run(TEE, Sink::Pipe)?;
    let mut theirs = [ours; PEERS.len()];
    for ((_, runner), took) in PEERS.iter().zip(&mut theirs) {
        // What goes to the journal does not come back.
        let sink = if *runner == JOURNAL { Sink::DevNull } else { Sink::Pipe };
        *took = writer.run(runner, sink)?;
    }
    Ok((ours, theirs))
}

fn compare(what: &str, rounds: &[Round], rate: impl Fn(f64) -> String, results: &mut Results) {
    let ours = Figure::of(rounds.iter().map(|(ours, _)| ours.seconds)).median;
    let cpu = Figure::of(rounds.iter().map(|(ours, _)| ours.cpu)).median;
    for (at, (name, _)) in PEERS.iter().enumerate() {
        let pairs = rounds.iter().map(|(ours, theirs)| (ours.seconds, theirs[at].seconds));
        results.table.push(Row {
            what: format!("{what}: time / {name}"),
            figure: Figure::of_ratios(pairs),
            unit: Unit::Ratio,
            target: Target::None,
            ours: format!("{}, {cpu:.2} s of CPU", rate(ours)),
            theirs: rate(Figure::of(rounds.iter().map(|(_, theirs)| theirs[at].seconds)).median),
        });
    }
}
