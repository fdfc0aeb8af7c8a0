//! The three standard streams of a child.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use nix::libc;

use crate::id::ProcId;
use crate::launcher::{LaunchError, Stream as Given, Streams};
use crate::sys::child::Stream;

/// What becomes descriptors 0, 1 and 2.
pub(super) fn place(id: &ProcId, streams: Streams) -> Result<[Stream; 3], LaunchError> {
    if let Some(path) = &streams.terminal {
        let terminal = Arc::new(terminal(path)?);
        return Ok([0, 1, 2].map(|_| Stream::Open(Arc::clone(&terminal))));
    }
    let stdin = streams.stdin.map_or(Ok(Stream::Null), given)?;
    Ok([stdin, output(id, streams.stdout)?, output(id, streams.stderr)?])
}

fn output(id: &ProcId, stream: Given) -> Result<Stream, LaunchError> {
    match stream {
        Given::Null => Ok(Stream::Null),
        Given::Fd(fd) => given(fd),
        Given::File(path) => file(&path),
        Given::Journal => Err(LaunchError::Unsupported {
            id: id.clone(),
            why: "the native launcher opens no stream to the journal by itself; one must be passed"
                .to_owned(),
        }),
    }
}

/// One that is passed, under a number above 2: in a process that has closed a stream of its own a file may get that
/// number, and putting the streams of a child in place would overwrite it.
fn given(fd: Arc<OwnedFd>) -> Result<Stream, LaunchError> {
    let above = if fd.as_raw_fd() > 2 { fd } else { Arc::new(fd.try_clone().map_err(opening)?) };
    Ok(Stream::Open(above))
}

fn file(path: &str) -> Result<Stream, LaunchError> {
    let opened = OpenOptions::new().append(true).open(path);
    let file = opened.map_err(|source| LaunchError::OutputFile { path: path.to_owned(), source })?;
    given(Arc::new(file.into()))
}

fn terminal(path: &str) -> Result<OwnedFd, LaunchError> {
    // It is to become the child's, not this process's.
    let opened = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path);
    // The standard library's duplicates are always above 2.
    opened.and_then(|file| OwnedFd::from(file).try_clone()).map_err(opening)
}

fn opening(source: io::Error) -> LaunchError {
    LaunchError::Os { doing: "opening the standard streams", source }
}
