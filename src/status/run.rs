//! The runs of a proc: one, or, with a restart policy, one after the other.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::exit::{ExecReached, Exit};
use super::observe::Ended;
use super::proc_status::{FailReason, Found, ProcStatus};
use super::snapshot::Snapshot;
use crate::id::InvocationId;
use crate::time::Timestamp;

/// What is known of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its number, from 1. Between two records numbers are missing for runs of which nothing was seen.
    pub number: u32,
    /// Its id, where it has one.
    pub invocation_id: Option<InvocationId>,
    /// Its main process, also after its end.
    pub pid: Option<u32>,
    /// When its main process was started.
    pub started_at: Option<Timestamp>,
    /// When that ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended: a status that is an end. Null while it is not over; lost where the next run was there before its
    /// end was seen.
    pub end: Option<ProcStatus>,
}

/// The run that is the newest.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) number: u32,
    pub(super) id: Option<InvocationId>,
    pub(super) pid: Option<u32>,
    pub(super) started_at: Option<Timestamp>,
    /// Its exact end, once it is known.
    pub(super) ended: Option<Ended>,
    /// The status that its end makes.
    pub(super) end: Option<ProcStatus>,
    /// The next one is on its way.
    pub(super) waits: bool,
    /// systemd was seen ending it before its end.
    pub(super) deactivated: bool,
    /// The least `NRestarts` that the unit shows in the next run of its policy.
    pub(super) next_count: u32,
}

impl Run {
    pub(super) const fn new(number: u32) -> Self {
        Self {
            number,
            id: None,
            pid: None,
            started_at: None,
            ended: None,
            end: None,
            waits: false,
            deactivated: false,
            next_count: 1,
        }
    }

    /// Keeps what it is told of its end.
    pub(super) fn take_end(&mut self, ended: Ended) {
        self.pid = ended.pid.or(self.pid);
        self.started_at = self.started_at.or(ended.started_at);
        self.end = Some(ProcStatus::from_exit(ended.exit));
        self.ended = Some(ended);
    }

    /// Whether anything was seen of it.
    pub(super) const fn is_known(&self) -> bool {
        self.id.is_some() || self.pid.is_some() || self.end.is_some()
    }

    pub(super) fn record(&self) -> RunRecord {
        RunRecord {
            number: self.number,
            invocation_id: self.id,
            pid: self.pid,
            started_at: self.started_at,
            ended_at: self.ended.as_ref().and_then(|ended| ended.ended_at),
            end: self.end.clone(),
        }
    }

    /// The same, when the next run is there.
    pub(super) fn final_record(&self) -> RunRecord {
        let unseen = || ProcStatus::Failed { reason: FailReason::Lost { found: Found::NextRun } };
        RunRecord { end: Some(self.end.clone().unwrap_or_else(unseen)), ..self.record() }
    }

    /// Keeps what a picture of this run says of its place among the runs of its unit.
    ///
    /// Its own number counts from the first picture alone: later ones may have counted the next run already, and one that
    /// is then kept from beginning is none.
    pub(super) fn take_counter(&mut self, counter: Counter, is_first: bool) {
        if is_first {
            self.number = self.number.max(counter.number);
        }
        self.next_count = self.next_count.max(counter.next);
    }
}

/// The place of a run among those that its unit's policy has started, as one picture of it tells.
///
/// systemd counts a restart (`NRestarts`) when it queues it, while everything else is still the run before
/// (measured, 252 and 257), and one that its start limit then refuses as well. A start by anybody else begins at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counter {
    /// Which run it is, at the least.
    pub(super) number: u32,
    /// The least count of the next one.
    pub(super) next: u32,
}

impl Counter {
    pub(super) fn of(picture: &Snapshot) -> Self {
        let count = restarts_in(picture);
        let ended = picture.service.exec_main_code.is_some_and(|code| code != 0);
        let may_be_counted = ended && count > 0 && picture.unit.job != Some(0);
        let queued =
            matches!(picture.unit.sub_state.as_deref(), Some("auto-restart" | "auto-restart-queued"));
        let one_more = count.saturating_add(1);
        Self {
            number: if may_be_counted && queued { count } else { one_more },
            next: if may_be_counted { count } else { one_more },
        }
    }
}

/// `NRestarts`.
pub(super) fn restarts_in(picture: &Snapshot) -> u32 {
    picture.service.n_restarts.unwrap_or(0)
}

/// Whether the program itself was surely run: the end is not one that a failed setup may have, too.
pub(super) fn was_run(ended: &Ended) -> bool {
    match ended.exec {
        ExecReached::Yes => true,
        ExecReached::No => false,
        ExecReached::Unknown => matches!(ended.exit, Exit::Signal { .. }) || ended.may_be_setup().is_none(),
    }
}

/// The runs before the newest, oldest first: bounded, as are transitions.
#[derive(Debug, Clone, Default)]
pub(super) struct EarlierRuns(VecDeque<RunRecord>);

impl EarlierRuns {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(super) fn push(&mut self, record: RunRecord, limit: usize) {
        self.0.push_back(record);
        while self.0.len() > limit {
            self.0.pop_front();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RunRecord> {
        self.0.iter()
    }
}
