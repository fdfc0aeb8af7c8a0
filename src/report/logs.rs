//! What reports say of output and of logs.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Where the output of a proc goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputReport {
    /// Where standard output goes: `journal`, `inherit`, `capture`, `tee`, `null`, `terminal`, `file:PATH`; null where that
    /// is not known.
    pub stdout: Option<String>,
    /// The same of standard error.
    pub stderr: Option<String>,
    /// Whether the journal tells the two apart; null where that is not known, or nothing of it goes there.
    pub apart: Option<bool>,
}

/// Whether the journal has all that a proc wrote there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Completeness {
    /// It has.
    Complete,
    /// It has not.
    Incomplete {
        /// What was lost, and how.
        why: String,
        /// How many lines journald says that it dropped in that time, of this proc and of its user's others; null where it
        /// has not said so yet.
        suppressed: Option<u64>,
    },
    /// Nobody can say.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// One of the last lines of a proc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastLine {
    /// When it was taken.
    pub at: Timestamp,
    /// `stdout` or `stderr`; null where the two cannot be told apart.
    pub stream: Option<String>,
    /// What was written; what of it is no UTF-8 is replaced.
    pub message: String,
}
