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
