//! `-p PROPERTY=VALUE`: a service property by its name becomes a typed one.
//!
//! The unit file's spellings are taken where the D-Bus name differs (`TimeoutStartSec`, `CPUQuota=50%`), as
//! systemd-run takes them (`bus_append_unit_property`, bus-unit-util.c). What type a property has is the running
//! manager's to say: the caller passes a look-up into its introspection. Only the simple types are read; names that
//! the lifecycle contract owns are refused with the way to ask for the same thing.
//!
//! Whether a property can be *set* no introspection says: a read-only one is refused by systemd at the launch.

mod kind;
mod owned;
mod suggest;
mod value;

use super::property::{Property, Value};
use kind::Kind;

/// Why a property given by name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PropertyError {
    /// This systemd has no such property.
    #[error("this systemd has no service property {name:?}{}", hint(.suggestion.as_ref()))]
    Unknown {
        /// What was given.
        name: String,
        /// The nearest name there is.
        suggestion: Option<&'static str>,
    },
    /// A property that every proc has a fixed or separately chosen value of.
    #[error("property {name:?} is not free: {instead}")]
    Owned {
        /// What was given.
        name: String,
        /// How to ask for the same thing.
        instead: &'static str,
    },
    /// A property of a type that one line of text does not give.
    #[error("property {name:?} is of a type that cannot be given by name here")]
    Unsupported {
        /// What was given.
        name: String,
        /// Its D-Bus signature.
        signature: String,
    },
    /// A value that is not one of the property's.
    #[error("{value:?} is no value for property {name:?}: it takes {expected}")]
    Value {
        /// The property.
        name: String,
        /// What was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

fn hint(suggestion: Option<&&'static str>) -> String {
    suggestion.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// Types one property given by name. Some names make two properties (`LimitNOFILE=512:1024`).
///
/// `signatures` gives the D-Bus signature of a property of the manager's `.Service` or `.Unit` interface.
///
/// # Errors
/// When the property is not there, not free or of no simple type, or its value cannot be read.
pub fn typed(
    name: &str,
    value: &str,
    signatures: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Property>, PropertyError> {
    if let Some(instead) = owned::instead_of(name) {
        return Err(PropertyError::Owned { name: name.to_owned(), instead });
    }
    let (property, signature) = resolve(name, signatures).ok_or_else(|| PropertyError::Unknown {
        name: name.to_owned(),
        suggestion: suggest::nearest(name, |known| resolve(known, signatures).is_some()),
    })?;
    let Some(kind) = kind::of(name, &property, &signature) else {
        return Err(PropertyError::Unsupported { name: name.to_owned(), signature });
    };
    let values = kind.read(value).ok_or_else(|| PropertyError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        expected: kind.expected(),
    })?;
    Ok(values
        .into_iter()
        .map(|(suffix, value)| Property::new(format!("{property}{suffix}"), value))
        .collect())
}

/// The D-Bus name and the signature of a property in either spelling.
fn resolve(name: &str, signatures: &dyn Fn(&str) -> Option<String>) -> Option<(String, String)> {
    if let Some(signature) = signatures(name) {
        return Some((name.to_owned(), signature));
    }
    let other = kind::bus_name(name)?;
    signatures(&other).map(|signature| (other, signature))
}

/// Values by what is appended to the property's name.
type Values = Vec<(&'static str, Value)>;

impl Kind {
    /// Reads a value of this kind; `None` where it is not one.
    fn read(self, text: &str) -> Option<Values> {
        let one = |value: Value| Some(vec![("", value)]);
        match self {
            Self::Bool => one(value::boolean(text)?.into()),
            Self::I32 => one(text.trim().parse::<i32>().ok()?.into()),
            Self::U32 => one(text.trim().parse::<u32>().ok()?.into()),
            Self::I64 => one(text.trim().parse::<i64>().ok()?.into()),
            Self::F64 => one(text.trim().parse::<f64>().ok().filter(|number| number.is_finite())?.into()),
            Self::Str => one(value::line(text)?.into()),
            Self::StrList => one(value::words(text)?.into()),
            Self::Octal => one(value::octal(text)?.into()),
            Self::Signal => one(text.parse::<crate::signal::Signal>().ok()?.number().into()),
            Self::Named(names) => one(value::named(text, names)?.into()),
            Self::Micros { default, zero_is_none } => one(value::micros(text, default, zero_is_none)?.into()),
            Self::Nanos => one(value::nanos(text)?.into()),
            Self::Quota => one(value::quota(text)?.into()),
            Self::Scale => one(value::scale(text)?.into()),
            Self::Size | Self::Count if text.trim().ends_with('%') => {
                Some(vec![("Scale", value::scale(text)?.into())])
            }
            Self::Size => one(value::size(text)?.into()),
            Self::U64 | Self::Count => one(value::unsigned(text)?.into()),
            Self::Weight { idle } => one(value::weight(text, idle)?.into()),
            Self::Limit(unit) => {
                let (soft, hard) = value::limit(text, unit)?;
                // In this order: the first sets both (dbus-execute.c).
                Some(vec![("", hard.into()), ("Soft", soft.into())])
            }
        }
    }
}

#[cfg(test)]
mod tests;
