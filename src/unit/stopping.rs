//! How systemd ends a unit.

use super::plan::PlanNote;
use super::property::Property;
use crate::spec::ProcSpec;

/// The stop signal goes to the whole tree, and SIGKILL follows at the backstop.
pub(super) fn properties(spec: &ProcSpec) -> Vec<Property> {
    let stop = spec.stop();
    vec![
        Property::new("KillMode", "control-group"),
        Property::new("KillSignal", stop.signal.number()),
        Property::new("SendSIGKILL", true),
        Property::new("TimeoutStopUSec", super::micros(stop.backstop)),
    ]
}

pub(super) fn note(spec: &ProcSpec) -> Option<PlanNote> {
    let stop = spec.stop();
    stop.is_cut().then(|| PlanNote::StopTimeoutCut { asked: stop.asked(), backstop: stop.backstop })
}
