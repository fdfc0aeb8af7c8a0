//! Where what procs write goes: opens what a spec asks for.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::output::{Kept, RunOutput};
use crate::id::UnitName;
use crate::journal::StdStream;
use crate::journal::pool::{Pool, Room};
use crate::journal::stream::{OwnedStream, STREAM_SOCKET};
use crate::launcher::{LaunchError, Stream, StreamKinds, Streams};
use crate::spec::{Input, Output, ProcSpec};
use crate::unit::syslog_identifier;

/// While journald takes no further stream (it is stopped, or far behind), how often and how long it is asked again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);
const TRIES: u32 = 100;

/// What a manager has for the output of all its procs.
pub(super) struct Outlets {
    kinds: StreamKinds,
    pool: Arc<Pool>,
    journal: PathBuf,
    /// Whether somebody was told that there is no journal.
    warned: AtomicBool,
}

impl Outlets {
    pub(super) fn new(kinds: StreamKinds, most_streams: usize) -> Self {
        let warned = AtomicBool::new(false);
        Self { kinds, pool: Pool::new(most_streams), journal: STREAM_SOCKET.into(), warned }
    }

    /// Whether so many launches under way may find no room for streams of their own.
    pub(super) fn is_short(&self, launches: usize) -> bool {
        self.pool.is_short(2 * launches)
    }

    /// Opens the streams of a run.
    ///
    /// # Errors
    /// [`LaunchError`], naming the stream.
    pub(super) async fn open(&self, spec: &ProcSpec) -> Result<(Streams, RunOutput), LaunchError> {
        let stdio = spec.stdio();
        let mut output = RunOutput::of(stdio);
        if self.kinds == StreamKinds::None {
            return Ok((Streams::default(), output));
        }
        if let Some(terminal) = &stdio.terminal {
            let streams = Streams { terminal: Some(terminal.clone()), ..Streams::default() };
            return Ok((streams, output));
        }
        let stdin = input(&stdio.stdin).map_err(os("opening standard input"))?;
        let mut journal = Journal::of(self, spec, &mut output).await;
        let stdout = self.stream(spec, StdStream::Stdout, &mut journal, &mut output).await?;
        let stderr = self.stream(spec, StdStream::Stderr, &mut journal, &mut output).await?;
        Ok((Streams { stdin, stdout, stderr, journal_stream: journal.named, terminal: None }, output))
    }

    async fn stream(
        &self,
        spec: &ProcSpec,
        which: StdStream,
        journal: &mut Journal,
        kept: &mut RunOutput,
    ) -> Result<Stream, LaunchError> {
        let (output, doing) = match which {
            StdStream::Stdout => (&spec.stdio().stdout, "opening standard output"),
            StdStream::Stderr => (&spec.stdio().stderr, "opening standard error"),
        };
        let opened = match output {
            Output::Null => Ok(Stream::Null),
            Output::Fd(fd) => Ok(Stream::Fd(Arc::clone(fd))),
            Output::Inherit => own(which).map(passed),
            Output::File(path) => return appended(path),
            Output::Journal => return self.journal(spec, which, journal, kept).await,
            Output::Capture { .. } | Output::Tee => kept.capture(which).map(passed),
        };
        opened.map_err(os(doing))
    }

    async fn journal(
        &self,
        spec: &ProcSpec,
        which: StdStream,
        journal: &mut Journal,
        kept: &mut RunOutput,
    ) -> Result<Stream, LaunchError> {
        let how = match &journal.how {
            How::Own => match self.connect(spec, which).await {
                Ok(opened) => {
                    // Of two streams systemd names that of standard error, too (`exec_child`, execute.c).
                    journal.named = opened.inode().ok();
                    let fd = opened.fd();
                    kept.keep(which, Kept::Own(opened));
                    return Ok(Stream::Fd(fd));
                }
                Err(error) => How::Unreachable(error.to_string()),
            },
            How::Shared if self.kinds == StreamKinds::DescriptorsOrJournal => {
                kept.share();
                return Ok(Stream::Journal);
            }
            How::Shared => match self.shared(spec, journal).await {
                Ok(fd) => {
                    kept.share();
                    return Ok(Stream::Fd(fd));
                }
                Err(error) => How::Unreachable(error.to_string()),
            },
            How::Unreachable(why) => How::Unreachable(why.clone()),
        };
        if let How::Unreachable(why) = &how {
            let opened = self.without_journal(spec, which, why, kept);
            journal.how = how;
            return opened;
        }
        Ok(Stream::Null)
    }

    /// The one stream of a proc that has no two, where the launcher has none of its own.
    async fn shared(&self, spec: &ProcSpec, journal: &mut Journal) -> io::Result<Arc<OwnedFd>> {
        if let Some(shared) = &journal.shared {
            return Ok(Arc::clone(shared));
        }
        let opened = self.connect(spec, StdStream::Stdout).await?;
        journal.named = opened.inode().ok();
        Ok(Arc::clone(journal.shared.insert(opened.fd())))
    }

    async fn connect(&self, spec: &ProcSpec, which: StdStream) -> io::Result<OwnedStream> {
        let identifier = syslog_identifier(spec.id());
        let mut tries = TRIES;
        loop {
            match OwnedStream::open(&self.journal, &identifier, which).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries > 0 => {
                    tries -= 1;
                    sleep(TRY_AGAIN_AFTER).await;
                }
                opened => return opened,
            }
        }
    }

    /// A file in place of the journal.
    fn without_journal(
        &self,
        spec: &ProcSpec,
        which: StdStream,
        why: &str,
        kept: &mut RunOutput,
    ) -> Result<Stream, LaunchError> {
        let path = file_for(spec, which).ok_or_else(|| LaunchError::Unreachable {
            what: format!("the journal cannot be reached ({why}), and neither XDG_STATE_HOME nor HOME says where files go"),
            remedy: "set XDG_STATE_HOME, or send its output to a file, a pipe or /dev/null".to_owned(),
            source: io::Error::from(io::ErrorKind::NotFound).into(),
        })?;
        let made =
            path.parent().map_or(Ok(()), |dir| fs::DirBuilder::new().recursive(true).mode(0o700).create(dir));
        let opened = made.and_then(|()| OpenOptions::new().append(true).create(true).mode(0o600).open(&path));
        let file = opened.map_err(|source| LaunchError::Unreachable {
            what: format!("the journal cannot be reached ({why}), and neither can {}", path.display()),
            remedy: "start systemd-journald, or send its output to a file, a pipe or /dev/null".to_owned(),
            source: source.into(),
        })?;
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(id = %spec.id(), why, path = %path.display(), "no journal; output goes to files");
        }
        kept.fall_back(which, &path, why);
        Ok(passed(file.into()))
    }
}

/// How the journal takes the output of one run.
struct Journal {
    how: How,
    /// The one stream of both.
    shared: Option<Arc<OwnedFd>>,
    /// What `JOURNAL_STREAM` has to say.
    named: Option<String>,
}

enum How {
    /// A stream each.
    Own,
    /// One for both.
    Shared,
    /// It does not.
    Unreachable(String),
}

impl Journal {
    async fn of(outlets: &Outlets, spec: &ProcSpec, output: &mut RunOutput) -> Self {
        let stdio = spec.stdio();
        let wanted = [&stdio.stdout, &stdio.stderr].iter().filter(|to| matches!(to, Output::Journal)).count();
        let room = if wanted == 0 { Room::Shared } else { outlets.room(wanted).await };
        let how = match room {
            Room::Own(lease) => {
                output.lease(lease);
                How::Own
            }
            Room::Shared => How::Shared,
            Room::Full => How::Unreachable("it has no room for further streams".to_owned()),
        };
        Self { how, shared: None, named: None }
    }
}

impl Outlets {
    async fn room(&self, wanted: usize) -> Room {
        let pool = Arc::clone(&self.pool);
        if pool.is_counted() {
            return pool.take(wanted);
        }
        // Counting reads a file of the kernel's that takes a while beside many sockets.
        tokio::task::spawn_blocking(move || pool.take(wanted)).await.unwrap_or(Room::Shared)
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
pub(super) fn own(which: StdStream) -> io::Result<OwnedFd> {
    match which {
        StdStream::Stdout => io::stdout().as_fd().try_clone_to_owned(),
        StdStream::Stderr => io::stderr().as_fd().try_clone_to_owned(),
    }
}

fn appended(path: &str) -> Result<Stream, LaunchError> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    let file: File = opened.map_err(|source| LaunchError::OutputFile { path: path.to_owned(), source })?;
    Ok(passed(file.into()))
}

/// `$XDG_STATE_HOME/procunit/logs`, where there is no journal; the name of a unit has no slash.
fn file_for(spec: &ProcSpec, which: StdStream) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let unit = UnitName::for_proc(spec.id()).to_string();
    let name = unit.strip_suffix(".service").unwrap_or(&unit);
    Some(state.join(Path::new("procunit/logs")).join(format!("{name}.{which}")))
}

fn passed(fd: OwnedFd) -> Stream {
    Stream::Fd(Arc::new(fd))
}
