//! Whether the machine had nothing else to do while something was timed: a bound in milliseconds is asserted then only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(5);
/// How much late a tick may be. On a machine with nothing to do it is late by a tenth of a millisecond.
const LATE: Duration = Duration::from_millis(20);

/// Looks, from a thread of its own, until it is asked.
pub(crate) struct Idle {
    done: Arc<AtomicBool>,
    looking: JoinHandle<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    latest: Duration,
    ticks: u32,
    runnable: u32,
}

impl Idle {
    pub(crate) fn watch() -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        Self { done, looking: std::thread::spawn(move || look(&until)) }
    }

    /// Whether it was idle since [`Self::watch`]: no tick came late, and on average no more was runnable than there are
    /// processors, this look included.
    pub(crate) fn was(self) -> bool {
        self.done.store(true, Ordering::Relaxed);
        let seen = self.looking.join().expect("it only looks");
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let allowed = u64::from(seen.ticks) * u64::try_from(processors).expect("a count");
        seen.latest < LATE && u64::from(seen.runnable) <= allowed
    }
}

fn look(done: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !done.load(Ordering::Relaxed) {
        let asleep = Instant::now();
        std::thread::sleep(TICK);
        seen.latest = seen.latest.max(asleep.elapsed().saturating_sub(TICK));
        seen.ticks += 1;
        seen.runnable += runnable();
    }
    seen
}

/// Of proc_loadavg(5): the fourth field is `RUNNABLE/ALL`.
fn runnable() -> u32 {
    let load = std::fs::read_to_string("/proc/loadavg").expect("/proc/loadavg");
    let field = load.split(' ').nth(3).and_then(|field| field.split('/').next());
    field.and_then(|count| count.parse().ok()).expect("a count")
}
