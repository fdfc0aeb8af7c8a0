//! What is known of a stream that is read here: how much there was, what was lost, and its last lines.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::datagram::Loss;
use super::output::OutputLine;

/// How many lines a reader of them may be behind before it loses some.
const BEHIND: usize = 1024;

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
    /// Whether it is read no more.
    pub(crate) ended: bool,
}

/// What a pump and its holder share.
#[derive(Debug)]
pub(super) struct Shared {
    keep: usize,
    state: Mutex<State>,
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
        Self { keep, state: Mutex::default() }
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
