//! The barrier at the end of a log: what was written before a sentinel is in the journal when the sentinel is.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep, timeout_at};

use super::datagram::{Datagrams, Loss};
use super::stream::{OwnedStream, StdStream};
use super::{JournalError, JournalReader, Journalctl, LoggedRun, Query, Records, Start, Wanted, mark};
use crate::sys::token::token;
use crate::time::Timestamp;

/// Between two looks for a sentinel: at first, and at most.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// How far before the sentinel was written its record is looked for: journald's clock is this one.
const MARGIN: Duration = Duration::from_secs(1);

/// The way by which one stream reaches the journal.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// A stream that the proc writes to itself.
    Stream(OwnedStream),
    /// What is read here is sent by this.
    Datagrams { datagrams: Arc<Datagrams>, identifier: String, stream: StdStream },
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Barrier {
    /// All is there that journald kept.
    Passed,
    /// journald has read all of it, and has not kept the last of it.
    Dropped,
    /// It was not reached: journald is behind.
    Behind,
    /// It was not reached: journald has closed a stream.
    Closed(io::Error),
}

/// Writes a sentinel to each, and waits until the journal has them.
///
/// # Errors
/// [`JournalError`] where the journal cannot be read.
pub(crate) async fn pass(run: &LoggedRun, ways: Vec<Way>, until: Instant) -> Result<Barrier, JournalError> {
    let from = Timestamp::from(SystemTime::now()).before(MARGIN);
    let mut awaited = Vec::new();
    for way in ways {
        let word = token(mark::TOKEN_LEN);
        match way.mark(run, &word, until).await {
            Ok(true) => awaited.push((way, word)),
            Ok(false) => return Ok(Barrier::Behind),
            Err(error) => return Ok(Barrier::Closed(error)),
        }
    }
    let mut pause = FIRST_LOOK;
    loop {
        // What journald has read it has dealt with soon after, so this comes before the look.
        let read = awaited.iter().all(|(way, _)| way.is_read());
        let seen = seen(run, from).await?;
        awaited.retain(|(_, word)| !seen.contains(word));
        match (awaited.is_empty(), Instant::now() + pause > until) {
            (true, _) => return Ok(Barrier::Passed),
            (false, true) if read => return Ok(Barrier::Dropped),
            (false, true) => return Ok(Barrier::Behind),
            (false, false) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Way {
    /// Whether there was room for the sentinel in time.
    async fn mark(&self, run: &LoggedRun, word: &str, until: Instant) -> io::Result<bool> {
        match self {
            Self::Stream(stream) => {
                while !stream.mark(word)? {
                    if Instant::now() >= until {
                        return Ok(false);
                    }
                    sleep(FIRST_LOOK).await;
                }
                Ok(true)
            }
            Self::Datagrams { datagrams, identifier, stream } => {
                let marked = datagrams.mark(identifier, stream.priority(), &run.id, word);
                match timeout_at(until, marked).await {
                    Ok(Ok(())) => Ok(true),
                    Ok(Err(Loss::Refused(kind))) => Err(kind.into()),
                    Ok(Err(Loss::Stalled)) | Err(_) => Ok(false),
                }
            }
        }
    }

    fn is_read(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.is_read(),
            Self::Datagrams { datagrams, .. } => datagrams.unread().is_ok_and(|unread| !unread),
        }
    }
}

/// The sentinels that the journal has.
async fn seen(run: &LoggedRun, from: Timestamp) -> Result<Vec<String>, JournalError> {
    let query =
        Query { of: Wanted::Runs(vec![run.clone()]), start: Start::Since(from), until: None, follow: false };
    let mut records = Journalctl::default().open(&query)?;
    let mut seen = Vec::new();
    while let Some(record) = records.next().await? {
        seen.extend(mark::token_of(&record.message).map(str::to_owned));
    }
    Ok(seen)
}
