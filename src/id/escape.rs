//! Bytes to unit-name characters and back.
//!
//! Letters, digits, `_`, `.` and `-` stand for themselves and `/` becomes `:`. Every other byte becomes `::` and
//! two lower-case hexadecimal digits; since an id has no empty segment, `::` cannot come from slashes.

/// Appends the escaped form of `text`.
pub(super) fn escape_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'.' | b'-' => out.push(char::from(byte)),
            b'/' => out.push(':'),
            other => {
                out.push_str("::");
                out.push(hex_digit(other >> 4));
                out.push(hex_digit(other & 0x0f));
            }
        }
    }
}

fn hex_digit(nibble: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(nibble & 0x0f)])
}

/// The text that `escape_into` made `escaped` from, or `None` where it made no such thing.
pub(super) fn unescape(escaped: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b':', [b':', high, low, tail @ ..]) => {
                bytes.push(hex_value(*high)? << 4 | hex_value(*low)?);
                tail
            }
            (b':', [b':', ..]) => return None,
            (b':', tail) => {
                bytes.push(b'/');
                tail
            }
            (byte, tail) => {
                bytes.push(byte);
                tail
            }
        };
    }
    let text = String::from_utf8(bytes).ok()?;
    // Only the one spelling counts: what should have been written plain was not written by `escape_into`.
    let mut again = String::with_capacity(escaped.len());
    escape_into(&mut again, &text);
    (again == escaped).then_some(text)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
