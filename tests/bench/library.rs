//! This library, as a program would use it: a manager on the systemd launcher, default specs.

use anyhow::Context as _;
use futures_util::{StreamExt, TryStreamExt, stream};
use procunit::id::ProcId;
use procunit::launcher::systemd::SystemdLauncher;
use procunit::spec::{Output, ProcSpec};
use procunit::{ProcHandle, ProcManager};

use crate::work::{Work, per_second};

/// The spec of the `index`th program of a set: attached and tied, as every default is, its output to `/dev/null`.
pub(crate) fn spec(work: &Work, set: usize, index: usize) -> anyhow::Result<ProcSpec> {
    let id = ProcId::new(format!("bench{set}:{index}"))?;
    let spec = ProcSpec::builder(id, work.program).args(work.args);
    Ok(spec.stdout(Output::Null).stderr(Output::Null).build()?)
}

/// Launches a second. A launch is answered when exec has succeeded.
pub(crate) async fn rate(work: &Work, depth: usize) -> anyhow::Result<f64> {
    let set = Work::set();
    let specs: Vec<_> = (0..work.count).map(|index| spec(work, set, index)).collect::<Result<_, _>>()?;
    let manager = ProcManager::new(SystemdLauncher::connect().await?);
    let launches = stream::iter(specs).map(|spec| async { Ok(manager.spawn(spec).await?) });
    let (rate, handles) = per_second(launches, depth).await?;
    end(work, handles).await?;
    Ok(rate)
}

/// Ends a set, each of it by its handle, and holds the ends to what they must be.
async fn end(work: &Work, handles: Vec<ProcHandle>) -> anyhow::Result<()> {
    let expected = if work.is_short() { "Stopped(exit=0)" } else { "Killed(sig=9)" };
    let ends = stream::iter(handles).map(|handle| async move {
        let end = if work.is_short() { handle.wait().await? } else { handle.kill().await? };
        anyhow::ensure!(end.to_string() == expected, "{} is {end}, not {expected}", handle.id());
        Ok(())
    });
    ends.buffer_unordered(32).try_collect::<()>().await.context("a set of the library's")
}
