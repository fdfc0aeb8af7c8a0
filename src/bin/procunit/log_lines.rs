//! Lines of a log as they are printed.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};

use anstyle::{AnsiColor, Style};
use procunit::id::{InvocationId, ProcId};
use procunit::journal::{Line, StdStream};
use procunit::report::VERSION;
use procunit::time::Timestamp;
use serde::Serialize;

use crate::args::Format;
use crate::printable::printable;
use crate::{show, words};

/// Those of the names, in turn. Red is for standard error.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
];
/// Names that are longer put their own lines out of line, and not all.
const WIDEST: usize = 32;
const ERROR: Style = AnsiColor::Red.on_default();

/// Prints lines until nobody reads them.
pub(crate) struct Printer<W: Write = BufWriter<Stdout>> {
    out: W,
    look: Look,
    clock: Clock,
    /// Whose line goes on.
    open: Option<Source>,
    printed: u64,
    first: Option<Timestamp>,
    /// Something printed has not been shown.
    behind: bool,
    closed: bool,
}

/// What lines look like.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    format: Shape,
    /// Control characters would be the terminal's.
    terminal: bool,
    coloured: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Json,
    Jsonl,
    /// The words alone.
    Bare,
    /// When.
    Dated,
    /// When, who and which process, as journalctl has it.
    Short,
    /// Who, aligned, as docker compose has it: the heads by run.
    Named(Vec<String>),
}

/// Where a line that was split goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Source {
    run: usize,
    stream: Option<StdStream>,
    stream_id: Option<u128>,
}

/// A line as it is told in JSON.
#[derive(Serialize)]
struct Told<'a> {
    version: u32,
    id: &'a ProcId,
    at: Timestamp,
    invocation_id: Option<InvocationId>,
    pid: Option<u32>,
    /// Where it was written to; null where that cannot be told.
    stream: Option<StdStream>,
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
    /// For lines of these runs, by the order in which they were asked for.
    pub(crate) fn new(format: Format, no_prefix: bool, runs: &[&ProcId]) -> Self {
        let stdout = io::stdout();
        let coloured = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        let shape = Shape::new(format, no_prefix, runs, coloured);
        let look = Look { format: shape, terminal: stdout.is_terminal(), coloured };
        Self::to(BufWriter::with_capacity(BUFFER, stdout), look)
    }
}

/// How much is held back until [`Printer::flush`] or the next line.
const BUFFER: usize = 64 * 1024;

impl<W: Write> Printer<W> {
    fn to(out: W, look: Look) -> Self {
        let clock = Clock::default();
        Self { out, look, clock, open: None, printed: 0, first: None, behind: false, closed: false }
    }

    /// Prints a line, or holds it back until [`Self::flush`].
    pub(crate) fn line(&mut self, line: &Line) -> anyhow::Result<()> {
        let written = match self.look.format {
            Shape::Json | Shape::Jsonl => self.json(line),
            _ => self.words(line),
        };
        self.printed += 1;
        self.first.get_or_insert(line.record.at);
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

    /// When the first line was taken that was printed.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.first
    }

    /// Ends what is open, and says how many lines there were.
    pub(crate) fn finish(mut self) -> anyhow::Result<u64> {
        let ended = match self.look.format {
            Shape::Json if self.printed == 0 => {
                writeln!(self.out, r#"{{"version":{VERSION},"lines":[]}}"#)
            }
            Shape::Json => self.out.write_all(b"]}\n"),
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
            invocation_id: record.run.or(record.invocation),
            pid: record.pid,
            stream: line.stream,
            priority: record.priority,
            message,
            message_bytes: lossy.then_some(record.message.as_slice()),
            continues: record.continues,
            cursor: &record.cursor,
        };
        let is_list = self.look.format == Shape::Json;
        match (is_list, self.printed) {
            (true, 0) => write!(self.out, r#"{{"version":{VERSION},"lines":["#)?,
            (true, _) => self.out.write_all(b",")?,
            _ => {}
        }
        serde_json::to_writer(&mut self.out, &told)?;
        if is_list { Ok(()) } else { self.out.write_all(b"\n") }
    }

    /// What journald split is put together again, unless another stream's line came in between.
    fn words(&mut self, line: &Line) -> io::Result<()> {
        let source = Source { run: line.run, stream: line.stream, stream_id: line.record.stream_id };
        let goes_on = match self.open.take() {
            Some(open) if open == source => true,
            Some(_) => {
                self.out.write_all(b"\n")?;
                false
            }
            None => false,
        };
        if !goes_on {
            self.head(line)?;
        }
        self.message(line)?;
        self.open = line.record.continues.then_some(source);
        if self.open.is_none() { self.out.write_all(b"\n") } else { Ok(()) }
    }

    fn head(&mut self, line: &Line) -> io::Result<()> {
        match &self.look.format {
            Shape::Json | Shape::Jsonl | Shape::Bare => Ok(()),
            Shape::Dated => write!(self.out, "{} ", self.clock.at(line.record.at)),
            Shape::Short => {
                let clock = self.clock.at(line.record.at);
                match line.record.pid {
                    Some(pid) => write!(self.out, "{clock} {}[{pid}]: ", line.id),
                    None => write!(self.out, "{clock} {}: ", line.id),
                }
            }
            Shape::Named(heads) => match heads.get(line.run) {
                Some(head) => self.out.write_all(head.as_bytes()),
                None => write!(self.out, "{} | ", line.id),
            },
        }
    }

    fn message(&mut self, line: &Line) -> io::Result<()> {
        let message = &line.record.message;
        let shown = if self.look.terminal {
            printable(message).into_owned().into_bytes().into()
        } else {
            Cow::Borrowed(message.as_slice())
        };
        if self.look.coloured && line.stream == Some(StdStream::Stderr) && self.look.format != Shape::Bare {
            write!(self.out, "{ERROR}")?;
            self.out.write_all(&shown)?;
            return write!(self.out, "{ERROR:#}");
        }
        self.out.write_all(&shown)
    }
}

impl Shape {
    /// Unless a format says otherwise, one proc's lines look as in journalctl and those of several as in docker compose.
    fn new(format: Format, no_prefix: bool, runs: &[&ProcId], coloured: bool) -> Self {
        let several = runs.len() > 1;
        match format {
            Format::Json => Self::Json,
            Format::Jsonl => Self::Jsonl,
            Format::Cat => Self::Bare,
            Format::Short | Format::Wide if no_prefix => Self::Dated,
            Format::Table | Format::Name if no_prefix => Self::Bare,
            Format::Table | Format::Name if several => Self::Named(heads(runs, coloured)),
            Format::Short | Format::Wide | Format::Table | Format::Name => Self::Short,
        }
    }
}

/// `web-1  | `, in a colour of each one's own.
fn heads(runs: &[&ProcId], coloured: bool) -> Vec<String> {
    let wide = |id: &&ProcId| id.as_str().chars().count();
    let width = runs.iter().map(wide).max().unwrap_or(0).min(WIDEST);
    let head = |(id, colour): (&&ProcId, AnsiColor)| {
        let style = if coloured { colour.on_default() } else { Style::new() };
        format!("{style}{:width$} |{style:#} ", id.as_str())
    };
    runs.iter().zip(COLOURS.into_iter().cycle()).map(head).collect()
}

/// Moments as journalctl writes them: `Nov 21 09:34:26`. The words of one second are made once.
#[derive(Default)]
struct Clock {
    second: Option<u64>,
    words: String,
}

impl Clock {
    fn at(&mut self, at: Timestamp) -> &str {
        let second = Some(at.as_micros() / 1_000_000);
        if self.second != second {
            self.second = second;
            self.words = moment(at);
        }
        &self.words
    }
}

/// `Nov 21 09:34:26`.
pub(crate) fn moment(at: Timestamp) -> String {
    words::zoned(at).map_or_else(|| at.to_string(), |time| time.strftime("%b %d %H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use procunit::journal::Record;

    fn line(message: &str, stream: &str, continues: bool) -> Line {
        line_of(0, "web", message, stream, continues)
    }

    fn line_of(run: usize, id: &str, message: &str, stream: &str, continues: bool) -> Line {
        let line = format!(
            "__CURSOR=c\n__REALTIME_TIMESTAMP=1\nPRIORITY=6\n_PID=7\n_TRANSPORT=stdout\n_STREAM_ID={stream}\n{}",
            if continues { "_LINE_BREAK=line-max\n" } else { "" },
        );
        let record =
            Record { message: message.as_bytes().to_vec(), ..Record::parse(line.as_bytes()).unwrap() };
        Line { id: ProcId::new(id).unwrap(), run, stream: record.stream, record }
    }

    fn printed(format: Format, lines: &[Line]) -> String {
        printed_as(format, false, &["web"], false, lines)
    }

    fn printed_as(format: Format, no_prefix: bool, ids: &[&str], coloured: bool, lines: &[Line]) -> String {
        let ids: Vec<_> = ids.iter().map(|id| ProcId::new(id).unwrap()).collect();
        let ids: Vec<_> = ids.iter().collect();
        let look =
            Look { format: Shape::new(format, no_prefix, &ids, coloured), terminal: coloured, coloured };
        let mut out = Vec::new();
        let mut printer = Printer::to(&mut out, look);
        for line in lines {
            printer.line(line).unwrap();
        }
        printer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn of_several_procs_each_line_has_the_name_before_it() {
        let lines = [line_of(0, "web", "one", "a", false), line_of(1, "worker", "two", "b", false)];
        let shown = |no_prefix| printed_as(Format::Table, no_prefix, &["web", "worker"], false, &lines);
        assert_eq!(shown(false), "web    | one\nworker | two\n");
        assert_eq!(shown(true), "one\ntwo\n");
    }

    #[test]
    fn of_one_proc_each_line_says_when_and_which_process() {
        let lines = [line("one", "a", false)];
        let at = moment(Timestamp::from_micros(1));
        assert_eq!(printed(Format::Table, &lines), format!("{at} web[7]: one\n"));
        assert_eq!(printed_as(Format::Short, true, &["web"], false, &lines), format!("{at} one\n"));
        assert_eq!(printed_as(Format::Table, true, &["web"], false, &lines), "one\n");
    }

    #[test]
    fn names_and_standard_error_have_colours_of_their_own() {
        let mut lines = [line_of(0, "a", "one", "a", false), line_of(1, "b", "two", "b", false)];
        lines[1].stream = Some(StdStream::Stderr);
        let shown = printed_as(Format::Table, false, &["a", "b"], true, &lines);
        assert_eq!(shown, "\u{1b}[36ma |\u{1b}[0m one\n\u{1b}[33mb |\u{1b}[0m \u{1b}[31mtwo\u{1b}[0m\n");
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
                "pid": 7, "stream": "stdout", "priority": 6, "message": "one", "message_bytes": null, "continues": false,
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
        let mut printer = Printer::to(Closed, Look { format: Shape::Bare, terminal: false, coloured: false });
        printer.line(&line("one", "a", false)).unwrap();
        assert!(printer.is_closed());
    }
}
