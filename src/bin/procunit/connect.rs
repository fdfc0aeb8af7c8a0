//! Which launcher to use, and the manager on it.

use anyhow::Context as _;
use procunit::ProcManager;
use procunit::launcher::native::NativeLauncher;
use procunit::launcher::systemd::SystemdLauncher;

use crate::args::{Global, LauncherKind};
use crate::show;

/// A manager on systemd; an error where its user manager does not answer.
pub(crate) async fn systemd() -> anyhow::Result<ProcManager> {
    let launcher = SystemdLauncher::connect()
        .await
        .context("needs a systemd user manager (`procunit doctor` says more)")?;
    Ok(ProcManager::new(launcher))
}

/// The manager for an attached proc: where no user manager answers, `auto` says so in one line and falls back to
/// plain child processes.
pub(crate) async fn for_attached(global: &Global) -> anyhow::Result<ProcManager> {
    match global.launcher {
        LauncherKind::Systemd => systemd().await,
        LauncherKind::Native => native(),
        LauncherKind::Auto => match SystemdLauncher::connect().await {
            Ok(launcher) => Ok(ProcManager::new(launcher)),
            Err(error) => {
                show::say(format_args!(
                    "procunit: {error}; running it as a plain child process: no unit, no journal, no cgroup"
                ));
                native()
            }
        },
    }
}

/// The manager for a detached proc, which only a user manager can keep.
pub(crate) async fn for_detached(global: &Global) -> anyhow::Result<ProcManager> {
    if global.launcher == LauncherKind::Native {
        anyhow::bail!(
            "the native launcher cannot keep a detached proc; run it attached, or with a user manager"
        );
    }
    systemd().await
}

/// The manager for procs that somebody started before. Only units can be found again.
pub(crate) async fn for_known(global: &Global) -> anyhow::Result<ProcManager> {
    if global.launcher == LauncherKind::Native {
        anyhow::bail!("procs of the native launcher are known only to what started them");
    }
    systemd().await
}

fn native() -> anyhow::Result<ProcManager> {
    Ok(ProcManager::new(NativeLauncher::new()?))
}
