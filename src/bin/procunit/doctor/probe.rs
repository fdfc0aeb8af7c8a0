//! Trying it: a program is launched, says a word to the journal, and says where it is.

use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use procunit::id::ProcId;
use procunit::launcher::systemd::SystemdLauncher;
use procunit::report::Report;
use procunit::spec::{Output, ProcSpec};
use procunit::sys::token::token;
use procunit::{ProcManager, ProcStatus};
use tokio::time::timeout;

use super::{Check, journal};

/// How long the probe may take in all. It takes milliseconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Launches the probe, and tells of launching, of the cgroup controllers and of the journal.
pub(super) async fn launch(launcher: SystemdLauncher) -> Vec<Check> {
    let word = token(10);
    match timeout(PROBE_TIMEOUT, run(launcher, &word)).await {
        Ok(Ok((cgroup, report))) => {
            let mut checks = vec![
                Check::ok("launching", "a program ran as a transient service to its exact end"),
                controllers(&cgroup),
            ];
            checks.extend(journal::checks(&report, &word));
            checks
        }
        Ok(Err(error)) => vec![Check::failed("launching", format!("{error:#}"), "see the message")],
        Err(_) => vec![Check::failed(
            "launching",
            format!("the probe was not over after {} s", PROBE_TIMEOUT.as_secs()),
            "is the machine, or its user manager, overloaded? `systemctl --user list-jobs` says more",
        )],
    }
}

/// Runs the probe, and gives the path of the cgroup that it found itself in and what is told of it and its log.
async fn run(launcher: SystemdLauncher, word: &str) -> anyhow::Result<(String, Report)> {
    let (mut read, write) = std::io::pipe().context("making a pipe")?;
    let id = ProcId::new(format!("doctor-{word}"))?;
    let script = format!("cat /proc/self/cgroup; echo {word} >&2");
    let spec = ProcSpec::builder(id, "/bin/sh").args(["-c", &script]);
    let spec = spec.stdout(Output::from(OwnedFd::from(write))).stderr(Output::Journal).build()?;
    let manager = ProcManager::new(launcher);
    let handle = manager.spawn(spec).await?;
    let status = handle.wait().await?;
    if !matches!(status, ProcStatus::Stopped { exit_code: 0, .. }) {
        anyhow::bail!("the probe ended as {status}");
    }
    // Everything it wrote is in the pipe, and the spec, the last holder of the other end, went with the launch.
    let mut said = String::new();
    read.read_to_string(&mut said).context("reading what the probe said")?;
    let report = handle.report_with_logs(1).await.context("a report of the probe")?;
    Ok((said, report))
}

/// The controllers that limits and accounting need. `user@.service` is delegated cpu, memory and pids (252 to 257).
fn controllers(said: &str) -> Check {
    const NAME: &str = "controllers";
    let path = said.lines().find_map(|line| line.strip_prefix("0::/"));
    let Some(path) = path else {
        return Check::warning(NAME, "no unified cgroup", "boot with systemd.unified_cgroup_hierarchy=1");
    };
    // The unit's own cgroup is gone; the slice above it may be, too.
    let above = Path::new("/sys/fs/cgroup").join(path);
    let file = above.ancestors().skip(1).map(|dir| dir.join("cgroup.controllers")).find(|file| file.exists());
    let there = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    let missing: Vec<_> = ["cpu", "memory", "pids"]
        .into_iter()
        .filter(|one| !there.split_whitespace().any(|it| it == *one))
        .collect();
    if missing.is_empty() {
        return Check::ok(NAME, there.trim().to_owned());
    }
    Check::warning(
        NAME,
        format!(
            "{} not delegated: their limits have no effect and their figures are unknown",
            missing.join(", ")
        ),
        "systemctl edit user@.service: Delegate=cpu memory pids; in a container, the host must hand them in",
    )
}
