//! A line as statuses and reports show it: text, and not too long of it, as records of many ends are kept.

/// Bytes of a line that are shown at the most.
const SHOWN: usize = 4 * 1024;
/// Bytes of the longest character.
const CHARACTER: usize = 4;
/// What stands in place of the rest.
const MARK: char = '…';

/// What is no UTF-8 is shown as U+FFFD.
pub(super) fn text(line: &[u8]) -> String {
    // A character more, of which nothing is left in the end: one that is cut in its middle would look like none.
    let seen = &line[..line.len().min(SHOWN + CHARACTER)];
    let mut text = String::from_utf8_lossy(seen).into_owned();
    if text.len() > SHOWN {
        let at = (0..=SHOWN).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(at);
        text.push(MARK);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_has_room_is_shown_as_it_is() {
        for line in ["", "words", &"ä".repeat(SHOWN / 2), &"x".repeat(SHOWN)] {
            assert_eq!(text(line.as_bytes()), line);
        }
        assert_eq!(text(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn a_longer_one_is_cut_between_characters_and_marked() {
        for character in ["x", "ä", "€", "😀"] {
            let told = text(character.repeat(SHOWN + 1).as_bytes());
            let kept = told.strip_suffix(MARK).unwrap();
            assert_eq!(kept, character.repeat(SHOWN / character.len()));
        }
        let told = text(&vec![0xff; 48 * 1024]);
        assert!(told.len() <= SHOWN + MARK.len_utf8() && told.ends_with(MARK));
    }
}
