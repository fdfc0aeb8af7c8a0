//! What a unit is: its type and the words people read of it.

use super::plan::LaunchContext;
use super::property::Property;
use crate::spec::ProcSpec;

/// `Type=exec`: the start job waits for exec. The reference keeps an ended unit readable and lets its signals flow
/// to us without a `Subscribe` (measured, 252).
pub(super) fn properties(spec: &ProcSpec, launch: &LaunchContext) -> Vec<Property> {
    vec![
        Property::new("Type", "exec"),
        Property::new("Description", process_name(spec, launch)),
        Property::new("AddRef", true),
    ]
}

/// `label @ host`: what the unit's description and `PROCUNIT_PROCESS_NAME` say.
pub(super) fn process_name(spec: &ProcSpec, launch: &LaunchContext) -> String {
    format!("{} @ {}", spec.label().unwrap_or(spec.id().as_str()), launch.caller.host)
}
