//! The three standard streams of a proc, and the journal's own where it writes there.

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use crate::id::ProcId;
use crate::launcher::LaunchError;
use crate::spec::{Input, Output, ProcSpec};
use crate::sys::child::Stream;
use crate::unit::syslog_identifier;

/// Where journald takes streams (systemd-journald.service(8)).
const JOURNAL: &str = "/run/systemd/journal/stdout";

/// Priorities of syslog(3).
const INFO: u8 = 6;
const ERR: u8 = 3;

/// What becomes descriptors 0, 1 and 2, and what `JOURNAL_STREAM` has to say of them.
pub(super) struct Streams {
    pub(super) stdio: [Stream; 3],
    pub(super) journal_stream: Option<String>,
}

/// Opens the streams of a proc.
pub(super) async fn open(spec: &ProcSpec) -> Result<Streams, LaunchError> {
    let stdio = spec.stdio();
    let stdin = input(&stdio.stdin).map_err(os("opening standard input"))?;
    let stdout = output(&stdio.stdout, io::stdout(), spec.id(), INFO).await?;
    let stderr = output(&stdio.stderr, io::stderr(), spec.id(), ERR).await?;
    // Of two streams systemd names that of standard error, too (`exec_child`, execute.c).
    let journal = match (&stdio.stdout, &stdio.stderr) {
        (_, Output::Journal) => Some(&stderr),
        (Output::Journal, _) => Some(&stdout),
        _ => None,
    };
    let journal_stream =
        journal.and_then(Stream::open).map(inode).transpose().map_err(os("looking at a journal stream"))?;
    Ok(Streams { stdio: [stdin, stdout, stderr], journal_stream })
}

fn os(doing: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    move |source| LaunchError::Os { doing, source }
}

fn input(input: &Input) -> io::Result<Stream> {
    match input {
        Input::Null => Ok(Stream::Null),
        Input::Inherit => own(io::stdin()),
        Input::Fd(fd) => given(fd),
    }
}

async fn output(
    output: &Output,
    own_one: impl AsFd,
    id: &ProcId,
    priority: u8,
) -> Result<Stream, LaunchError> {
    let opened = match output {
        Output::Null => Ok(Stream::Null),
        Output::Inherit => own(own_one),
        Output::Fd(fd) => given(fd),
        Output::Journal => {
            let stream = journal(Path::new(JOURNAL), &syslog_identifier(id), priority).await?;
            Ok(Stream::Open(Arc::new(stream)))
        }
    };
    opened.map_err(os("opening standard output or standard error"))
}

/// A duplicate of one of this process's own.
fn own(stream: impl AsFd) -> io::Result<Stream> {
    Ok(Stream::Open(Arc::new(stream.as_fd().try_clone_to_owned()?)))
}

/// One that the spec has, which needs no descriptor more.
fn given(fd: &Arc<OwnedFd>) -> io::Result<Stream> {
    let is_above = fd.as_raw_fd() > 2;
    Ok(Stream::Open(if is_above { Arc::clone(fd) } else { Arc::new(fd.try_clone()?) }))
}

/// A stream of the journal's.
async fn journal(path: &Path, identifier: &str, priority: u8) -> Result<OwnedFd, LaunchError> {
    journal_stream(path, identifier, priority).await.map_err(|source| LaunchError::Unreachable {
        what: format!("no journal takes its output at {}", path.display()),
        remedy: "send its output to a file, a pipe or /dev/null, or run it where journald does".to_owned(),
        source: Box::new(source),
    })
}

/// The head of a stream: identifier, unit (which journald takes from root alone), priority of a line, whether a
/// line can begin with a priority of its own (`<3>`, as in systemd's services), and three kinds of forwarding
/// (`stdout_stream_line`, journald-stream.c).
async fn journal_stream(path: &Path, identifier: &str, priority: u8) -> io::Result<OwnedFd> {
    let mut stream = UnixStream::connect(path).await?;
    let head = format!("{identifier}\n\n{priority}\n1\n0\n0\n0\n");
    stream.write_all(head.as_bytes()).await?;
    let stream = stream.into_std()?;
    stream.shutdown(Shutdown::Read)?;
    // The proc gets this very stream, and expects to wait where it is full.
    stream.set_nonblocking(false)?;
    above(stream)
}

/// The same file under a number above 2: in a process that has closed a stream of its own a file may get that number,
/// and putting the streams of a child in place would overwrite it.
fn above(file: impl Into<OwnedFd>) -> io::Result<OwnedFd> {
    let file = file.into();
    // The standard library's duplicates are always above 2.
    if file.as_raw_fd() > 2 { Ok(file) } else { file.try_clone() }
}

/// `DEVICE:INODE` (systemd.exec(5), `$JOURNAL_STREAM`).
fn inode(stream: &OwnedFd) -> io::Result<String> {
    let meta = File::from(stream.try_clone()?).metadata()?;
    Ok(format!("{}:{}", meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_journal_stream_begins_with_its_head_and_then_carries_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        let journald = UnixListener::bind(&path).unwrap();
        let stream = journal(&path, "web/0", ERR).await.unwrap();
        let mut stream = File::from(stream);
        stream.write_all(b"words\n").unwrap();
        drop(stream);
        let mut told = String::new();
        journald.accept().unwrap().0.read_to_string(&mut told).unwrap();
        assert_eq!(told, "web/0\n\n3\n1\n0\n0\n0\nwords\n");
    }

    #[tokio::test]
    async fn without_a_journal_the_error_says_so_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let refused = journal(&dir.path().join("stdout"), "web", INFO).await.unwrap_err().to_string();
        assert!(refused.starts_with("no journal takes its output at "), "{refused}");
        assert!(refused.contains("send its output to a file"), "{refused}");
    }
}
