//! How systemd ends a unit.

use std::time::Duration;

use super::plan::PlanNote;
use super::property::Property;
use crate::spec::ProcSpec;

/// The stop signal goes to the whole tree, and SIGKILL follows at the backstop.
///
/// `TimeoutAbortUSec`, from the signal to SIGKILL where systemd aborts a program whose watchdog fell silent, is the
/// spec's own stop timeout: the same question to the same program. It also keeps that timeout where whoever adopts
/// the proc later finds it ([`stop_timeout`]).
pub(super) fn properties(spec: &ProcSpec) -> Vec<Property> {
    let stop = spec.stop();
    vec![
        Property::new("KillMode", "control-group"),
        Property::new("KillSignal", stop.signal.number()),
        Property::new("SendSIGKILL", true),
        Property::new("TimeoutStopUSec", super::micros(stop.backstop)),
        // Zero would be read as none.
        Property::new("TimeoutAbortUSec", super::micros(stop.timeout).max(1)),
    ]
}

/// The stop timeout of a proc's unit, read back from its `TimeoutAbortUSec`.
pub fn stop_timeout(timeout_abort_usec: u64) -> Duration {
    match timeout_abort_usec {
        1 => Duration::ZERO,
        micros => Duration::from_micros(micros),
    }
}

pub(super) fn note(spec: &ProcSpec) -> Option<PlanNote> {
    let stop = spec.stop();
    stop.is_cut().then(|| PlanNote::StopTimeoutCut { asked: stop.asked(), backstop: stop.backstop })
}
