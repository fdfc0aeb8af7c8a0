//! What this process has of the output of one proc: duplicates of its streams, and what it reads itself.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::captured::Captured;
use crate::id::{InvocationId, ProcId};
use crate::journal::StdStream;
use crate::journal::barrier::Way;
use crate::journal::datagram::Datagrams;
use crate::journal::pool::Lease;
use crate::journal::pump::Pump;
use crate::journal::stream::OwnedStream;
use crate::report::OutputReport;
use crate::spec::{Output, Stdio, defaults};
use crate::time::Timestamp;
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
    /// The newest run that was named, over or not.
    named: Mutex<Option<InvocationId>>,
    /// The way of what is read here to the journal.
    datagrams: Option<Arc<Datagrams>>,
    /// Whether that way is not there.
    misses_journal: bool,
    /// When the next run of its id began.
    next_began: OnceLock<Timestamp>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    stdout: Kept,
    stderr: Kept,
    lease: Option<Lease>,
    /// What those read who are not there any more did not get to the journal.
    lost: Vec<(StdStream, Missing)>,
}

/// What of a stream that is read here never got to the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// Lines that journald did not take.
    pub(super) lines: u64,
    /// Bytes that were not read, as the copy had ended.
    pub(super) unread: u64,
}

impl Missing {
    fn of(pump: &Pump) -> Option<Self> {
        let account = pump.account();
        let missing = Self { lines: account.journal_lost, unread: account.unread };
        (missing != Self::default()).then_some(missing)
    }
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
            named: Mutex::default(),
            datagrams: None,
            misses_journal: false,
            next_began: OnceLock::new(),
            held: Mutex::default(),
        }
    }

    /// From here on, what comes under its id without a name is the next run's.
    pub(super) fn end_before_next(&self) {
        // Of several that began, as some were refused, the first counts.
        let _ = self.next_began.set(SystemTime::now().into());
    }

    pub(super) fn next_began(&self) -> Option<Timestamp> {
        self.next_began.get().copied()
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
    pub(super) fn keep_read(&self, which: StdStream, pump: Option<Arc<Pump>>, captured: Option<Captured>) {
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

    /// What is read here reaches the journal by this.
    pub(super) fn reach_journal_by(&mut self, datagrams: &Arc<Datagrams>) {
        self.told.apart.get_or_insert(true);
        self.datagrams = Some(Arc::clone(datagrams));
    }

    /// What is read here does not reach the journal.
    pub(super) fn miss_journal(&mut self, error: &io::Error) {
        let note = format!("the journal cannot be reached ({error}), and has nothing of what is read here");
        self.misses_journal = true;
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Whether there was no journal to send what is read here to.
    pub(super) fn misses_journal(&self) -> bool {
        self.misses_journal
    }

    /// The ways by which it reaches the journal; none where one of them is not open here, or not any more.
    pub(super) fn ways(&self, id: &ProcId) -> Vec<Way> {
        let words = [(StdStream::Stdout, &self.told.stdout), (StdStream::Stderr, &self.told.stderr)];
        let reach = words.into_iter().filter(|(_, word)| word.as_deref().is_some_and(reaches_journal));
        reach.map(|(which, _)| self.way(which, id)).collect::<Option<_>>().unwrap_or_default()
    }

    fn way(&self, stream: StdStream, id: &ProcId) -> Option<Way> {
        if let Some(own) = self.held().kept(stream).own.clone() {
            return Some(Way::Stream(own));
        }
        let (datagrams, _) = self.datagrams.as_ref().zip(self.pump(stream))?;
        Some(Way::Datagrams { datagrams: Arc::clone(datagrams), identifier: syslog_identifier(id), stream })
    }

    /// Which run it is of.
    pub(super) fn run(&self) -> watch::Receiver<Option<InvocationId>> {
        self.run.subscribe()
    }

    /// Says which run it is of from now on.
    pub(super) fn name_run(&self, run: Option<InvocationId>) {
        let before = std::mem::replace(&mut *self.named.lock().unwrap_or_else(PoisonError::into_inner), run);
        if run != before {
            self.run.send_replace(run);
        }
    }

    /// That run is over, and another one follows: what is in the pipes by now is of the first, and what comes after it waits
    /// for the name of the second.
    pub(super) fn end_run(&self, over: Option<InvocationId>) {
        let pumps = self.pumps();
        if pumps.is_empty() || *self.run.borrow() != over {
            return;
        }
        let run = self.run.clone();
        tokio::spawn(async move {
            for (_, pump) in pumps {
                let _ = timeout(defaults::TAIL_DRAIN, pump.read_up()).await;
            }
            run.send_if_modified(|named| named.take_if(|named| Some(*named) == over).is_some());
        });
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

    /// Lets go of what read its streams, and keeps what they lost.
    fn drop_pumps(&self) {
        let pumps = self.pumps();
        let mut held = self.held();
        for (which, pump) in pumps {
            held.lost.extend(Missing::of(&pump).map(|missing| (which, missing)));
            held.kept(which).pump = None;
        }
    }

    /// What of which stream did not get to the journal, as far as is known.
    pub(super) fn missing(&self) -> Vec<(StdStream, Missing)> {
        let mut lost = self.held().lost.clone();
        lost.extend(self.pumps().into_iter().filter_map(|(which, pump)| Some((which, Missing::of(&pump)?))));
        lost
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

/// Whether output that is told as this goes to the journal.
pub(super) fn reaches_journal(word: &str) -> bool {
    matches!(word, "journal" | "tee" | "capture and journal")
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

/// Of a proc that is over: lets go of what reads its streams when all of it has been handed on, and a while has passed in which
/// somebody may ask for it.
pub(super) fn let_go_later(output: Slot) {
    tokio::spawn(async move {
        sleep(defaults::STREAMS_KEPT).await;
        let Some(output) = output.get() else { return };
        for (_, pump) in output.pumps() {
            pump.handed_on().await;
        }
        output.drop_pumps();
    });
}

/// Of a proc that is forgotten: lets go of what reads its streams as soon as what is there has been handed on, and after
/// a while whether it has or not.
pub(super) fn let_go(output: Slot, id: ProcId) {
    if output.get().is_none_or(|output| output.pumps().is_empty()) {
        return;
    }
    tokio::spawn(async move {
        let Some(output) = output.get() else { return };
        let handed_on = async {
            for (_, pump) in output.pumps() {
                pump.handed_on().await;
            }
        };
        if timeout(defaults::STREAMS_KEPT, handed_on).await.is_err() {
            tracing::warn!(%id, "what it wrote last was not taken by those who have to take it, and is given up");
        }
    });
}

/// A pipe: the end that is read here, and the one that the proc gets.
pub(super) fn pipe() -> io::Result<(io::PipeReader, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((read, write.into()))
}
