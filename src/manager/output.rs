//! What this process has of the output of one proc: duplicates of its streams, and what it reads itself.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::journal::StdStream;
use crate::journal::pool::Lease;
use crate::journal::stream::OwnedStream;
use crate::report::OutputReport;
use crate::spec::{Output, Stdio};

/// The output of a proc, from when it is launched on.
pub(super) type Slot = Arc<OnceLock<RunOutput>>;

/// See the module.
#[derive(Debug)]
pub(super) struct RunOutput {
    told: OutputReport,
    notes: Vec<String>,
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
pub(super) enum Kept {
    /// Nothing: its proc has it alone.
    #[default]
    Nothing,
    /// A duplicate of a stream to the journal that carries this one alone.
    Own(OwnedStream),
    /// The other end.
    Captured(io::PipeReader),
}

impl RunOutput {
    pub(super) fn of(stdio: &Stdio) -> Self {
        Self { told: told(stdio), notes: Vec::new(), held: Mutex::default() }
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

    pub(super) fn keep(&mut self, which: StdStream, kept: Kept) {
        *self.held().kept(which) = kept;
    }

    /// A pipe whose other end is read here.
    pub(super) fn capture(&mut self, which: StdStream) -> io::Result<OwnedFd> {
        let (read, write) = io::pipe()?;
        self.keep(which, Kept::Captured(read));
        Ok(write.into())
    }

    /// It goes to a file, as no journal takes it.
    pub(super) fn fall_back(&mut self, which: StdStream, path: &Path, why: &str) {
        let path = path.display();
        let note = format!("the journal cannot be reached ({why}); {which} goes to {path}");
        self.notes.push(note);
        self.told.apart = None;
        let told = match which {
            StdStream::Stdout => &mut self.told.stdout,
            StdStream::Stderr => &mut self.told.stderr,
        };
        *told = Some(format!("file:{path}"));
    }

    /// The streams of its own that are still open here.
    pub(super) fn own_streams(&self) -> Vec<OwnedStream> {
        let held = self.held();
        let own = |kept: &Kept| match kept {
            Kept::Own(stream) => Some(stream.clone()),
            Kept::Nothing | Kept::Captured(_) => None,
        };
        [own(&held.stdout), own(&held.stderr)].into_iter().flatten().collect()
    }

    /// Closes what is open of streams to the journal: they are few.
    pub(super) fn close_streams(&self) {
        let mut held = self.held();
        for which in [StdStream::Stdout, StdStream::Stderr] {
            let kept = held.kept(which);
            if matches!(kept, Kept::Own(_)) {
                *kept = Kept::Nothing;
            }
        }
        held.lease = None;
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
