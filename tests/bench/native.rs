//! Plain children of this process, by this library's native launcher and by `tokio::process`: started and waited for,
//! many under way at a time.

use std::process::Stdio;

use anyhow::Context as _;
use futures_util::stream;
use procunit::ProcManager;
use procunit::id::ProcId;
use procunit::launcher::native::NativeLauncher;
use procunit::spec::{Output, ProcSpec};
use tokio::process::Command;

use crate::work::per_second;

/// What is started: over before anybody looks.
const PROGRAM: &str = "/bin/true";

/// Programs a second that this library starts and waits for, `in_flight` at a time.
pub(crate) async fn rate(count: usize, in_flight: usize) -> anyhow::Result<f64> {
    let specs: Vec<_> = (0..count).map(spec).collect::<Result<_, _>>()?;
    let manager = ProcManager::new(NativeLauncher::new()?);
    let runs = specs.into_iter().map(|spec| run(&manager, spec));
    let (rate, _) = per_second(stream::iter(runs), in_flight).await?;
    manager.shutdown().await;
    Ok(rate)
}

fn spec(index: usize) -> anyhow::Result<ProcSpec> {
    let id = ProcId::new(format!("native:{index}"))?;
    Ok(ProcSpec::builder(id, PROGRAM).stdout(Output::Null).stderr(Output::Null).build()?)
}

async fn run(manager: &ProcManager, spec: ProcSpec) -> anyhow::Result<()> {
    let end = manager.spawn(spec).await?.wait().await?;
    anyhow::ensure!(end.to_string() == "Stopped(exit=0)", "{PROGRAM} is {end}");
    Ok(())
}

/// The same by `tokio::process`.
pub(crate) async fn bare_rate(count: usize, in_flight: usize) -> anyhow::Result<f64> {
    let (rate, _) = per_second(stream::iter((0..count).map(|_| run_bare())), in_flight).await?;
    Ok(rate)
}

async fn run_bare() -> anyhow::Result<()> {
    let mut command = Command::new(PROGRAM);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.spawn()?.wait().await.context("an end")?;
    anyhow::ensure!(status.success(), "{PROGRAM} is {status}");
    Ok(())
}
