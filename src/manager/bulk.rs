//! What is done to many procs at once: each by its own call, so many at a time.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::error::TerminateError;
use super::message::Command;
use super::{ProcHandle, ProcManager};
use crate::id::ProcId;
use crate::launcher::{AdoptError, SurveyError};
use crate::report::Report;
use crate::spec::{Lifetime, defaults};
use crate::status::ProcStatus;

/// How many adoptions are under way at a time: each is a few calls on the bus.
const ADOPTIONS_AT_ONCE: usize = 16;

/// How many procs may be between the delivery of a stop and their end at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    /// At most so many.
    Limit(NonZeroUsize),
    /// All of them at once, by what the launcher has for many: systemd stops a slice as one job.
    All,
}

impl Default for Concurrency {
    /// [`STOP_CONCURRENCY`](defaults::STOP_CONCURRENCY) at a time.
    fn default() -> Self {
        Self::Limit(defaults::STOP_CONCURRENCY)
    }
}

/// What came of [`ProcManager::terminate_all`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct TerminateSummary {
    /// How many procs there were to end.
    pub attempted: usize,
    /// How many are over and gone, those included that were over before their turn came.
    pub ok: usize,
    /// Those that are not, and why, by id.
    pub failed: Vec<(ProcId, TerminateError)>,
}

/// How one proc ended, or why it did not.
type End = (ProcId, Result<ProcStatus, TerminateError>);

/// What came of [`ProcManager::adopt_all`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct AdoptSummary {
    /// The adopted ones, by id, whether over or not.
    pub adopted: Vec<ProcHandle>,
    /// Those that could not be, and why, by id.
    pub failed: Vec<(ProcId, AdoptError)>,
}

impl ProcManager {
    /// Ends every proc that this manager holds, attached or detached, each as by [`ProcHandle::terminate`], with
    /// no more of them between the delivery of the stop and their end than `concurrency` says.
    ///
    /// What is launched after the call is none of them. Dropping the future takes back no stop that was sent, and
    /// sends no further ones.
    pub async fn terminate_all(
        &self,
        grace: Option<Duration>,
        concurrency: Concurrency,
        reason: impl Into<String>,
    ) -> TerminateSummary {
        let reason = reason.into();
        let ends = match concurrency {
            Concurrency::All => self.end_at_once(grace, reason).await,
            Concurrency::Limit(count) => self.end_in_turn(grace, count, reason).await,
        };
        let mut summary = TerminateSummary { attempted: ends.len(), ..TerminateSummary::default() };
        for (id, ended) in ends {
            match ended {
                // The last: its launch was under way, and came to nothing.
                Ok(_) | Err(TerminateError::AlreadyTerminated(_) | TerminateError::NotHeld { .. }) => {
                    summary.ok += 1;
                }
                Err(error) => summary.failed.push((id, error)),
            }
        }
        summary.failed.sort_by(|(one, _), (other, _)| one.cmp(other));
        summary
    }

    async fn end_at_once(&self, grace: Option<Duration>, reason: String) -> Vec<End> {
        let ending = self.ask(|reply| Command::TerminateAll { grace, reason, reply }).await;
        let mut ends = Vec::new();
        // One after the other, as none holds up another: the longest counts.
        for (id, end) in ending.unwrap_or_default() {
            ends.push((id, end.await.unwrap_or(Err(TerminateError::Closed))));
        }
        ends
    }

    async fn end_in_turn(&self, grace: Option<Duration>, count: NonZeroUsize, reason: String) -> Vec<End> {
        let turns = Arc::new(Semaphore::new(count.get().min(Semaphore::MAX_PERMITS)));
        let mut ending = JoinSet::new();
        for handle in self.list().await.into_iter().filter(|handle| !handle.status().is_exit()) {
            let (turns, reason) = (Arc::clone(&turns), reason.clone());
            ending.spawn(async move {
                let _turn = turns.acquire_owned().await;
                let ended = handle.terminate(grace, reason).await;
                (handle.id().clone(), ended)
            });
        }
        ending.join_all().await
    }

    /// Takes hold of every detached proc of this user that the launcher knows and this manager does not hold, whether
    /// it is over or not: what an earlier manager left, above all one that crashed. Attached ones go with the manager
    /// that launched them.
    ///
    /// # Errors
    /// [`SurveyError`] where the launcher cannot be asked which there are.
    pub async fn adopt_all(&self) -> Result<AdoptSummary, SurveyError> {
        self.adopt_where(|_| true).await
    }

    /// As [`Self::adopt_all`], of those alone that are wanted.
    ///
    /// # Errors
    /// [`SurveyError`].
    pub async fn adopt_where(&self, wanted: impl Fn(&Report) -> bool) -> Result<AdoptSummary, SurveyError> {
        let turns = Arc::new(Semaphore::new(ADOPTIONS_AT_ONCE));
        let mut adopting = JoinSet::new();
        let found = self.survey().await?;
        for report in found.iter().filter(|found| found.lifetime == Lifetime::Detached && wanted(found)) {
            let (manager, id, turns) = (self.clone(), report.id.clone(), Arc::clone(&turns));
            adopting.spawn(async move {
                let _turn = turns.acquire_owned().await;
                (manager.adopt(&id).await, id)
            });
        }
        let mut summary = AdoptSummary::default();
        for (adopted, id) in adopting.join_all().await {
            match adopted {
                Ok(handle) => summary.adopted.push(handle),
                // Held by us, or gone since it was listed.
                Err(AdoptError::AlreadyHeld { .. } | AdoptError::NotFound { .. }) => {}
                Err(error) => summary.failed.push((id, error)),
            }
        }
        summary.adopted.sort_by(|one, other| one.id().cmp(other.id()));
        summary.failed.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(summary)
    }
}
