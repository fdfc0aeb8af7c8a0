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
    let mut text = format!("procunit: {}: {}", report.id, report.status);
    if let Some(by) = &report.ended_by {
        text.push_str(&format!(", ended {by}"));
    }
    anstream::eprintln!("{text}");
}
