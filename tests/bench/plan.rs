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
    pub(crate) pass: Pass,
    pub(crate) tee: Tee,
    pub(crate) journal: Journal,
    pub(crate) follow: Follow,
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

/// Bytes that go straight to the caller's own standard output.
pub(crate) struct Pass {
    pub(crate) mib: u32,
    pub(crate) rounds: usize,
}

/// Bytes that go to the caller's own standard output and to the journal.
pub(crate) struct Tee {
    /// Short lines.
    pub(crate) lines: u32,
    /// Of bytes without an end of line.
    pub(crate) mib: u32,
    pub(crate) rounds: usize,
}

/// Procs with their output to the journal.
pub(crate) struct Journal {
    /// The sets, and how many rounds of each.
    pub(crate) sets: Vec<(Work, usize)>,
    /// So many that live at once, in steps; memory is told between the two.
    pub(crate) live: [usize; 2],
    pub(crate) ends: usize,
    pub(crate) rounds: usize,
}

/// Many that write while somebody follows.
pub(crate) struct Follow {
    pub(crate) procs: usize,
    /// Of each of them.
    pub(crate) lines: u32,
    pub(crate) every: Duration,
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
            pass: Pass { mib: 1024, rounds: 5 },
            tee: Tee { lines: 200_000, mib: 64, rounds: 3 },
            journal: Journal {
                sets: vec![(Work::short(200), 7), (Work::long(200), 7), (Work::long(500), 5)],
                live: [100, 500],
                ends: 100,
                rounds: 3,
            },
            follow: Follow { procs: 200, lines: 100, every: Duration::from_millis(100), rounds: 3 },
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
            pass: Pass { mib: 128, rounds: 3 },
            tee: Tee { lines: 10_000, mib: 16, rounds: 1 },
            journal: Journal { sets: vec![(Work::short(100), 3)], live: [50, 150], ends: 20, rounds: 1 },
            follow: Follow { procs: 50, lines: 30, every: Duration::from_millis(100), rounds: 1 },
        }
    }
}
