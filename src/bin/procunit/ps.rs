//! `procunit ps`.

use std::time::SystemTime;

use procunit::report::Report;

use crate::args::{Format, Global, PsArgs, Selectors};
use crate::select::{Selected, pick};
use crate::words::plural;
use crate::{connect, exit, retention, show, table};

/// Lists procs.
pub(crate) async fn ps(global: &Global, args: &PsArgs) -> anyhow::Result<u8> {
    let manager = connect::for_known(global).await?;
    let reports = retention::keep_within_bound(global, &manager, manager.survey().await?).await;
    let selected = selected(reports, args);
    let (shown, hidden): (Vec<_>, Vec<_>) =
        selected.reports.iter().cloned().partition(|report| is_wanted(report, args));
    print(global, &shown)?;
    let missing = selected.tell_missing();
    if shown.is_empty() && !missing && !global.quiet && is_for_people(global) {
        tell_nothing(hidden.len());
    }
    Ok(if missing { exit::NO_PROC } else { 0 })
}

fn selected(reports: Vec<Report>, args: &PsArgs) -> Selected {
    if args.sel.is_empty() {
        return Selected { reports, missing: Vec::new() };
    }
    pick(reports, &Selectors { sel: args.sel.clone(), all: false })
}

/// What is named, or asked for by its state, is shown also where it is over.
fn is_wanted(report: &Report, args: &PsArgs) -> bool {
    let kind = report.status.kind();
    let chosen = args.all || !args.sel.is_empty();
    if args.state.is_empty() {
        chosen || !kind.is_exit() || report.leftovers.is_some()
    } else {
        args.state.contains(&kind)
    }
}

fn print(global: &Global, reports: &[Report]) -> anyhow::Result<()> {
    match global.output {
        Format::Json => show::json_list("procs", reports)?,
        Format::Jsonl => reports.iter().try_for_each(show::json_line)?,
        Format::Name => reports.iter().try_for_each(|report| show::line(&report.id))?,
        format => {
            let now = SystemTime::now().into();
            show::line(table::table(reports, format == Format::Wide, now))?;
        }
    }
    Ok(())
}

fn is_for_people(global: &Global) -> bool {
    matches!(global.output, Format::Table | Format::Wide)
}

fn tell_nothing(hidden: usize) {
    match hidden {
        0 => show::say(format_args!("procunit: no procs")),
        _ => show::say(format_args!(
            "procunit: nothing is running; {hidden} ended {} with -a",
            plural(hidden, "proc shows", "procs show")
        )),
    }
}
