//! Points in time and spans as systemd writes them: leaf values. This module reads no clock.

mod span;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use span::{BadSpan, Span, format_span, parse_span, parse_span_in};

/// A point in time: microseconds since 1970-01-01 UTC, the unit of every systemd timestamp property.
///
/// Displayed and serialised as RFC 3339 with microseconds, in UTC; what lies beyond the year 9999, such as systemd's
/// "never" (`u64::MAX`), as `@MICROSECONDSus`. Both read back the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(u64);

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this one; zero when `earlier` is later (the wall clock was set back).
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The time this long after.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The time this long before; 1970 at the earliest.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        let since_epoch = time.duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
    }
}

/// Text that is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time since 1970")]
pub struct BadTimestamp(String);

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadTimestamp(text.to_owned());
        if let Some(micros) = text.strip_prefix('@').and_then(|rest| rest.strip_suffix("us")) {
            return micros.parse().map(Self).map_err(|_| bad());
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| bad())?;
        // Rounded down, so that what lies before 1970 by less than a microsecond is refused too.
        u64::try_from(time.as_nanosecond().div_euclid(1000)).map(Self).map_err(|_| bad())
    }
}

impl TryFrom<String> for Timestamp {
    type Error = BadTimestamp;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match i64::try_from(self.0).ok().and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok()) {
            Some(time) => write!(f, "{time:.6}"),
            // Beyond the year 9999: no calendar writes it.
            None => write!(f, "@{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000_000_000;
    /// Around the last microsecond that a calendar writes.
    const LAST_DAYS: std::ops::Range<u64> = 253_402_200_000_000_000..253_402_400_000_000_000;

    #[test]
    fn a_time_is_written_in_utc_with_microseconds() {
        assert_eq!(Timestamp::from_micros(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::from_micros(NOW + 42).to_string(), "2023-11-14T22:13:20.000042Z");
    }

    #[test]
    fn any_offset_and_precision_is_read() {
        for text in
            ["2023-11-14T22:13:20Z", "2023-11-14T23:13:20.000+01:00", "2023-11-14T22:13:20.000000999Z"]
        {
            assert_eq!(text.parse(), Ok(Timestamp::from_micros(NOW)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_by_name() {
        let texts = [
            "",
            "yesterday",
            "2023-11-14",
            "1969-12-31T23:59:59.9999999Z",
            "@us",
            "@-1us",
            "@18446744073709551616us",
        ];
        for text in texts {
            let refused = text.parse::<Timestamp>().unwrap_err().to_string();
            assert_eq!(refused, format!("{text:?} is not an RFC 3339 time since 1970"));
        }
    }

    #[test]
    fn what_no_calendar_writes_reads_back_too() {
        let never = Timestamp::from_micros(u64::MAX);
        assert_eq!(never.to_string(), "@18446744073709551615us");
        assert_eq!(never.to_string().parse(), Ok(never));
    }

    #[test]
    fn a_clock_that_was_set_back_gives_no_time_at_all() {
        let (early, late) = (Timestamp::from_micros(1), Timestamp::from_micros(1_500_001));
        assert_eq!(late.since(early), Duration::from_millis(1500));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn a_system_time_before_1970_is_the_epoch() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Timestamp::from(before), Timestamp::from_micros(0));
        let after = SystemTime::UNIX_EPOCH + Duration::from_nanos(2999);
        assert_eq!(Timestamp::from(after), Timestamp::from_micros(2));
    }

    proptest! {
        #[test]
        fn a_time_reads_back_from_text_and_json(
            micros in prop_oneof![any::<u64>(), 0..NOW * 2, LAST_DAYS],
        ) {
            let time = Timestamp::from_micros(micros);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
            let json = serde_json::to_string(&time).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
        }

        #[test]
        fn times_of_one_calendar_sort_as_their_texts_do(a in 0..LAST_DAYS.start, b in 0..LAST_DAYS.start) {
            let (a, b) = (Timestamp::from_micros(a), Timestamp::from_micros(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
