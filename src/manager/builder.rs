//! How a manager is put together.

use std::ffi::OsString;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use super::ProcManager;
use super::outlets::OutputSettings;
use super::settings::BadSetting;
use super::turns::Turns;
use tokio::sync::mpsc;

use crate::id::ProcId;
use crate::journal::aggregate::Aggregate;
use crate::journal::{AggregateLimits, OutputEvent};
use crate::launcher::ProcLauncher;
use crate::spec::{ProcSpec, ProcSpecBuilder, defaults};

type Defaults = Arc<dyn Fn(ProcSpecBuilder) -> ProcSpecBuilder + Send + Sync>;

/// What a manager gives every spec that is begun with it.
#[derive(Clone)]
pub(super) struct SpecDefaults(Defaults);

impl SpecDefaults {
    pub(super) fn begin(&self, id: ProcId, program: OsString) -> ProcSpecBuilder {
        (self.0)(ProcSpec::builder(id, program))
    }
}

impl std::fmt::Debug for SpecDefaults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpecDefaults").finish_non_exhaustive()
    }
}

/// Puts a [`ProcManager`] together; [`build`](Self::build) starts it.
#[must_use = "a builder does nothing until it is built"]
pub struct ManagerBuilder {
    launcher: Arc<dyn ProcLauncher>,
    defaults: Defaults,
    launches_at_once: Option<NonZeroUsize>,
    exit_records: usize,
    output: OutputSettings,
}

impl ManagerBuilder {
    pub(super) fn new(launcher: impl ProcLauncher) -> Self {
        Self {
            launches_at_once: launcher.launches_at_once(),
            launcher: Arc::new(launcher),
            defaults: Arc::new(|spec| spec),
            exit_records: defaults::EXIT_RECORDS,
            output: OutputSettings::default(),
        }
    }

    /// What every spec begins with that is begun by [`ProcManager::spec`]; a later call of a setter wins.
    pub fn defaults(
        mut self,
        defaults: impl Fn(ProcSpecBuilder) -> ProcSpecBuilder + Send + Sync + 'static,
    ) -> Self {
        self.defaults = Arc::new(defaults);
        self
    }

    /// How many launches are under way at a time, those of further runs included; what its launcher says helps it
    /// otherwise ([`ProcLauncher::launches_at_once`]). One that takes longer than 5 s to be answered is not counted any
    /// more.
    pub fn launches_at_once(mut self, count: NonZeroUsize) -> Self {
        self.launches_at_once = Some(count);
        self
    }

    /// How many ends it remembers, the newest; [`EXIT_RECORDS`](defaults::EXIT_RECORDS) otherwise.
    pub fn exit_records(mut self, count: usize) -> Self {
        self.exit_records = count;
        self
    }

    /// How many streams to the journal it opens itself at the most, two for each proc whose output goes there;
    /// [`OWNED_JOURNAL_STREAMS`](defaults::OWNED_JOURNAL_STREAMS) otherwise. The output of further procs shares one stream
    /// each, in which the journal cannot tell standard error from standard output.
    pub fn journal_streams(mut self, most: usize) -> Self {
        self.output.streams = Some(most);
        self
    }

    /// Sends every line of its attached procs to this channel, of output that goes to the journal or is captured or teed;
    /// [`ProcSpecBuilder::forward`] leaves a proc out. Nobody waits for a channel that is full: what it misses is
    /// counted, and told in its place.
    ///
    /// It takes a pipe for each stream, which this process reads.
    pub fn forward(mut self, lines: mpsc::Sender<OutputEvent>) -> Self {
        self.output.forward = Some(lines);
        self
    }

    /// Gathers every line of its attached procs in two files in this directory, `stdout.log` and `stderr.log`, behind
    /// `[RANK] ` or `[ID] `; of output that goes to the journal or is captured or teed. [`ProcSpecBuilder::aggregate`]
    /// leaves a proc out.
    ///
    /// It takes a pipe for each stream, which this process reads.
    ///
    /// # Errors
    /// The file system's; [`WouldBlock`](std::io::ErrorKind::WouldBlock) where another manager writes there.
    pub fn aggregate(mut self, dir: impl AsRef<Path>, limits: AggregateLimits) -> io::Result<Self> {
        self.output.aggregate = Some(Aggregate::open(dir.as_ref(), limits)?);
        Ok(self)
    }

    /// Takes what the environment sets and no call on this builder has: `PROCUNIT_JOURNAL_STREAMS` (a number, see
    /// [`Self::journal_streams`]), and `PROCUNIT_FORWARD` and `PROCUNIT_AGGREGATE` (`on` or `off`), which say whether lines of
    /// procs go to a channel or to files where there are such and the procs' specs have no word on it.
    ///
    /// # Errors
    /// [`BadSetting`], naming the variable.
    pub fn settings_from_env(mut self) -> Result<Self, BadSetting> {
        self.output.take_env(|name| std::env::var_os(name))?;
        Ok(self)
    }

    /// Starts the manager's task.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn build(self) -> ProcManager {
        let turns = Turns::new(self.launches_at_once);
        ProcManager::start(self.launcher, turns, SpecDefaults(self.defaults), self.exit_records, self.output)
    }
}
