//! Makes of one stream's bytes lines that say whose they are.

use std::sync::Arc;
use std::time::SystemTime;

use memchr::memchr_iter;
use tokio::sync::watch;

use super::output::OutputLine;
use super::split::{Piece, Splitter};
use super::stream::StdStream;
use super::taps::Taps;
use crate::id::{InvocationId, ProcId};
use crate::time::Timestamp;

/// Which lines of a stream somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    /// So many of the last.
    Last(usize),
}

#[derive(Debug)]
pub(super) struct Cutter {
    id: ProcId,
    rank: Option<u32>,
    stream: StdStream,
    run: watch::Receiver<Option<InvocationId>>,
    splitter: Splitter,
}

impl Cutter {
    pub(super) fn new(taps: &Taps) -> Self {
        let (id, run) = (taps.id.clone(), taps.run.clone());
        Self { id, rank: taps.rank, stream: taps.stream, run, splitter: Splitter::default() }
    }

    /// The lines that end in this, as far as they are wanted, and how many there are.
    ///
    /// Where none is wanted there is no cutting at all: the first one that is wanted later may begin in its middle.
    pub(super) fn cut(&mut self, mut chunk: &[u8], wanted: Wanted) -> (Vec<OutputLine>, u64) {
        let skip = match wanted {
            Wanted::All => 0,
            Wanted::Last(0) => return (Vec::new(), 0),
            Wanted::Last(count) => memchr_iter(b'\n', chunk).count().saturating_sub(count),
        };
        let (at, run) = (Timestamp::from(SystemTime::now()), *self.run.borrow());
        let (mut lines, mut count) = (Vec::new(), 0);
        while let Some(piece) = self.splitter.next(&mut chunk) {
            if count >= skip {
                lines.push(self.line(&piece, at, run));
            }
            count += 1;
        }
        (lines, count as u64)
    }

    /// What has begun of a line and may go on, as one.
    pub(super) fn begun(&self) -> Option<OutputLine> {
        let (at, run) = (Timestamp::from(SystemTime::now()), *self.run.borrow());
        self.splitter.begun().map(|piece| self.line(&piece, at, run))
    }

    /// What has begun of a line, as one: the next begins anew.
    pub(super) fn rest(&mut self) -> Option<OutputLine> {
        let (at, run) = (Timestamp::from(SystemTime::now()), *self.run.borrow());
        self.splitter.rest().map(|piece| self.line(&piece, at, run))
    }

    fn line(&self, piece: &Piece<'_>, at: Timestamp, run: Option<InvocationId>) -> OutputLine {
        OutputLine {
            id: self.id.clone(),
            rank: self.rank,
            run,
            stream: self.stream,
            at,
            bytes: Arc::from(&*piece.bytes),
            continues: piece.continues,
        }
    }
}
