//! What procs wrote, read back from the journal: which records are a run's own, oldest first, and what comes next.
//!
//! A record is matched by the run's invocation id or, where journald could no longer tell it (30 of 30 lines of
//! programs that were over when journald came to them; they keep identifier and user), by identifier, user and
//! time. It knows no status: when a run is over, its caller says.

pub(crate) mod account;
pub(crate) mod aggregate;
mod attribution;
pub(crate) mod barrier;
mod copy;
mod cutter;
pub(crate) mod datagram;
mod entry;
mod error;
mod export;
#[cfg(test)]
mod held;
mod journalctl;
pub(crate) mod limit;
mod lines;
pub(crate) mod mark;
mod outflow;
mod output;
pub(crate) mod pool;
pub(crate) mod pump;
mod query;
mod record;
mod rotate;
mod runs;
mod split;
pub(crate) mod stream;
mod suppressed;
pub(crate) mod sync;
pub(crate) mod taps;

pub use datagram::is_there;
pub use error::JournalError;
pub use journalctl::{Journalctl, JournalctlRecords};
pub use lines::{Line, Lines, newest, newest_where};
pub use output::{OutputEvent, OutputLine};
pub use pool::{BUSY as STREAMS_BUSY, streams_open};
pub use query::{LoggedRun, NamedBy, Query, Start, Wanted, Window};
pub use record::{BadRecord, Record};
pub use rotate::Limits as AggregateLimits;
pub use runs::runs_of;
pub use stream::StdStream;
pub use suppressed::{sees_suppressed, suppressed, suppressed_of};

/// A way to read the journal.
pub trait JournalReader {
    /// What a query gives.
    type Records: Records;

    /// Starts to read.
    ///
    /// # Errors
    /// [`JournalError`] where not even a start can be made; what goes wrong later, the records tell.
    fn open(&self, query: &Query) -> Result<Self::Records, JournalError>;
}

/// Records, oldest first.
pub trait Records: Send {
    /// The next one; `None` at the end, which a query that follows does not have. Cancel safe.
    ///
    /// # Errors
    /// [`JournalError`], after which nothing more comes.
    fn next(&mut self) -> impl Future<Output = Result<Option<Record>, JournalError>> + Send;

    /// How many records were passed over because they were too long to hold, or damaged.
    fn skipped(&self) -> u64;
}
