//! `procunit doctor`: what launching needs, what is there, and what to do about the rest.
//!
//! What can be tried is tried: a program is launched, and its words are looked for in the journal.

mod host;
mod journal;
mod probe;

pub(crate) use journal::is_persistent;

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
    found: Found,
    /// What to do about it, where something should be done.
    remedy: Option<String>,
}

/// What was found.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Found {
    Words(String),
    Several(Vec<String>),
}

impl<T: Into<String>> From<T> for Found {
    fn from(words: T) -> Self {
        Self::Words(words.into())
    }
}

impl Found {
    /// In the table, one below the other.
    fn text(&self) -> String {
        match self {
            Self::Words(words) => words.clone(),
            Self::Several(none) if none.is_empty() => "nothing more".to_owned(),
            Self::Several(several) => several.join(&format!("\n{:20}", "")),
        }
    }
}

impl Check {
    fn ok(name: &'static str, found: impl Into<Found>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    fn warning(name: &'static str, found: impl Into<Found>, remedy: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn failed(name: &'static str, found: impl Into<Found>, remedy: impl Into<String>) -> Self {
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
    let connected = SystemdLauncher::connect().await;
    let mut checks = vec![host::user_bus(connected.as_ref().err())];
    match connected {
        Ok(launcher) => {
            let version = launcher.version();
            checks.push(manager(version));
            checks.extend(probe::launch(launcher).await);
            checks.push(lacks(version));
        }
        // That is all said of the bus.
        Err(BusError::NoAddress | BusError::Unreachable { .. }) => {}
        Err(error) => checks.push(unreachable(&error)),
    }
    checks.extend([host::linger(), journal::rate_limit(), host::criu()]);
    let launching_works = checks.iter().all(|check| check.verdict != Verdict::Failed);
    let diagnosis = Diagnosis { version: 1, launching_works, checks };
    match global.output {
        Format::Json | Format::Jsonl => show::json_line(&diagnosis)?,
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

/// What a later systemd has.
fn lacks(version: SystemdVersion) -> Check {
    let lacks = version.lacks().map(|feature| format!("{} has {feature}", feature.since()));
    Check { found: Found::Several(lacks.collect()), ..Check::ok("later systemd", "") }
}

fn unreachable(error: &BusError) -> Check {
    let remedy = match error {
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
    Check::failed("user manager", in_full(error), remedy)
}

/// An error with its causes.
fn in_full(error: &BusError) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let _ = write!(words, ": {cause}");
        source = cause.source();
    }
    words
}

fn table(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for check in &diagnosis.checks {
        let mark = match check.verdict {
            Verdict::Ok => show::good("ok  "),
            Verdict::Warning => show::attention("warn"),
            Verdict::Failed => show::bad("FAIL"),
        };
        let _ = writeln!(text, "{mark}  {:<13} {}", check.name, check.found.text());
        if let Some(remedy) = &check.remedy {
            let _ = writeln!(text, "      {:<13} -> {remedy}", "");
        }
    }
    let verdict = if diagnosis.launching_works { "launching works" } else { "launching does not work" };
    text + verdict
}
