//! Where what procs write goes: opens what a spec asks for, and keeps what this process has of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::journal::StdStream;
use crate::journal::pool::{Lease, Pool};
use crate::journal::stream::{OwnedStream, STREAM_SOCKET};
use crate::launcher::{LaunchError, Stream, StreamKinds, Streams};
use crate::spec::{Input, Output, ProcSpec};
use crate::unit::syslog_identifier;

/// While journald has no room for one more stream to be waiting (it is stopped, or far behind), how often and how long it
/// is asked again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);
const TRIES: u32 = 100;

/// What a manager has for the output of all its procs.
pub(super) struct Outlets {
    kinds: StreamKinds,
    pool: Arc<Pool>,
    journal: PathBuf,
}

/// What this process keeps of the output of one run.
#[derive(Debug, Default)]
pub(super) struct RunOutput {
    pub(super) stdout: Kept,
    pub(super) stderr: Kept,
    lease: Option<Lease>,
}

/// What this process keeps of one stream.
#[derive(Debug, Default)]
pub(super) enum Kept {
    /// Nothing: its proc has it alone.
    #[default]
    Nothing,
    /// A duplicate of a stream to the journal that carries this one alone.
    Own(OwnedStream),
    /// The other end.
    Captured(io::PipeReader),
}

impl Outlets {
    pub(super) fn new(kinds: StreamKinds, most_streams: usize) -> Self {
        Self { kinds, pool: Pool::new(most_streams), journal: STREAM_SOCKET.into() }
    }

    /// Opens the streams of a run.
    ///
    /// # Errors
    /// [`LaunchError`], naming the stream.
    pub(super) async fn open(&self, spec: &ProcSpec) -> Result<(Streams, RunOutput), LaunchError> {
        let stdio = spec.stdio();
        if self.kinds == StreamKinds::None {
            return Ok((Streams::default(), RunOutput::default()));
        }
        if let Some(terminal) = &stdio.terminal {
            let streams = Streams { terminal: Some(terminal.clone()), ..Streams::default() };
            return Ok((streams, RunOutput::default()));
        }
        let mut opening = Opening { outlets: self, spec, output: RunOutput::default(), journal_stream: None };
        let stdin = input(&stdio.stdin).map_err(os("opening standard input"))?;
        // Of two streams systemd names that of standard error, too (`exec_child`, execute.c).
        let stdout = opening.open(StdStream::Stdout, &stdio.stdout).await?;
        let stderr = opening.open(StdStream::Stderr, &stdio.stderr).await?;
        let journal_stream = opening.journal_stream.take();
        let streams = Streams { stdin, stdout, stderr, journal_stream, terminal: None };
        Ok((streams, opening.output))
    }
}

/// The opening of one run's output.
struct Opening<'a> {
    outlets: &'a Outlets,
    spec: &'a ProcSpec,
    output: RunOutput,
    journal_stream: Option<String>,
}

impl Opening<'_> {
    async fn open(&mut self, which: StdStream, output: &Output) -> Result<Stream, LaunchError> {
        let doing = match which {
            StdStream::Stdout => "opening standard output",
            StdStream::Stderr => "opening standard error",
        };
        match output {
            Output::Null => Ok(Stream::Null),
            Output::Fd(fd) => Ok(Stream::Fd(Arc::clone(fd))),
            Output::Inherit => own(which).map(|fd| Stream::Fd(Arc::new(fd))).map_err(os(doing)),
            Output::File(path) => appended(Path::new(path)).map(stream).map_err(os(doing)),
            Output::Journal => self.journal(which).await,
            Output::Capture { .. } | Output::Tee => self.captured(which).map_err(os(doing)),
        }
    }

    async fn journal(&mut self, which: StdStream) -> Result<Stream, LaunchError> {
        let identifier = syslog_identifier(self.spec.id());
        let opened = self.outlets.stream(&identifier, which).await;
        let opened = opened.map_err(os("opening a stream to the journal"))?;
        self.journal_stream = Some(opened.inode().map_err(os("looking at a stream to the journal"))?);
        let fd = opened.fd();
        *self.output.kept(which) = Kept::Own(opened);
        Ok(Stream::Fd(fd))
    }

    fn captured(&mut self, which: StdStream) -> io::Result<Stream> {
        let (read, write) = io::pipe()?;
        *self.output.kept(which) = Kept::Captured(read);
        Ok(Stream::Fd(Arc::new(OwnedFd::from(write))))
    }
}

impl RunOutput {
    fn kept(&mut self, which: StdStream) -> &mut Kept {
        match which {
            StdStream::Stdout => &mut self.stdout,
            StdStream::Stderr => &mut self.stderr,
        }
    }
}

impl Outlets {
    async fn stream(&self, identifier: &str, which: StdStream) -> io::Result<OwnedStream> {
        let mut tries = TRIES;
        loop {
            match OwnedStream::open(&self.journal, identifier, which).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries > 0 => {
                    tries -= 1;
                    sleep(TRY_AGAIN_AFTER).await;
                }
                opened => return opened,
            }
        }
    }
}

fn os(doing: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    move |source| LaunchError::Os { doing, source }
}

fn input(input: &Input) -> io::Result<Option<Arc<OwnedFd>>> {
    Ok(match input {
        Input::Null => None,
        Input::Inherit => Some(Arc::new(io::stdin().as_fd().try_clone_to_owned()?)),
        Input::Fd(fd) => Some(Arc::clone(fd)),
    })
}

/// A duplicate of this process's own.
fn own(which: StdStream) -> io::Result<OwnedFd> {
    match which {
        StdStream::Stdout => io::stdout().as_fd().try_clone_to_owned(),
        StdStream::Stderr => io::stderr().as_fd().try_clone_to_owned(),
    }
}

fn appended(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn stream(file: File) -> Stream {
    Stream::Fd(Arc::new(file.into()))
}
