//! How many descriptors there can be.

use nix::sys::resource::{Resource, getrlimit};

/// How many descriptors this process can have at the most, as far as can be told.
pub(crate) fn limit() -> i32 {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::from(u16::MAX), |(soft, _)| soft);
    i32::try_from(soft).unwrap_or(i32::MAX)
}
