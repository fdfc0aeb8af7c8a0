//! What is known of a stream that is read here: how much there was, what was lost, and its last lines.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use super::datagram::Loss;
use super::output::OutputLine;

/// How many lines a reader of them may be behind before it loses some.
const BEHIND: usize = 1024;

/// Bytes of the last lines that are kept at the most.
const KEPT_BYTES: usize = 64 * 1024;

/// What has come of a stream so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Bytes read.
    pub(crate) bytes: u64,
    /// Lines read, parts of long ones each; zero where nothing asked for lines.
    pub(crate) lines: u64,
    /// Lines that journald did not get.
    pub(crate) journal_lost: u64,
    /// Why the last of them was lost.
    pub(crate) journal_loss: Option<Loss>,
    /// Lines that had no room in the channel they are forwarded to.
    pub(crate) forward_lost: u64,
    /// Why the descriptor it is copied to takes no more, so that the stream is read no more.
    pub(crate) copy_ended: Option<io::ErrorKind>,
    /// Bytes that were in the pipe when it was closed and could not be read: its writer was quicker.
    pub(crate) unread: u64,
    /// Whether it is read no more.
    pub(crate) ended: bool,
}

/// What a pump and its holder share.
#[derive(Debug)]
pub(super) struct Shared {
    keep: usize,
    state: Mutex<State>,
    /// How long journald may take nothing from now on, where that is less than usual.
    hurried: watch::Sender<Option<Duration>>,
}

#[derive(Debug, Default)]
struct State {
    account: Account,
    tail: VecDeque<OutputLine>,
    /// The line after them, as far as it has come.
    begun: Option<OutputLine>,
    /// Made for the first reader: its buffer takes memory at once.
    readers: Option<broadcast::Sender<OutputLine>>,
    closed: bool,
}

impl Shared {
    pub(super) fn new(keep: usize) -> Self {
        Self { keep, state: Mutex::default(), hurried: watch::Sender::default() }
    }

    /// Has journald be waited for no longer than that.
    pub(super) fn hurry(&self, patience: Duration) {
        self.hurried.send_replace(Some(patience));
    }

    pub(super) fn hurried(&self) -> watch::Receiver<Option<Duration>> {
        self.hurried.subscribe()
    }

    /// Puts down what has happened.
    pub(super) fn note(&self, note: impl FnOnce(&mut Account)) {
        note(&mut self.lock().account);
    }

    pub(super) fn account(&self) -> Account {
        self.lock().account
    }

    /// Keeps the last of these lines.
    pub(super) fn keep(&self, lines: &[OutputLine]) {
        let mut state = self.lock();
        state.begun = None;
        let new = lines.len().min(self.keep);
        let old = state.tail.len().min(self.keep - new);
        let over = state.tail.len() - old;
        state.tail.drain(..over);
        state.tail.extend(lines[lines.len() - new..].iter().cloned());
        let mut bytes: usize = state.tail.iter().map(|line| line.bytes.len()).sum();
        // The last one has room: it is no longer than the longest line there is.
        while bytes > KEPT_BYTES
            && let Some(oldest) = state.tail.pop_front()
        {
            bytes -= oldest.bytes.len();
        }
    }

    /// Keeps the beginning of a line until more of it comes.
    pub(super) fn keep_begun(&self, begun: Option<OutputLine>) {
        self.lock().begun = begun;
    }

    pub(super) fn tail(&self) -> Vec<OutputLine> {
        let state = self.lock();
        let lines = state.tail.iter().chain(&state.begun);
        lines
            .skip((state.tail.len() + usize::from(state.begun.is_some())).saturating_sub(self.keep))
            .cloned()
            .collect()
    }

    /// A reader of what comes from here on; where nothing more does, it is told so.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<OutputLine> {
        let mut state = self.lock();
        if state.closed {
            return broadcast::channel(1).1;
        }
        state.readers.get_or_insert_with(|| broadcast::Sender::new(BEHIND)).subscribe()
    }

    /// Where readers are told, if there are any.
    pub(super) fn readers(&self) -> Option<broadcast::Sender<OutputLine>> {
        self.lock().readers.clone().filter(|readers| readers.receiver_count() > 0)
    }

    /// Tells readers that nothing more comes.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        (state.readers, state.closed) = (None, true);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
