//! `procunit stop`.

use std::time::Duration;

use procunit::manager::TerminateError;
use procunit::report::Report;
use procunit::{ProcHandle, ProcManager};

use crate::act::{self, Deed, Done};
use crate::args::{Global, StopArgs};
use crate::{connect, select, show, words};

/// Ends procs, and leaves nothing of them.
pub(crate) async fn stop(global: &Global, args: &StopArgs) -> anyhow::Result<u8> {
    let manager = connect::for_known(global).await?;
    let selected = select::select(&manager, &args.which).await?;
    act::on_each(global, &selected, |report| one(&manager, report, args.timeout)).await
}

async fn one(manager: &ProcManager, seen: Report, grace: Option<Duration>) -> anyhow::Result<Deed> {
    let Some(handle) = act::hold(manager, &seen).await? else { return Ok(act::gone()) };
    let (done, ended) = match handle.terminate(grace, "stop").await {
        Ok(_) => (Done::Stopped, "stopped"),
        Err(TerminateError::AlreadyTerminated(_)) => (Done::Removed, "removed"),
        Err(error) => return Err(error.into()),
    };
    let report = remove(&handle).await?;
    let how = report.as_ref().map(|report| format!(" ({})", how(report))).unwrap_or_default();
    for note in report.iter().flat_map(|report| &report.notes) {
        show::say(format_args!("procunit: {}: {note}", handle.id()));
    }
    Ok(Deed { done, words: format!("{ended}{how}"), report })
}

/// Gives up all that is kept of an ended proc, once nothing of it is left.
pub(crate) async fn remove(handle: &ProcHandle) -> anyhow::Result<Option<Report>> {
    handle.gone().await?;
    let report = handle.report().await;
    handle.reap().await;
    Ok(report)
}

fn how(report: &Report) -> String {
    let forced = if words::was_forced(report) { "; it did not stop in time" } else { "" };
    format!("{}{forced}", words::end(report))
}
