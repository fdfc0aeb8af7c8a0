//! Random moments that can be had again: the seed is printed, and `PROCUNIT_TEST_SEED` sets it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Small, seeded, and good enough to pick moments (SplitMix64).
pub(crate) struct Chance(u64);

impl Chance {
    /// Seeded from the environment or the clock; says with what.
    pub(crate) fn new(label: &str) -> Self {
        let given = std::env::var("PROCUNIT_TEST_SEED").ok().map(|seed| seed.parse().expect("a number"));
        let seed = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
            now.as_secs() ^ u64::from(now.subsec_nanos())
        });
        println!("{label}: PROCUNIT_TEST_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A moment before `end`.
    pub(crate) fn before(&mut self, end: Duration) -> Duration {
        let micros = u64::try_from(end.as_micros()).expect("a short span");
        Duration::from_micros(self.next() % micros)
    }

    /// True in half of the cases.
    pub(crate) fn coin(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }
}
