//! Values as a unit file has them, read into numbers. Each returns `None` for what is no such value.

use super::kind::LimitUnit;
use crate::size::parse_size;
use crate::time::{Span, parse_span, parse_span_in};

/// How systemd writes "no limit" in a `t`.
const NONE: u64 = u64::MAX;

/// The words of `parse_boolean` (parse-util.c).
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

pub(super) fn unsigned(text: &str) -> Option<u64> {
    match text.trim() {
        "infinity" => Some(NONE),
        digits => digits.parse().ok(),
    }
}

pub(super) fn octal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.trim(), 8).ok().filter(|mode| *mode <= 0o7777)
}

/// One line of text. systemd writes it to the unit's file as it is: a line break would start another setting there,
/// and a backslash at the end would swallow the next one.
pub(super) fn line(text: &str) -> Option<String> {
    let fits = !text.contains(char::is_control) && !text.ends_with('\\');
    fits.then(|| text.to_owned())
}

pub(super) fn named(text: &str, names: &[(&str, i32)]) -> Option<i32> {
    let text = text.trim();
    let by_name = names.iter().find(|(name, _)| *name == text);
    let by_number = || names.iter().find(|(_, number)| text == number.to_string());
    by_name.or_else(by_number).map(|(_, number)| *number)
}

pub(super) fn micros(text: &str, default: u64, zero_is_none: bool) -> Option<u64> {
    match parse_span_in(text, default).ok()?.as_micros() {
        0 if zero_is_none => Some(NONE),
        micros => Some(micros),
    }
}

/// Nanoseconds; a bare number is a number of them.
pub(super) fn nanos(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(nanos) = text.strip_suffix("ns").unwrap_or(text).trim_end().parse() {
        return Some(nanos);
    }
    match parse_span(text).ok()? {
        Span::Infinity => Some(NONE),
        Span::Finite(span) => u64::try_from(span.as_nanos()).ok(),
    }
}

/// Microseconds of CPU time a second; an empty text is no quota.
pub(super) fn quota(text: &str) -> Option<u64> {
    if text.trim().is_empty() {
        return Some(NONE);
    }
    // A ten thousandth of a second is 100 microseconds.
    permyriad(text).filter(|parts| *parts > 0)?.checked_mul(100)
}

/// A percentage as a part of 2^32 - 1, rounded (`UINT32_SCALE_FROM_PERMYRIAD`, percent-util.h).
pub(super) fn scale(text: &str) -> Option<u32> {
    let parts = permyriad(text).filter(|parts| *parts <= 10_000)?;
    u32::try_from((parts * u64::from(u32::MAX) + 5_000) / 10_000).ok()
}

/// Ten thousandths from a percentage with at most two decimals (`parse_permyriad`, percent-util.c).
fn permyriad(text: &str) -> Option<u64> {
    let number = text.trim().strip_suffix('%')?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 2 {
        return None;
    }
    let hundredths: u64 = format!("{fraction:0<2}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(hundredths)
}

pub(super) fn size(text: &str) -> Option<u64> {
    match text.trim() {
        "infinity" => Some(NONE),
        size => parse_size(size).ok(),
    }
}

pub(super) fn weight(text: &str, idle: bool) -> Option<u64> {
    match text.trim() {
        // `CGROUP_WEIGHT_IDLE` (cgroup-util.h).
        "idle" if idle => Some(0),
        digits => digits.parse().ok().filter(|weight| (1..=10_000).contains(weight)),
    }
}

/// A resource limit, soft and hard: `VALUE` is both, `SOFT:HARD` each (`rlimit_parse`, rlimit-util.c).
pub(super) fn limit(text: &str, unit: LimitUnit) -> Option<(u64, u64)> {
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    let (soft, hard) = (one_limit(soft.trim(), unit)?, one_limit(hard.trim(), unit)?);
    (soft <= hard).then_some((soft, hard))
}

fn one_limit(text: &str, unit: LimitUnit) -> Option<u64> {
    match unit {
        LimitUnit::Number => unsigned(text),
        LimitUnit::Bytes => size(text),
        LimitUnit::Seconds => match parse_span(text).ok()? {
            Span::Infinity => Some(NONE),
            // A part of a second counts as one: a limit of zero would kill at once.
            Span::Finite(span) => Some(span.as_secs() + u64::from(span.subsec_nanos() > 0)),
        },
        LimitUnit::Micros => micros(text, 1, false),
        LimitUnit::Nice => nice(text),
    }
}

/// `+5` and `-5` are nice levels; a bare number is what the kernel keeps, 20 less the level, 0 to 40.
fn nice(text: &str) -> Option<u64> {
    if text.starts_with(['+', '-']) {
        let level: i64 = text.parse().ok().filter(|level| (-20..=19).contains(level))?;
        return u64::try_from(20 - level).ok();
    }
    unsigned(text).filter(|raw| *raw <= 40 || *raw == NONE)
}

/// Words between blanks; quotes keep blanks in one, a backslash keeps the next character as it is.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => word.get_or_insert_default().push(chars.next()?),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) if c.is_control() => return None,
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}
