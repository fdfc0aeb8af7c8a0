//! A proc's environment: exactly its caller's, although the user manager hands every service its own.
//!
//! systemd merges, later over earlier: the manager's environment, what it sets for each service, the unit's
//! `Environment`; `UnsetEnvironment` is applied last and takes away whatever has the name (`exec_child`, execute.c).
//! So the whole environment is sent, and what only the manager has is unset; but a name that systemd itself sets
//! for the service is neither sent nor unset.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::escape::{self, Quoting};
use super::identity;
use super::plan::{LaunchContext, PlanNote};
use super::property::Property;
use super::version::Feature;
use crate::spec::defaults::ENVIRONMENT_ENTRIES_MAX;
use crate::spec::{
    EnvBase, Field, Flaw, OWN, Output, PER_SERVICE, ProcSpec, SpecError, name_flaw, value_flaw,
};

/// What a proc shall see, and what must be taken away for that.
pub(super) struct Resolved {
    set: BTreeMap<String, String>,
    unset: BTreeSet<String>,
    dropped: Vec<(String, Flaw)>,
}

/// Works out the environment of a proc.
///
/// What the manager's environment gains after this moment reaches a later run of the same unit: systemd has no
/// switch to start from nothing.
pub(super) fn resolve(spec: &ProcSpec, launch: &LaunchContext) -> Resolved {
    let mut resolved = inherited(spec, launch);
    for (name, value) in &spec.environment().changes {
        if let Some(value) = value {
            resolved.set.insert(name.clone(), value.clone());
        } else {
            resolved.set.remove(name);
            resolved.unset.insert(name.clone());
        }
    }
    resolved.set.extend(own(spec, launch));
    let managers = launch.manager_env.iter().map(|(name, _)| name);
    let foreign =
        managers.filter(|name| !resolved.set.contains_key(*name) && !set_by_systemd(name, spec, launch));
    resolved.unset.extend(foreign.cloned());
    resolved
}

/// What comes from the caller: all that can be passed, the first of several with one name, as getenv(3) reads it.
fn inherited(spec: &ProcSpec, launch: &LaunchContext) -> Resolved {
    let mut resolved = Resolved { set: BTreeMap::new(), unset: BTreeSet::new(), dropped: Vec::new() };
    let wanted = |(name, _): &&(OsString, OsString)| is_inherited(&name.to_string_lossy(), spec, launch);
    for (name, value) in launch.caller.env.iter().filter(wanted) {
        match passable(name, value) {
            Ok((name, value)) => {
                resolved.set.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
            Err(dropped) => resolved.dropped.push(dropped),
        }
    }
    resolved
}

/// An entry as D-Bus can carry it, or its name as people can read it and what is wrong.
fn passable<'a>(name: &'a OsStr, value: &'a OsStr) -> Result<(&'a str, &'a str), (String, Flaw)> {
    let shown = || name.to_string_lossy().into_owned();
    if let Some(flaw) = name_flaw(name.as_bytes()).or_else(|| value_flaw(value.as_bytes())) {
        return Err((shown(), flaw));
    }
    name.to_str().zip(value.to_str()).ok_or_else(|| (shown(), Flaw::NotUtf8))
}

fn is_inherited(name: &str, spec: &ProcSpec, launch: &LaunchContext) -> bool {
    let environment = spec.environment();
    let in_base = environment.base == EnvBase::Caller || EnvBase::CLEAN.contains(&name);
    in_base
        && !environment.changes.contains_key(name)
        && !OWN.contains(&name)
        && (!PER_SERVICE.contains(&name) || (name == "JOURNAL_STREAM" && keeps_journal_stream(spec)))
        && !made_by_property(name, launch)
}

/// `JOURNAL_STREAM` names the stream behind a program's own output: it stays true of an output that is handed on,
/// and systemd sets its own for one that it connects.
fn keeps_journal_stream(spec: &ProcSpec) -> bool {
    let is_inherited = |output: &Output| matches!(output, Output::Inherit);
    !journaled(spec) && (is_inherited(&spec.stdio().stdout) || is_inherited(&spec.stdio().stderr))
}

fn journaled(spec: &ProcSpec) -> bool {
    let to_journal = |output: &Output| matches!(output, Output::Journal);
    to_journal(&spec.stdio().stdout) || to_journal(&spec.stdio().stderr)
}

/// Whether systemd sets the variable for this very unit, so that unsetting it would take systemd's away.
fn set_by_systemd(name: &str, spec: &ProcSpec, launch: &LaunchContext) -> bool {
    match name {
        "INVOCATION_ID" | "MANAGERPID" | "SYSTEMD_EXEC_PID" => true,
        "MANAGERPIDFDID" => launch.version.has(Feature::ManagerPidfdId),
        "MEMORY_PRESSURE_WATCH" | "MEMORY_PRESSURE_WRITE" => launch.version.has(Feature::MemoryPressure),
        "JOURNAL_STREAM" => journaled(spec),
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

/// What says which proc it is.
fn own(spec: &ProcSpec, launch: &LaunchContext) -> impl Iterator<Item = (String, String)> {
    let rank = spec.rank().map(|rank| ("PROCUNIT_RANK", rank.to_string()));
    let id = ("PROCUNIT_ID", spec.id().to_string());
    let name = ("PROCUNIT_PROCESS_NAME", identity::process_name(spec, launch));
    [id, name].into_iter().chain(rank).map(|(name, value)| (name.to_owned(), value))
}

impl Resolved {
    /// The two properties that make it so.
    pub(super) fn properties(&self) -> Result<Vec<Property>, SpecError> {
        let (count, max) = (self.set.len(), ENVIRONMENT_ENTRIES_MAX);
        if count > max {
            return Err(SpecError::new(Field::Environment, Flaw::TooMany { count, max }));
        }
        let entries: Vec<_> = self.set.iter().map(|(name, value)| format!("{name}={value}")).collect();
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

    /// What was left out.
    pub(super) fn note(&self) -> Option<PlanNote> {
        (!self.dropped.is_empty()).then(|| PlanNote::EnvironmentDropped(self.dropped.clone()))
    }
}
