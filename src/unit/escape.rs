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
    let words = words(property);
    let len = property.name.len() + 1 + words.map(|word| word_len(word, quoting) + 1).sum::<usize>();
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

/// Bytes of one word with its quotes.
fn word_len(word: &str, quoting: Quoting) -> usize {
    2 + word.chars().map(|c| char_len(c, quoting)).sum::<usize>()
}

fn char_len(c: char, quoting: Quoting) -> usize {
    match c {
        '\u{7}'..='\r' | '\\' | '"' | '\'' | '%' => 2,
        '$' | ';' if quoting == Quoting::Exec => 2,
        // Octal or hexadecimal: a backslash and three more. Beyond ASCII, one such for each byte.
        '\0'..='\u{1f}' | '\u{7f}' => 4,
        ' '..='~' => 1,
        _ => 4 * c.len_utf8(),
    }
}
