//! How long a property's line in the unit's file gets: systemd escapes what it writes there, and refuses to read
//! back a line over [`UNIT_LINE_MAX`] (measured, 252: the unit is then `LoadState=error` while it runs).

use super::property::{Property, Value};
use crate::spec::defaults::UNIT_LINE_MAX;
use crate::spec::{Field, Flaw, SpecError};

/// Which characters systemd escapes when it writes a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// Command lines: `UNIT_ESCAPE_SPECIFIERS | UNIT_ESCAPE_EXEC_SYNTAX` (unit.c).
    Exec,
    /// The environment: `UNIT_ESCAPE_SPECIFIERS | UNIT_ESCAPE_C` (dbus-execute.c).
    C,
}

/// Refuses a property whose line systemd would not read back.
pub(super) fn check_line(property: &Property, quoting: Quoting, field: Field) -> Result<(), SpecError> {
    let blanks = words(property).count().saturating_sub(1);
    let words: usize = words(property).map(|word| word_len(word, quoting)).sum();
    let len = property.name.len() + "=".len() + words + blanks;
    if len < UNIT_LINE_MAX {
        return Ok(());
    }
    Err(SpecError::new(field, Flaw::LongLine { len, max: UNIT_LINE_MAX }))
}

/// The words of a property's line, the flags that stand before a command aside.
fn words(property: &Property) -> Box<dyn Iterator<Item = &str> + '_> {
    match &property.value {
        Value::StrList(list) => Box::new(list.iter().map(String::as_str)),
        Value::Exec(commands) => Box::new(commands.iter().flat_map(|c| command_words(&c.path, &c.argv))),
        Value::ExecEx(commands) => Box::new(commands.iter().flat_map(|c| command_words(&c.path, &c.argv))),
        _ => Box::new(std::iter::empty()),
    }
}

fn command_words<'a>(path: &'a str, argv: &'a [String]) -> impl Iterator<Item = &'a str> {
    std::iter::once(path).chain(argv.iter().map(String::as_str))
}

/// Bytes of one word with its quotes. Where versions differ, the longer form counts.
fn word_len(word: &str, quoting: Quoting) -> usize {
    2 + word.chars().map(|c| char_len(c, quoting)).sum::<usize>()
}

fn char_len(c: char, quoting: Quoting) -> usize {
    match c {
        '\u{7}'..='\r' | '\\' | '"' | '\'' | '%' => 2,
        '$' | ';' if quoting == Quoting::Exec => 2,
        // A backslash and three octal digits.
        '\0'..='\u{1f}' | '\u{7f}' => 4,
        _ if c.is_ascii() || quoting == Quoting::Exec => c.len_utf8(),
        _ => 4 * c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words and the lines that systemd 252 wrote for them (`systemctl cat`, measured).
    const WRITTEN: [(&str, &str, Quoting); 7] = [
        ("q\"'", r#""q\"\'""#, Quoting::Exec),
        ("é€", "\"é€\"", Quoting::Exec),
        ("\u{1}\u{7f}\r\n\t", r#""\001\177\r\n\t""#, Quoting::Exec),
        ("%n%%", "\"%%n%%%%\"", Quoting::Exec),
        ("$;", r#""\$\;""#, Quoting::Exec),
        ("A_U=é", r#""A_U=\303\251""#, Quoting::C),
        ("A_D=$;\\", r#""A_D=$;\\""#, Quoting::C),
    ];

    #[test]
    fn a_word_is_counted_as_systemd_writes_it() {
        for (word, written, quoting) in WRITTEN {
            assert_eq!(word_len(word, quoting), written.len(), "{word:?}");
        }
    }

    #[test]
    fn a_line_is_refused_from_the_first_byte_that_is_not_read_back() {
        let line = |len: usize| Property::new("Environment", vec!["x".repeat(len)]);
        let overhead = "Environment=\"\"".len();
        let fits = UNIT_LINE_MAX - overhead - 1;
        assert_eq!(check_line(&line(fits), Quoting::C, Field::Environment), Ok(()));
        let refused = check_line(&line(fits + 1), Quoting::C, Field::Environment).unwrap_err();
        assert_eq!(refused.field(), &Field::Environment);
        assert_eq!(refused.flaw(), &Flaw::LongLine { len: UNIT_LINE_MAX, max: UNIT_LINE_MAX });
    }
}
