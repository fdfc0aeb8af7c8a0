//! Where a unit stands: its slice, what it is tied to, and what becomes of it after its end.

use super::plan::LaunchContext;
use super::property::Property;
use crate::spec::{Lifetime, ProcSpec, RestartPolicy, RestartWhen};

pub(super) fn properties(spec: &ProcSpec, launch: &LaunchContext) -> Vec<Property> {
    let mut properties = vec![Property::new("Slice", launch.slice.as_str())];
    properties.extend(match spec.lifetime() {
        Lifetime::Attached => collected(),
        Lifetime::Detached if spec.restart().map(RestartPolicy::when) == Some(RestartWhen::Always) => {
            kept_if_failed()
        }
        Lifetime::Detached => kept(),
    });
    properties.extend(launch.tie.iter().flat_map(tied));
    properties
}

/// Gone with its last reference, however it ended: what nobody looks at must not pile up.
fn collected() -> [Property; 2] {
    [Property::new("RemainAfterExit", false), Property::new("CollectMode", "inactive-or-failed")]
}

/// Readable until it is reaped, however it ended: `active (exited)`, or `failed`.
fn kept() -> [Property; 2] {
    [Property::new("RemainAfterExit", true), Property::new("CollectMode", "inactive")]
}

/// With `RemainAfterExit` an exit with 0 is never followed by a restart (measured, 252). Without, the unit stays where
/// its restarts are used up, and goes where somebody stopped it.
fn kept_if_failed() -> [Property; 2] {
    [Property::new("RemainAfterExit", false), Property::new("CollectMode", "inactive")]
}

/// `BindsTo` ends the proc with the holder; without `After` the order of the two is not settled and a holder that
/// is just ending may be missed (systemd.unit(5)).
fn tied(tie: &crate::id::TieName) -> [Property; 2] {
    let holder = || vec![tie.as_str().to_owned()];
    [Property::new("BindsTo", holder()), Property::new("After", holder())]
}

/// The properties of a slice for procs: it goes away when the last unit in it does. The reference keeps these
/// properties for the next unit in it: a slice that systemd makes again by itself stays for ever (measured, 252 and
/// 257).
pub fn slice_properties() -> Vec<Property> {
    vec![
        Property::new("Description", "procs launched by procunit"),
        Property::new("AddRef", true),
        Property::new("StopWhenUnneeded", true),
        Property::new("CollectMode", "inactive-or-failed"),
    ]
}
