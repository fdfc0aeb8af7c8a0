//! Everything that one stream's bytes and lines go to, in order.
//!
//! Who is told at once comes first, so that whoever has to be waited for holds up the writer and nobody else.

use std::io;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::account::Shared;
use super::aggregate::Aggregate;
use super::cutter::{Cutter, Wanted};
use super::output::OutputLine;
use super::stream::StdStream;
use super::taps::{Copying, Forward, Journal, Taps};

/// Bytes that are read at once at the most: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// Lines that are told before readers get a turn.
const TELL: usize = 256;

#[derive(Debug)]
pub(super) struct Outflow {
    stream: StdStream,
    tail: usize,
    cutter: Cutter,
    copying: Copying,
    journal: Option<Journal>,
    forward: Option<Forward>,
    aggregate: Option<Aggregate>,
    shared: Arc<Shared>,
}

/// What happens by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happening {
    /// The descriptor it is copied to takes no more.
    CopyEnded(io::ErrorKind),
    /// Word of a loss was told.
    LossTold,
}

impl Outflow {
    /// # Errors
    /// Where there can be no thread.
    pub(super) fn start(taps: Taps, shared: Arc<Shared>) -> io::Result<Self> {
        let cutter = Cutter::new(&taps);
        let Taps { id, rank, stream, run, copy, journal, forward, aggregate, tail } = taps;
        Ok(Self {
            stream,
            tail,
            cutter,
            copying: Copying::start(copy)?,
            journal: journal.map(|tap| Journal::new(tap, &id, stream, run, shared.hurried())),
            forward: forward.map(|channel| Forward::new(channel, id, rank, stream)),
            aggregate,
            shared,
        })
    }

    /// Puts down what was read, and gives its lines as far as anybody wants them.
    pub(super) fn note(&mut self, chunk: &[u8]) -> Vec<OutputLine> {
        let (lines, count) = self.cutter.cut(chunk, self.wanted());
        self.shared.note(|account| {
            account.bytes += chunk.len() as u64;
            account.lines += count;
        });
        self.shared.keep(&lines);
        lines
    }

    /// Puts down the line that has begun, for who looks before more of it comes.
    pub(super) fn note_begun(&self) {
        self.shared.keep_begun(self.cutter.begun());
    }

    /// Hands on what was read, and its lines.
    pub(super) async fn hand_on(&mut self, chunk: Vec<u8>, lines: &[OutputLine]) {
        self.tell(lines).await;
        self.copying.write(chunk).await;
        self.deliver(lines).await;
    }

    /// Hands on the beginning of a line as one, as more of it may never come.
    pub(super) async fn hand_on_rest(&mut self) {
        if let Some(line) = self.cutter.rest() {
            let line = [line];
            self.shared.note(|account| account.lines += 1);
            self.shared.keep(&line);
            self.tell(&line).await;
            self.deliver(&line).await;
        }
    }

    /// What ends when everything that was handed to threads has been written, or given up.
    pub(super) async fn flushed(&self) -> impl Future<Output = ()> + Send + 'static {
        let copied = self.copying.flushed().await;
        let gathered = match &self.aggregate {
            Some(aggregate) => Some(aggregate.flushed().await),
            None => None,
        };
        let (copy_end, shared) = (self.copying.end(), Arc::clone(&self.shared));
        async move {
            for flushed in [copied, gathered].into_iter().flatten() {
                answered(flushed).await;
            }
            // Who waited for it shall find why, also where the stream ended before that was seen to happen.
            if let Some(why) = copy_end.and_then(|end| end.get().copied()) {
                shared.note(|account| account.copy_ended = Some(why));
            }
        }
    }

    /// How many bytes are to be read at once. What was read is handed on to the last line before anything else is done, and
    /// journald takes its time for each.
    pub(super) fn chunk(&self) -> usize {
        if self.journal.is_some() { CHUNK / 4 } else { CHUNK }
    }

    /// Ends when the descriptor it is copied to takes no more.
    pub(super) fn copy_closed(&self) -> impl Future<Output = ()> + Send + 'static {
        self.copying.closed()
    }

    /// Waits for what happens by itself. Cancel safe.
    pub(super) async fn happening(&mut self) -> Happening {
        let Self { copying, forward, .. } = self;
        let tell = async {
            match forward {
                Some(forward) => forward.tell().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            why = copying.gave_up() => Happening::CopyEnded(why),
            () = tell => Happening::LossTold,
        }
    }

    /// What is still to be told where nothing more comes. The other ends are closed, and what threads have they write.
    pub(super) fn finish(self) -> Option<Forward> {
        self.forward.filter(Forward::owes_word)
    }

    fn wanted(&self) -> Wanted {
        let takes_all = self.journal.is_some() || self.forward.is_some() || self.aggregate.is_some();
        if takes_all || self.shared.readers().is_some() { Wanted::All } else { Wanted::Last(self.tail) }
    }

    /// Tells those who are not waited for.
    async fn tell(&mut self, lines: &[OutputLine]) {
        let readers = self.shared.readers();
        if readers.is_none() && self.forward.is_none() {
            return;
        }
        for some in lines.chunks(TELL) {
            let mut lost = 0;
            for line in some {
                if let Some(readers) = &readers {
                    // Where the last of them has just gone, nobody misses it.
                    let _ = readers.send(line.clone());
                }
                lost += self.forward.as_mut().map_or(0, |forward| u64::from(!forward.write(line)));
            }
            self.shared.note(|account| account.forward_lost += lost);
            // A reader that keeps up is not to lose lines for want of a turn.
            yield_now().await;
        }
    }

    /// Hands lines to those who are waited for.
    async fn deliver(&mut self, lines: &[OutputLine]) {
        if lines.is_empty() {
            return;
        }
        if let Some(aggregate) = &self.aggregate {
            aggregate.write(self.stream, lines).await;
        }
        if let Some(journal) = &mut self.journal {
            let (lost, why) = journal.write(lines).await;
            self.shared.note(|account| {
                if lost > 0 && account.journal_lost == 0 {
                    let (id, stream) = (&lines[0].id, self.stream);
                    tracing::warn!(%id, %stream, ?why, "lines are missing from the journal: journald did not take them");
                }
                account.journal_lost += lost;
                account.journal_loss = why.or(account.journal_loss);
            });
        }
    }
}

async fn answered(flushed: oneshot::Receiver<()>) {
    // No answer is one, too: there is nobody to give it.
    let _ = flushed.await;
}
