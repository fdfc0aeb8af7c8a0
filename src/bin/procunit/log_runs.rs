//! Whose log is meant: runs of procs that are there, and of procs that only the journal knows any more.

use procunit::ProcManager;
use procunit::id::ProcId;
use procunit::journal::{Journalctl, LoggedRun, runs_of};
use procunit::launcher::LauncherKind;
use procunit::manager::logged_run;
use procunit::report::Report;

use crate::args::Global;
use crate::log_args::LogsArgs;
use crate::log_lines::moment;
use crate::select::{self, NoProc};
use crate::{connect, show};

/// A run whose lines are shown.
pub(crate) struct Chosen {
    pub(crate) run: LoggedRun,
    /// Where it is the run that the user manager has.
    pub(crate) report: Option<Report>,
}

/// The journal has no such run of a proc.
#[derive(Debug, thiserror::Error)]
#[error("{id}: no run {wanted}; the journal has {has} (`--run 1` is the oldest, `--run 0` the newest)")]
pub(crate) struct NoRun {
    id: ProcId,
    wanted: i64,
    has: usize,
}

/// Each part of the selection must mean something.
pub(crate) async fn choose(
    global: &Global,
    args: &LogsArgs,
) -> anyhow::Result<(Option<ProcManager>, Vec<Chosen>)> {
    let (manager, reports) = match known(global).await {
        Ok((manager, reports)) => (Ok(Some(manager)), reports),
        // What runs by itself is known to what started it; the journal has its lines all the same.
        Err(_) if global.launcher == LauncherKind::Native => (Ok(None), Vec::new()),
        Err(error) => (Err(error), Vec::new()),
    };
    let selected = select::pick(reports, &args.which);
    let mut chosen = Vec::new();
    for report in selected.reports {
        chosen.push(of_report(report, global, args.run).await?);
    }
    for missing in selected.missing {
        if chosen.iter().any(|chosen: &Chosen| missing.exact().as_ref() == Some(&chosen.run.id)) {
            continue;
        }
        match gone(&missing, global, args.run).await? {
            Some(run) => chosen.push(Chosen { run, report: None }),
            None => return Err(manager.err().unwrap_or(missing.into())),
        }
    }
    Ok((manager.unwrap_or_default(), chosen))
}

async fn known(global: &Global) -> anyhow::Result<(ProcManager, Vec<Report>)> {
    let manager = connect::for_known(global).await?;
    let reports = manager.survey().await?;
    Ok((manager, reports))
}

async fn of_report(report: Report, global: &Global, number: i64) -> anyhow::Result<Chosen> {
    let newest = logged_run(&report);
    if number == 0 {
        return Ok(Chosen { run: newest, report: Some(report) });
    }
    let runs = with_newest(in_journal(&report.id).await?, newest.clone());
    let run = nth(&report.id, &runs, number, global)?;
    let report = (run == newest).then_some(report);
    Ok(Chosen { run, report })
}

/// The runs with the one that is known for certain in the place of what the journal alone tells of it.
fn with_newest(mut runs: Vec<LoggedRun>, newest: LoggedRun) -> Vec<LoggedRun> {
    let is_before = |run: &LoggedRun| newest.started_at.is_none_or(|start| run.started_at < Some(start));
    runs.retain(|run| run.invocation != newest.invocation && is_before(run));
    if let Some(last) = runs.last_mut() {
        last.next_started_at = newest.started_at;
    }
    runs.push(newest);
    runs
}

/// The run of a proc that is gone.
async fn gone(missing: &NoProc, global: &Global, number: i64) -> anyhow::Result<Option<LoggedRun>> {
    let Some(id) = missing.exact() else { return Ok(None) };
    let runs = in_journal(&id).await?;
    if runs.is_empty() {
        return Ok(None);
    }
    let run = nth(&id, &runs, number, global)?;
    if number == 0 && !global.quiet {
        show::say(format_args!(
            "procunit: {id} is gone; this is the newest of its runs that the journal has{}",
            since(&run)
        ));
    }
    Ok(Some(run))
}

async fn in_journal(id: &ProcId) -> anyhow::Result<Vec<LoggedRun>> {
    Ok(runs_of(&Journalctl::default(), id, nix::unistd::getuid().as_raw()).await?)
}

/// Counted as the boots of `journalctl -b`: 1 is the oldest, 0 the newest, -1 the one before.
fn nth(id: &ProcId, runs: &[LoggedRun], number: i64, global: &Global) -> Result<LoggedRun, NoRun> {
    let place = place(runs.len(), number).and_then(|place| Some((place, runs.get(place)?)));
    let Some((place, run)) = place else {
        return Err(NoRun { id: id.clone(), wanted: number, has: runs.len() });
    };
    if number != 0 && !global.quiet {
        let (which, all) = (place + 1, runs.len());
        show::say(format_args!("procunit: {id}: run {which} of the {all} that are known{}", since(run)));
    }
    Ok(run.clone())
}

fn place(count: usize, number: i64) -> Option<usize> {
    let steps = usize::try_from(number.unsigned_abs()).ok()?;
    if number > 0 { Some(steps - 1) } else { count.checked_sub(steps + 1) }
}

fn since(run: &LoggedRun) -> String {
    run.started_at.map(|at| format!(", from {} on", moment(at))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use procunit::time::Timestamp;

    #[test]
    fn runs_are_counted_from_both_ends() {
        assert_eq!([0, -1, -2, -3].map(|number| place(3, number)), [Some(2), Some(1), Some(0), None]);
        assert_eq!([1, 2, 3].map(|number| place(3, number)), [Some(0), Some(1), Some(2)]);
        assert_eq!(place(0, 0), None);
    }

    #[test]
    fn what_ps_shows_is_the_newest_run_whatever_the_journal_tells_of_it() {
        let run = |at| LoggedRun {
            started_at: Some(Timestamp::from_micros(at)),
            ..LoggedRun::new(ProcId::new("web").unwrap(), 1)
        };
        let name = "f82bc701683a4d1d84894610857aeabe".parse().ok();
        let newest = LoggedRun { invocation: name, ..run(20) };
        let runs = with_newest(vec![run(10), run(21)], newest.clone());
        assert_eq!(runs.len(), 2, "the second had no name");
        assert_eq!((runs[0].next_started_at, &runs[1]), (newest.started_at, &newest));
        assert_eq!(with_newest(Vec::new(), newest.clone()), [newest]);
    }
}
