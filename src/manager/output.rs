//! What this process has of the output of one proc: duplicates of its streams, and what it reads itself.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;

use super::captured::Captured;
use crate::id::{InvocationId, ProcId};
use crate::journal::StdStream;
use crate::journal::barrier::Way;
use crate::journal::datagram::Datagrams;
use crate::journal::pool::Lease;
use crate::journal::pump::Pump;
use crate::journal::stream::OwnedStream;
use crate::report::OutputReport;
use crate::spec::{Output, Stdio};
use crate::unit::syslog_identifier;

/// The output of a proc, from when it is launched on.
pub(super) type Slot = Arc<OnceLock<RunOutput>>;

/// See the module.
#[derive(Debug)]
pub(super) struct RunOutput {
    told: OutputReport,
    notes: Vec<String>,
    /// The run whose lines are read here, once it is known.
    run: watch::Sender<Option<InvocationId>>,
    /// The way of what is read here to the journal.
    datagrams: Option<Arc<Datagrams>>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    stdout: Kept,
    stderr: Kept,
    lease: Option<Lease>,
}

/// What this process keeps of one stream.
#[derive(Debug, Default)]
struct Kept {
    /// A duplicate of a stream to the journal that carries this one alone.
    own: Option<OwnedStream>,
    /// What reads it.
    pump: Option<Arc<Pump>>,
    /// The caller's, until it takes it.
    captured: Option<Captured>,
}

impl RunOutput {
    pub(super) fn of(stdio: &Stdio) -> Self {
        Self {
            told: told(stdio),
            notes: Vec::new(),
            run: watch::Sender::default(),
            datagrams: None,
            held: Mutex::default(),
        }
    }

    /// Where it goes, for reports.
    pub(super) fn told(&self) -> &OutputReport {
        &self.told
    }

    /// What is worth telling of that.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(super) fn lease(&mut self, lease: Lease) {
        self.told.apart = Some(true);
        self.held().lease = Some(lease);
    }

    pub(super) fn share(&mut self) {
        self.told.apart = Some(false);
    }

    pub(super) fn keep_own(&self, which: StdStream, stream: OwnedStream) {
        self.held().kept(which).own = Some(stream);
    }

    /// A stream that is read here, and what of it is the caller's.
    pub(super) fn keep_read(
        &mut self,
        which: StdStream,
        pump: Option<Arc<Pump>>,
        captured: Option<Captured>,
    ) {
        self.told.apart = Some(true);
        let mut held = self.held();
        let kept = held.kept(which);
        kept.pump = pump;
        kept.captured = captured;
    }

    /// It goes to a file, as no journal takes it.
    pub(super) fn fall_back(&mut self, which: StdStream, path: &Path, why: &str) {
        let path = path.display();
        let unreached = format!("the journal cannot be reached ({why}); ");
        match self.notes.iter_mut().find(|note| note.starts_with(&unreached)) {
            Some(note) => *note = format!("{note}, {which} to {path}"),
            None => self.notes.push(format!("{unreached}{which} goes to {path}")),
        }
        self.told.apart = None;
        let told = match which {
            StdStream::Stdout => &mut self.told.stdout,
            StdStream::Stderr => &mut self.told.stderr,
        };
        *told = Some(format!("file:{path}"));
    }

    /// Runs after the first do not have the descriptors of these.
    pub(super) fn note_later_runs(&mut self, stdout: bool, stderr: bool) {
        let which = match (stdout, stderr) {
            (true, true) => "standard output and standard error",
            (true, false) => "standard output",
            (false, true) => "standard error",
            (false, false) => return,
        };
        self.notes.push(format!(
            "systemd passes descriptors to the first run alone: what those that follow by the restart policy write to \
             {which} goes to the journal"
        ));
    }

    /// What is read here reaches the journal by this.
    pub(super) fn reach_journal_by(&mut self, datagrams: &Arc<Datagrams>) {
        self.datagrams = Some(Arc::clone(datagrams));
    }

    /// What is read here does not reach the journal.
    pub(super) fn miss_journal(&mut self, error: &io::Error) {
        let note = format!("the journal cannot be reached ({error}), and has nothing of what is read here");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The ways by which it reaches the journal, as long as they are open here.
    pub(super) fn ways(&self, id: &ProcId) -> Vec<Way> {
        let mut ways: Vec<_> = self.own_streams().into_iter().map(Way::Stream).collect();
        if let Some(datagrams) = &self.datagrams {
            let way = |(stream, _)| {
                let (datagrams, identifier) = (Arc::clone(datagrams), syslog_identifier(id));
                Way::Datagrams { datagrams, identifier, stream }
            };
            ways.extend(self.pumps().into_iter().map(way));
        }
        ways
    }

    /// Which run it is of.
    pub(super) fn run(&self) -> watch::Receiver<Option<InvocationId>> {
        self.run.subscribe()
    }

    /// Says which run it is of from now on.
    pub(super) fn name_run(&self, run: Option<InvocationId>) {
        self.run.send_if_modified(|known| std::mem::replace(known, run) != run);
    }

    /// The caller's end of a stream that it reads; once.
    pub(super) fn take_captured(&self, which: StdStream) -> Option<Captured> {
        self.held().kept(which).captured.take()
    }

    /// What reads a stream here.
    pub(super) fn pump(&self, which: StdStream) -> Option<Arc<Pump>> {
        self.held().kept(which).pump.clone()
    }

    /// Everything that is read here.
    pub(super) fn pumps(&self) -> Vec<(StdStream, Arc<Pump>)> {
        let both = [StdStream::Stdout, StdStream::Stderr];
        both.into_iter().filter_map(|which| Some((which, self.pump(which)?))).collect()
    }

    /// The streams of its own that are still open here.
    pub(super) fn own_streams(&self) -> Vec<OwnedStream> {
        let held = self.held();
        [&held.stdout, &held.stderr].into_iter().filter_map(|kept| kept.own.clone()).collect()
    }

    /// Closes what is open of streams to the journal: they are few.
    pub(super) fn close_streams(&self) {
        let mut held = self.held();
        (held.stdout.own, held.stderr.own, held.lease) = (None, None, None);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(stdio: &Stdio) -> OutputReport {
    let words = |output: &Output| match &stdio.terminal {
        Some(_) => Some("terminal".to_owned()),
        None => Some(output.to_string()),
    };
    OutputReport { stdout: words(&stdio.stdout), stderr: words(&stdio.stderr), apart: None }
}

impl Held {
    fn kept(&mut self, which: StdStream) -> &mut Kept {
        match which {
            StdStream::Stdout => &mut self.stdout,
            StdStream::Stderr => &mut self.stderr,
        }
    }
}

/// A pipe: the end that is read here, and the one that the proc gets.
pub(super) fn pipe() -> io::Result<(io::PipeReader, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((read, write.into()))
}
