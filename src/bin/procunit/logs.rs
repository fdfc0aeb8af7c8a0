//! `procunit logs`.

use std::time::Duration;

use procunit::ProcManager;
use procunit::journal::{Journalctl, JournalctlRecords, Lines, LoggedRun, Window, newest};
use procunit::report::Report;
use procunit::spec::Lifetime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::args::{Global, LogsArgs};
use crate::log_lines::{Printer, printable};
use crate::{connect, select, show, words};

/// After the end of what is followed, how long no line must come until there are none.
const QUIET: Duration = Duration::from_millis(300);
/// How often is looked for them.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After the end, how long lines are read at most. One that somebody else keeps open may never be quiet.
const LONGEST_DRAIN: Duration = Duration::from_secs(5);

/// Shows what procs wrote.
pub(crate) async fn logs(global: &Global, args: &LogsArgs) -> anyhow::Result<u8> {
    let manager = connect::for_known(global).await?;
    let reports = select::select_all(&manager, &args.which).await?;
    let runs: Vec<_> = reports.iter().map(run_of).collect();
    let window = Window { since: args.since, until: args.until };
    let mut printer = Printer::new(global.output);
    let cursor = if args.follow && args.lines.is_none() {
        None
    } else {
        backlog(&mut printer, &runs, window, args.lines).await?
    };
    let mut ended = Vec::new();
    if args.follow && !printer.is_closed() {
        let lines = Lines::follow(&Journalctl::default(), &runs, window, cursor)?;
        ended = follow(&mut printer, &manager, &reports, lines).await?;
    }
    let read_on = !printer.is_closed();
    let shown = printer.finish()?;
    if read_on && !global.quiet {
        if shown == 0 {
            tell_nothing(&reports, args);
        }
        for report in ended {
            show::say(format_args!("procunit: {}: {}", report.id, words::end(&report)));
        }
    }
    Ok(0)
}

/// The last lines of one proc, for people; or one line that says why there are none to be had.
pub(crate) async fn tail(report: &Report, count: usize) -> Vec<String> {
    match newest(&Journalctl::default(), &[run_of(report)], Window::default(), count).await {
        Ok((lines, _)) => lines.iter().map(|line| printable(&line.record.message).into_owned()).collect(),
        Err(error) => vec![format!("({:#})", anyhow::Error::new(error))],
    }
}

/// The run that a report shows. It is the newest of its id: a unit has only one.
fn run_of(report: &Report) -> LoggedRun {
    LoggedRun {
        invocation: report.invocation_id,
        pid: report.pid,
        started_at: report.started_at,
        restarted: report.restarts > 0,
        ..LoggedRun::new(report.id.clone(), nix::unistd::getuid().as_raw())
    }
}

/// Shows what is there, and says up to which place that was.
async fn backlog(
    printer: &mut Printer,
    runs: &[LoggedRun],
    window: Window,
    count: Option<usize>,
) -> anyhow::Result<Option<String>> {
    let journal = Journalctl::default();
    if let Some(count) = count {
        let (lines, cursor) = newest(&journal, runs, window, count).await?;
        lines.iter().try_for_each(|line| printer.line(line))?;
        return Ok(cursor);
    }
    let mut lines = Lines::open(&journal, runs, window)?;
    while let Some(line) = lines.next().await? {
        printer.line(&line)?;
        if printer.is_closed() {
            break;
        }
    }
    tell_skipped(lines.skipped());
    Ok(lines.cursor().map(str::to_owned))
}

/// Shows what comes until every proc is over, and what they wrote last. Gives back how they ended.
async fn follow(
    printer: &mut Printer,
    manager: &ProcManager,
    reports: &[Report],
    mut lines: Lines<JournalctlRecords>,
) -> anyhow::Result<Vec<Report>> {
    let mut ends = JoinSet::new();
    for report in reports {
        // What is gone meanwhile is over.
        if let Ok(handle) = manager.adopt(&report.id).await {
            ends.spawn(async move { handle.wait().await.map(|_| handle) });
        }
    }
    let mut ended = Vec::new();
    while !printer.is_closed() {
        tokio::select! {
            // A flood of lines must not hide an end, and what was printed is shown before it waits.
            biased;
            end = ends.join_next() => match end {
                Some(Ok(Ok(handle))) => ended.extend(handle.report().await),
                Some(_) => {}
                None => break,
            },
            line = lines.next() => match line? {
                Some(line) => printer.line(&line)?,
                None => break,
            },
            () = std::future::ready(()), if printer.is_behind() => printer.flush()?,
        }
    }
    drain(printer, &mut lines).await?;
    tell_skipped(lines.skipped());
    Ok(ended)
}

/// Reads on until it is quiet: a line may be on its way when the one who wrote it is over.
async fn drain(printer: &mut Printer, lines: &mut Lines<JournalctlRecords>) -> anyhow::Result<()> {
    let latest = Instant::now() + LONGEST_DRAIN;
    let mut quiet_since = Instant::now();
    while !printer.is_closed() && quiet_since.elapsed() < QUIET && Instant::now() < latest {
        printer.flush()?;
        sleep(LOOK_EVERY).await;
        lines.catch_up(&Journalctl::default())?;
        while let Some(line) = lines.next().await? {
            printer.line(&line)?;
            quiet_since = Instant::now();
        }
    }
    Ok(())
}

fn tell_skipped(skipped: u64) {
    if skipped > 0 {
        show::say(format_args!("procunit: {skipped} records of the journal are too long and were left out"));
    }
}

fn tell_nothing(reports: &[Report], args: &LogsArgs) {
    let names: Vec<_> = reports.iter().map(|report| report.id.as_str()).collect();
    if args.is_narrowed() {
        return show::say(format_args!("procunit: none of the lines of {} match", names.join(", ")));
    }
    let attached = reports.iter().all(|report| report.lifetime == Lifetime::Attached);
    let why = if attached { "; what an attached proc writes goes to who ran it" } else { "" };
    show::say(format_args!("procunit: the journal has no lines of {}{why}", names.join(", ")));
}
