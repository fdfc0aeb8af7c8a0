//! From a spec to everything systemd is told about its unit.

use std::ffi::OsString;
use std::fmt;

use super::property::Property;
use super::stdio::UnitStreams;
use super::version::SystemdVersion;
use super::{environment, exec, identity, limits, placement, restart, stdio, stopping};
use crate::id::{SliceName, TieName, UnitName};
use crate::spec::{Flaw, ProcSpec, SpecError};

/// What a plan needs besides the spec: facts that a launcher has looked up.
#[derive(Clone)]
pub struct LaunchContext {
    /// The manager's version.
    pub version: SystemdVersion,
    /// The program, resolved: an absolute path.
    pub program: String,
    /// The spec's working directory, resolved: absolute and canonical. `None` where the spec has none.
    pub cwd: Option<String>,
    /// What the proc takes over from whoever launches it.
    pub caller: Caller,
    /// The manager's own environment, which it hands to every service (its `Environment` property).
    pub manager_env: Vec<(String, String)>,
    /// Where the unit goes.
    pub slice: SliceName,
    /// What an attached proc is tied to; `None` for a detached one.
    pub tie: Option<TieName>,
    /// The standard streams.
    pub streams: UnitStreams,
    /// The spec's own properties, typed.
    pub extra: Vec<Property>,
}

/// What a plain child would take over from its parent.
#[derive(Clone)]
pub struct Caller {
    /// Its environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory, absolute and canonical.
    pub cwd: String,
    /// Its file mode creation mask.
    pub umask: u32,
    /// Its limit of open descriptors, soft and hard; `u64::MAX` is none.
    pub nofile: (u64, u64),
    /// The name of its host.
    pub host: String,
}

/// A unit that can be started: its name and its properties.
#[derive(Clone, PartialEq)]
pub struct UnitPlan {
    /// The unit's name.
    pub name: UnitName,
    /// Its properties, in the order they are sent.
    pub properties: Vec<Property>,
    /// What the caller should be told.
    pub notes: Vec<PlanNote>,
}

/// Something about a plan that its caller should know, each a line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanNote {
    /// Inherited environment entries that cannot be passed, by name, and why.
    EnvironmentDropped(Vec<(String, Flaw)>),
    /// The stop timeout was beyond the backstop and cut to it.
    StopTimeoutCut {
        /// What was asked for.
        asked: std::time::Duration,
        /// What it is now.
        backstop: std::time::Duration,
    },
    /// The delay of restarts was to grow, and this systemd has no such delay.
    RestartDelayStays {
        /// What it is.
        delay: std::time::Duration,
    },
    /// The most restarts are counted from the newest `daemon-reload` on.
    RestartsCountedAnew,
    /// Restarts after a `daemon-reload` fail, as this systemd would not read the arguments back as they are.
    NoRestartAfterReload,
}

impl fmt::Display for PlanNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnvironmentDropped(entries) => {
                let names: Vec<_> = entries.iter().map(|(name, _)| name.as_str()).collect();
                write!(f, "not passed from the environment, as systemd cannot carry it: {}", names.join(", "))
            }
            Self::StopTimeoutCut { asked, backstop } => write!(
                f,
                "the stop timeout of {} is beyond the backstop and was cut to {}",
                crate::time::format_span(*asked),
                crate::time::format_span(*backstop)
            ),
            Self::RestartDelayStays { delay } => write!(
                f,
                "the delay of restarts stays {}: this systemd has none that grows (254 has)",
                crate::time::format_span(*delay)
            ),
            Self::RestartsCountedAnew => f.write_str(
                "this systemd counts restarts anew after a daemon-reload, so that there may be more than were asked for \
                 where nobody holds the proc",
            ),
            Self::NoRestartAfterReload => f.write_str(
                "restarts after a daemon-reload will fail (203), as this systemd would not keep the arguments as they are",
            ),
        }
    }
}

/// Plans the unit of a spec.
///
/// # Errors
/// When something can only be refused once the whole is known: a line or an environment that systemd would not
/// take or not read back.
pub fn plan(spec: &ProcSpec, launch: &LaunchContext) -> Result<UnitPlan, SpecError> {
    let environment = environment::resolve(spec, launch);
    exec::check_total(spec, launch, environment.entries())?;
    let mut properties = identity::properties(spec, launch);
    properties.extend(exec::properties(spec, launch)?);
    properties.extend(environment.properties()?);
    properties.extend(stdio::properties(spec.id(), &launch.streams));
    properties.extend(placement::properties(spec, launch));
    properties.extend(restart::properties(spec, launch.version));
    properties.extend(limits::properties(spec, launch));
    properties.extend(stopping::properties(spec));
    properties.extend(launch.extra.iter().cloned());
    let notes = environment
        .note()
        .into_iter()
        .chain(stopping::note(spec))
        .chain(restart::notes(spec, launch))
        .collect();
    Ok(UnitPlan { name: UnitName::for_proc(spec.id()), properties, notes })
}
