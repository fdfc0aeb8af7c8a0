//! Output that goes straight to the caller's own: `procunit run --no-journal` against `systemd-run --pipe`.

use crate::figures::Figure;
use crate::output::{Sink, Took, Writer};
use crate::plan::Pass;
use crate::results::Results;
use crate::table::{Row, Target, Unit};

/// Ours, with the descriptors of its caller.
pub(crate) const OURS: &[&str] = &[env!("CARGO_BIN_EXE_procunit"), "run", "--no-journal"];
/// The same by systemd.
pub(crate) const THEIRS: &[&str] = &["systemd-run", "--user", "--pipe", "--quiet"];

pub(crate) fn measure(plan: &Pass, results: &mut Results) -> anyhow::Result<()> {
    let writer = Writer::bytes(plan.mib);
    for (sink, name) in [(Sink::DevNull, "/dev/null"), (Sink::Pipe, "a pipe")] {
        let pairs: Vec<_> =
            (0..plan.rounds).map(|round| pair(&writer, sink, round)).collect::<Result<_, _>>()?;
        let rate = |seconds: f64| format!("{:.2} GiB/s", f64::from(plan.mib) / 1024.0 / seconds);
        results.table.push(Row {
            what: format!("{} MiB to {name}: run --no-journal / systemd-run --pipe", plan.mib),
            figure: Figure::of_ratios(pairs.iter().map(|(ours, theirs)| (ours.seconds, theirs.seconds))),
            unit: Unit::Ratio,
            target: Target::AtMost(1.1),
            ours: rate(Figure::of(pairs.iter().map(|(ours, _)| ours.seconds)).median),
            theirs: rate(Figure::of(pairs.iter().map(|(_, theirs)| theirs.seconds)).median),
        });
    }
    Ok(())
}

/// Each goes first in turn.
fn pair(writer: &Writer, sink: Sink, round: usize) -> anyhow::Result<(Took, Took)> {
    if round.is_multiple_of(2) {
        return Ok((writer.run(OURS, sink)?, writer.run(THEIRS, sink)?));
    }
    let theirs = writer.run(THEIRS, sink)?;
    Ok((writer.run(OURS, sink)?, theirs))
}
