//! `systemd-run --user`, one command per unit, as a shell script would do it, but for the slices: 50 units in each, as
//! ours and raw have. All in one would slow it with each that lives.

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt, stream};
use procunit::spec::defaults::PROCS_PER_SLICE;
use tokio::process::Command;

use crate::work::{Work, per_second};

/// Launches a second, `at_once` commands at a time. A launch is answered when the command is over.
pub(crate) async fn rate(work: Work, at_once: usize) -> anyhow::Result<f64> {
    let set = Work::set();
    let slice = |number: usize| format!("app-procbench_{set}_{number}.slice");
    let launches = stream::iter(0..work.count).map(|index| run(&work, slice(index / PROCS_PER_SLICE)));
    let (rate, _) = per_second(launches, at_once).await?;
    // A job for each slice and all in it; neither has another end.
    let slices = (0..work.count.div_ceil(PROCS_PER_SLICE.get())).map(slice);
    succeeds(Command::new("systemctl").args(["--user", "stop"]).args(slices)).await?;
    Ok(rate)
}

async fn run(work: &Work, slice: String) -> anyhow::Result<()> {
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
