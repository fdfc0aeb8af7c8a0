//! `procunit rm`.

use anyhow::bail;
use procunit::ProcManager;
use procunit::report::Report;

use crate::act::{self, Deed, Done};
use crate::args::{Global, RmArgs};
use crate::{connect, kill, select, stop, words};

/// Removes what is kept of ended procs.
pub(crate) async fn rm(global: &Global, args: &RmArgs) -> anyhow::Result<u8> {
    let manager = connect::for_known(global).await?;
    let selected = select::select(&manager, &args.which).await?;
    act::on_each(global, &selected, |report| one(&manager, report, args.force)).await
}

async fn one(manager: &ProcManager, seen: Report, force: bool) -> anyhow::Result<Deed> {
    let Some(handle) = act::hold(manager, &seen).await? else { return Ok(act::gone()) };
    let status = handle.status();
    if !status.is_exit() && !force {
        bail!("it is {}; `procunit stop` it, or rm -f", words::state(&status));
    }
    if force {
        // Also what one that is over left behind.
        kill::end(&handle).await?;
    }
    let report = stop::remove(&handle).await?;
    let end = report.as_ref().map(|report| format!(" ({})", words::end(report))).unwrap_or_default();
    Ok(Deed { done: Done::Removed, words: format!("removed{end}"), report })
}
