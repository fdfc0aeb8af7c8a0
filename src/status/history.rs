//! The transitions of a proc, newest kept.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::proc_status::{ProcStatus, StatusKind};
use crate::id::InvocationId;
use crate::time::Timestamp;

/// One move of a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Its place in the proc's life, from 0 without gaps.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// The status before.
    pub from: StatusKind,
    /// The status after.
    pub to: ProcStatus,
    /// What decided it.
    pub cause: Cause,
    /// The run it belongs to, where systemd had named it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<InvocationId>,
    /// How the run ended that is followed by another: set where a restart policy leads back to `starting`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run_end: Option<ProcStatus>,
}

/// The kind of fact that moved a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// Exec succeeded.
    Exec,
    /// The proc said so, or its probe passed.
    Announced,
    /// A stop of ours was delivered.
    StopDelivered,
    /// systemd was seen ending it.
    Deactivating,
    /// The main process is over.
    Exit,
    /// A run is over, and its restart policy starts the next.
    Restart,
    /// The process could not be set up.
    SetupFailed,
    /// It is gone and nobody saw the end.
    Lost,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exec => "exec succeeded",
            Self::Announced => "announced",
            Self::StopDelivered => "stop delivered",
            Self::Deactivating => "systemd ends it",
            Self::Exit => "main process over",
            Self::Restart => "run over, starting again",
            Self::SetupFailed => "setup failed",
            Self::Lost => "lost",
        })
    }
}

/// The newest transitions, oldest first.
///
/// Bounded: what was dropped is counted, and `seq` shows where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    kept: VecDeque<Transition>,
    dropped: u64,
}

impl History {
    /// Adds one; beyond `limit` kept ones the oldest is dropped and counted.
    pub fn push(&mut self, transition: Transition, limit: usize) {
        self.kept.push_back(transition);
        while self.kept.len() > limit {
            self.kept.pop_front();
            self.dropped += 1;
        }
    }

    /// The kept ones, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Transition> {
        self.kept.iter()
    }

    /// The one with this `seq`, if it is kept.
    pub fn get(&self, seq: u64) -> Option<&Transition> {
        self.kept.get(usize::try_from(seq.checked_sub(self.dropped)?).ok()?)
    }

    /// How many were dropped: the `seq` of the oldest that is kept.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transition(seq: u64) -> Transition {
        Transition {
            seq,
            at: Timestamp::from_micros(seq),
            from: StatusKind::Starting,
            to: ProcStatus::Starting,
            cause: Cause::Exec,
            run: None,
            run_end: None,
        }
    }

    fn seqs(history: &History) -> Vec<u64> {
        history.iter().map(|transition| transition.seq).collect()
    }

    #[test]
    fn the_newest_are_kept_oldest_first_and_the_rest_is_counted() {
        let mut history = History::default();
        for seq in 0..10 {
            history.push(transition(seq), 4);
        }
        assert_eq!((seqs(&history), history.dropped()), (vec![6, 7, 8, 9], 6));
        assert_eq!(history.get(5), None);
        assert_eq!(history.get(6).map(|kept| kept.seq), Some(6));
        assert_eq!(history.get(10), None);
    }

    #[test]
    fn a_smaller_limit_takes_effect_with_the_next_one() {
        let mut history = History::default();
        for seq in 0..4 {
            history.push(transition(seq), 4);
        }
        history.push(transition(4), 1);
        assert_eq!((seqs(&history), history.dropped()), (vec![4], 4));
    }

    #[test]
    fn a_limit_of_none_keeps_nothing_and_counts_all() {
        let mut history = History::default();
        history.push(transition(0), 0);
        assert_eq!((seqs(&history), history.dropped()), (vec![], 1));
    }
}
