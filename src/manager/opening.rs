//! Opens the streams of one run as its spec asks for them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::duplex;

use super::captured::Captured;
use super::outlets::Outlets;
use super::output::{RunOutput, pipe};
use super::to_journal::ToJournal;
use crate::id::UnitName;
use crate::journal::StdStream;
use crate::journal::pump::Pump;
use crate::journal::taps::{CopyTo, JournalTap, Taps};
use crate::launcher::{LaunchError, Stream, StreamKinds, Streams};
use crate::spec::{Input, Lifetime, Output, ProcSpec, defaults};
use crate::unit::syslog_identifier;

/// Bytes of captured output that wait for their reader here, beside those in the pipe.
const CAPTURE_BUFFER: usize = 64 * 1024;

/// Opens the streams of a run for a launcher that takes these.
///
/// # Errors
/// [`LaunchError`], naming the stream.
pub(super) async fn open(
    outlets: &Outlets,
    kinds: StreamKinds,
    spec: &ProcSpec,
) -> Result<(Streams, RunOutput), LaunchError> {
    let stdio = spec.stdio();
    let mut output = RunOutput::of(stdio);
    if kinds == StreamKinds::None {
        return Ok((Streams::default(), output));
    }
    if let Some(terminal) = &stdio.terminal {
        return Ok((Streams { terminal: Some(terminal.clone()), ..Streams::default() }, output));
    }
    let stdin = input(&stdio.stdin).map_err(os("opening standard input"))?;
    let opening = Opening { outlets, kinds, spec };
    let mut journal = ToJournal::of(outlets, kinds, spec, opening.connected(), &mut output).await;
    let stdout = opening.stream(StdStream::Stdout, &mut journal, &mut output).await?;
    let stderr = opening.stream(StdStream::Stderr, &mut journal, &mut output).await?;
    Ok((Streams { stdin, stdout, stderr, journal_stream: journal.named(), terminal: None }, output))
}

/// See [`open`].
struct Opening<'a> {
    outlets: &'a Outlets,
    kinds: StreamKinds,
    spec: &'a ProcSpec,
}

impl Opening<'_> {
    async fn stream(
        &self,
        which: StdStream,
        journal: &mut ToJournal<'_>,
        kept: &mut RunOutput,
    ) -> Result<Stream, LaunchError> {
        let output = output_of(self.spec, which);
        let opened = match output {
            Output::Null => Ok(Stream::Null),
            Output::Fd(fd) => Ok(Stream::Fd(Arc::clone(fd))),
            Output::Inherit => own(which).map(passed),
            Output::File(path) => return appended(path),
            _ if self.is_read_here(output) => return self.read_here(which, journal, kept).map(passed),
            Output::Journal => return journal.open(which, kept).await,
            Output::Capture { .. } | Output::Tee => captured(which, kept).map(passed),
        };
        opened.map_err(os(doing(which)))
    }

    /// How many streams of the proc are the journal's own.
    fn connected(&self) -> usize {
        let both = [StdStream::Stdout, StdStream::Stderr].map(|which| output_of(self.spec, which));
        let connects = |to: &&Output| matches!(to, Output::Journal) && !self.is_read_here(to);
        both.into_iter().filter(connects).count()
    }

    /// Whether it is this process that reads it, for the journal or others.
    fn is_read_here(&self, output: &Output) -> bool {
        let is_attached = self.spec.lifetime() == Lifetime::Attached;
        let is_gathered =
            self.outlets.forward_for(self.spec).is_some() || self.outlets.aggregate_for(self.spec).is_some();
        match output {
            Output::Tee | Output::Capture { journal: true } => true,
            Output::Capture { journal: false } => is_attached && is_gathered,
            Output::Journal => is_attached && (is_gathered || self.is_started_again_here()),
            Output::Null | Output::Inherit | Output::File(_) | Output::Fd(_) => false,
        }
    }

    /// Whether later runs need what only this process can give them: a pipe can be opened again, which a stream to the
    /// journal cannot, and the name of each run of a plain child is its manager's to tell.
    fn is_started_again_here(&self) -> bool {
        match self.kinds {
            StreamKinds::PathsOrJournal => true,
            StreamKinds::Descriptors => self.spec.restart().is_some(),
            StreamKinds::DescriptorsOrJournal | StreamKinds::None => false,
        }
    }

    /// A pipe that is read here, and handed on to whoever is to have it.
    fn read_here(
        &self,
        which: StdStream,
        journal: &ToJournal<'_>,
        kept: &mut RunOutput,
    ) -> Result<OwnedFd, LaunchError> {
        let output = output_of(self.spec, which);
        let tap = if output.reaches_journal() { self.journal_tap(kept).map(Some) } else { Ok(None) };
        let (copy, captured) = match (output, &tap) {
            (Output::Tee, _) => (CopyTo::Descriptor(own(which).map_err(os(doing(which)))?), None),
            (Output::Capture { .. }, _) => {
                let (near, far) = duplex(CAPTURE_BUFFER);
                (CopyTo::Reader(near), Some(Captured::shared(far)))
            }
            // Nobody else is sure to have it.
            (_, Err(error)) => {
                let (_, file) = journal.file(which, &error.to_string(), kept)?;
                (CopyTo::Descriptor(file.into()), None)
            }
            (_, Ok(_)) => (CopyTo::Nobody, None),
        };
        if let (Output::Tee | Output::Capture { .. }, Err(error)) = (output, &tap) {
            kept.miss_journal(error);
        }
        let (pump, write) = self.pump(which, copy, tap.ok().flatten(), kept).map_err(os(doing(which)))?;
        kept.keep_read(which, Some(pump), captured);
        Ok(write)
    }

    fn pump(
        &self,
        which: StdStream,
        copy: CopyTo,
        journal: Option<JournalTap>,
        kept: &RunOutput,
    ) -> io::Result<(Arc<Pump>, OwnedFd)> {
        let (read, write) = pipe()?;
        let taps = Taps {
            id: self.spec.id().clone(),
            rank: self.spec.rank(),
            stream: which,
            run: kept.run(),
            copy,
            journal,
            forward: self.outlets.forward_for(self.spec).cloned(),
            aggregate: self.outlets.aggregate_for(self.spec).cloned(),
            tail: defaults::TAIL_LINES,
        };
        let pump = Arc::new(Pump::start(read, taps)?);
        self.outlets.remember(&pump);
        Ok((pump, write))
    }

    /// # Errors
    /// Where there is no journald.
    fn journal_tap(&self, kept: &mut RunOutput) -> io::Result<JournalTap> {
        let datagrams = self.outlets.datagrams()?;
        kept.reach_journal_by(&datagrams);
        let id = self.spec.id();
        let has_unit = self.kinds != StreamKinds::Descriptors;
        let unit = has_unit.then(|| UnitName::for_proc(id).to_string());
        Ok(JournalTap { datagrams, identifier: syslog_identifier(id), unit })
    }
}

fn doing(which: StdStream) -> &'static str {
    match which {
        StdStream::Stdout => "opening standard output",
        StdStream::Stderr => "opening standard error",
    }
}

fn output_of(spec: &ProcSpec, which: StdStream) -> &Output {
    match which {
        StdStream::Stdout => &spec.stdio().stdout,
        StdStream::Stderr => &spec.stdio().stderr,
    }
}

/// A pipe that the caller reads, and nobody else.
fn captured(which: StdStream, kept: &mut RunOutput) -> io::Result<OwnedFd> {
    let (read, write) = pipe()?;
    kept.keep_read(which, None, Some(Captured::pipe(read)?));
    Ok(write)
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

/// Made here, so that it is the caller's to make and an error names it, and opened by whoever starts a run.
fn appended(path: &str) -> Result<Stream, LaunchError> {
    let refused = |source| LaunchError::OutputFile { path: path.to_owned(), source };
    let file = open_to_append(path).map_err(refused)?;
    let is_file = file.metadata().map_err(refused)?.is_file();
    // Who reads a named pipe would see its end in between.
    Ok(if is_file { Stream::File(path.to_owned()) } else { passed(file.into()) })
}

/// A named pipe that nobody reads is an error: to wait for a reader would hold up every proc.
fn open_to_append(path: &str) -> io::Result<File> {
    let at_once = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().append(true).create(true).custom_flags(at_once.bits()).open(path)?;
    // Who writes to it expects to wait.
    fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
    Ok(file)
}

fn passed(fd: OwnedFd) -> Stream {
    Stream::Fd(Arc::new(fd))
}
