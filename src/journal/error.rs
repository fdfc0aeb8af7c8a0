//! What can go wrong in reading.

use std::io;

use super::record::BadRecord;

/// Why the journal could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// There is no journalctl to ask.
    #[error("journalctl cannot be run; install systemd's journalctl")]
    NoJournalctl(#[source] io::Error),
    /// No journal file may be opened. An ordinary user reads its own lines only with persistent storage, and only
    /// from uid 1000 on (systemd-journald.service(8), "Access control").
    #[error(
        "this user may not read the journal: join the group systemd-journal and log in again; or, for a user id from 1000 \
         on, set Storage=persistent in /etc/systemd/journald.conf and restart systemd-journald"
    )]
    NotPermitted,
    /// journalctl gave up.
    #[error("journalctl failed ({status}): {said}")]
    Failed {
        /// How it ended.
        status: std::process::ExitStatus,
        /// Its last words.
        said: String,
    },
    /// It gave no answer for so long.
    #[error("journalctl gave no answer within {} s", .0.as_secs())]
    TookTooLong(std::time::Duration),
    /// It wrote what is no record.
    #[error("journalctl wrote what is no record")]
    BadRecord(#[source] BadRecord),
    /// Its words could not be read.
    #[error("reading from journalctl failed")]
    Io(#[source] io::Error),
}
