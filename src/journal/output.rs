//! What is told of a stream that this process reads.

use std::sync::Arc;

use super::stream::StdStream;
use crate::id::{InvocationId, ProcId};
use crate::time::Timestamp;

/// A line that a proc wrote to a stream which this process reads.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputLine {
    /// Which proc.
    pub id: ProcId,
    /// Its rank, where it has one.
    pub rank: Option<u32>,
    /// The newest run when it was read; `None` where that was not known yet. Of a proc that is started again, the first
    /// lines of a run may name the one before: both write to the same stream.
    pub run: Option<InvocationId>,
    /// Which stream.
    pub stream: StdStream,
    /// When its end was read.
    pub at: Timestamp,
    /// What was written, without its end of line. Any bytes, 48 KiB at most.
    pub bytes: Arc<[u8]>,
    /// Whether the line goes on in the stream's next one: it was too long, and cut.
    pub continues: bool,
}

/// What comes to a channel that lines are forwarded to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputEvent {
    /// A line.
    Line(OutputLine),
    /// Lines of this stream that had no room in the channel; those before and after this are whole.
    Lost {
        /// Which proc.
        id: ProcId,
        /// Its rank, where it has one.
        rank: Option<u32>,
        /// Which stream.
        stream: StdStream,
        /// How many.
        lines: u64,
    },
}
