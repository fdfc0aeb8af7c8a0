//! What all procs of one fake launcher share: the way to the manager, the records, and numbers that rise.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use super::record::Record;
use crate::id::InvocationId;
use crate::launcher::Source;
use crate::time::Timestamp;

/// No real process has a number like this: the kernel's highest is 2^22 (proc_sys_kernel(5), `pid_max`).
const FIRST_PID: u32 = 1 << 23;

#[derive(Debug)]
pub(super) struct Hub {
    /// Whether facts are told in pictures of units.
    pub(super) units: bool,
    connected: AtomicBool,
    records: Mutex<Vec<Record>>,
    /// Told with every record.
    news: watch::Sender<()>,
    runs: AtomicU64,
    last_stamp: AtomicU64,
}

impl Hub {
    pub(super) fn new(units: bool) -> Self {
        Self {
            units,
            connected: AtomicBool::new(true),
            records: Mutex::default(),
            news: watch::Sender::new(()),
            runs: AtomicU64::new(0),
            last_stamp: AtomicU64::new(0),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Release);
    }

    /// The id of a new run, and the number of its main process.
    pub(super) fn next_run(&self) -> (InvocationId, u32) {
        let number = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
        let run = InvocationId::from_bytes(&u128::from(number).to_be_bytes());
        let pid = FIRST_PID.wrapping_add(u32::try_from(number).unwrap_or(u32::MAX));
        (run.unwrap_or_else(|| unreachable!("numbers start at 1")), pid)
    }

    /// Now, and later than every stamp before: the order of two stamps says which came first.
    pub(super) fn stamp(&self) -> Timestamp {
        let now = Timestamp::from(SystemTime::now()).as_micros();
        let next = |last: u64| Some(now.max(last + 1));
        let last = self.last_stamp.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        Timestamp::from_micros(now.max(last.unwrap_or_default() + 1))
    }

    pub(super) fn record(&self, record: Record) {
        self.lock().push(record);
        self.news.send_replace(());
    }

    pub(super) fn records(&self) -> Vec<Record> {
        self.lock().clone()
    }

    pub(super) fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut *self.lock())
    }

    pub(super) async fn recorded(&self, fits: impl Fn(&Record) -> bool) -> Record {
        // Subscribed before the look, so that nothing falls between the two.
        let mut news = self.news.subscribe();
        loop {
            let found = self.lock().iter().find(|record| fits(record)).cloned();
            if let Some(found) = found {
                return found;
            }
            // The sender is this hub's own.
            let _ = news.changed().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error underneath everything that fails while disconnected.
pub(super) fn no_way() -> Source {
    "the fake launcher is disconnected".into()
}
