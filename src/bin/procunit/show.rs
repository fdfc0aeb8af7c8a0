//! What people and programs see: data on stdout, words on stderr.

use std::io::{self, Write as _};

use procunit::report::{Report, VERSION};
use serde::Serialize;

use crate::words;

/// The system's error, such as "no space left on device", with what it is about.
pub(crate) fn cannot_write(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
}

/// One line of data. A closed pipe is no error: whoever read it has enough.
pub(crate) fn line(data: impl std::fmt::Display) -> io::Result<()> {
    quiet_on_closed_pipe(writeln!(anstream::stdout(), "{data}"))
}

fn quiet_on_closed_pipe(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| cannot_write(&error)),
    }
}

/// One line of words, on stderr. Where nobody can read it any more, as on a terminal that was closed, it is lost,
/// which is no reason to end in another way. It is written in one piece: a program that writes there too writes before it or
/// behind it.
pub(crate) fn say(words: impl std::fmt::Display) {
    let line = format!("{words}\n");
    let line = match anstream::stderr().current_choice() {
        anstream::ColorChoice::Never => anstream::adapter::strip_str(&line).to_string(),
        _ => line,
    };
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Data without an end of line of its own, any bytes.
pub(crate) fn bytes(data: &[u8]) -> io::Result<()> {
    quiet_on_closed_pipe(io::stdout().write_all(data).and_then(|()| io::stdout().flush()))
}

/// A list as one JSON object.
pub(crate) fn json_list(name: &str, items: &[impl Serialize]) -> anyhow::Result<()> {
    let items = serde_json::to_string(items)?;
    Ok(line(format_args!(r#"{{"version":{VERSION},"{name}":{items}}}"#))?)
}

/// One item of a list as a line of JSON.
pub(crate) fn json_line(item: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string(item)?)?)
}

/// How a proc ended and who ended it, on stderr. `kept` says whether a later command finds it.
pub(crate) fn exit_report(report: &Report, kept: bool) {
    say(words::exit_report(report, kept));
}

/// Words for something good.
pub(crate) fn good(text: &str) -> String {
    styled(anstyle::AnsiColor::Green, text)
}

/// Words for something that wants attention.
pub(crate) fn attention(text: &str) -> String {
    styled(anstyle::AnsiColor::Yellow, text)
}

/// Words for something bad.
pub(crate) fn bad(text: &str) -> String {
    styled(anstyle::AnsiColor::Red, text)
}

/// Where colours are not wanted, the streams of this command take them out again.
fn styled(color: anstyle::AnsiColor, text: &str) -> String {
    let style = anstyle::Style::new().fg_color(Some(color.into()));
    format!("{style}{text}{style:#}")
}
