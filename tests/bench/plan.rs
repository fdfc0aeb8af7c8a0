//! How much of everything is done: all of it, or as much as shows a gross loss.

use std::time::Duration;

use crate::table::Strictness;
use crate::work::Work;

/// Sizes and numbers of rounds.
pub(crate) struct Plan {
    pub(crate) strictness: Strictness,
    pub(crate) launch: Launch,
    /// Pairs of rows of whole commands.
    pub(crate) command_pairs: usize,
    pub(crate) live: Live,
    pub(crate) delays: Delays,
    pub(crate) stop: Stop,
    pub(crate) native: Native,
    pub(crate) instructions: Instructions,
}

/// Sets of programs, by every peer.
pub(crate) struct Launch {
    /// The sets, and how many rounds of each.
    pub(crate) sets: Vec<(Work, usize)>,
    /// The size of the sets that find the best depth, and how many rounds of each depth.
    pub(crate) tuning: (usize, usize),
}

/// Many that live at once, launched in steps.
pub(crate) struct Live {
    pub(crate) step: usize,
    pub(crate) steps: usize,
    pub(crate) rounds: usize,
    /// How long nothing is asked of the manager that holds them all.
    pub(crate) idle: Duration,
}

/// Exit delays beside so many others.
pub(crate) struct Delays {
    pub(crate) live: [usize; 3],
    pub(crate) ends: usize,
    pub(crate) rounds: usize,
}

/// Everything ended at once.
pub(crate) struct Stop {
    pub(crate) count: usize,
    pub(crate) rounds: usize,
}

/// Child processes.
pub(crate) struct Native {
    pub(crate) count: usize,
    pub(crate) rounds: usize,
}

/// Launches under callgrind.
pub(crate) struct Instructions {
    /// So many in one process, and so many in another: the difference is what counts.
    pub(crate) cycles: [usize; 2],
    pub(crate) rounds: usize,
}

impl Plan {
    /// What docs/performance.md shows: a quarter of an hour.
    pub(crate) fn full() -> Self {
        let sets =
            vec![(Work::short(200), 7), (Work::long(200), 7), (Work::short(1000), 3), (Work::long(1000), 3)];
        Self {
            strictness: Strictness::Targets,
            launch: Launch { sets, tuning: (100, 5) },
            command_pairs: 20,
            live: Live { step: 500, steps: 10, rounds: 3, idle: Duration::from_secs(30) },
            delays: Delays { live: [0, 1000, 5000], ends: 100, rounds: 3 },
            stop: Stop { count: 1000, rounds: 5 },
            native: Native { count: 1000, rounds: 9 },
            instructions: Instructions { cycles: [20, 120], rounds: 3 },
        }
    }

    /// The same in a minute.
    pub(crate) fn quick() -> Self {
        Self {
            strictness: Strictness::GrossLoss,
            launch: Launch { sets: vec![(Work::short(100), 3), (Work::long(100), 3)], tuning: (50, 1) },
            command_pairs: 5,
            live: Live { step: 100, steps: 4, rounds: 1, idle: Duration::from_secs(3) },
            delays: Delays { live: [0, 100, 400], ends: 20, rounds: 1 },
            stop: Stop { count: 100, rounds: 2 },
            native: Native { count: 300, rounds: 3 },
            instructions: Instructions { cycles: [5, 25], rounds: 1 },
        }
    }
}
