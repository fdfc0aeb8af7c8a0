//! `systemd-run --user`, one command per unit, as a shell script would do it.

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt, stream};
use tokio::process::Command;

use crate::work::{Work, per_second};

/// Launches a second, `at_once` commands at a time. A launch is answered when the command is over.
pub(crate) async fn rate(work: Work, at_once: usize) -> anyhow::Result<f64> {
    let slice = format!("app-procbench_{}.slice", Work::set());
    let launches = stream::iter(0..work.count).map(|_| run(&work, &slice));
    let (rate, _) = per_second(launches, at_once).await?;
    // One job for the slice and all in it; neither has another end.
    succeeds(Command::new("systemctl").args(["--user", "stop", &slice])).await?;
    Ok(rate)
}

async fn run(work: &Work, slice: &str) -> anyhow::Result<()> {
    let mut command = Command::new("systemd-run");
    command.args(["--user", "--quiet", "--collect", "-pStandardOutput=null", "-pStandardError=null"]);
    command.arg(format!("--slice={slice}")).arg("--").arg(work.program).args(work.args);
    succeeds(&mut command).await
}

async fn succeeds(command: &mut Command) -> anyhow::Result<()> {
    let status = command.stdin(Stdio::null()).status().await;
    let status = status.with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
