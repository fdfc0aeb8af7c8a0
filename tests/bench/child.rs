//! `tokio::process`: plain children, without a unit, a tie, or a control group of their own.

use std::process::Stdio;

use futures_util::{StreamExt, stream};
use tokio::process::{Child, Command};

use crate::work::{Work, per_second};

/// Launches a second: to the end of a short program, to the answer of `spawn` for a long one.
pub(crate) async fn rate(work: Work, depth: usize) -> anyhow::Result<f64> {
    let launches = stream::iter(0..work.count).map(|_| run(&work));
    let (rate, mut children) = per_second(launches, depth).await?;
    for child in &mut children {
        child.kill().await?;
    }
    Ok(rate)
}

async fn run(work: &Work) -> anyhow::Result<Child> {
    let mut command = Command::new(work.program);
    command.args(work.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    if work.is_short() {
        child.wait().await?;
    }
    Ok(child)
}
