//! Sizes as systemd reads and writes them, base 1024: a leaf value.

/// Text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size (write 1048576, 512M or 1.5G)")]
pub struct BadSize(String);

/// The suffixes from `B` on, each 1024 times the one before.
const SUFFIXES: [&str; 7] = ["B", "K", "M", "G", "T", "P", "E"];

/// Reads a size in bytes, base 1024, as systemd does (`parse_size`, parse-util.c): `512M`, `1.5G`, `1G 500M`.
///
/// # Errors
/// When the text is no such thing, or more than 64 bits hold.
pub fn parse_size(text: &str) -> Result<u64, BadSize> {
    let bad = || BadSize(text.to_owned());
    sum(text.trim()).ok_or_else(bad)
}

fn sum(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_u64;
    let mut below = u128::MAX;
    loop {
        let (bytes, scale, tail) = term(rest)?;
        // Largest first, each suffix once: systemd reads "1M 1G" as a mistake.
        if u128::from(scale) >= below {
            return None;
        }
        below = scale.into();
        total = total.checked_add(bytes)?;
        rest = tail.trim_start();
        if rest.is_empty() {
            return Some(total);
        }
    }
}

/// One number with its suffix: its bytes, the suffix's, and what follows.
fn term(text: &str) -> Option<(u64, u64, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    let rest = rest.trim_start();
    let (scale, rest) = suffix(rest)?;
    let bytes = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    Some((bytes.checked_add(part(fraction, scale)?)?, scale, rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn suffix(text: &str) -> Option<(u64, &str)> {
    let Some(first) = text.chars().next() else { return Some((1, text)) };
    if first.is_ascii_digit() {
        return Some((1, text));
    }
    let power = SUFFIXES.iter().position(|suffix| text.starts_with(suffix))?;
    Some((1 << (10 * power), &text[1..]))
}

/// The bytes of the digits after the point, cut to whole ones.
fn part(fraction: &str, scale: u64) -> Option<u64> {
    // Twenty digits hold any part of the largest suffix.
    let kept = &fraction[..fraction.len().min(18)];
    if kept.is_empty() {
        return Some(0);
    }
    let digits = u128::from(kept.parse::<u64>().ok()?);
    let divisor = 10_u128.pow(u32::try_from(kept.len()).ok()?);
    u64::try_from(digits * u128::from(scale) / divisor).ok()
}

/// Writes a size with one decimal and the suffix that fits it: `512M`, `1.5G`, `830B`.
pub fn format_size(bytes: u64) -> String {
    let power = (0..SUFFIXES.len()).rev().find(|power| bytes >> (10 * power) > 0).unwrap_or(0);
    let unit = 1_u128 << (10 * power);
    let tenths = u128::from(bytes) * 10 / unit;
    match tenths % 10 {
        0 => format!("{}{}", tenths / 10, SUFFIXES[power]),
        tenth => format!("{}.{tenth}{}", tenths / 10, SUFFIXES[power]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_size_is_read_as_systemd_reads_it() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("512M", 512 << 20),
            (" 512 M ", 512 << 20),
            ("1.5G", 3 << 29),
            ("1G 500M", (1 << 30) + (500 << 20)),
            ("1G500M", (1 << 30) + (500 << 20)),
            ("2K 7B", 2055),
            ("0.1K", 102),
            ("15E", 15 << 60),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in
            ["", "M", "-1", "+1", "12X", "12k", "5MB", "1M 1G", "1M 1M", "16E", "1 2", "50%", "infinity"]
        {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_size_is_written_with_the_suffix_that_fits() {
        for (bytes, text) in [
            (0, "0B"),
            (830, "830B"),
            (1024, "1K"),
            (1536, "1.5K"),
            ((1 << 20) - 1, "1023.9K"),
            (512 << 20, "512M"),
            (u64::MAX, "15.9E"),
        ] {
            assert_eq!(format_size(bytes), text);
        }
    }

    proptest! {
        #[test]
        fn a_written_size_reads_back_within_its_last_digit(bytes: u64) {
            let back = parse_size(&format_size(bytes)).unwrap();
            prop_assert!(back <= bytes && bytes - back <= bytes / 10, "{} {}", bytes, back);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text: String) {
            let _ = parse_size(&text);
        }
    }
}
