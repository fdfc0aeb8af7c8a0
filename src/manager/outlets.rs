//! What a manager has for the output of all its procs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OnceCell, mpsc};
use tokio::time::{sleep, timeout};

use crate::id::ProcId;
use crate::journal::aggregate::Aggregate;
use crate::journal::datagram::{Datagrams, SOCKET};
use crate::journal::pool::{Pool, Room};
use crate::journal::pump::Pump;
use crate::journal::stream::{OwnedStream, STREAM_SOCKET};
use crate::journal::{OutputEvent, StdStream};
use crate::spec::{ProcSpec, defaults};
use crate::unit::syslog_identifier;

/// While journald takes no further stream (it is stopped, or far behind), how often and how long it is asked again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);
const TRIES: u32 = 100;

/// See the module.
pub(super) struct Outlets {
    pool: Arc<Pool>,
    journal: PathBuf,
    /// For what is read here, once there is any.
    datagrams: OnceCell<Arc<Datagrams>>,
    forward: Option<mpsc::Sender<OutputEvent>>,
    aggregate: Option<Aggregate>,
    /// Whether the lines of a proc go to the two that does not say so itself.
    forwards: bool,
    aggregates: bool,
    /// What is read here, as long as somebody has it.
    pumps: Mutex<Vec<Weak<Pump>>>,
    /// Whether somebody was told that there is no journal.
    warned: AtomicBool,
}

impl std::fmt::Debug for Outlets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlets").finish_non_exhaustive()
    }
}

/// What a manager was told of the output of its procs.
#[derive(Default)]
pub(super) struct OutputSettings {
    /// The most streams to the journal that it opens itself.
    pub(super) streams: Option<usize>,
    /// Where every line goes.
    pub(super) forward: Option<mpsc::Sender<OutputEvent>>,
    /// The two files of all.
    pub(super) aggregate: Option<Aggregate>,
    /// Whether the lines of a proc go there that does not say so itself; they do otherwise.
    pub(super) forwards: Option<bool>,
    /// The same of the files.
    pub(super) aggregates: Option<bool>,
}

impl Outlets {
    pub(super) fn new(settings: OutputSettings) -> Self {
        Self {
            pool: Pool::new(settings.streams.unwrap_or(defaults::OWNED_JOURNAL_STREAMS)),
            journal: STREAM_SOCKET.into(),
            datagrams: OnceCell::new(),
            forward: settings.forward,
            aggregate: settings.aggregate,
            forwards: settings.forwards.unwrap_or(true),
            aggregates: settings.aggregates.unwrap_or(true),
            pumps: Mutex::default(),
            warned: AtomicBool::new(false),
        }
    }

    /// Whether so many launches under way may find no room for streams of their own.
    pub(super) fn is_short(&self, launches: usize) -> bool {
        self.pool.is_short(2 * launches)
    }

    /// Room for streams of a proc's own.
    pub(super) async fn room(&self, wanted: usize) -> Room {
        let pool = Arc::clone(&self.pool);
        if pool.is_counted() {
            return pool.take(wanted);
        }
        // Counting reads a file of the kernel's that takes a while beside many sockets.
        tokio::task::spawn_blocking(move || pool.take(wanted)).await.unwrap_or(Room::Shared)
    }

    /// A stream to the journal, of that one or of both.
    ///
    /// # Errors
    /// Where nobody takes it.
    pub(super) async fn connect(&self, id: &ProcId, which: Option<StdStream>) -> io::Result<OwnedStream> {
        let identifier = syslog_identifier(id);
        let mut tries = TRIES;
        loop {
            match OwnedStream::open(&self.journal, &identifier, which).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries > 0 => {
                    tries -= 1;
                    sleep(TRY_AGAIN_AFTER).await;
                }
                opened => return opened,
            }
        }
    }

    /// The way to the journal of what is read here.
    ///
    /// # Errors
    /// Where there is no journald.
    pub(super) fn datagrams(&self) -> io::Result<Arc<Datagrams>> {
        if let Some(known) = self.datagrams.get() {
            return Ok(Arc::clone(known));
        }
        let opened = Arc::new(Datagrams::open(Path::new(SOCKET))?);
        // Where another was faster, this one does as well.
        let _ = self.datagrams.set(Arc::clone(&opened));
        Ok(opened)
    }

    /// The channel that lines of this proc go to.
    pub(super) fn forward_for(&self, spec: &ProcSpec) -> Option<&mpsc::Sender<OutputEvent>> {
        self.forward.as_ref().filter(|_| spec.forward().unwrap_or(self.forwards))
    }

    /// The files that lines of this proc go to.
    pub(super) fn aggregate_for(&self, spec: &ProcSpec) -> Option<&Aggregate> {
        self.aggregate.as_ref().filter(|_| spec.aggregate().unwrap_or(self.aggregates))
    }

    /// How many lines the files could not take.
    pub(super) fn not_gathered(&self) -> u64 {
        self.aggregate.as_ref().map_or(0, Aggregate::lost)
    }

    /// Says once that there is no journal.
    pub(super) fn warn(&self, id: &ProcId, why: &str, path: &Path) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(%id, why, path = %path.display(), "no journal; output goes to files");
        }
    }

    pub(super) fn remember(&self, pump: &Arc<Pump>) {
        let mut pumps = self.pumps.lock().unwrap_or_else(PoisonError::into_inner);
        // Before it grows, what nobody has any more is swept out.
        if pumps.len() == pumps.capacity() {
            pumps.retain(|pump| pump.strong_count() > 0);
        }
        pumps.push(Arc::downgrade(pump));
    }

    /// Waits until what was read here has been handed on, and is in the files; not for ever, as a reader may be gone to
    /// sleep.
    pub(super) async fn flush(&self) {
        let pumps: Vec<_> = {
            let pumps = self.pumps.lock().unwrap_or_else(PoisonError::into_inner);
            pumps.iter().filter_map(Weak::upgrade).collect()
        };
        let flushed = async {
            for pump in pumps {
                pump.handed_on().await;
            }
            if let Some(files) = &self.aggregate {
                let _ = files.flushed().await.await;
            }
        };
        if timeout(defaults::LOG_END_WAIT, flushed).await.is_err() {
            tracing::warn!("not all that procs wrote was taken by those who have to take it");
        }
    }
}
