//! How many ended detached procs are kept: at most 1,000 for a user, and the oldest go first.

use procunit::ProcManager;
use procunit::report::Report;
use procunit::spec::{Lifetime, defaults};

use crate::args::Global;
use crate::show;
use crate::words::plural;

/// Removes the oldest ended procs beyond the bound and says so; costs one listing where there are none. What fails
/// here is told and fails nothing else.
pub(crate) async fn look_after(global: &Global, manager: &ProcManager) {
    if let Err(error) = bound(global, manager).await {
        show::say(format_args!("procunit: ended procs were not counted: {error:#}"));
    }
}

async fn bound(global: &Global, manager: &ProcManager) -> anyhow::Result<()> {
    if manager.ended_kept().await? > defaults::ENDED_DETACHED_UNITS {
        keep_within_bound(global, manager, manager.survey().await?).await;
    }
    Ok(())
}

/// Removes the oldest ended ones of `reports` beyond the bound and says so. Gives back what stays.
pub(crate) async fn keep_within_bound(
    global: &Global,
    manager: &ProcManager,
    mut reports: Vec<Report>,
) -> Vec<Report> {
    let oldest = beyond_bound(&reports, defaults::ENDED_DETACHED_UNITS);
    for report in &oldest {
        // Whoever holds or removed it meanwhile looks after it.
        if let Ok(handle) = manager.adopt(&report.id).await
            && handle.run() == report.invocation_id
        {
            handle.reap().await;
        }
    }
    reports.retain(|report| !oldest.iter().any(|gone| gone.id == report.id));
    if !oldest.is_empty() && !global.quiet {
        show::say(format_args!(
            "procunit: removed {} ended {}, the oldest first: {} are kept",
            oldest.len(),
            plural(oldest.len(), "proc", "procs"),
            defaults::ENDED_DETACHED_UNITS,
        ));
    }
    reports
}

/// The ended ones that are too many. One that left processes behind is not forgotten.
fn beyond_bound(reports: &[Report], bound: usize) -> Vec<Report> {
    let over = |report: &&Report| {
        report.lifetime == Lifetime::Detached && report.status.is_exit() && report.leftovers.is_none()
    };
    let mut ended: Vec<_> = reports.iter().filter(over).cloned().collect();
    ended.sort_by_key(|report| report.ended_at);
    ended.truncate(ended.len().saturating_sub(bound));
    ended
}
