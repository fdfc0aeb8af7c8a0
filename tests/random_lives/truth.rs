//! What really became of each run, read from the fake's records and from when it was out of reach.

use procunit::id::ProcId;
use procunit::launcher::fake::{Record, What};
use procunit::status::{FailReason, ProcStatus};

/// Everything that happened, in order.
pub(crate) struct Truth {
    records: Vec<Record>,
    /// From which record to which nobody could see anything.
    blind: Vec<std::ops::Range<usize>>,
}

impl Truth {
    pub(crate) fn new(records: Vec<Record>, blind: Vec<std::ops::Range<usize>>) -> Self {
        Self { records, blind }
    }

    /// The end of the run with this main process that a manager can know: exact if it was ever there to be seen, lost
    /// otherwise. `None` where it is not over.
    pub(crate) fn end_of(&self, pid: u32) -> Option<End> {
        let of_run = || self.records.iter().enumerate().filter(|(_, record)| record.pid == pid);
        let ended = of_run().find_map(|(at, record)| match record.what {
            What::Ended(exit) => Some((at, ProcStatus::from_exit(exit))),
            _ => None,
        });
        let vanished = of_run().find(|(_, record)| record.what == What::Vanished).map(|(at, _)| at);
        match (ended, vanished) {
            (None, None) => None,
            (None, Some(_)) => Some(End::Lost),
            (Some((_, status)), None) => Some(End::Exact(status)),
            (Some((ended, status)), Some(vanished)) => {
                // It ended and went while nobody could look.
                let unseen =
                    self.blind.iter().any(|blind| blind.contains(&ended) && blind.contains(&vanished));
                Some(if unseen { End::Lost } else { End::Exact(status) })
            }
        }
    }

    /// The ends that procs of this id may have had.
    pub(crate) fn ends_of(&self, id: &ProcId) -> Vec<End> {
        let mut pids: Vec<_> =
            self.records.iter().filter(|record| record.id == *id).map(|record| record.pid).collect();
        pids.dedup();
        let runs = pids.into_iter().filter_map(|pid| self.end_of(pid));
        runs.chain(self.may_be_refused(id).then_some(End::NotStarted)).collect()
    }

    /// Whether a run of this id ended, so that another may have been refused after it.
    pub(crate) fn may_be_refused(&self, id: &ProcId) -> bool {
        self.records.iter().any(|record| record.id == *id && matches!(record.what, What::Ended(_)))
    }
}

/// An end, as far as it can be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Exact(ProcStatus),
    Lost,
    /// The run that was to follow by a restart policy was refused.
    NotStarted,
}

impl End {
    pub(crate) fn fits(&self, status: &ProcStatus) -> bool {
        match self {
            Self::Exact(exact) => exact == status,
            Self::Lost => matches!(status, ProcStatus::Failed { reason: FailReason::Lost { .. } }),
            Self::NotStarted => {
                matches!(status, ProcStatus::Failed { reason: FailReason::NoMainProcess { .. } })
            }
        }
    }
}
