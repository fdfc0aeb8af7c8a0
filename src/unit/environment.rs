//! A proc's environment: exactly its caller's, although the user manager hands every service its own.
//!
//! systemd merges, later over earlier: the manager's environment, what it sets for each service, the unit's
//! `Environment`; `UnsetEnvironment` is applied last and takes away whatever has the name (`exec_child`, execute.c).
//! So the whole environment is sent, and what only the manager has is unset; but a name that systemd itself sets
//! for the service is neither sent nor unset.

use std::collections::BTreeSet;

use super::escape::{self, Quoting};
use super::plan::{LaunchContext, PlanNote};
use super::property::Property;
use super::version::Feature;
use crate::spec::{ChildEnv, Field, PER_SERVICE, ProcSpec, SpecError};

const JOURNAL_STREAM: &str = "JOURNAL_STREAM";
const TERM: &str = "TERM";

/// What a proc shall see, and what must be taken away for that.
pub(super) struct Resolved {
    seen: ChildEnv,
    unset: BTreeSet<String>,
}

/// Works out the environment of a proc.
///
/// What the manager's environment gains after this moment reaches a later run of the same unit: systemd has no
/// switch to start from nothing.
pub(super) fn resolve(spec: &ProcSpec, launch: &LaunchContext) -> Resolved {
    let changes = &spec.environment().changes;
    let mut seen = ChildEnv::of(spec, &launch.caller.env, &launch.caller.host);
    // What a property makes is systemd's to say, unless the spec says it.
    let made = |name: &str| !changes.contains_key(name) && made_by_property(name, launch);
    seen.set.retain(|name, _| !made(name));
    seen.dropped.retain(|(name, _)| !made(name));
    if let Some(stream) = &launch.streams.journal_stream
        && !changes.contains_key(JOURNAL_STREAM)
    {
        seen.set.insert(JOURNAL_STREAM.to_owned(), stream.clone());
    }
    let removed = changes.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name);
    let managers = launch.manager_env.iter().map(|(name, _)| name);
    let foreign = managers.filter(|name| !seen.set.contains_key(*name) && !set_by_systemd(name, launch));
    let mut unset: BTreeSet<_> = removed.chain(foreign).cloned().collect();
    // systemd has a word of its own for what a terminal is like (vt220) where nobody else has one.
    if launch.streams.terminal.is_some() && !seen.set.contains_key(TERM) {
        unset.insert(TERM.to_owned());
    }
    Resolved { seen, unset }
}

/// Whether systemd sets the variable for this very unit, so that unsetting it would take systemd's away.
fn set_by_systemd(name: &str, launch: &LaunchContext) -> bool {
    match name {
        "INVOCATION_ID" | "MANAGERPID" | "SYSTEMD_EXEC_PID" => true,
        "MANAGERPIDFDID" => launch.version.has(Feature::ManagerPidfdId),
        "MEMORY_PRESSURE_WATCH" | "MEMORY_PRESSURE_WRITE" => launch.version.has(Feature::MemoryPressure),
        JOURNAL_STREAM => launch.streams.has_systemds_own(),
        // The rest of them comes only with properties that were given by name: which ones is systemd's to know.
        _ if PER_SERVICE.contains(&name) => !launch.extra.is_empty(),
        _ => made_by_property(name, launch),
    }
}

/// Properties that make systemd set a variable (systemd.exec(5)), where they are given by name.
const DIRECTORIES: [(&str, &str); 5] = [
    ("RuntimeDirectory", "RUNTIME_DIRECTORY"),
    ("StateDirectory", "STATE_DIRECTORY"),
    ("CacheDirectory", "CACHE_DIRECTORY"),
    ("LogsDirectory", "LOGS_DIRECTORY"),
    ("ConfigurationDirectory", "CONFIGURATION_DIRECTORY"),
];

fn made_by_property(name: &str, launch: &LaunchContext) -> bool {
    let property = DIRECTORIES.iter().find(|(_, variable)| *variable == name).map(|(property, _)| *property);
    property.is_some_and(|property| launch.extra.iter().any(|given| given.name == property))
}

impl Resolved {
    /// The two properties that make it so.
    pub(super) fn properties(&self) -> Result<Vec<Property>, SpecError> {
        self.seen.check_count()?;
        let entries: Vec<_> = self.seen.set.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut properties = vec![Property::new("Environment", entries)];
        if !self.unset.is_empty() {
            let names: Vec<_> = self.unset.iter().cloned().collect();
            properties.push(Property::new("UnsetEnvironment", names));
        }
        for property in &properties {
            escape::check_line(property, Quoting::C, Field::Environment)?;
        }
        Ok(properties)
    }

    /// What it has of its own, in bytes of `NAME=VALUE`.
    pub(super) fn entries(&self) -> impl Iterator<Item = usize> {
        self.seen.set.iter().map(|(name, value)| name.len() + "=".len() + value.len())
    }

    /// What was left out.
    pub(super) fn note(&self) -> Option<PlanNote> {
        (!self.seen.dropped.is_empty()).then(|| PlanNote::EnvironmentDropped(self.seen.dropped.clone()))
    }
}
