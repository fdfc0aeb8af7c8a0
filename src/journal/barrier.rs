//! The barrier at the end of a log: what was written to a stream before a sentinel is in the journal when the sentinel is.

use std::io;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use super::stream::OwnedStream;
use super::{JournalError, JournalReader, Journalctl, LoggedRun, Query, Records, Start, mark};
use crate::sys::token::token;
use crate::time::Timestamp;

/// Between two looks for a sentinel: at first, and at most.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// How far before the sentinel was written its record is looked for: journald's clock is this one.
const MARGIN: Duration = Duration::from_secs(1);

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

/// Writes a sentinel to each stream, and waits for them.
pub(crate) async fn pass(
    run: &LoggedRun,
    streams: Vec<OwnedStream>,
    until: Instant,
) -> Result<Barrier, JournalError> {
    let from = Timestamp::from(SystemTime::now()).before(MARGIN);
    let mut awaited = Vec::new();
    for stream in streams {
        let word = token(mark::TOKEN_LEN);
        match written(&stream, &word, until).await {
            Ok(true) => awaited.push((stream, word)),
            Ok(false) => return Ok(Barrier::Behind),
            Err(error) => return Ok(Barrier::Closed(error)),
        }
    }
    let mut pause = FIRST_LOOK;
    loop {
        let read = awaited.iter().all(|(stream, _)| stream.is_read());
        // What journald has read it has dealt with soon after.
        for word in seen(run, from).await? {
            awaited.retain(|(_, awaited)| *awaited != word);
        }
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

/// Whether there was room for the sentinel in time.
async fn written(stream: &OwnedStream, word: &str, until: Instant) -> io::Result<bool> {
    while !stream.mark(word)? {
        if Instant::now() >= until {
            return Ok(false);
        }
        sleep(FIRST_LOOK).await;
    }
    Ok(true)
}

/// The sentinels that the journal has.
async fn seen(run: &LoggedRun, from: Timestamp) -> Result<Vec<String>, JournalError> {
    let query = Query { runs: vec![run.clone()], start: Start::Since(from), until: None, follow: false };
    let mut records = Journalctl::default().open(&query)?;
    let mut seen = Vec::new();
    while let Some(record) = records.next().await? {
        seen.extend(mark::token_of(&record.message).map(str::to_owned));
    }
    Ok(seen)
}
