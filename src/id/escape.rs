//! Bytes to unit-name characters and back.
//!
//! Letters, digits, `_`, `.` and `-` stand for themselves and `/` becomes `:`. Every other byte becomes `::` and
//! two lower-case hexadecimal digits. An id has no empty segment, so two slashes never meet and `::` always starts
//! an escape; in `:::` the first is the slash before it.

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
            // A third colon: the first is a slash, and the escape starts at the second.
            (b':', [b':', b':', ..]) => {
                bytes.push(b'/');
                after
            }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        escape_into(&mut out, text);
        out
    }

    #[test]
    fn plain_characters_stand_for_themselves_and_a_slash_becomes_a_colon() {
        assert_eq!(escaped("shop/web-2/0_a.b"), "shop:web-2:0_a.b");
    }

    #[test]
    fn every_other_byte_becomes_two_lower_case_digits() {
        assert_eq!(escaped("a b:é@\\"), "a::20b::3a::c3::a9::40::5c");
    }

    #[test]
    fn a_slash_before_or_after_an_escape_reads_back() {
        for text in ["a/é", "é/a", "é/é", ":/:", " / ", "a/:b"] {
            assert_eq!(unescape(&escaped(text)).as_deref(), Some(text), "{}", escaped(text));
        }
    }

    #[test]
    fn what_was_never_written_is_not_read() {
        // A cut escape, upper case, a plain character escaped, no UTF-8, a hash mark, foreign characters.
        for text in ["::", "::2", "a::", "::C3::A9", "::61", "::2f", "::c3", "a::h00", "a\\x2db", "a b", "é"]
        {
            assert_eq!(unescape(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_without_doubled_slashes_reads_back(text in "\\PC{0,40}") {
            prop_assume!(!text.contains("//"));
            prop_assert_eq!(unescape(&escaped(&text)), Some(text));
        }

        #[test]
        fn whatever_reads_back_is_written_the_same_way(name in "[a-c:/0-9\\-_.]{0,16}") {
            if let Some(text) = unescape(&name) {
                prop_assert_eq!(escaped(&text), name);
            }
        }
    }
}
