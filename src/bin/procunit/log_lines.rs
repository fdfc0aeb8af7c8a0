//! Lines of a log as they are printed.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};

use procunit::id::{InvocationId, ProcId};
use procunit::journal::Line;
use procunit::report::VERSION;
use procunit::time::Timestamp;
use serde::Serialize;

use crate::args::Format;
use crate::{show, words};

/// Prints lines until nobody reads them.
pub(crate) struct Printer<W: Write = BufWriter<Stdout>> {
    out: W,
    format: Format,
    /// Control characters would be the terminal's.
    terminal: bool,
    /// The stream whose line goes on.
    open: Option<u128>,
    printed: u64,
    /// Something printed has not been shown.
    behind: bool,
    closed: bool,
}

/// A line as it is told in JSON.
#[derive(Serialize)]
struct Told<'a> {
    version: u32,
    id: &'a ProcId,
    at: Timestamp,
    invocation_id: Option<InvocationId>,
    pid: Option<u32>,
    priority: Option<u8>,
    /// What was written; where it is no UTF-8, what can be read of it.
    message: Cow<'a, str>,
    /// What was written, byte for byte, where it is no UTF-8.
    message_bytes: Option<&'a [u8]>,
    /// Whether the line goes on in the next one of the same proc.
    continues: bool,
    cursor: &'a str,
}

impl Printer {
    pub(crate) fn new(format: Format) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        Self::to(BufWriter::new(stdout), format, terminal)
    }
}

impl<W: Write> Printer<W> {
    fn to(out: W, format: Format, terminal: bool) -> Self {
        Self { out, format, terminal, open: None, printed: 0, behind: false, closed: false }
    }

    /// Prints a line, or holds it back until [`Self::flush`].
    pub(crate) fn line(&mut self, line: &Line) -> anyhow::Result<()> {
        let written = match self.format {
            Format::Json | Format::Jsonl => self.json(line),
            Format::Cat => self.words(line, false),
            Format::Table | Format::Wide | Format::Name | Format::Short => self.words(line, true),
        };
        self.printed += 1;
        self.behind = true;
        self.note(written)
    }

    /// Shows what has been printed.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        let flushed = self.out.flush();
        self.behind = false;
        self.note(flushed)
    }

    /// Whether something printed has not been shown.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Ends what is open, and says how many lines there were.
    pub(crate) fn finish(mut self) -> anyhow::Result<u64> {
        let ended = match self.format {
            Format::Json if self.printed == 0 => {
                writeln!(self.out, r#"{{"version":{VERSION},"lines":[]}}"#)
            }
            Format::Json => self.out.write_all(b"]}\n"),
            _ if self.open.take().is_some() => self.out.write_all(b"\n"),
            _ => Ok(()),
        };
        self.note(ended)?;
        self.flush()?;
        Ok(self.printed)
    }

    /// A closed pipe is no error: whoever read it has enough.
    fn note(&mut self, written: io::Result<()>) -> anyhow::Result<()> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            other => other.map_err(|error| show::cannot_write(&error))?,
        }
        Ok(())
    }

    fn json(&mut self, line: &Line) -> io::Result<()> {
        let record = &line.record;
        let message = String::from_utf8_lossy(&record.message);
        let lossy = matches!(message, Cow::Owned(_));
        let told = Told {
            version: VERSION,
            id: &line.id,
            at: record.at,
            invocation_id: record.invocation,
            pid: record.pid,
            priority: record.priority,
            message,
            message_bytes: lossy.then_some(record.message.as_slice()),
            continues: record.continues,
            cursor: &record.cursor,
        };
        let before = match (self.format, self.printed) {
            (Format::Json, 0) => format!(r#"{{"version":{VERSION},"lines":["#),
            (Format::Json, _) => ",".to_owned(),
            _ => String::new(),
        };
        self.out.write_all(before.as_bytes())?;
        serde_json::to_writer(&mut self.out, &told)?;
        if self.format == Format::Jsonl { self.out.write_all(b"\n") } else { Ok(()) }
    }

    /// What journald split is put together again, unless another stream's line came in between.
    fn words(&mut self, line: &Line, with_head: bool) -> io::Result<()> {
        let record = &line.record;
        let goes_on = match self.open.take() {
            Some(open) => {
                let same = record.stream_id == Some(open);
                if !same {
                    self.out.write_all(b"\n")?;
                }
                same
            }
            None => false,
        };
        if with_head && !goes_on {
            let pid = record.pid.map(|pid| format!("[{pid}]")).unwrap_or_default();
            write!(self.out, "{} {}{pid}: ", clock(record.at), line.id)?;
        }
        if self.terminal {
            self.out.write_all(printable(&record.message).as_bytes())?;
        } else {
            self.out.write_all(&record.message)?;
        }
        self.open = record.stream_id.filter(|_| record.continues);
        if self.open.is_none() { self.out.write_all(b"\n") } else { Ok(()) }
    }
}

/// As journalctl writes it: `Nov 21 09:34:26`.
fn clock(at: Timestamp) -> String {
    words::zoned(at).map_or_else(|| at.to_string(), |time| time.strftime("%b %d %H:%M:%S").to_string())
}

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
    use procunit::journal::Record;

    fn line(message: &str, stream: &str, continues: bool) -> Line {
        let record = Record {
            cursor: "c".to_owned(),
            at: Timestamp::from_micros(1),
            message: message.as_bytes().to_vec(),
            continues,
            priority: Some(6),
            identifier: Some("web".to_owned()),
            uid: Some(1000),
            pid: Some(7),
            invocation: None,
            stream: Some(stream.to_owned()),
        };
        Line { id: ProcId::new("web").unwrap(), record }
    }

    fn printed(format: Format, lines: &[Line]) -> String {
        let mut out = Vec::new();
        let mut printer = Printer::to(&mut out, format, false);
        for line in lines {
            printer.line(line).unwrap();
        }
        printer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_that_was_split_is_one_line_again() {
        let parts = [line("one ", "a", true), line("line", "a", false), line("next", "a", false)];
        assert_eq!(printed(Format::Cat, &parts), "one line\nnext\n");
        assert_eq!(printed(Format::Short, &parts).lines().count(), 2);
    }

    #[test]
    fn a_split_line_is_not_mixed_with_anothers() {
        let parts = [line("long ", "a", true), line("other", "b", false), line("end", "a", false)];
        assert_eq!(printed(Format::Cat, &parts), "long \nother\nend\n");
    }

    #[test]
    fn a_line_without_an_end_gets_one() {
        assert_eq!(printed(Format::Cat, &[line("half", "a", true)]), "half\n");
    }

    #[test]
    fn json_is_one_object_and_jsonl_one_line_each() {
        let lines = [line("one", "a", false), line("two", "a", false)];
        let whole: serde_json::Value = serde_json::from_str(&printed(Format::Json, &lines)).unwrap();
        assert_eq!(whole["version"], 1);
        assert_eq!(whole["lines"][1]["message"], "two");
        let each = printed(Format::Jsonl, &lines);
        assert_eq!(each.lines().count(), 2);
        let one: serde_json::Value = serde_json::from_str(each.lines().next().unwrap()).unwrap();
        assert_eq!(
            one,
            serde_json::json!({
                "version": 1, "id": "web", "at": "1970-01-01T00:00:00.000001Z", "invocation_id": null,
                "pid": 7, "priority": 6, "message": "one", "message_bytes": null, "continues": false,
                "cursor": "c",
            })
        );
        assert_eq!(printed(Format::Json, &[]), "{\"version\":1,\"lines\":[]}\n");
    }

    #[test]
    fn json_keeps_the_bytes_of_what_is_no_text() {
        let mut binary = line("", "a", false);
        binary.record.message = vec![b'x', 0xff];
        let told: serde_json::Value = serde_json::from_str(&printed(Format::Jsonl, &[binary])).unwrap();
        assert_eq!(told["message"], "x\u{fffd}");
        assert_eq!(told["message_bytes"], serde_json::json!([120, 255]));
    }

    #[test]
    fn a_terminal_is_shown_colours_and_obeys_nothing_else() {
        assert_eq!(printable(b"plain \xc3\xa9"), "plain é");
        assert_eq!(printable(b"a\tb"), "a\tb");
        assert_eq!(printable(b"\x1b[31mred"), "\u{1b}[31mred\u{1b}[0m");
        assert_eq!(printable(b"\x1b]0;title\x07"), "\\u{1b}]0;title\\u{7}");
        assert_eq!(printable(b"\x1b[2J\r"), "\\u{1b}[2J\\r");
    }

    #[test]
    fn nobody_reading_is_no_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut printer = Printer::to(Closed, Format::Cat, false);
        printer.line(&line("one", "a", false)).unwrap();
        assert!(printer.is_closed());
    }
}
