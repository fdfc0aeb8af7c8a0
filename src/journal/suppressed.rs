//! What journald threw away because too much came at once, as far as it says so.
//!
//! It limits the rate by system unit, and to it all procs of a user's manager are one: `user@UID.service`. `LogRateLimit*`
//! of the procs' own units do nothing (252 to 262).

use std::fs::File;

use super::error::JournalError;
use super::query::{Query, Start, Wanted};
use super::{JournalReader, Records};
use crate::time::Timestamp;

/// `SD_MESSAGE_JOURNAL_DROPPED` (sd-messages.h).
const DROPPED: &str = "a596d6fe7bfa4994828e72309e95d61e";

/// When journald said that it threw records of this user's manager away, and how many, oldest first.
///
/// journald counts errors, warnings and what is of less weight apart, and says it with the first record of the same class that
/// it takes of them after the interval of its limit (30 s by default). So what is told at a moment was lost before it; and
/// what was lost last is told late, or never: journald forgets what it counted of a unit that was quiet for that long. It
/// says it in its own file, which not everyone may read: see [`sees_suppressed`].
///
/// # Errors
/// [`JournalError`].
pub async fn suppressed<J: JournalReader>(
    reader: &J,
    since: Timestamp,
    until: Option<Timestamp>,
) -> Result<Vec<(Timestamp, u64)>, JournalError> {
    let unit = format!("user@{}.service", nix::unistd::getuid());
    suppressed_of(reader, &unit, since, until).await
}

/// Like [`suppressed`], of any system unit: that of this process is what limits its native procs.
///
/// # Errors
/// [`JournalError`].
pub async fn suppressed_of<J: JournalReader>(
    reader: &J,
    unit: &str,
    since: Timestamp,
    until: Option<Timestamp>,
) -> Result<Vec<(Timestamp, u64)>, JournalError> {
    // journalctl refuses to begin after the end.
    if until.is_some_and(|until| until < since) {
        return Ok(Vec::new());
    }
    let query = Query { of: Wanted::Kind(DROPPED), start: Start::Since(since), until, follow: false };
    let mut records = reader.open(&query)?;
    let mut told = Vec::new();
    // The unit stands in the words alone: `OBJECT_*` are of who wrote the record that came through.
    let whose = format!(" from {unit}");
    while let Some(record) = records.next().await? {
        if let Some(count) = record.dropped.filter(|_| record.message.ends_with(whose.as_bytes())) {
            told.push((record.at, count));
        }
    }
    Ok(told)
}

/// Whether this user may read what journald itself says: root, and the groups `adm` and `systemd-journal`, unless changed.
/// Who may not is told of nothing suppressed, which then means nothing.
pub fn sees_suppressed() -> bool {
    let Ok(machine) = std::fs::read_to_string("/etc/machine-id") else { return false };
    let file = |place| format!("{place}/{}/system.journal", machine.trim());
    ["/run/log/journal", "/var/log/journal"].map(file).iter().any(|path| File::open(path).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::held::{Held, held};
    use super::super::record::Record;
    use super::*;

    fn said(at: u64, count: u64, unit: &str) -> Record {
        let message = format!("Suppressed {count} messages from {unit}").into_bytes();
        Record { at: Timestamp::from_micros(at), message, dropped: Some(count), ..held(at) }
    }

    #[tokio::test]
    async fn of_what_journald_threw_away_only_that_of_the_unit_counts() {
        let journal =
            Held(vec![said(5, 7, "user@1.service"), said(6, 8, "x.service"), said(9, 1, "user@1.service")]);
        let until = |until| {
            let from = Timestamp::from_micros(1);
            suppressed_of(&journal, "user@1.service", from, Some(Timestamp::from_micros(until)))
        };
        let at = Timestamp::from_micros;
        assert_eq!(until(20).await.unwrap(), [(at(5), 7), (at(9), 1)]);
        assert_eq!(until(0).await.unwrap(), [], "an end before the start");
    }
}
