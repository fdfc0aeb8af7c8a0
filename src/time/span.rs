//! Lengths of time as systemd reads and writes them, see systemd.time(7).

use std::time::Duration;

/// A length of time, or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// That long, in whole microseconds.
    Finite(Duration),
    /// No limit: `infinity`.
    Infinity,
}

/// Text that is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length of time (write 90, 1.5s, 5min 20s or infinity)")]
pub struct BadSpan(pub(super) String);

const MICROS_PER_SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * MICROS_PER_SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
/// 30.4368 days and 365.25 days: `USEC_PER_MONTH`, `USEC_PER_YEAR` (time-util.h).
const MONTH: u64 = 2_629_800 * MICROS_PER_SECOND;
const YEAR: u64 = 31_557_600 * MICROS_PER_SECOND;

/// The units systemd knows, with their microseconds (`extract_multiplier`, time-util.c). `M` is a month and `m`
/// a minute.
const UNITS: [(&str, u64); 30] = [
    ("seconds", MICROS_PER_SECOND),
    ("second", MICROS_PER_SECOND),
    ("sec", MICROS_PER_SECOND),
    ("s", MICROS_PER_SECOND),
    ("minutes", MINUTE),
    ("minute", MINUTE),
    ("min", MINUTE),
    ("m", MINUTE),
    ("hours", HOUR),
    ("hour", HOUR),
    ("hr", HOUR),
    ("h", HOUR),
    ("days", DAY),
    ("day", DAY),
    ("d", DAY),
    ("weeks", WEEK),
    ("week", WEEK),
    ("w", WEEK),
    ("months", MONTH),
    ("month", MONTH),
    ("M", MONTH),
    ("years", YEAR),
    ("year", YEAR),
    ("y", YEAR),
    ("msec", 1_000),
    ("ms", 1_000),
    ("usec", 1),
    ("us", 1),
    // The micro sign and the Greek letter.
    ("\u{b5}s", 1),
    ("\u{3bc}s", 1),
];

/// Reads a length of time as systemd does: numbers with units, added up; a number alone is in seconds; `infinity`.
/// Only a sign, which systemd takes, is refused.
///
/// # Errors
/// When the text is no such thing, or more than 64 bits of microseconds.
pub fn parse_span(text: &str) -> Result<Span, BadSpan> {
    parse_span_in(text, MICROS_PER_SECOND)
}

/// Reads a length of time whose bare numbers count `default` microseconds each, as [`parse_span`] does otherwise.
///
/// # Errors
/// As [`parse_span`].
pub fn parse_span_in(text: &str, default: u64) -> Result<Span, BadSpan> {
    if text.trim() == "infinity" {
        return Ok(Span::Infinity);
    }
    let micros = sum(text.trim(), default).ok_or_else(|| BadSpan(text.to_owned()))?;
    Ok(Span::Finite(Duration::from_micros(micros)))
}

impl Span {
    /// As systemd's properties have it: microseconds, all ones for no limit.
    pub fn as_micros(self) -> u64 {
        match self {
            Self::Finite(span) => u64::try_from(span.as_micros()).unwrap_or(u64::MAX),
            Self::Infinity => u64::MAX,
        }
    }
}

/// The microseconds of `NUMBER[UNIT] ...`; a number without a unit counts `default` each.
fn sum(text: &str, default: u64) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_u64;
    loop {
        let (micros, tail) = term(rest, default)?;
        total = total.checked_add(micros)?;
        rest = tail.trim_start();
        if rest.is_empty() {
            // All ones is how systemd writes "no limit".
            return (total != u64::MAX).then_some(total);
        }
    }
}

/// One number with its unit, and what follows it.
fn term(text: &str, default: u64) -> Option<(u64, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => Some(digits(rest)).filter(|(fraction, _)| !fraction.is_empty())?,
        None if whole.is_empty() => return None,
        None => ("", rest),
    };
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let scale = match unit {
        // A second point: `1.2.3`.
        "" if rest.starts_with('.') => return None,
        "" => default,
        _ => unit_micros(unit)?,
    };
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Some((whole.checked_mul(scale)?.checked_add(part(fraction, scale))?, rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn unit_micros(unit: &str) -> Option<u64> {
    UNITS.iter().find(|(name, _)| *name == unit).map(|(_, micros)| *micros)
}

/// The microseconds of the digits after the point; what is less than one is cut off.
fn part(fraction: &str, scale: u64) -> u64 {
    let mut step = scale;
    fraction.bytes().fold(0, |total, digit| {
        step /= 10;
        total + u64::from(digit - b'0') * step
    })
}

/// Writes a length of time as systemd does, in at most two units, so that a person reads it at a glance:
/// `5min 20s`, `1h 3min`, `850ms`. Below a minute there are at most three decimals: `1.250s`.
pub fn format_span(span: Duration) -> String {
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    match micros {
        0 => "0s".to_owned(),
        1..=999 => format!("{micros}us"),
        1_000..=999_999 => format!("{}ms", micros / 1_000),
        _ if micros < MINUTE => seconds(micros / 1_000),
        _ => two_units(micros),
    }
}

/// Seconds with the milliseconds that are there.
fn seconds(millis: u64) -> String {
    match millis % 1_000 {
        0 => format!("{}s", millis / 1_000),
        rest => format!("{}.{rest:03}s", millis / 1_000),
    }
}

fn two_units(micros: u64) -> String {
    const STEPS: [(&str, u64); 5] =
        [("w", WEEK), ("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", MICROS_PER_SECOND)];
    let first = STEPS.iter().position(|(_, length)| micros >= *length).unwrap_or(STEPS.len() - 1);
    let (name, length) = STEPS[first];
    let head = format!("{}{name}", micros / length);
    match STEPS.get(first + 1).map(|(name, step)| (micros % length / step, name)) {
        Some((count, name)) if count > 0 => format!("{head} {count}{name}"),
        _ => head,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_span_is_read_as_systemd_reads_it() {
        // The right-hand sides are what `systemd-analyze timespan` 252 says, in microseconds.
        for (text, micros) in [
            ("90", 90_000_000),
            ("5min 20s", 320_000_000),
            ("5min20s", 320_000_000),
            (" 2 h ", 7_200_000_000),
            ("1.5s", 1_500_000),
            (".5", 500_000),
            ("1h 30", 3_630_000_000),
            ("2M", 5_259_600_000_000),
            ("1y 1month", 34_187_400_000_000),
            ("1w 2d", 777_600_000_000),
            ("55s500ms", 55_500_000),
            ("300ms20s 5day", 432_020_300_000),
            ("7us", 7),
            ("7\u{3bc}s", 7),
            ("0", 0),
            ("0.0000001", 0),
        ] {
            assert_eq!(parse_span(text), Ok(Span::Finite(Duration::from_micros(micros))), "{text:?}");
        }
        assert_eq!(parse_span(" infinity "), Ok(Span::Infinity));
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in [
            "",
            " ",
            "s",
            "-1",
            "+1",
            "1.",
            "1.s",
            "1.2.3",
            "5 parsecs",
            "1e3",
            "infinite",
            "1,5s",
            "99999999999y",
        ] {
            assert!(parse_span(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_span_is_written_for_a_glance() {
        for (micros, text) in [
            (0, "0s"),
            (7, "7us"),
            (850_000, "850ms"),
            (1_250_000, "1.250s"),
            (42_000_000, "42s"),
            (320_000_000, "5min 20s"),
            (3_600_000_000, "1h"),
            (3_780_000_000, "1h 3min"),
            (3_605_000_000, "1h"),
            (90_061_000_000, "1d 1h"),
            (1_209_600_000_000, "2w"),
        ] {
            assert_eq!(format_span(Duration::from_micros(micros)), text);
        }
    }

    proptest! {
        #[test]
        fn a_written_span_reads_back_as_no_more_than_it_was(micros in 0_u64..1 << 50) {
            let span = Duration::from_micros(micros);
            let Ok(Span::Finite(back)) = parse_span(&format_span(span)) else {
                return Err(TestCaseError::fail("not read back"));
            };
            // What two units leave out is less than one of the second, and that is a seventh of the first at most.
            let lost = span.checked_sub(back).ok_or_else(|| TestCaseError::fail("more than it was"))?;
            prop_assert!(lost <= span / 7 + Duration::from_micros(1));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text: String) {
            let _ = parse_span(&text);
        }
    }
}
