//! `procunit status`.

use std::time::SystemTime;

use futures_util::{StreamExt as _, stream};
use procunit::ProcStatus;
use procunit::report::Report;
use procunit::spec::defaults;

use crate::args::{Format, Global, StatusArgs};
use crate::{connect, exit, logs, select, show, words};

/// Shows everything that is known of procs.
pub(crate) async fn status(global: &Global, args: &StatusArgs) -> anyhow::Result<u8> {
    let manager = connect::for_known(global).await?;
    let selected = select::select(&manager, &args.which).await?;
    print(global, &selected.reports, args.lines).await?;
    let all_running = selected.reports.iter().all(is_running);
    Ok(match (selected.tell_missing(), all_running) {
        (true, _) => exit::NO_PROC,
        (false, true) => 0,
        (false, false) => exit::NOT_RUNNING,
    })
}

fn is_running(report: &Report) -> bool {
    matches!(report.status, ProcStatus::Running { .. } | ProcStatus::Ready { .. })
}

async fn print(global: &Global, reports: &[Report], lines: usize) -> anyhow::Result<()> {
    match global.output {
        Format::Json => return show::json_list("procs", reports),
        Format::Jsonl => return reports.iter().try_for_each(show::json_line),
        Format::Name => return Ok(reports.iter().try_for_each(|report| show::line(&report.id))?),
        Format::Table | Format::Wide | Format::Short | Format::Cat => {}
    }
    let now = SystemTime::now().into();
    let cards = reports.iter().map(|report| async move {
        let log = if report.status.is_exit() { logs::tail(report, lines).await } else { Vec::new() };
        words::card(report, &log, now)
    });
    let mut cards = stream::iter(cards).buffered(defaults::STOP_CONCURRENCY.get()).enumerate();
    while let Some((nth, card)) = cards.next().await {
        show::line(if nth == 0 { card } else { format!("\n{card}") })?;
    }
    Ok(())
}
