//! Where what procs write goes: opens what a spec asks for.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::duplex;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::{sleep, timeout};

use super::captured::Captured;
use super::output::{RunOutput, pipe};
use crate::id::UnitName;
use crate::journal::aggregate::Aggregate;
use crate::journal::datagram::{Datagrams, SOCKET};
use crate::journal::pool::{Pool, Room};
use crate::journal::pump::Pump;
use crate::journal::stream::{OwnedStream, STREAM_SOCKET};
use crate::journal::taps::{CopyTo, JournalTap, Taps};
use crate::journal::{OutputEvent, StdStream};
use crate::launcher::{LaunchError, Stream, StreamKinds, Streams};
use crate::spec::{Input, Lifetime, Output, ProcSpec, defaults};
use crate::unit::syslog_identifier;

/// While journald takes no further stream (it is stopped, or far behind), how often and how long it is asked again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);
const TRIES: u32 = 100;

/// Bytes of captured output that wait for their reader here, beside those in the pipe.
const CAPTURE_BUFFER: usize = 64 * 1024;

/// What a manager has for the output of all its procs.
pub(super) struct Outlets {
    kinds: StreamKinds,
    pool: Arc<Pool>,
    journal: PathBuf,
    /// For what is read here, once there is any.
    datagrams: OnceCell<Arc<Datagrams>>,
    forward: Option<mpsc::Sender<OutputEvent>>,
    aggregate: Option<Aggregate>,
    /// What is read here, as long as somebody has it.
    pumps: Mutex<Vec<Weak<Pump>>>,
    /// Whether somebody was told that there is no journal.
    warned: AtomicBool,
}

impl std::fmt::Debug for Outlets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlets").finish_non_exhaustive()
    }
}

/// What a manager was told of the output of its procs.
#[derive(Default)]
pub(super) struct OutputSettings {
    /// The most streams to the journal that it opens itself.
    pub(super) streams: Option<usize>,
    /// Where every line goes.
    pub(super) forward: Option<mpsc::Sender<OutputEvent>>,
    /// The two files of all.
    pub(super) aggregate: Option<Aggregate>,
}

impl Outlets {
    pub(super) fn new(kinds: StreamKinds, settings: OutputSettings) -> Self {
        Self {
            kinds,
            pool: Pool::new(settings.streams.unwrap_or(defaults::OWNED_JOURNAL_STREAMS)),
            journal: STREAM_SOCKET.into(),
            datagrams: OnceCell::new(),
            forward: settings.forward,
            aggregate: settings.aggregate,
            pumps: Mutex::default(),
            warned: AtomicBool::new(false),
        }
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
        if self.hands_over_once(spec) {
            let passed = |stream: &Stream| matches!(stream, Stream::Fd(_));
            output.note_later_runs(passed(&stdout), passed(&stderr));
        }
        Ok((Streams { stdin, stdout, stderr, journal_stream: journal.named, terminal: None }, output))
    }

    /// Whether descriptors are of no use to runs after the first: those that systemd starts again by itself do not get them
    /// (measured, 252).
    fn hands_over_once(&self, spec: &ProcSpec) -> bool {
        self.kinds == StreamKinds::DescriptorsOrJournal && spec.restart().is_some()
    }

    async fn stream(
        &self,
        spec: &ProcSpec,
        which: StdStream,
        journal: &mut Journal,
        kept: &mut RunOutput,
    ) -> Result<Stream, LaunchError> {
        let doing = match which {
            StdStream::Stdout => "opening standard output",
            StdStream::Stderr => "opening standard error",
        };
        let output = output_of(spec, which);
        let opened = match output {
            Output::Null => Ok(Stream::Null),
            Output::Fd(fd) => Ok(Stream::Fd(Arc::clone(fd))),
            Output::Inherit => own(which).map(passed),
            Output::File(path) => return appended(path),
            Output::Journal if !self.is_read_here(spec, output) => {
                return self.journal(spec, which, journal, kept).await;
            }
            Output::Capture { .. } if !self.is_read_here(spec, output) => captured(which, kept).map(passed),
            Output::Journal | Output::Capture { .. } | Output::Tee => {
                self.read_here(spec, which, kept).map(passed)
            }
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
            How::Own => match self.connect(spec, Some(which)).await {
                Ok(opened) => {
                    // Of two streams systemd names that of standard error, too (`exec_child`, execute.c).
                    journal.named = opened.inode().ok();
                    let fd = opened.fd();
                    kept.keep_own(which, opened);
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
        let opened = self.connect(spec, None).await?;
        journal.named = opened.inode().ok();
        Ok(Arc::clone(journal.shared.insert(opened.fd())))
    }

    async fn connect(&self, spec: &ProcSpec, which: Option<StdStream>) -> io::Result<OwnedStream> {
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
        let both = [StdStream::Stdout, StdStream::Stderr].map(|which| output_of(spec, which));
        let connects = |to: &&Output| matches!(to, Output::Journal) && !outlets.is_read_here(spec, to);
        let wanted = both.into_iter().filter(connects).count();
        let of_systemd =
            outlets.hands_over_once(spec) && both.iter().all(|to| connects(to) || matches!(to, Output::Null));
        let room = if wanted == 0 || of_systemd { Room::Shared } else { outlets.room(wanted).await };
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
    /// Whether it is this process that reads it, for the journal or others.
    fn is_read_here(&self, spec: &ProcSpec, output: &Output) -> bool {
        match output {
            Output::Tee | Output::Capture { journal: true } => true,
            Output::Journal | Output::Capture { journal: false } => {
                let (forward, gather) =
                    (self.forward_for(spec).is_some(), self.aggregate_for(spec).is_some());
                spec.lifetime() == Lifetime::Attached && (forward || gather)
            }
            Output::Null | Output::Inherit | Output::File(_) | Output::Fd(_) => false,
        }
    }

    fn remember(&self, pump: &Arc<Pump>) {
        let mut pumps = self.pumps.lock().unwrap_or_else(PoisonError::into_inner);
        // Before it grows, what nobody has any more is swept out.
        if pumps.len() == pumps.capacity() {
            pumps.retain(|pump| pump.strong_count() > 0);
        }
        pumps.push(Arc::downgrade(pump));
    }

    /// Waits until what was read here has been handed on, and is in the files; not for ever, as a reader may be gone to
    /// sleep.
    pub(super) async fn flush(&self) {
        let pumps: Vec<_> = {
            let pumps = self.pumps.lock().unwrap_or_else(PoisonError::into_inner);
            pumps.iter().filter_map(Weak::upgrade).collect()
        };
        let flushed = async {
            for pump in pumps {
                pump.handed_on().await;
            }
            if let Some(files) = &self.aggregate {
                let _ = files.flushed().await.await;
            }
        };
        if timeout(defaults::LOG_END_WAIT, flushed).await.is_err() {
            tracing::warn!("not all that procs wrote was taken by those who have to take it");
        }
    }

    fn forward_for(&self, spec: &ProcSpec) -> Option<&mpsc::Sender<OutputEvent>> {
        self.forward.as_ref().filter(|_| spec.is_forwarded())
    }

    fn aggregate_for(&self, spec: &ProcSpec) -> Option<&Aggregate> {
        self.aggregate.as_ref().filter(|_| spec.is_aggregated())
    }

    /// A pipe that is read here, and handed on to whoever is to have it.
    fn read_here(&self, spec: &ProcSpec, which: StdStream, kept: &mut RunOutput) -> io::Result<OwnedFd> {
        let output = output_of(spec, which);
        let (read, write) = pipe()?;
        let (copy, captured) = match output {
            Output::Tee => (CopyTo::Descriptor(own(which)?), None),
            Output::Capture { .. } => {
                let (near, far) = duplex(CAPTURE_BUFFER);
                (CopyTo::Reader(near), Some(Captured::shared(far)))
            }
            _ => (CopyTo::Nobody, None),
        };
        let journal = if output.reaches_journal() { self.datagrams(spec, kept) } else { None };
        let taps = Taps {
            id: spec.id().clone(),
            rank: spec.rank(),
            stream: which,
            run: kept.run(),
            copy,
            journal,
            forward: self.forward_for(spec).cloned(),
            aggregate: self.aggregate_for(spec).cloned(),
            tail: defaults::TAIL_LINES,
        };
        let pump = Arc::new(Pump::start(read, taps)?);
        self.remember(&pump);
        kept.keep_read(which, Some(pump), captured);
        Ok(write)
    }

    fn datagrams(&self, spec: &ProcSpec, kept: &mut RunOutput) -> Option<JournalTap> {
        let opened = self
            .datagrams
            .get()
            .map_or_else(|| Datagrams::open(Path::new(SOCKET)).map(Arc::new), |known| Ok(Arc::clone(known)));
        match opened {
            Ok(datagrams) => {
                let _ = self.datagrams.set(Arc::clone(&datagrams));
                kept.reach_journal_by(&datagrams);
                let unit = (self.kinds == StreamKinds::DescriptorsOrJournal)
                    .then(|| UnitName::for_proc(spec.id()).to_string());
                Some(JournalTap { datagrams, identifier: syslog_identifier(spec.id()), unit })
            }
            Err(error) => {
                kept.miss_journal(&error);
                None
            }
        }
    }

    async fn room(&self, wanted: usize) -> Room {
        let pool = Arc::clone(&self.pool);
        if pool.is_counted() {
            return pool.take(wanted);
        }
        // Counting reads a file of the kernel's that takes a while beside many sockets.
        tokio::task::spawn_blocking(move || pool.take(wanted)).await.unwrap_or(Room::Shared)
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
pub(super) fn own(which: StdStream) -> io::Result<OwnedFd> {
    match which {
        StdStream::Stdout => io::stdout().as_fd().try_clone_to_owned(),
        StdStream::Stderr => io::stderr().as_fd().try_clone_to_owned(),
    }
}

fn appended(path: &str) -> Result<Stream, LaunchError> {
    let file =
        open_to_append(path).map_err(|source| LaunchError::OutputFile { path: path.to_owned(), source })?;
    Ok(passed(file.into()))
}

/// A named pipe that nobody reads is an error: to wait for a reader would hold up every proc.
fn open_to_append(path: &str) -> io::Result<File> {
    let at_once = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().append(true).create(true).custom_flags(at_once.bits()).open(path)?;
    // Who writes to it expects to wait.
    fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
    Ok(file)
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
