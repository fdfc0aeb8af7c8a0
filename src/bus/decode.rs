//! Bodies of signals and of `GetAll` into plain values.
//!
//! Tolerant over all releases: a property that is not known here is stepped over without keeping anything, a
//! missing one stays `None`, and one of an unexpected type stays `None` with one warning per property and
//! process. Only a body that breaks D-Bus's own rules is an error.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zbus::{Signature, Type, Variant};

use crate::id::InvocationId;
use crate::status::snapshot::{ServiceSide, Snapshot, UnitSide, Word};
use crate::time::Timestamp;

/// `org.freedesktop.systemd1.Unit`.
pub(super) const UNIT: &str = "org.freedesktop.systemd1.Unit";
/// `org.freedesktop.systemd1.Service`.
pub(super) const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// A property's value, borrowed from the message, as far as this room reads it.
#[derive(Debug, PartialEq)]
pub(super) enum Plain<'a> {
    Bool(bool),
    I32(i32),
    U32(u32),
    U64(u64),
    Str(&'a str),
    StrList(Vec<&'a str>),
    Bytes(&'a [u8]),
    /// `(uo)`: the number of a job and its path, which says the same.
    Job(u32),
    /// Of a type that nothing here has a use for.
    Other,
}

/// What became of one property.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    /// Not one of those that are kept.
    Unknown,
    /// Known, but not of this type.
    WrongType,
}

/// Something that is filled property by property.
pub(super) trait Fill: Default {
    fn take(&mut self, name: &str, value: &Plain<'_>) -> Taken;
}

/// Puts `value` where it belongs, if it is of the right type.
macro_rules! keep {
    ($slot:expr, $value:expr, $($pattern:pat => $kept:expr),+ $(,)?) => {
        match $value {
            $($pattern => { $slot = $kept; Taken::Yes })+
            _ => Taken::WrongType,
        }
    };
}
pub(super) use keep;

/// systemd writes "never" as 0 or as the highest number.
fn moment(micros: u64) -> Option<Timestamp> {
    (micros != 0 && micros != u64::MAX).then(|| Timestamp::from_micros(micros))
}

/// The words that come with signals, of states and of results (unit-def.c and service.c, 252 to 257).
const WORDS: [&str; 24] = [
    "active",
    "activating",
    "deactivating",
    "inactive",
    "failed",
    "running",
    "dead",
    "exited",
    "start",
    "stop-sigterm",
    "stop-sigkill",
    "final-sigterm",
    "final-sigkill",
    "auto-restart",
    "auto-restart-queued",
    "success",
    "exit-code",
    "signal",
    "core-dump",
    "timeout",
    "resources",
    "oom-kill",
    "loaded",
    "not-found",
];

/// Takes memory for a word that is none of those alone.
fn word(text: &str) -> Word {
    let known = WORDS.iter().find(|known| **known == text);
    known.map_or_else(|| Word::Owned(text.to_owned()), |known| Word::Borrowed(known))
}

impl Fill for UnitSide {
    fn take(&mut self, name: &str, value: &Plain<'_>) -> Taken {
        use Plain::{Bytes, Job, Str, U64};
        match name {
            "LoadState" => keep!(self.load_state, *value, Str(text) => Some(word(text))),
            "ActiveState" => keep!(self.active_state, *value, Str(text) => Some(word(text))),
            "SubState" => keep!(self.sub_state, *value, Str(text) => Some(word(text))),
            "Job" => keep!(self.job, *value, Job(id) => Some(id)),
            "InvocationID" => keep!(self.invocation, *value, Bytes(bytes) => InvocationId::from_bytes(bytes)),
            "ActiveEnterTimestamp" => keep!(self.active_enter, *value, U64(at) => moment(at)),
            "ActiveExitTimestamp" => keep!(self.active_exit, *value, U64(at) => moment(at)),
            _ => Taken::Unknown,
        }
    }
}

impl Fill for ServiceSide {
    fn take(&mut self, name: &str, value: &Plain<'_>) -> Taken {
        use Plain::{I32, Str, U32, U64};
        match name {
            "MainPID" => keep!(self.main_pid, *value, U32(pid) => Some(pid)),
            "ExecMainPID" => keep!(self.exec_main_pid, *value, U32(pid) => Some(pid)),
            "ExecMainCode" => keep!(self.exec_main_code, *value, I32(code) => Some(code)),
            "ExecMainStatus" => keep!(self.exec_main_status, *value, I32(status) => Some(status)),
            "ExecMainStartTimestamp" => keep!(self.exec_main_start, *value, U64(at) => moment(at)),
            "ExecMainExitTimestamp" => keep!(self.exec_main_exit, *value, U64(at) => moment(at)),
            // Its 0 has a meaning: exec was never reached.
            "ExecMainHandoffTimestampMonotonic" => {
                keep!(self.handoff_monotonic, *value, U64(at) => (at != u64::MAX).then_some(at))
            }
            "Result" => keep!(self.result, *value, Str(text) => Some(word(text))),
            "StatusText" => keep!(self.status_text, *value, Str(text) => Some(text.to_owned())),
            "NRestarts" => keep!(self.n_restarts, *value, U32(count) => Some(count)),
            _ => Taken::Unknown,
        }
    }
}

impl Fill for Snapshot {
    fn take(&mut self, name: &str, value: &Plain<'_>) -> Taken {
        match self.unit.take(name, value) {
            Taken::Unknown => self.service.take(name, value),
            taken => taken,
        }
    }
}

/// Fills two things from one picture; a property may go to both.
impl<A: Fill, B: Fill> Fill for (A, B) {
    fn take(&mut self, name: &str, value: &Plain<'_>) -> Taken {
        match (self.0.take(name, value), self.1.take(name, value)) {
            (Taken::Unknown, second) => second,
            (first, _) => first,
        }
    }
}

/// The body of `PropertiesChanged`, of either interface of a service unit.
#[derive(Debug)]
pub(super) enum Changed {
    Service(ServiceSide),
    Unit(UnitSide),
    /// Of another interface.
    Other,
}

/// The answer to `GetAll`.
#[derive(Debug)]
pub(super) struct All<T>(pub(super) T);

type Properties<'a> = HashMap<&'a str, Variant<'a>>;

impl Type for Changed {
    const SIGNATURE: &'static Signature = <(&str, Properties<'_>, Vec<&str>)>::SIGNATURE;
}

impl<T> Type for All<T> {
    const SIGNATURE: &'static Signature = Properties::SIGNATURE;
}

impl<'de> Deserialize<'de> for Changed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Body;

        impl<'de> Visitor<'de> for Body {
            type Value = Changed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the body of PropertiesChanged")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut body: A) -> Result<Changed, A::Error> {
                let missing = |at| serde::de::Error::invalid_length(at, &"three members");
                let interface: &str = body.next_element()?.ok_or_else(|| missing(0))?;
                // The names of invalidated properties, the third member, stay unread.
                match interface {
                    SERVICE => body.next_element_seed(Dict::new())?.map(Changed::Service),
                    UNIT => body.next_element_seed(Dict::new())?.map(Changed::Unit),
                    _ => Some(Changed::Other),
                }
                .ok_or_else(|| missing(1))
            }
        }

        from.deserialize_tuple(3, Body)
    }
}

impl<'de, T: Fill> Deserialize<'de> for All<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Dict::new().deserialize(from).map(Self)
    }
}

/// Reads an `a{sv}` into `T`.
struct Dict<T>(PhantomData<T>);

impl<T> Dict<T> {
    fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Fill> DeserializeSeed<'de> for Dict<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, T: Fill> Visitor<'de> for Dict<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("properties by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut filled = T::default();
        while let Some(name) = map.next_key::<&str>()? {
            let value = map.next_value::<Plain<'_>>()?;
            if filled.take(name, &value) == Taken::WrongType {
                warn_once(name);
            }
        }
        Ok(filled)
    }
}

/// Says once per process that a property has a type it never had.
fn warn_once(name: &str) {
    static WARNED: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if warned.get_or_insert_default().insert(name.to_owned()) {
        tracing::warn!(
            property = name,
            "systemd sends a property with an unexpected type; it is read as unknown"
        );
    }
}

impl<'de> Deserialize<'de> for Plain<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InVariant;

        impl<'de> Visitor<'de> for InVariant {
            type Value = Plain<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a variant")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut variant: A) -> Result<Plain<'de>, A::Error> {
                let missing = || serde::de::Error::invalid_length(0, &"a signature and a value");
                let signature: &str = variant.next_element()?.ok_or_else(missing)?;
                let value = match signature {
                    "b" => variant.next_element()?.map(Plain::Bool),
                    "i" => variant.next_element()?.map(Plain::I32),
                    "u" => variant.next_element()?.map(Plain::U32),
                    "t" => variant.next_element()?.map(Plain::U64),
                    "s" => variant.next_element()?.map(Plain::Str),
                    "as" => variant.next_element()?.map(Plain::StrList),
                    "ay" => variant.next_element()?.map(Plain::Bytes),
                    "(uo)" => variant.next_element::<(u32, &str)>()?.map(|(id, _)| Plain::Job(id)),
                    _ => variant.next_element::<IgnoredAny>()?.map(|_| Plain::Other),
                };
                value.ok_or_else(missing)
            }
        }

        from.deserialize_any(InVariant)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use zbus_xml::{Node, Property};

    use super::*;
    use crate::status::details::UnitDetails;

    const INTERFACES: [&str; 2] = [
        include_str!("../../dbus-interfaces/org.freedesktop.systemd1.Unit.xml"),
        include_str!("../../dbus-interfaces/org.freedesktop.systemd1.Service.xml"),
    ];

    fn properties() -> Vec<Property<'static>> {
        let nodes = INTERFACES.into_iter().map(|xml| Node::try_from(xml).unwrap());
        nodes.flat_map(|node| node.interfaces()[0].properties().cloned().collect::<Vec<_>>()).collect()
    }

    fn plain(signature: &str) -> Plain<'static> {
        match signature {
            "b" => Plain::Bool(true),
            "i" => Plain::I32(1),
            "u" => Plain::U32(1),
            "t" => Plain::U64(1),
            "s" => Plain::Str("text"),
            "as" => Plain::StrList(vec!["text"]),
            "ay" => Plain::Bytes(&[1; 16]),
            "(uo)" => Plain::Job(1),
            other => panic!("no property has signature {other}"),
        }
    }

    #[test]
    fn every_property_of_the_interfaces_is_read_with_its_own_type_and_no_other() {
        for property in properties() {
            let (name, signature) = (property.name().to_string(), property.ty().to_string());
            let mut read = (Snapshot::default(), UnitDetails::default());
            assert_eq!(read.take(&name, &Plain::Other), Taken::WrongType, "{name}");
            assert_eq!(read, Default::default(), "{name}");
            assert_eq!(read.take(&name, &plain(&signature)), Taken::Yes, "{name} of {signature}");
            assert_ne!(read, Default::default(), "{name}");
        }
    }

    #[test]
    fn every_property_that_is_read_stands_in_the_interfaces() {
        let declared: BTreeSet<_> = properties().iter().map(|one| one.name().to_string()).collect();
        let arms = |source: &'static str| {
            let before_tests = source.split("#[cfg(test)]").next().unwrap();
            let names =
                before_tests.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => "));
            names.map(|(name, _)| name).filter(|name| name.starts_with(char::is_uppercase)).map(str::to_owned)
        };
        let read: BTreeSet<_> =
            arms(include_str!("decode.rs")).chain(arms(include_str!("details.rs"))).collect();
        assert_eq!(read, declared);
    }

    #[test]
    fn a_snapshot_needs_a_look_for_its_load_state_alone() {
        let silent = properties().into_iter().filter(|property| {
            let mut read = Snapshot::default();
            let kept = read.take(property.name().as_str(), &plain(&property.ty().to_string())) == Taken::Yes;
            // Without an annotation a property is in every signal.
            kept && property.annotations().iter().any(|one| one.name().ends_with("EmitsChangedSignal"))
        });
        let silent: Vec<_> = silent.map(|property| property.name().to_string()).collect();
        assert_eq!(silent, ["LoadState"]);
    }

    #[test]
    fn a_time_that_never_was_is_absent() {
        for never in [0, u64::MAX] {
            let mut side = ServiceSide::default();
            assert_eq!(side.take("ExecMainExitTimestamp", &Plain::U64(never)), Taken::Yes);
            assert_eq!(side.exec_main_exit, None);
        }
        let mut side = ServiceSide::default();
        assert_eq!(side.take("ExecMainHandoffTimestampMonotonic", &Plain::U64(0)), Taken::Yes);
        assert_eq!(side.handoff_monotonic, Some(0));
    }

    #[test]
    fn an_unset_counter_and_an_infinite_span_are_absent() {
        for name in ["MemoryCurrent", "CPUUsageNSec", "TimeoutStopUSec", "OOMKills"] {
            let mut details = UnitDetails::default();
            assert_eq!(details.take(name, &Plain::U64(u64::MAX)), Taken::Yes);
            assert_eq!(details, UnitDetails::default(), "{name}");
        }
    }
}
