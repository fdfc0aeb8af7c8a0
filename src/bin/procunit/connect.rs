//! Which launcher to use, and the manager on it.

use anyhow::bail;
use procunit::ProcManager;
use procunit::launcher::{LaunchError, LauncherKind, ProcLauncher};

use crate::args::Global;
use crate::show;

/// A manager on systemd; an error where its user manager does not answer.
pub(crate) async fn systemd() -> anyhow::Result<ProcManager> {
    match LauncherKind::Systemd.connect().await {
        Ok(chosen) => manager(chosen.launcher),
        Err(error) => {
            bail!("needs a systemd user manager (`procunit doctor` says more): {}", why_alone(error))
        }
    }
}

fn manager(launcher: Box<dyn ProcLauncher>) -> anyhow::Result<ProcManager> {
    Ok(ProcManager::builder(launcher).settings_from_env()?.build())
}

/// The manager for an attached proc: where no user manager answers, `auto` says so in one line and falls back to
/// plain child processes.
pub(crate) async fn for_attached(global: &Global) -> anyhow::Result<ProcManager> {
    if global.launcher == LauncherKind::Systemd {
        return systemd().await;
    }
    let chosen = global.launcher.connect().await?;
    if let Some(why) = chosen.fallback {
        show::say(format_args!(
            "procunit: {}; running it as a plain child process: no unit, no journal, no cgroup (`procunit doctor` says \
             what to do)",
            why_alone(why)
        ));
    }
    manager(chosen.launcher)
}

/// The cause and its own causes, without the remedy.
fn why_alone(why: LaunchError) -> String {
    match why {
        LaunchError::Unreachable { source, .. } => format!("{:#}", anyhow::Error::from_boxed(source)),
        other => format!("{:#}", anyhow::Error::new(other)),
    }
}

/// The manager for a detached proc, which only a user manager can keep.
pub(crate) async fn for_detached(global: &Global) -> anyhow::Result<ProcManager> {
    if global.launcher == LauncherKind::Native {
        bail!("the native launcher cannot keep a detached proc; run it attached, or with a user manager");
    }
    systemd().await
}

/// The manager for procs that somebody started before. Only units can be found again.
pub(crate) async fn for_known(global: &Global) -> anyhow::Result<ProcManager> {
    if global.launcher == LauncherKind::Native {
        bail!("procs of the native launcher are known only to what started them");
    }
    systemd().await
}
