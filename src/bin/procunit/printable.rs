//! What others wrote, made fit for a terminal.

use std::borrow::Cow;

/// Words that a terminal shows and does not obey: control characters are written as escapes, but for tabs and for
/// what sets colours.
pub(crate) fn printable(message: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(message);
    if !text.contains(char::is_control) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(first) = rest.chars().next() {
        let colour = colour(rest);
        let taken = colour.max(first.len_utf8());
        match first {
            _ if colour > 0 => shown.push_str(&rest[..colour]),
            '\t' => shown.push('\t'),
            _ if first.is_control() => shown.extend(first.escape_default()),
            _ => shown.push(first),
        }
        rest = &rest[taken..];
    }
    if shown.contains('\u{1b}') {
        // What the program did not switch off again would colour what follows.
        shown.push_str("\u{1b}[0m");
    }
    shown.into()
}

/// The length of the sequence at the start of `text` that sets colours (ECMA-48 SGR); 0 where there is none.
fn colour(text: &str) -> usize {
    let Some(sequence) = text.strip_prefix("\u{1b}[") else { return 0 };
    let end = sequence.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':');
    match end {
        Some(end) if sequence[end..].starts_with('m') => "\u{1b}[".len() + end + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_shown_colours_and_obeys_nothing_else() {
        assert_eq!(printable(b"plain \xc3\xa9"), "plain é");
        assert_eq!(printable(b"a\tb"), "a\tb");
        assert_eq!(printable(b"\x1b[31mred"), "\u{1b}[31mred\u{1b}[0m");
        assert_eq!(printable(b"\x1b]0;title\x07"), "\\u{1b}]0;title\\u{7}");
        assert_eq!(printable(b"\x1b[2J\r"), "\\u{1b}[2J\\r");
    }
}
