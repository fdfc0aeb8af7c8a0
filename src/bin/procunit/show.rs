//! What people and programs see: data on stdout, words on stderr.

use std::io::{self, Write as _};

use procunit::report::Report;

/// One line of data. A closed pipe is no error: whoever read it has enough.
pub(crate) fn line(data: impl std::fmt::Display) -> io::Result<()> {
    quiet_on_closed_pipe(writeln!(anstream::stdout(), "{data}"))
}

fn quiet_on_closed_pipe(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// How a proc ended and who ended it, on stderr.
pub(crate) fn exit_report(report: &Report) {
    let by = report.ended_by.as_ref().map(|by| format!(", ended {by}")).unwrap_or_default();
    anstream::eprintln!("procunit: {}: {}{by}", report.id, report.status);
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
