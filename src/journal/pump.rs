//! Reads a pipe that a proc writes one of its streams to, and hands on what comes.
//!
//! One task reads, and reads on when everyone who may not miss anything has taken what was read: so its writer waits, and
//! memory is bounded. It ends with the pipe, which something else that the proc started may keep open for ever.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::account::{Account, Shared};
use super::outflow::{Happening, Outflow};
use super::output::OutputLine;
use super::taps::Taps;
use crate::sys::queue;

/// What is read of a pipe at the most when its copy has ended: as much as one can hold (pipe(7), `pipe-max-size`).
const LAST_MAX: usize = 1024 * 1024;

/// A stream that is read.
///
/// Dropped, it is read no more, and its writer finds the pipe closed. What was read and not handed on by then is lost:
/// see [`Self::handed_on`].
#[derive(Debug)]
pub(crate) struct Pump {
    shared: Arc<Shared>,
    requests: mpsc::UnboundedSender<Request>,
    progress: watch::Receiver<Progress>,
    task: JoinHandle<()>,
}

/// How far a pump is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Reading,
    /// Nothing more is read.
    Read,
    /// And all of it was handed on.
    HandedOn,
}

/// An answer that somebody waits for.
#[derive(Debug)]
struct Request {
    /// How far what is in the pipe now has to be.
    until: Progress,
    answer: oneshot::Sender<()>,
}

impl Pump {
    /// Starts to read, within a runtime.
    ///
    /// # Errors
    /// The kernel's, for want of a thread or of what it takes to wait for the pipe.
    pub(crate) fn start(source: io::PipeReader, taps: Taps) -> io::Result<Self> {
        let source = pipe::Receiver::from_owned_fd(OwnedFd::from(source))?;
        let shared = Arc::new(Shared::new(taps.tail));
        let (requests, asked) = mpsc::unbounded_channel();
        let (told, progress) = watch::channel(Progress::Reading);
        let task = Task {
            source: Some(source),
            outflow: Outflow::start(taps, Arc::clone(&shared))?,
            shared: Arc::clone(&shared),
            read: 0,
            last: None,
            asked,
            waiting: Vec::new(),
            progress: told,
        };
        Ok(Self { shared, requests, progress, task: tokio::spawn(task.run()) })
    }

    /// The lines from here on. A reader that is behind by more than 1,024 loses the oldest, and is told how many; at
    /// the end of the stream it is told that.
    pub(crate) fn lines(&self) -> broadcast::Receiver<OutputLine> {
        self.shared.subscribe()
    }

    /// The last lines; after [`Self::read_up`] also the beginning of one.
    pub(crate) fn tail(&self) -> Vec<OutputLine> {
        self.shared.tail()
    }

    /// What has come of it so far.
    pub(crate) fn account(&self) -> Account {
        self.shared.account()
    }

    /// From now on, what journald does not take is given up when it has taken nothing for so long.
    pub(crate) fn hurry(&self, patience: Duration) {
        self.shared.hurry(patience);
    }

    /// Waits until everything that is in the pipe now has been read: not for its end. That takes as long as those
    /// take who have to take what was read before.
    pub(crate) async fn read_up(&self) {
        self.wait(Progress::Read).await;
    }

    /// Waits until it has been handed on as well, the beginning of a line included: copied, in files, and taken by
    /// journald's socket, or given up. Who copies and does not read on is waited for as long as that takes.
    pub(crate) async fn handed_on(&self) {
        self.wait(Progress::HandedOn).await;
    }

    async fn wait(&self, until: Progress) {
        let mut progress = self.progress.clone();
        let (answer, answered) = oneshot::channel();
        // Where its task is over, nothing more happens.
        let _ = self.requests.send(Request { until, answer });
        let over = progress.wait_for(|reached| *reached >= until);
        tokio::select! {
            Ok(()) = answered => {}
            _ = over => {}
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    /// Until it is closed.
    source: Option<pipe::Receiver>,
    outflow: Outflow,
    shared: Arc<Shared>,
    /// Bytes read.
    read: u64,
    /// What was in the pipe when it was closed, as its copy had ended.
    last: Option<Vec<u8>>,
    asked: mpsc::UnboundedReceiver<Request>,
    /// Requests, and how many bytes will have been read when what was in the pipe then has been.
    waiting: Vec<(u64, Request)>,
    progress: watch::Sender<Progress>,
}

/// What comes next.
enum Next {
    Readable,
    Asked(Request),
    Happened(Happening),
    End,
}

impl Task {
    async fn run(mut self) {
        loop {
            match self.next().await {
                Next::Readable => match self.read() {
                    Ok(Some(chunk)) => self.take(chunk).await,
                    Ok(None) => {}
                    Err(_) => break,
                },
                Next::Asked(request) => self.ask(request).await,
                Next::Happened(Happening::LossTold) => {}
                Next::Happened(Happening::CopyEnded(why)) => {
                    self.shared.note(|account| account.copy_ended = Some(why));
                    self.take_last().await;
                    break;
                }
                Next::End => break,
            }
        }
        self.end().await;
    }

    async fn next(&mut self) -> Next {
        tokio::select! {
            happening = self.outflow.happening() => Next::Happened(happening),
            Some(request) = self.asked.recv() => Next::Asked(request),
            readable = readable(self.source.as_ref()) => if readable { Next::Readable } else { Next::End },
        }
    }

    /// Reads what is there; `None` where that is nothing.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] at the end; the kernel's.
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        // As much memory as it takes: a stream of which little comes shall not have more of it, waiting or handed on.
        let Some(source) = &self.source else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let there = self.readable().clamp(1, self.outflow.chunk());
        let mut chunk = Vec::with_capacity(there);
        match source.try_read_buf(&mut chunk) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => {
                self.read += len as u64;
                Ok(Some(chunk))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Bytes in the pipe; what cannot be told is taken for nothing.
    fn readable(&self) -> usize {
        self.source.as_ref().and_then(|source| queue::readable(source.as_fd()).ok()).unwrap_or(0)
    }

    /// Takes what its writer has written successfully by the time that it finds the pipe closed.
    async fn take_last(&mut self) {
        if let Some(source) = self.source.take() {
            self.last = Some(close(source, &self.shared));
        }
        if let Some(last) = self.last.take().filter(|last| !last.is_empty()) {
            self.read += last.len() as u64;
            self.take(last).await;
        }
    }

    async fn take(&mut self, chunk: Vec<u8>) {
        let lines = self.outflow.note(&chunk);
        self.answer_read();
        let closed = self.outflow.copy_closed();
        {
            let mut handing_on = std::pin::pin!(self.outflow.hand_on(chunk, &lines));
            tokio::select! {
                () = &mut handing_on => {}
                () = closed => {
                    // Its writer shall know at once that nobody reads on; who has to take what was read may take a while.
                    if let Some(source) = self.source.take() {
                        self.last = Some(close(source, &self.shared));
                    }
                    handing_on.await;
                }
            }
        }
        self.answer_handed_on().await;
    }

    /// Takes a request. What has been read is handed on by now.
    async fn ask(&mut self, request: Request) {
        self.waiting.push((self.read + self.readable() as u64, request));
        self.answer_read();
        self.answer_handed_on().await;
    }

    fn answer_read(&mut self) {
        let due = self.due(Progress::Read);
        if !due.is_empty() {
            // The last words of a program may have no end of line, and the end of the stream may be long in coming.
            self.outflow.note_begun();
        }
        due.into_iter().for_each(tell);
    }

    async fn answer_handed_on(&mut self) {
        let due = self.due(Progress::HandedOn);
        if due.is_empty() {
            return;
        }
        self.outflow.hand_on_rest().await;
        let flushed = self.outflow.flushed().await;
        tokio::spawn(async move {
            flushed.await;
            due.into_iter().for_each(tell);
        });
    }

    /// Those who wait for this and need wait no more.
    fn due(&mut self, reached: Progress) -> Vec<oneshot::Sender<()>> {
        let read = self.read;
        let is_due = |(target, request): &mut (u64, Request)| *target <= read && request.until == reached;
        self.waiting.extract_if(.., is_due).map(|(_, request)| request.answer).collect()
    }

    async fn end(self) {
        let Self { source, mut outflow, shared, progress, .. } = self;
        // First: where it was not the writer that ended it, it shall know at once.
        drop(source);
        outflow.hand_on_rest().await;
        shared.note(|account| account.ended = true);
        shared.close();
        progress.send_replace(Progress::Read);
        outflow.flushed().await.await;
        let owed = outflow.finish();
        progress.send_replace(Progress::HandedOn);
        if let Some(mut forward) = owed {
            // Who reads the channel may come to it when nobody has this stream any more.
            tokio::spawn(async move { forward.tell().await });
        }
    }
}

/// Reads what is there without waiting for more of it, so that its writer is told at once, and closes the pipe. A writer
/// that goes on meanwhile may get bytes in that nobody reads: these are put down.
fn close(source: pipe::Receiver, shared: &Shared) -> Vec<u8> {
    let there = || queue::readable(source.as_fd()).unwrap_or(0);
    let mut last = Vec::with_capacity(there().min(LAST_MAX));
    let most = queue::capacity(source.as_fd()).map_or(LAST_MAX, |holds| holds.min(LAST_MAX));
    while last.len() < most {
        match source.try_read_buf(&mut last) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // `WouldBlock`: that was all.
            Err(_) => break,
        }
    }
    let unread = there() as u64;
    drop(source);
    shared.note(|account| account.unread += unread);
    last
}

/// Whether there may be something to read, once that is known.
async fn readable(source: Option<&pipe::Receiver>) -> bool {
    match source {
        Some(source) => source.readable().await.is_ok(),
        // It is closed as its copy ended, which happens next.
        None => std::future::pending().await,
    }
}

fn tell(answer: oneshot::Sender<()>) {
    // Who asked may have gone.
    let _ = answer.send(());
}

#[cfg(test)]
mod tests;
