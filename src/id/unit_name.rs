//! What systemd calls a proc.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::escape::{escape_into, unescape};
use super::proc_id::ProcId;

/// The name of a service unit, such as `procunit-shop:web:0.service`.
///
/// Cheap to clone; at most 255 bytes, as systemd demands (`UNIT_NAME_MAX`, unit-def.h).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(Arc<str>);

/// A name that is not one of this project's units.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a procunit service (procunit-NAME.service)")]
pub struct BadUnitName(String);

/// Where a shortened name has its hash. `h` is no hexadecimal digit, so no escaped byte looks like it.
const HASH_MARK: &str = "::h";
/// Hexadecimal digits of the hash: 128 bits, enough that no two ids of one user meet.
const HASH_LEN: usize = 32;

impl UnitName {
    /// What every unit of a proc starts with.
    pub const PREFIX: &'static str = "procunit-";
    /// What every unit of a proc ends with.
    pub const SUFFIX: &'static str = ".service";
    /// Bytes in the longest name, suffix included. Two less than systemd's 255, so that the directory of a
    /// later `systemctl set-property` (`NAME.d`) still fits into a file name.
    pub const MAX_LEN: usize = 253;
    /// Matches every unit of a proc, for `ListUnitsByPatterns`.
    pub const PATTERN: &'static str = "procunit-*.service";

    /// The unit of a proc: the same id always gives the same name, and no two ids share one.
    ///
    /// An id whose escaped form is too long keeps its beginning and gets a hash of the whole; such a unit is
    /// found by its id, and the id is read back from the unit's environment (`PROCUNIT_ID`).
    pub fn for_proc(id: &ProcId) -> Self {
        let mut name = String::with_capacity(Self::MAX_LEN);
        name.push_str(Self::PREFIX);
        escape_into(&mut name, id.as_str());
        if name.len() + Self::SUFFIX.len() > Self::MAX_LEN {
            shorten(&mut name, id);
        }
        name.push_str(Self::SUFFIX);
        Self(name.into())
    }

    /// Takes a name that systemd gave.
    ///
    /// # Errors
    /// When it cannot be the unit of a proc.
    pub fn parse(name: &str) -> Result<Self, BadUnitName> {
        let inner = name.strip_prefix(Self::PREFIX).and_then(|rest| rest.strip_suffix(Self::SUFFIX));
        match inner {
            Some(inner) if !inner.is_empty() && name.len() <= Self::MAX_LEN => Ok(Self(name.into())),
            _ => Err(BadUnitName(name.to_owned())),
        }
    }

    /// The id this name was made from; `None` where it was shortened or is not of this project's making.
    pub fn proc_id(&self) -> Option<ProcId> {
        let inner = self.0.strip_prefix(Self::PREFIX)?.strip_suffix(Self::SUFFIX)?;
        ProcId::new(unescape(inner)?).ok()
    }

    /// The name as systemd takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn shorten(name: &mut String, id: &ProcId) {
    let room = UnitName::MAX_LEN - UnitName::SUFFIX.len() - HASH_MARK.len() - HASH_LEN;
    // An escaped byte is four characters starting with "::": do not cut one in two.
    let cut = (room - 3..=room).rev().find(|&at| is_boundary(name, at)).unwrap_or(room - 3);
    name.truncate(cut);
    name.push_str(HASH_MARK);
    for byte in &Sha256::digest(id.as_str().as_bytes())[..HASH_LEN / 2] {
        let _ = write!(name, "{byte:02x}");
    }
}

fn is_boundary(name: &str, at: usize) -> bool {
    let tail = &name.as_bytes()[at.saturating_sub(3)..at];
    // "::" one, two or three characters back means that its digits are not all there yet.
    !(tail.ends_with(b":") || tail.windows(2).any(|pair| pair == b"::"))
}

impl AsRef<str> for UnitName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl serde::Serialize for UnitName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The name of a slice that holds procs.
///
/// A `-` in a slice's name is a step down the tree, so `app-procunit_TOKENx0.slice` lies in `app.slice`,
/// the place systemd names for applications (systemd.special(7)), and nothing of ours is above it that would stay.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SliceName(Arc<str>);

impl SliceName {
    /// The `index`th slice of the manager that `token` names. A token is letters and digits alone.
    pub fn numbered(token: &str, index: u32) -> Self {
        debug_assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{token:?}");
        Self(format!("app-procunit_{token}x{index}.slice").into())
    }

    /// The name as systemd takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SliceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
