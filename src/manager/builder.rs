//! How a manager is put together.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::ProcManager;
use super::turns::Turns;
use crate::id::ProcId;
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
}

impl ManagerBuilder {
    pub(super) fn new(launcher: impl ProcLauncher) -> Self {
        Self {
            launches_at_once: launcher.launches_at_once(),
            launcher: Arc::new(launcher),
            defaults: Arc::new(|spec| spec),
            exit_records: defaults::EXIT_RECORDS,
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

    /// Starts the manager's task.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn build(self) -> ProcManager {
        let turns = Turns::new(self.launches_at_once);
        ProcManager::start(self.launcher, turns, SpecDefaults(self.defaults), self.exit_records)
    }
}
