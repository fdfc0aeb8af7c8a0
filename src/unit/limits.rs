//! Resource limits: the manager's but for open descriptors, which are the caller's.

use super::plan::LaunchContext;
use super::property::Property;
use crate::spec::{Lifetime, ProcSpec};

pub(super) fn properties(spec: &ProcSpec, launch: &LaunchContext) -> Vec<Property> {
    let (soft, hard) = launch.caller.nofile;
    let mut properties = vec![Property::new("LimitNOFILE", hard), Property::new("LimitNOFILESoft", soft)];
    properties.extend(runtime_max(spec));
    properties
}

/// The time limit of a detached proc, which nobody else can keep. That of an attached one is its manager's timer,
/// which stops it as every other stop does.
///
/// systemd counts it for each run anew, and one that it ends for that counts as a failure: `Restart=on-failure` starts
/// the next (systemd.service(5), `RuntimeMaxSec=`).
fn runtime_max(spec: &ProcSpec) -> Option<Property> {
    let limit = spec.runtime_max().filter(|_| spec.lifetime() == Lifetime::Detached)?;
    Some(Property::new("RuntimeMaxUSec", super::micros(limit)))
}
