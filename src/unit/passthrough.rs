//! `-p PROPERTY=VALUE`: unit-file spellings become typed properties.

use super::property::Property;

/// Why a property given by name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PropertyError {
    /// This systemd has no such property.
    #[error("{name:?} is no property of a service on this systemd{}", hint(.suggestion.as_deref()))]
    Unknown {
        /// What was given.
        name: String,
        /// The nearest name there is.
        suggestion: Option<String>,
    },
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// Types one property given by name.
///
/// # Errors
/// When there is no such property, or its value cannot be read.
pub fn typed(
    name: &str,
    _value: &str,
    signatures: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Property>, PropertyError> {
    match signatures(name) {
        _ => Err(PropertyError::Unknown { name: name.to_owned(), suggestion: None }),
    }
}
