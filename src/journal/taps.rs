//! What may become of what one stream carries, and each of the ways there.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::aggregate::Aggregate;
use super::copy::Copier;
use super::datagram::{Datagrams, Loss};
use super::entry::{Entry, Origin};
use super::output::{OutputEvent, OutputLine};
use super::stream::StdStream;
use crate::id::{InvocationId, ProcId};

/// How long the first line waits for the name of its run, which its launcher learns while it starts.
const RUN_KNOWN_WITHIN: Duration = Duration::from_secs(5);

/// What is to become of one stream of one proc.
#[derive(Debug)]
pub(crate) struct Taps {
    pub(crate) id: ProcId,
    pub(crate) rank: Option<u32>,
    pub(crate) stream: StdStream,
    /// Which run is the newest; a proc that is started again has several.
    pub(crate) run: watch::Receiver<Option<InvocationId>>,
    pub(crate) copy: CopyTo,
    pub(crate) journal: Option<JournalTap>,
    /// Where every line goes, if there is room.
    pub(crate) forward: Option<mpsc::Sender<OutputEvent>>,
    pub(crate) aggregate: Option<Aggregate>,
    /// How many of the last lines are kept.
    pub(crate) tail: usize,
}

/// Who gets the bytes as they are.
#[derive(Debug)]
pub(crate) enum CopyTo {
    Nobody,
    /// This descriptor, which may make its writer wait. Where it takes no more, the stream is read no more.
    Descriptor(OwnedFd),
    /// A reader in this process. Where it is gone, the stream is read for the others.
    Reader(DuplexStream),
}

/// The journal, and what it is told of whose the lines are.
#[derive(Debug)]
pub(crate) struct JournalTap {
    pub(crate) datagrams: Arc<Datagrams>,
    pub(crate) identifier: String,
    /// Without one, `journalctl --user-unit` does not find them.
    pub(crate) unit: Option<String>,
}

/// The bytes' way.
#[derive(Debug)]
pub(super) enum Copying {
    Nothing,
    Descriptor(Copier),
    Reader(DuplexStream),
}

impl Copying {
    /// # Errors
    /// Where there can be no thread.
    pub(super) fn start(to: CopyTo) -> io::Result<Self> {
        Ok(match to {
            CopyTo::Nobody => Self::Nothing,
            CopyTo::Descriptor(fd) => Self::Descriptor(Copier::start(fd)?),
            CopyTo::Reader(reader) => Self::Reader(reader),
        })
    }

    /// Hands them on; waits for room.
    pub(super) async fn write(&mut self, chunk: Vec<u8>) {
        match self {
            Self::Nothing => {}
            Self::Descriptor(copier) => copier.write(chunk).await,
            Self::Reader(reader) => {
                if reader.write_all(&chunk).await.is_err() {
                    *self = Self::Nothing;
                }
            }
        }
    }

    /// Ends when a descriptor takes no more; never where there is none.
    pub(super) fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let closed = match self {
            Self::Descriptor(copier) => Some(copier.closed()),
            Self::Nothing | Self::Reader(_) => None,
        };
        async move {
            match closed {
                Some(closed) => closed.await,
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until a descriptor takes no more, and says why; for ever where there is none.
    pub(super) async fn gave_up(&self) -> io::ErrorKind {
        match self {
            Self::Descriptor(copier) => copier.gave_up().await,
            Self::Nothing | Self::Reader(_) => std::future::pending().await,
        }
    }

    /// Why a descriptor takes no more, once that is so.
    pub(super) fn end(&self) -> Option<Arc<OnceLock<io::ErrorKind>>> {
        match self {
            Self::Descriptor(copier) => Some(copier.end()),
            Self::Nothing | Self::Reader(_) => None,
        }
    }

    /// Ends when everything is written, or nothing more can be.
    pub(super) async fn flushed(&self) -> Option<oneshot::Receiver<()>> {
        match self {
            Self::Descriptor(copier) => Some(copier.flushed().await),
            Self::Nothing | Self::Reader(_) => None,
        }
    }
}

/// The lines' way to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    datagrams: Arc<Datagrams>,
    run: watch::Receiver<Option<InvocationId>>,
    /// What all entries have in common; a line's own part comes and goes.
    entry: Entry,
    common: usize,
    waited_for_run: bool,
    /// Whether it is to be waited for no longer than that.
    hurried: watch::Receiver<Option<Duration>>,
    /// It took nothing for as long as that.
    given_up: bool,
}

impl Journal {
    pub(super) fn new(
        tap: JournalTap,
        id: &ProcId,
        stream: StdStream,
        run: watch::Receiver<Option<InvocationId>>,
        hurried: watch::Receiver<Option<Duration>>,
    ) -> Self {
        let origin = Origin { identifier: &tap.identifier, unit: tap.unit.as_deref(), id, stream };
        let entry = Entry::of(&origin);
        let common = entry.len();
        let datagrams = tap.datagrams;
        Self { datagrams, run, entry, common, waited_for_run: false, hurried, given_up: false }
    }

    /// Sends lines; how many were lost, and why the last of them was.
    pub(super) async fn write(&mut self, lines: &[OutputLine]) -> (u64, Option<Loss>) {
        let unknown = self.run.borrow().is_none() && lines.iter().any(|line| line.run.is_none());
        if unknown && !self.waited_for_run {
            // Where it never comes, lines without it are better than none.
            self.waited_for_run =
                timeout(RUN_KNOWN_WITHIN, self.run.wait_for(Option::is_some)).await.is_err();
        }
        let newest = *self.run.borrow();
        let (mut lost, mut why) = (0, None);
        for line in lines {
            self.entry.cut_back(self.common);
            self.entry.line(line.run.or(newest), &line.bytes, line.continues);
            if let Err(loss) = self.send().await {
                lost += 1;
                why = Some(loss);
            }
        }
        (lost, why)
    }
}

impl Journal {
    /// Sends the entry; waits for room as long as that is wanted.
    async fn send(&mut self) -> Result<(), Loss> {
        let Self { datagrams, entry, hurried, given_up, .. } = self;
        let given_up_before = *given_up;
        let too_long = async {
            if given_up_before {
                return;
            }
            let patience = hurried.wait_for(Option::is_some).await.ok().and_then(|patience| *patience);
            match patience {
                Some(patience) => sleep(patience).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What there is room for now is sent however late it is.
            biased;
            sent = datagrams.send(entry) => {
                *given_up = given_up_before && sent.is_err();
                sent
            }
            () = too_long => {
                *given_up = true;
                Err(Loss::Stalled)
            }
        }
    }
}

/// The lines' way to a channel that nobody waits for.
#[derive(Debug)]
pub(super) struct Forward {
    channel: mpsc::Sender<OutputEvent>,
    id: ProcId,
    rank: Option<u32>,
    stream: StdStream,
    /// What the channel's reader has not been told of.
    untold: u64,
}

impl Forward {
    pub(super) fn new(
        channel: mpsc::Sender<OutputEvent>,
        id: ProcId,
        rank: Option<u32>,
        stream: StdStream,
    ) -> Self {
        Self { channel, id, rank, stream, untold: 0 }
    }

    /// Hands a line on; whether there was room. Where the reader is gone, nothing is lost.
    pub(super) fn write(&mut self, line: &OutputLine) -> bool {
        use mpsc::error::TrySendError as E;
        if self.untold > 0 && self.channel.try_send(self.loss()).is_ok() {
            self.untold = 0;
        }
        // What follows a gap may not come before word of it.
        let full = self.untold > 0
            || matches!(self.channel.try_send(OutputEvent::Line(line.clone())), Err(E::Full(_)));
        let lost = full && !self.channel.is_closed();
        self.untold += u64::from(lost);
        !lost
    }

    /// Waits for room to tell of a loss, and tells; for ever where there is none to tell of.
    pub(super) async fn tell(&mut self) {
        if self.untold == 0 {
            return std::future::pending().await;
        }
        if let Ok(room) = self.channel.reserve().await {
            room.send(self.loss());
        }
        self.untold = 0;
    }

    /// Whether a loss is still to be told.
    pub(super) fn owes_word(&self) -> bool {
        self.untold > 0
    }

    fn loss(&self) -> OutputEvent {
        let (id, rank, stream) = (self.id.clone(), self.rank, self.stream);
        OutputEvent::Lost { id, rank, stream, lines: self.untold }
    }
}
