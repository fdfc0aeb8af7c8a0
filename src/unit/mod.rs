//! A spec and a systemd version become a plan of own property values. No IO, no D-Bus types.
//!
//! One module per resource, each a function from spec and [`LaunchContext`] to [`property::Property`] values;
//! [`plan()`] puts them together. What a module says about systemd names its source: a man page, a file of
//! systemd's, or "measured" with the version.

mod environment;
mod escape;
mod exec;
mod identity;
mod limits;
mod passthrough;
mod placement;
mod plan;
pub mod property;
mod restart;
mod stdio;
mod stopping;
mod tie;
mod version;

pub use passthrough::{PropertyError, typed};
pub use placement::slice_properties;
pub use plan::{Caller, LaunchContext, PlanNote, UnitPlan, plan};
pub use stdio::{UnitStream, UnitStreams, syslog_identifier};
pub use stopping::stop_timeout;
pub use tie::tie_plan;
pub use version::{BadVersion, Feature, SystemdVersion};

/// Whole microseconds, as every span of a unit is counted.
fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
