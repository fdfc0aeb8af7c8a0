//! What a unit is: its type and the words people read of it.

use super::plan::LaunchContext;
use super::property::Property;
use crate::spec::ProcSpec;

/// `Type=exec`: the start job waits for exec. The reference keeps an ended unit readable and lets its signals flow
/// to us without a `Subscribe` (measured, 252).
pub(super) fn properties(spec: &ProcSpec, launch: &LaunchContext) -> Vec<Property> {
    vec![
        Property::new("Type", "exec"),
        Property::new("Description", spec.process_name(&launch.caller.host)),
        Property::new("AddRef", true),
    ]
}
