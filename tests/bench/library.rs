//! This library, as a program would use it: a manager on the systemd launcher, default specs.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use procunit::id::ProcId;
use procunit::launcher::systemd::SystemdLauncher;
use procunit::manager::Concurrency;
use procunit::spec::{Output, ProcSpec};
use procunit::{ProcHandle, ProcManager};

use crate::work::{To, Work, per_second};

/// The spec of the `index`th program of a set: attached and tied, as every default is.
pub(crate) fn spec(work: &Work, set: usize, index: usize) -> anyhow::Result<ProcSpec> {
    let id = ProcId::new(format!("bench{set}:{index}"))?;
    let spec = ProcSpec::builder(id, work.program).args(work.args);
    Ok(spec.stdout(output(work.to)).stderr(output(work.to)).build()?)
}

/// Both streams are alike.
pub(crate) fn output(to: To) -> Output {
    match to {
        To::Null => Output::Null,
        To::Journal => Output::Journal,
    }
}

/// Launches a second. A launch is answered when exec has succeeded.
pub(crate) async fn rate(work: Work, depth: usize) -> anyhow::Result<f64> {
    let mut library = Library::connect().await?;
    let rate = library.launch(&work, depth).await?;
    end(&work, library.handles).await?;
    Ok(rate)
}

/// A manager and the handles of what it launched, as its user keeps them.
pub(crate) struct Library {
    pub(crate) manager: ProcManager,
    handles: Vec<ProcHandle>,
}

impl Library {
    pub(crate) async fn connect() -> anyhow::Result<Self> {
        Ok(Self { manager: ProcManager::new(SystemdLauncher::connect().await?), handles: Vec::new() })
    }

    /// Launches a second. What is launched is kept.
    pub(crate) async fn launch(&mut self, work: &Work, depth: usize) -> anyhow::Result<f64> {
        let set = Work::set();
        let specs: Vec<_> = (0..work.count).map(|index| spec(work, set, index)).collect::<Result<_, _>>()?;
        let manager = &self.manager;
        let launches = stream::iter(specs).map(|spec| async { Ok(manager.spawn(spec).await?) });
        let (rate, handles) = per_second(launches, depth).await?;
        self.handles.extend(handles);
        Ok(rate)
    }

    /// One program from its launch to its status.
    pub(crate) async fn cycle(&self, work: &Work) -> anyhow::Result<()> {
        let handle = self.manager.spawn(spec(work, Work::set(), 0)?).await?;
        let end = handle.wait().await?;
        ensure!(end.to_string() == "Stopped(exit=0)", "{} is {end}", handle.id());
        Ok(())
    }

    /// Ends all of them, and holds each status to what it must be.
    pub(crate) async fn terminate_all(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let summary = self.manager.terminate_all(None, Concurrency::All, "the bench is over").await;
        let took = began.elapsed();
        ensure!(summary.failed.is_empty() && summary.ok == self.handles.len(), "{summary:?}");
        for handle in self.handles.drain(..) {
            let end = handle.status().to_string();
            ensure!(end == "Killed(sig=15)", "{} is {end}", handle.id());
        }
        Ok(took)
    }
}

/// Ends a set, each of it by its handle, and holds the ends to what they must be.
async fn end(work: &Work, handles: Vec<ProcHandle>) -> anyhow::Result<()> {
    let expected = if work.is_short() { "Stopped(exit=0)" } else { "Killed(sig=9)" };
    let ends = stream::iter(handles).map(|handle| async move {
        let end = if work.is_short() { handle.wait().await? } else { handle.kill().await? };
        ensure!(end.to_string() == expected, "{} is {end}, not {expected}", handle.id());
        Ok(())
    });
    ends.buffer_unordered(32).try_collect::<()>().await.context("a set of the library's")
}
