//! A proc's environment: where it starts from, what the caller changes, and which entries can be passed at all.

use std::collections::BTreeMap;
use std::fmt;

use super::defaults::EXEC_STRING_MAX;
use super::error::Flaw;

/// What a proc's environment starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EnvBase {
    /// The caller's whole environment.
    #[default]
    Caller,
    /// [`EnvBase::CLEAN`] of the caller alone.
    Clean,
}

impl EnvBase {
    /// What a clean environment keeps of the caller's, where the caller has it.
    pub const CLEAN: [&'static str; 5] = ["PATH", "HOME", "USER", "LANG", "XDG_RUNTIME_DIR"];
}

/// A proc's environment. `Debug` shows names only: values may be secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Environment {
    /// What it starts from.
    pub base: EnvBase,
    /// What the caller sets (`Some`) and removes (`None`), by name.
    pub changes: BTreeMap<String, Option<String>>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |set: bool| {
            let kept = self.changes.iter().filter(move |(_, value)| value.is_some() == set);
            kept.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
        };
        f.debug_struct("Environment")
            .field("base", &self.base)
            .field("set", &names(true))
            .field("removed", &names(false))
            .finish()
    }
}

/// What says which proc it is. No caller can set or remove these.
///
/// Other `PROCUNIT_*` names are settings of the command, and pass like any variable.
pub const OWN: [&str; 3] = ["PROCUNIT_ID", "PROCUNIT_PROCESS_NAME", "PROCUNIT_RANK"];

/// What systemd sets for each service, or each run of one (systemd.exec(5), "Environment Variables Set or
/// Propagated by the Service Manager").
///
/// The caller's describe the caller's own service and are never inherited; nobody can set them, as a value from the
/// unit would hide systemd's. Removing one is allowed: the proc then does not see it.
pub const PER_SERVICE: [&str; 15] = [
    "CREDENTIALS_DIRECTORY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "MANAGERPID",
    "MANAGERPIDFDID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "NOTIFY_SOCKET",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// What systemd does not accept of an environment name (`env_name_is_valid`, env-util.c; the same from 252 to 257).
pub fn name_flaw(name: &[u8]) -> Option<Flaw> {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    match name.split_first() {
        None => Some(Flaw::Empty),
        Some((&head, tail)) => {
            let good = first(head) && tail.iter().all(|&byte| first(byte) || byte.is_ascii_digit());
            (!good).then_some(Flaw::BadName)
        }
    }
}

/// What D-Bus cannot carry of an environment value. Control characters, line breaks among them, are carried.
pub fn value_flaw(value: &[u8]) -> Option<Flaw> {
    if value.contains(&0) {
        return Some(Flaw::Nul);
    }
    std::str::from_utf8(value).is_err().then_some(Flaw::NotUtf8)
}

/// What the kernel does not take of an environment value: `NAME=VALUE` is one string to it.
pub(super) fn long_value_flaw(name: &[u8], value: &[u8]) -> Option<Flaw> {
    let max = EXEC_STRING_MAX.saturating_sub(name.len() + "=".len());
    (value.len() > max).then_some(Flaw::TooLong { len: value.len(), max })
}
