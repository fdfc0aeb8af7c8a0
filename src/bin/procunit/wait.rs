//! `procunit wait`.

use std::collections::HashSet;
use std::future::pending;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, stream};
use procunit::manager::TerminateError;
use procunit::report::Report;
use procunit::spec::defaults;
use procunit::{ProcHandle, ProcManager};
use tokio::time::{Instant, sleep_until};

use crate::args::{Awaited, Format, Global, WaitArgs};
use crate::{connect, exit, select, show, words};

/// How long `--any` is held up by what the first one left: whoever waits for the first of several wants to go on.
const ANY_SWEEP: Duration = Duration::from_millis(500);

/// Waits for the end of procs; the exit code is that of the first failure in time.
pub(crate) async fn wait(global: &Global, args: &WaitArgs) -> anyhow::Result<u8> {
    let Awaited::Exit = args.awaited;
    let deadline = args.timeout.and_then(|limit| limit.0).map(|timeout| Instant::now() + timeout);
    let manager = connect::for_known(global).await?;
    let selected = select::select_all(&manager, &args.which).await?;
    let mut handles = hold_all(&manager, &selected).await?;
    if args.any {
        keep_first_ended(&mut handles).await;
    }
    let mut ended = until_over(global, args, &handles, deadline).await?;
    ended.sort_by_key(|report| report.ended_at);
    let done = if args.any { !ended.is_empty() } else { ended.len() == handles.len() };
    let code = ended.iter().map(exit::code_of_report).find(|code| *code != 0);
    let running = still_running(&handles, &ended);
    if !done {
        tell_running(&running);
    }
    print(global, ended, &running).await?;
    Ok(code.unwrap_or(if done { 0 } else { exit::TIME_LIMIT }))
}

async fn hold_all(manager: &ProcManager, selected: &[Report]) -> anyhow::Result<Vec<ProcHandle>> {
    let holds = selected.iter().map(|report| async move {
        let handle = manager.adopt(&report.id).await;
        handle.map_err(anyhow::Error::from)
    });
    let mut holds = stream::iter(holds).buffered(defaults::STOP_CONCURRENCY.get());
    let mut handles = Vec::new();
    while let Some(handle) = holds.next().await {
        handles.push(handle?);
    }
    Ok(handles)
}

/// Of those that are over already, the one that was over first is what `--any` means.
async fn keep_first_ended(handles: &mut Vec<ProcHandle>) {
    let mut first: Option<(Report, ProcHandle)> = None;
    for handle in handles.iter().filter(|handle| handle.status().is_exit()) {
        let Some(report) = handle.report().await else { continue };
        if first.as_ref().is_none_or(|(known, _)| report.ended_at < known.ended_at) {
            first = Some((report, handle.clone()));
        }
    }
    if let Some((_, handle)) = first {
        *handles = vec![handle];
    }
}

/// Reports of those that ended before the deadline; with `--any`, of the first. An end counts as soon as it is known;
/// what its main process left is ended in the time that is left, and what outlives that is told.
async fn until_over(
    global: &Global,
    args: &WaitArgs,
    handles: &[ProcHandle],
    mut deadline: Option<Instant>,
) -> anyhow::Result<Vec<Report>> {
    let mut ends: FuturesUnordered<_> = handles.iter().map(end).collect();
    let mut sweeps = FuturesUnordered::new();
    let (mut ended, mut swept) = (Vec::new(), HashSet::new());
    while !(ends.is_empty() && sweeps.is_empty()) {
        tokio::select! {
            // What is over by then counts, also when there was no time at all.
            biased;
            Some(over) = ends.next() => {
                let handle: &ProcHandle = over?;
                let report = report(global, handle).await.ok_or(TerminateError::Closed)?;
                tell_end(global, &report, !args.rm);
                ended.push(report);
                sweeps.push(leave_nothing(handle, args.rm));
                if args.any {
                    ends.clear();
                    let enough = Instant::now() + ANY_SWEEP;
                    deadline = Some(deadline.map_or(enough, |deadline| deadline.min(enough)));
                }
            }
            Some(handle) = sweeps.next() => drop(swept.insert(handle?.id())),
            () = at(deadline) => break,
        }
    }
    for left in ended.iter().filter(|report| !swept.contains(&report.id)) {
        tell_left(left);
    }
    Ok(ended)
}

/// What is to be told of an end: to programs also what is known of its log, for which it is waited.
async fn report(global: &Global, handle: &ProcHandle) -> Option<Report> {
    if global.wants_json() {
        handle.report_with_logs(defaults::TAIL_LINES).await
    } else {
        handle.report().await
    }
}

async fn end(handle: &ProcHandle) -> anyhow::Result<&ProcHandle> {
    handle.wait().await?;
    Ok(handle)
}

/// Ends what an ended one left behind, and gives up what is kept of it if that is asked for.
async fn leave_nothing(handle: &ProcHandle, remove: bool) -> anyhow::Result<&ProcHandle> {
    match handle.gone().await {
        Ok(_) => {}
        Err(error @ TerminateError::TimedOut { .. }) => {
            show::say(format_args!("procunit: {}: what it left behind is {error}", handle.id()));
        }
        Err(error) => return Err(error.into()),
    }
    if remove {
        handle.reap().await;
    }
    Ok(handle)
}

/// Says that there was no time for all that an ended one left.
fn tell_left(report: &Report) {
    let id = &report.id;
    show::say(format_args!(
        "procunit: {id}: what it left behind is still there; `procunit stop {id}` ends it"
    ));
}

fn tell_end(global: &Global, report: &Report, kept: bool) {
    if exit::code_of_report(report) != 0 && !global.quiet {
        show::exit_report(report, kept);
    }
}

fn still_running(handles: &[ProcHandle], ended: &[Report]) -> Vec<ProcHandle> {
    let over = |handle: &&ProcHandle| ended.iter().any(|report| report.id == *handle.id());
    handles.iter().filter(|handle| !over(handle)).cloned().collect()
}

fn tell_running(running: &[ProcHandle]) {
    for handle in running {
        let state = words::state(&handle.status());
        show::say(format_args!("procunit: {}: the timeout passed; it is {state}", handle.id()));
    }
}

async fn print(global: &Global, mut reports: Vec<Report>, running: &[ProcHandle]) -> anyhow::Result<()> {
    if global.output == Format::Name {
        return Ok(reports.iter().try_for_each(|report| show::line(&report.id))?);
    }
    for handle in running {
        reports.extend(handle.report().await);
    }
    match global.output {
        Format::Json => show::json_list("procs", &reports),
        Format::Jsonl => reports.iter().try_for_each(show::json_line),
        _ => Ok(()),
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
