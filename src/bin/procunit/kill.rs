//! `procunit kill`.

use anyhow::bail;
use procunit::launcher::Target;
use procunit::manager::TerminateError;
use procunit::report::Report;
use procunit::signal::Signal;
use procunit::{ProcHandle, ProcManager};

use crate::act::{self, Deed, Done};
use crate::args::{Global, KillArgs};
use crate::{connect, select, words};

/// Sends a signal to every process of procs; after KILL, waits for the end.
pub(crate) async fn kill(global: &Global, args: &KillArgs) -> anyhow::Result<u8> {
    let manager = connect::for_known(global).await?;
    let selected = select::select(&manager, &args.which).await?;
    act::on_each(global, &selected, |report| one(&manager, report, args.signal)).await
}

async fn one(manager: &ProcManager, seen: Report, signal: Signal) -> anyhow::Result<Deed> {
    let Some(handle) = act::hold(manager, &seen).await? else { return Ok(act::gone()) };
    if signal == Signal::KILL {
        return end(&handle).await;
    }
    let status = handle.status();
    if status.is_exit() && seen.leftovers.is_none() {
        // systemd takes a signal for a unit without processes, and nobody gets it (measured, 252).
        bail!("it is over ({}); {signal} was not sent", words::state(&status));
    }
    handle.signal(signal, Target::Tree).await?;
    let report = handle.report().await;
    Ok(Deed { done: Done::Signalled, words: format!("{signal} sent"), report })
}

/// Ends it by SIGKILL. Where it is over already, that goes to what it left behind.
pub(crate) async fn end(handle: &ProcHandle) -> anyhow::Result<Deed> {
    let done = match handle.kill().await {
        Ok(_) => Done::Killed,
        Err(TerminateError::AlreadyTerminated(_)) => Done::Nothing,
        Err(error) => return Err(error.into()),
    };
    handle.gone().await?;
    let report = handle.report().await;
    let end = report.as_ref().map(words::end).unwrap_or_default();
    let words = if done == Done::Nothing { format!("over already ({end})") } else { end };
    Ok(Deed { done, words, report })
}
