//! What a caller calls a proc.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a proc, unique among one user's procs that are not over.
///
/// UTF-8, 1 to [`ProcId::MAX_LEN`] bytes, no control characters, no empty segment between slashes, and not one
/// of the characters that select several procs (`*`, `?`, `[`, `]`). `/` groups: `shop/web/0`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProcId(Arc<str>);

/// Text that cannot name a proc.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProcId {
    /// Nothing at all.
    #[error("an id cannot be empty")]
    Empty,
    /// Longer than [`ProcId::MAX_LEN`].
    #[error("id {start:?}... has {len} bytes; {max} are the most", max = ProcId::MAX_LEN)]
    TooLong {
        /// Its beginning.
        start: String,
        /// Its length in bytes.
        len: usize,
    },
    /// A character that no id may have.
    #[error("id {id:?} has {found:?}; control characters, '*', '?', '[' and ']' cannot be in an id")]
    Character {
        /// The whole id.
        id: String,
        /// The character.
        found: char,
    },
    /// A leading or trailing slash, or two together.
    #[error("id {0:?} has an empty segment; write it without leading, trailing or doubled '/'")]
    EmptySegment(String),
    /// Starts with a dash, which every command would read as a flag.
    #[error("id {0:?} starts with '-', which reads as a flag")]
    LeadingDash(String),
}

impl ProcId {
    /// The longest id, in bytes. (A unit name is shorter: see [`crate::id::UnitName::for_proc`].)
    pub const MAX_LEN: usize = 1024;

    /// The id with this text.
    ///
    /// # Errors
    /// When the text breaks a rule of the type, naming it.
    pub fn new(text: impl AsRef<str>) -> Result<Self, BadProcId> {
        let text = text.as_ref();
        if text.is_empty() {
            return Err(BadProcId::Empty);
        }
        if text.len() > Self::MAX_LEN {
            return Err(BadProcId::TooLong { start: text.chars().take(32).collect(), len: text.len() });
        }
        if text.starts_with('-') {
            return Err(BadProcId::LeadingDash(text.to_owned()));
        }
        if let Some(found) = text.chars().find(|c| c.is_control() || matches!(c, '*' | '?' | '[' | ']')) {
            return Err(BadProcId::Character { id: text.to_owned(), found });
        }
        if text.split('/').any(str::is_empty) {
            return Err(BadProcId::EmptySegment(text.to_owned()));
        }
        Ok(Self(text.into()))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProcId {
    type Err = BadProcId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for ProcId {
    type Error = BadProcId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<ProcId> for String {
    fn from(id: ProcId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl AsRef<str> for ProcId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ProcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        ProcId::new(text).unwrap_err().to_string()
    }

    #[test]
    fn ids_that_people_write_are_taken_as_they_are() {
        for text in ["web", "shop/web/0", "a b", "é", "日本/☕", "w:1", "a.service", ".", "a-", "x@y", "~"]
        {
            assert_eq!(ProcId::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong_with_which_id() {
        assert_eq!(refusal(""), "an id cannot be empty");
        assert_eq!(refusal("-d"), "id \"-d\" starts with '-', which reads as a flag");
        assert_eq!(
            refusal("web-*"),
            "id \"web-*\" has '*'; control characters, '*', '?', '[' and ']' cannot be in an id"
        );
        assert_eq!(
            refusal("a\nb"),
            "id \"a\\nb\" has '\\n'; control characters, '*', '?', '[' and ']' cannot be in an id"
        );
        assert_eq!(
            refusal("shop//web"),
            "id \"shop//web\" has an empty segment; write it without leading, trailing or doubled '/'"
        );
    }

    #[test]
    fn an_empty_segment_is_refused_wherever_it_is() {
        for text in ["/", "/a", "a/", "a//b"] {
            assert_eq!(ProcId::new(text), Err(BadProcId::EmptySegment(text.to_owned())));
        }
    }

    #[test]
    fn every_character_that_cannot_be_in_an_id_is_named() {
        for found in ['*', '?', '[', ']', '\0', '\t', '\u{1b}', '\u{7f}', '\u{85}'] {
            let id = format!("a{found}b");
            assert_eq!(ProcId::new(&id), Err(BadProcId::Character { id, found }));
        }
    }

    #[test]
    fn the_length_is_counted_in_bytes_and_a_refusal_shows_only_the_beginning() {
        let longest = "x".repeat(ProcId::MAX_LEN);
        assert!(ProcId::new(&longest).is_ok());
        let message = refusal(&"é".repeat(600));
        assert_eq!(message, format!("id {:?}... has 1200 bytes; 1024 are the most", "é".repeat(32)));
    }

    #[test]
    fn json_holds_an_id_to_the_same_rules() {
        let id = ProcId::new("shop/web/0").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"shop/web/0\"");
        assert_eq!(serde_json::from_str::<ProcId>("\"shop/web/0\"").unwrap(), id);
        assert!(serde_json::from_str::<ProcId>("\"shop//0\"").is_err());
    }
}
