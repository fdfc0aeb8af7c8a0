//! The native launcher: a child process per proc, in a session and process group of its own.
//!
//! It starts, signals and waits, and tells what it saw. What it promises less than systemd: it keeps nothing beyond
//! its own process, so that procs are attached only; and it reaches a proc's session, not what has left that
//! (setsid(2)).

mod census;
mod ends;
mod environment;
mod follow;
mod keeper;
mod launch;
mod leader;
mod maker;
mod run;
mod spawner;
mod streams;
mod tree;

use std::num::NonZeroUsize;

use self::environment::Environments;
use self::spawner::Spawner;
use super::{
    AdoptError, Adopted, BoxFuture, Facts, LaunchError, Launched, ProcLauncher, Sighting, StreamKinds,
    Streams, SurveyError,
};
use crate::id::ProcId;
use crate::spec::{ProcSpec, defaults};

/// Starts procs as children of this process.
///
/// A thread of its own makes them, and the kernel kills the main process of each when that thread ends: at the
/// latest with this process, however that ends. Another one sees all of them end, and waits for them. Dropping the
/// launcher kills what is left of its procs.
///
/// A live proc takes one descriptor of this process. Where half of those that it may have (`RLIMIT_NOFILE`, the soft
/// limit) are taken that way, more procs take none: SIGCHLD tells of their ends, at the cost of a look at each of
/// them.
///
/// Other code of this process must not wait for children that are not its own (`waitpid(-1)`): the end of a proc
/// that it takes is lost.
pub struct NativeLauncher {
    spawner: Spawner,
    environments: Environments,
}

impl NativeLauncher {
    /// Starts the threads that make the children and see them end. They end when the launcher and everything that it
    /// started is gone.
    ///
    /// Where this process ignores SIGCHLD, as it does when its parent did, the default is put back: there would be
    /// no exit status of any child otherwise.
    ///
    /// # Errors
    /// [`LaunchError::Os`] where there are no threads to be had, or no descriptor to wait by.
    pub fn new() -> Result<Self, LaunchError> {
        Ok(Self { spawner: Spawner::start(usize::MAX)?, environments: Environments::default() })
    }
}

impl Drop for NativeLauncher {
    fn drop(&mut self) {
        self.spawner.close();
    }
}

impl ProcLauncher for NativeLauncher {
    fn name(&self) -> &'static str {
        "native"
    }

    fn launches_at_once(&self) -> Option<NonZeroUsize> {
        Some(defaults::NATIVE_LAUNCHES_AT_ONCE)
    }

    fn stream_kinds(&self, _: &ProcSpec) -> StreamKinds {
        StreamKinds::Descriptors
    }

    fn launch(
        &self,
        spec: ProcSpec,
        streams: Streams,
        facts: Facts,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        Box::pin(
            async move { launch::launch((&self.spawner, &self.environments), &spec, streams, facts).await },
        )
    }

    /// Nobody's child can be taken over.
    fn adopt(&self, id: ProcId, _: Facts) -> BoxFuture<'_, Result<Adopted, AdoptError>> {
        Box::pin(async { Err(AdoptError::NotFound { id }) })
    }

    /// None: what it started, the manager that asked for it knows, and there is no other.
    fn survey(&self) -> BoxFuture<'_, Result<Vec<Sighting>, SurveyError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
