//! Waiting for a job by its own id.
//!
//! The answer that tells a job's id comes on one connection and the `JobRemoved` that ends it on the other, so
//! the end can be read first. A wait is therefore opened *before* the call, for the unit that the call is about:
//! from then on it keeps every ended job of that unit, and when the answer comes its id is looked up among them.
//! What is kept is bounded: only waits that are open keep anything, each for its one unit, and each at most
//! [`KEPT`] ends.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::error::BusError;

/// How many ended jobs of its unit one open wait keeps. Between a call and its answer systemd ends a few at most.
const KEPT: usize = 32;

/// A job's id, as `JobRemoved` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u32);

/// Every open wait.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    waits: Mutex<HashMap<Box<str>, Arc<watch::Sender<Seen>>>>,
}

/// What was seen of one unit; its open waits share it.
#[derive(Debug, Default)]
struct Seen {
    ended: VecDeque<(JobId, String)>,
    lost: Option<String>,
}

impl Jobs {
    fn waits(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<watch::Sender<Seen>>>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a wait for a job of `unit` that a call is about to make.
    pub(super) fn expect(self: &Arc<Self>, unit: &str) -> Expected {
        let shared = Arc::clone(self.waits().entry(unit.into()).or_default());
        Expected { jobs: Arc::clone(self), unit: unit.into(), seen: shared.subscribe(), shared }
    }

    /// A job is over.
    pub(super) fn ended(&self, id: JobId, unit: &str, result: &str) {
        let waits = self.waits();
        let Some(shared) = waits.get(unit) else { return };
        shared.send_modify(|seen| {
            if seen.ended.len() == KEPT {
                seen.ended.pop_front();
            }
            seen.ended.push_back((id, result.to_owned()));
        });
    }

    /// The connection is gone: no open wait can tell any more whether its job is over.
    pub(super) fn lost(&self, why: &str) {
        for (_, shared) in self.waits().drain() {
            shared.send_modify(|seen| seen.lost = Some(why.to_owned()));
        }
    }
}

/// A wait whose job's id is not known yet.
#[derive(Debug)]
pub(super) struct Expected {
    jobs: Arc<Jobs>,
    unit: Box<str>,
    shared: Arc<watch::Sender<Seen>>,
    seen: watch::Receiver<Seen>,
}

impl Expected {
    /// The answer told the id.
    pub(super) fn job(self, id: JobId) -> Job {
        Job { id, expected: self }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        let mut waits = self.jobs.waits();
        // A wait from before a loss is no longer in the table, where one of the same unit may stand anew. Two
        // hold the last wait's part: it and the table.
        let mine = waits.get(&self.unit).is_some_and(|shared| Arc::ptr_eq(shared, &self.shared));
        if mine && Arc::strong_count(&self.shared) == 2 {
            waits.remove(&self.unit);
        }
    }
}

/// A job that systemd has queued.
#[derive(Debug)]
pub struct Job {
    id: JobId,
    expected: Expected,
}

impl Job {
    /// Its id.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// systemd's word for how the job ended, such as `done`, `failed`, `canceled` or `timeout`. It says nothing
    /// of the unit's process: below systemd 256 a start job may end as `failed` although exec worked (measured).
    ///
    /// Has no bound of its own: a job lasts as long as the unit's start or stop time-out lets it. Cancel safe.
    ///
    /// # Errors
    /// [`BusError::Disconnected`] when the connection is lost meanwhile: the end may have been missed.
    pub async fn ended(&mut self) -> Result<String, BusError> {
        let id = self.id;
        let over = |seen: &Seen| seen.lost.is_some() || seen.ended.iter().any(|(ended, _)| *ended == id);
        let lost = |why: &str| BusError::Disconnected { why: why.to_owned() };
        let seen = self.expected.seen.wait_for(over).await.map_err(|_| lost("the bus was closed"))?;
        match seen.ended.iter().find(|(ended, _)| *ended == id) {
            Some((_, result)) => Ok(result.clone()),
            None => Err(lost(seen.lost.as_deref().unwrap_or_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_end_that_was_read_before_the_answer_is_found() {
        let jobs = Arc::new(Jobs::default());
        let expected = jobs.expect("a.service");
        jobs.ended(JobId(6), "a.service", "canceled");
        jobs.ended(JobId(7), "a.service", "done");
        assert_eq!(expected.job(JobId(7)).ended().await.unwrap(), "done");
    }

    #[tokio::test]
    async fn an_end_after_the_answer_wakes_the_wait() {
        let jobs = Arc::new(Jobs::default());
        let mut job = jobs.expect("a.service").job(JobId(7));
        let waiting = tokio::spawn(async move { job.ended().await });
        tokio::task::yield_now().await;
        jobs.ended(JobId(7), "b.service", "done");
        jobs.ended(JobId(8), "a.service", "done");
        jobs.ended(JobId(7), "a.service", "failed");
        assert_eq!(waiting.await.unwrap().unwrap(), "failed");
    }

    #[tokio::test]
    async fn a_lost_connection_ends_the_open_waits_and_no_later_one() {
        let jobs = Arc::new(Jobs::default());
        let mut before = jobs.expect("a.service").job(JobId(7));
        jobs.lost("gone");
        let mut after = jobs.expect("a.service").job(JobId(7));
        assert!(matches!(before.ended().await, Err(BusError::Disconnected { why }) if why == "gone"));
        drop(before);
        jobs.ended(JobId(7), "a.service", "done");
        assert_eq!(after.ended().await.unwrap(), "done");
    }

    #[test]
    fn nothing_is_kept_when_nobody_waits() {
        let jobs = Arc::new(Jobs::default());
        let first = jobs.expect("a.service");
        let second = jobs.expect("a.service");
        for id in 0..1_000 {
            jobs.ended(JobId(id), "a.service", "done");
            jobs.ended(JobId(id), "b.service", "done");
        }
        assert_eq!(jobs.waits().len(), 1);
        assert_eq!(first.seen.borrow().ended.len(), KEPT);
        drop(first);
        drop(second);
        assert!(jobs.waits().is_empty());
    }
}
