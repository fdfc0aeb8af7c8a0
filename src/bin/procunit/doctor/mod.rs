//! `procunit doctor`: what launching needs, what is there, and what to do about the rest.
//!
//! What can be tried is tried: a program is launched, and its words are looked for in the journal.

mod host;
mod probe;

use std::fmt::Write as _;

use procunit::bus::BusError;
use procunit::launcher::systemd::SystemdLauncher;
use procunit::unit::SystemdVersion;
use serde::Serialize;

use crate::args::{Format, Global};
use crate::{exit, show};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// Launching works, and something else does not, or not always.
    Warning,
    /// Launching does not work.
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    name: &'static str,
    verdict: Verdict,
    /// What was found.
    found: String,
    /// What to do about it, where something should be done.
    remedy: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn failed(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Failed, found: found.into(), remedy: Some(remedy.into()) }
    }
}

/// The whole answer.
#[derive(Serialize)]
struct Diagnosis {
    version: u32,
    launching_works: bool,
    checks: Vec<Check>,
}

/// Checks everything; the exit code is 0 only if launching works.
pub(crate) async fn doctor(global: &Global) -> anyhow::Result<u8> {
    let mut checks = vec![host::environment()];
    match SystemdLauncher::connect().await {
        Ok(launcher) => {
            let version = launcher.version();
            checks.push(manager(version));
            checks.extend(probe::launch(launcher).await);
            checks.push(lacks(version));
        }
        Err(error) => checks.push(unreachable(&error)),
    }
    checks.extend([host::linger(), host::rate_limit(), host::criu()]);
    let launching_works = checks.iter().all(|check| check.verdict != Verdict::Failed);
    let diagnosis = Diagnosis { version: 1, launching_works, checks };
    match global.output {
        Format::Json => show::line(serde_json::to_string_pretty(&diagnosis)?)?,
        Format::Jsonl => show::line(serde_json::to_string(&diagnosis)?)?,
        Format::Name => {
            let bad = diagnosis.checks.iter().filter(|check| check.verdict != Verdict::Ok);
            bad.map(|check| check.name).try_for_each(show::line)?;
        }
        Format::Table | Format::Wide | Format::Short | Format::Cat => show::line(table(&diagnosis))?,
    }
    Ok(if launching_works { 0 } else { exit::LAUNCHER })
}

fn manager(version: SystemdVersion) -> Check {
    const NAME: &str = "user manager";
    if version < SystemdVersion::OLDEST {
        let found = format!("systemd {version}, which procunit was never tried with");
        return Check::warning(NAME, found, format!("systemd {} or later is wanted", SystemdVersion::OLDEST));
    }
    Check::ok(NAME, format!("systemd {version}"))
}

/// What a later systemd has, one line each.
fn lacks(version: SystemdVersion) -> Check {
    let lacks: Vec<_> = version.lacks().map(|feature| format!("{} has {feature}", feature.since())).collect();
    let indent = format!("\n{:20}", "");
    Check::ok("later systemd", if lacks.is_empty() { "nothing more".to_owned() } else { lacks.join(&indent) })
}

fn unreachable(error: &BusError) -> Check {
    let remedy = match error {
        BusError::NoAddress => {
            "log in through a session (or set XDG_RUNTIME_DIR=/run/user/$(id -u)); `sudo` and `su` drop it, \
             `machinectl shell USER@` or `ssh` keep it"
        }
        BusError::Unreachable { .. } => {
            "start the user manager: `loginctl enable-linger $USER`, then log in again; in a container see \
             contrib/testbed"
        }
        BusError::NotAUserManager { .. } => {
            "this bus has no systemd behind it: unset DBUS_SESSION_BUS_ADDRESS (dbus-run-session sets it), or \
             install dbus-user-session"
        }
        BusError::Anothers { .. } | BusError::AccessDenied { .. } => {
            "run as that user, or set XDG_RUNTIME_DIR=/run/user/$(id -u) and unset DBUS_SESSION_BUS_ADDRESS"
        }
        BusError::Silent { .. } => {
            "`systemctl --user status` tells whether the user manager hangs, too; as root, `systemctl restart \
             user@UID.service` restarts it with all it runs"
        }
        _ => "see the message; `systemctl --user status` may say more",
    };
    let mut found = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let _ = write!(found, ": {cause}");
        source = cause.source();
    }
    Check::failed("user manager", found, remedy)
}

fn table(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for check in &diagnosis.checks {
        let mark = match check.verdict {
            Verdict::Ok => show::good("ok  "),
            Verdict::Warning => show::attention("warn"),
            Verdict::Failed => show::bad("FAIL"),
        };
        let _ = writeln!(text, "{mark}  {:<13} {}", check.name, check.found);
        if let Some(remedy) = &check.remedy {
            let _ = writeln!(text, "      {:<13} -> {remedy}", "");
        }
    }
    let verdict = if diagnosis.launching_works { "launching works" } else { "launching does not work" };
    text + verdict
}
