//! How many streams to journald may be open: it serves all programs of the host, and has no more than about 4,092.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::stream::STREAM_SOCKET;
use crate::sys::open_files;

/// Sockets of this network namespace, one line each, with the path that each is bound to (proc(5)).
const SOCKETS: &str = "/proc/net/unix";

/// With so many streams of all programs open, no two are opened for one proc any more: 252 to 257 close what comes after
/// 4,096 descriptors or so (`STDOUT_STREAMS_MAX`, journald-stream.c; 4,092 measured, 252).
pub const BUSY: usize = 2_048;
/// With so many none is opened any more: what journald closes ends its writer by SIGPIPE.
const FULL: usize = 3_800;
/// Of the descriptors that this process may have, one in so many is a stream at most: a login's soft limit is 1,024, and
/// the program around the manager needs some as well.
const OF_DESCRIPTORS: usize = 2;
/// How long a count is believed, with what was opened since added to it. Counting costs 2 ms beside 4,000 streams.
const COUNT_AGE: Duration = Duration::from_secs(1);

/// What a manager may have open.
#[derive(Debug)]
pub(crate) struct Pool {
    most: usize,
    state: Mutex<State>,
    sockets: &'static str,
}

#[derive(Debug, Default)]
struct State {
    /// Streams of this manager.
    taken: usize,
    /// Streams of all programs, when that was counted, and those opened here since.
    counted: Option<(usize, Instant)>,
    since: usize,
}

/// The answer to a wish for streams.
#[derive(Debug)]
pub(crate) enum Room {
    /// There is room for them.
    Own(Lease),
    /// There is none for more than one a proc.
    Shared,
    /// There is none.
    Full,
}

/// Streams that count until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    count: usize,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.lock().taken -= self.count;
    }
}

impl Pool {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default(), sockets: SOCKETS })
    }

    /// Room for this many streams of a proc's own, or for the one that its output shares.
    pub(crate) fn take(self: &Arc<Self>, count: usize) -> Room {
        let mut state = self.lock();
        let open = state.open(self.sockets);
        if open + count > FULL {
            return Room::Full;
        }
        state.since += count;
        if state.taken + count > self.most() || open + count > BUSY {
            return Room::Shared;
        }
        state.taken += count;
        Room::Own(Lease { pool: Arc::clone(self), count })
    }

    /// Whether there may be no room for this many.
    pub(crate) fn is_short(&self, count: usize) -> bool {
        let state = self.lock();
        let open = state.counted.map_or(0, |(counted, _)| counted + state.since);
        state.taken + count > self.most() || open + count > BUSY
    }

    /// Whether the next wish is answered without counting.
    pub(crate) fn is_counted(&self) -> bool {
        self.lock().counted.is_some_and(|(_, at)| at.elapsed() < COUNT_AGE)
    }

    /// As a process may raise its limit, what it is counts and not what it was.
    fn most(&self) -> usize {
        let limit = usize::try_from(open_files::limit()).unwrap_or_default();
        self.most.min(limit / OF_DESCRIPTORS)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Streams of all programs; 0 where the kernel does not say.
    fn open(&mut self, sockets: &str) -> usize {
        let fresh = self.counted.filter(|(_, at)| at.elapsed() < COUNT_AGE);
        let (counted, _) = fresh.unwrap_or_else(|| {
            self.since = 0;
            let counted = std::fs::read_to_string(sockets).map_or(0, |table| count(&table));
            *self.counted.insert((counted, Instant::now()))
        });
        counted + self.since
    }
}

/// Connected sockets of journald's.
fn count(table: &str) -> usize {
    // Num RefCount Protocol Flags Type St Inode Path; state 01 is one that nobody connected to, as the one that listens.
    let is_stream = |line: &&str| {
        let mut words = line.split_ascii_whitespace();
        words.nth(5) != Some("01") && words.nth(1) == Some(STREAM_SOCKET)
    };
    table.lines().filter(is_stream).count()
}

/// Streams to journald of all programs, as far as this network namespace shows; `None` where the kernel does not say.
pub fn streams_open() -> Option<usize> {
    std::fs::read_to_string(SOCKETS).ok().map(|table| count(&table))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Num       RefCount Protocol Flags    Type St Inode Path\n\
        0000000000000000: 00000002 00000000 00010000 0001 01 100 /run/systemd/journal/stdout\n\
        0000000000000000: 00000003 00000000 00000000 0001 03 101 /run/systemd/journal/stdout\n\
        0000000000000000: 00000003 00000000 00000000 0001 02 102 /run/systemd/journal/stdout\n\
        0000000000000000: 00000003 00000000 00000000 0001 03 103 /run/systemd/journal/socket\n\
        0000000000000000: 00000003 00000000 00000000 0001 03 104\n";

    fn pool(most: usize) -> Arc<Pool> {
        Arc::new(Pool { most, state: Mutex::default(), sockets: "/dev/null" })
    }

    #[test]
    fn connected_streams_are_counted_and_nothing_else() {
        assert_eq!(count(TABLE), 2);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let pool = pool(4);
        let Room::Own(first) = pool.take(2) else { panic!("no room") };
        let Room::Own(_second) = pool.take(2) else { panic!("no room") };
        assert!(matches!(pool.take(1), Room::Shared));
        assert!(pool.is_short(1));
        drop(first);
        assert!(matches!(pool.take(2), Room::Own(_)));
    }

    #[test]
    fn where_journald_is_busy_none_are_taken_and_where_it_is_full_not_even_one() {
        let pool = pool(100_000);
        let state = |counted| State { counted: Some((counted, Instant::now())), ..State::default() };
        *pool.lock() = state(BUSY - 2);
        assert!(matches!(pool.take(2), Room::Own(_)));
        assert!(matches!(pool.take(2), Room::Shared));
        *pool.lock() = state(FULL - 1);
        assert!(matches!(pool.take(1), Room::Shared));
        assert!(matches!(pool.take(1), Room::Full));
    }
}
