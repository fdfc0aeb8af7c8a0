//! What starts a unit again when a run of it is over: systemd itself, so that it works unattended.

use super::exec;
use super::plan::{LaunchContext, PlanNote};
use super::property::Property;
use super::version::{Feature, SystemdVersion};
use crate::spec::{Lifetime, ProcSpec, RestartWhen};

/// systemd has no number of restarts. It has one of starts within a time (`StartLimitBurst=`), and the time can be
/// infinite (measured, 252 and 257); zero is none.
pub(super) fn properties(spec: &ProcSpec, version: SystemdVersion) -> Vec<Property> {
    let Some(policy) = spec.restart() else { return Vec::new() };
    let when = match policy.when() {
        RestartWhen::OnFailure => "on-failure",
        RestartWhen::Always => "always",
    };
    let mut properties = vec![
        Property::new("Restart", when),
        Property::new("RestartUSec", super::micros(policy.first_delay())),
    ];
    if let Some(longest) = policy.longest_delay().filter(|_| version.has(Feature::RestartSteps)) {
        properties.push(Property::new("RestartSteps", policy.steps()));
        properties.push(Property::new("RestartMaxDelayUSec", super::micros(longest)));
    }
    match policy.max_restarts() {
        Some(max) => properties.extend([
            Property::new("StartLimitIntervalUSec", u64::MAX),
            // The first start counts.
            Property::new("StartLimitBurst", max.saturating_add(1)),
        ]),
        None => properties.push(Property::new("StartLimitIntervalUSec", 0_u64)),
    }
    properties
}

/// What this systemd does otherwise than was asked for.
pub(super) fn notes(spec: &ProcSpec, launch: &LaunchContext) -> Vec<PlanNote> {
    let Some(policy) = spec.restart() else { return Vec::new() };
    let steps = launch.version.has(Feature::RestartSteps);
    let unattended = spec.lifetime() == Lifetime::Detached;
    let stays = PlanNote::RestartDelayStays { delay: policy.first_delay() };
    let told = [
        (policy.longest_delay().is_some() && !steps).then_some(stays),
        // Seen on 252, and no more on 257. A manager that holds the proc keeps to the bound.
        (unattended && policy.max_restarts().is_some() && !steps).then_some(PlanNote::RestartsCountedAnew),
        exec::is_refused_after_reload(spec, launch).then_some(PlanNote::NoRestartAfterReload),
    ];
    told.into_iter().flatten().collect()
}
