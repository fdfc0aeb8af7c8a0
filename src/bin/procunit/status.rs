//! `procunit status`.

use std::time::SystemTime;

use futures_util::{StreamExt as _, stream};
use procunit::ProcStatus;
use procunit::report::Report;
use procunit::spec::defaults;

use crate::args::{Format, Global, StatusArgs};
use crate::{connect, exit, select, show, words};

/// Shows everything that is known of procs.
pub(crate) async fn status(global: &Global, args: &StatusArgs) -> anyhow::Result<u8> {
    let manager = connect::for_known(global).await?;
    let mut selected = select::select(&manager, &args.which).await?;
    let ended = selected.reports.iter_mut().filter(|report| report.status.is_exit());
    let looks = ended.map(|report| manager.add_logs(report, args.lines));
    stream::iter(looks).buffer_unordered(defaults::STOP_CONCURRENCY.get()).collect::<()>().await;
    print(global, &selected.reports)?;
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

fn print(global: &Global, reports: &[Report]) -> anyhow::Result<()> {
    match global.output {
        Format::Json => return show::json_list("procs", reports),
        Format::Jsonl => return reports.iter().try_for_each(show::json_line),
        Format::Name => return Ok(reports.iter().try_for_each(|report| show::line(&report.id))?),
        Format::Table | Format::Wide | Format::Short | Format::Cat => {}
    }
    let now = SystemTime::now().into();
    for (nth, report) in reports.iter().enumerate() {
        let card = words::card(report, now);
        show::line(if nth == 0 { card } else { format!("\n{card}") })?;
    }
    Ok(())
}
