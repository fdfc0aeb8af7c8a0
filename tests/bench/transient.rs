//! The crate `systemd-transient`: transient units over zbus, too.
//!
//! It is given what it needs to start a program and no more. It does much less with it: no tie, the user manager's
//! environment and directory instead of the caller's, and of an end it tells whether the unit failed, not how the program
//! ended. It adds a match rule per unit. It knows no slices of bounded size: a whole set is in `app.slice`, where each
//! unit stays in memory until its end is read, after the clock. But its programs are short, so few run at a time.

use anyhow::Context as _;
use futures_util::{StreamExt, TryStreamExt, stream};
use systemd_transient::{
    ExecCommand, ServiceType, SystemdTransientManager, TransientUnitHandle, UnitProperty,
};

use crate::work::{Work, per_second};

/// Launches a second. A launch is answered when its start job is over and it is watched.
pub(crate) async fn rate(work: Work, depth: usize) -> anyhow::Result<f64> {
    let (set, manager) = (Work::set(), SystemdTransientManager::session().await?);
    let (manager, program) = (&manager, &work);
    let launches = stream::iter(0..work.count).map(|index| async move {
        let name = format!("procbench-{}-{set}-{index}", std::process::id());
        manager.start(&name, properties(program)).await.context("systemd-transient")
    });
    let (rate, units) = per_second(launches, depth).await?;
    let ends = stream::iter(units).map(end).buffer_unordered(32);
    ends.try_collect::<()>().await.context("a set of systemd-transient's")?;
    Ok(rate)
}

fn properties(work: &Work) -> Vec<UnitProperty> {
    vec![
        UnitProperty::Type(ServiceType::Exec),
        UnitProperty::ExecStart(vec![ExecCommand::new(work.program, work.args.iter().copied())]),
        null("StandardOutput"),
        null("StandardError"),
    ]
}

/// It has no names for these two.
fn null(stream: &'static str) -> UnitProperty {
    UnitProperty::Custom(stream.into(), "null".into())
}

async fn end(unit: TransientUnitHandle) -> anyhow::Result<()> {
    unit.wait_for_exit().await?;
    Ok(unit.release().await?)
}
