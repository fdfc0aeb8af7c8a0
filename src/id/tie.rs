//! What systemd calls the holder that ties procs to their manager.

use std::fmt;
use std::sync::Arc;

/// The name of the service that ends exactly when its manager does, such as `procunit_tie-8fq2.service`.
///
/// It is no proc: its prefix ends in `_`, so [`crate::id::UnitName::PATTERN`] never matches it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TieName(Arc<str>);

impl TieName {
    /// What every holder starts with.
    pub const PREFIX: &'static str = "procunit_tie-";
    /// Matches every holder, for `ListUnitsByPatterns`.
    pub const PATTERN: &'static str = "procunit_tie-*.service";

    /// The holder of the manager that `token` names. A token is letters and digits alone.
    pub fn new(token: &str) -> Self {
        debug_assert!(
            !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{token:?}"
        );
        Self(format!("{}{token}.service", Self::PREFIX).into())
    }

    /// The name as systemd takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for TieName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::UnitName;

    #[test]
    fn a_holder_is_never_taken_for_a_proc() {
        let name = TieName::new("8fq2");
        assert_eq!(name.as_str(), "procunit_tie-8fq2.service");
        assert!(UnitName::parse(name.as_str()).is_err());
        let (proc, _) = UnitName::PATTERN.split_once('*').unwrap();
        assert!(!name.as_str().starts_with(proc) && name.as_str().starts_with(TieName::PREFIX));
    }
}
