//! What systemd calls a proc.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::escape::{escape_into, unescape};
use super::proc_id::ProcId;

/// The name of a service unit, such as `procunit-shop:web:0.service`.
///
/// Cheap to clone; at most 255 bytes, as systemd demands (`UNIT_NAME_MAX`, unit-def.h).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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
            Some(inner) if is_ours(inner) && name.len() <= Self::MAX_LEN => Ok(Self(name.into())),
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

/// Whether `escape_into` writes no character but those of `inner`.
fn is_ours(inner: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'.' | b'-');
    !inner.is_empty() && inner.bytes().all(plain)
}

fn shorten(name: &mut String, id: &ProcId) {
    let room = UnitName::MAX_LEN - UnitName::SUFFIX.len() - HASH_MARK.len() - HASH_LEN;
    // A slash and an escaped byte after it are five characters, four of them places where no cut may be.
    let cut = (room - 4..=room).rev().find(|&at| is_boundary(name, at)).unwrap_or(room - 4);
    name.truncate(cut);
    name.push_str(HASH_MARK);
    for byte in &Sha256::digest(id.as_str().as_bytes())[..HASH_LEN / 2] {
        let _ = write!(name, "{byte:02x}");
    }
}

fn is_boundary(name: &str, at: usize) -> bool {
    let tail = &name.as_bytes()[at.saturating_sub(3)..at];
    // After a colon comes more of an escape, or the slash's own segment; with "::" among the last three, its
    // digits are not all there yet.
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

impl FromStr for UnitName {
    type Err = BadUnitName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::parse(name)
    }
}

impl TryFrom<String> for UnitName {
    type Error = BadUnitName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::parse(&name)
    }
}

impl From<UnitName> for String {
    fn from(name: UnitName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// The name of a slice that holds procs.
///
/// A `-` in a slice's name is a step down the tree, so `app-procunit_TOKENx0.slice` lies in `app.slice`,
/// the place systemd names for applications (systemd.special(7)), and nothing of ours is above it that would stay.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SliceName(Arc<str>);

impl SliceName {
    /// The slice of applications, which systemd itself has.
    pub fn app() -> Self {
        Self("app.slice".into())
    }

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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn unit(id: &str) -> UnitName {
        UnitName::for_proc(&ProcId::new(id).unwrap())
    }

    /// Ids as people write them, ids full of what has to be escaped, short ones and ones that are shortened.
    fn any_id() -> impl Strategy<Value = ProcId> {
        let segment = prop_oneof!["[a-z0-9_.-]{1,12}", "[ :@~é日\\\\]{1,8}", "\\PC{1,30}", "[a:]{60,90}"];
        prop::collection::vec(segment, 1..6)
            .prop_filter_map("not an id", |segments| ProcId::new(segments.join("/")).ok())
    }

    #[test]
    fn a_unit_is_named_after_its_proc() {
        assert_eq!(unit("shop/web/0").as_str(), "procunit-shop:web:0.service");
        assert_eq!(unit("a/é").as_str(), "procunit-a:::c3::a9.service");
    }

    #[test]
    fn the_longest_plain_id_keeps_its_name_and_one_byte_more_is_shortened() {
        let most = UnitName::MAX_LEN - UnitName::PREFIX.len() - UnitName::SUFFIX.len();
        let whole = unit(&"x".repeat(most));
        assert_eq!(whole.as_str().len(), UnitName::MAX_LEN);
        assert!(whole.proc_id().is_some());
        let shortened = unit(&"x".repeat(most + 1));
        assert_eq!(shortened.as_str().len(), UnitName::MAX_LEN);
        assert_eq!(shortened.proc_id(), None);
    }

    /// The hash is part of the names of units that live on: another procunit must come to the same.
    #[test]
    fn a_shortened_name_is_the_same_for_ever() {
        let name = unit(&"shop/web/".repeat(30)[..269]);
        let start = &"shop:web:".repeat(30)[..201];
        assert_eq!(name.as_str(), format!("procunit-{start}::ha3e00ef8d6046cc32d80899f76e8689f.service"));
    }

    #[test]
    fn a_long_id_is_never_cut_inside_an_escape_or_after_a_slash() {
        for lead in 190..202 {
            for filler in ["@", "/@", "a/@", "/a", "::", "/:"] {
                let id = format!("{}{}", "x".repeat(lead), filler.repeat(60));
                let name = unit(&id);
                let inner = &name.as_str()[UnitName::PREFIX.len()..];
                let (start, _) = inner.split_once(HASH_MARK).unwrap();
                let kept = unescape(start).unwrap_or_else(|| panic!("{start} is cut inside an escape"));
                assert!(id.starts_with(&kept) && !kept.ends_with('/'), "{kept}");
            }
        }
    }

    #[test]
    fn long_ids_that_differ_only_at_the_end_have_names_of_their_own() {
        let one = unit(&format!("{}1", "x".repeat(400)));
        let two = unit(&format!("{}2", "x".repeat(400)));
        assert_ne!(one, two);
    }

    #[test]
    fn a_name_that_is_no_unit_of_a_proc_is_refused_by_name() {
        let too_long = format!("procunit-{}.service", "x".repeat(240));
        let names = [
            "",
            "procunit-.service",
            "web.service",
            "procunit-web",
            "procunit-web.scope",
            "Procunit-web.service",
            "procunit-web.service.d",
            "procunit-a\\x2db.service",
            "procunit-a@b.service",
            "procunit-a b.service",
            "procunit-a/b.service",
            "procunit-é.service",
            &too_long,
        ];
        for name in names {
            let refused = UnitName::parse(name).unwrap_err().to_string();
            assert_eq!(
                refused,
                format!("{name:?} is not the name of a procunit service (procunit-NAME.service)")
            );
            assert!(serde_json::from_value::<UnitName>(name.into()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_name_that_no_id_gives_has_no_id() {
        // Upper case in an escape, a plain byte escaped, a cut escape, ids that are refused.
        for inner in ["a::C3::A9", "::61", "a::2", ":a", "a:", "-a", "a::2ab", "a::0a", "a::::20b"] {
            let name = UnitName::parse(&format!("procunit-{inner}.service")).unwrap();
            assert_eq!(name.proc_id(), None, "{name}");
        }
    }

    #[test]
    fn slices_of_one_manager_lie_in_applications() {
        assert_eq!(SliceName::numbered("k3f9", 12).as_str(), "app-procunit_k3f9x12.slice");
    }

    proptest! {
        #[test]
        fn a_unit_name_is_valid_for_systemd_and_safe_in_a_shell(id in any_id()) {
            let name = UnitName::for_proc(&id);
            let name = name.as_str();
            prop_assert!(name.len() <= UnitName::MAX_LEN, "{} bytes", name.len());
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b":_.-".contains(&b)), "{name}");
            prop_assert!(name.starts_with(UnitName::PREFIX) && name.ends_with(UnitName::SUFFIX), "{name}");
        }

        #[test]
        fn a_unit_name_gives_back_its_id_unless_it_was_shortened(id in any_id()) {
            let name = UnitName::for_proc(&id);
            let mut escaped = String::new();
            escape_into(&mut escaped, id.as_str());
            let fits = UnitName::PREFIX.len() + escaped.len() + UnitName::SUFFIX.len() <= UnitName::MAX_LEN;
            prop_assert_eq!(name.proc_id(), fits.then_some(id));
        }

        #[test]
        fn the_same_id_always_gives_the_same_name_and_it_reads_back(id in any_id()) {
            let name = UnitName::for_proc(&id);
            prop_assert_eq!(&UnitName::for_proc(&id), &name);
            prop_assert_eq!(UnitName::parse(name.as_str()), Ok(name.clone()));
            let json = serde_json::to_string(&name).unwrap();
            prop_assert_eq!(serde_json::from_str::<UnitName>(&json).unwrap(), name);
        }

        // Few characters, so that names which are nearly the same do come up.
        #[test]
        fn no_two_ids_share_a_unit_name(texts in prop::collection::vec("[a:/é ]{1,5}(x{240})?", 50)) {
            let mut owners = HashMap::new();
            for id in texts.iter().filter_map(|text| ProcId::new(text).ok()) {
                let name = UnitName::for_proc(&id);
                let owner = owners.entry(name.clone()).or_insert_with(|| id.clone());
                prop_assert_eq!(&*owner, &id, "both are {}", name);
            }
        }

        #[test]
        fn whatever_parses_as_a_unit_has_an_id_only_if_that_id_gives_it(inner in "[a-c0-9:_.-]{1,20}") {
            if let Ok(name) = UnitName::parse(&format!("procunit-{inner}.service"))
                && let Some(id) = name.proc_id()
            {
                prop_assert_eq!(UnitName::for_proc(&id), name);
            }
        }
    }
}
