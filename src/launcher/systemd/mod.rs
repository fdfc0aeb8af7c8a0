//! The systemd launcher: a transient `systemd --user` service per proc.
//!
//! It turns specs into units and unit signals into facts. It keeps no status and no state file: what must be
//! known later stands in the unit.

mod bulk;
mod error;
mod launch;
mod placement;
mod properties;
mod router;
mod run;
mod sighting;
mod slices;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use self::placement::Placement;
use self::router::Routes;
use super::{
    AdoptError, Adopted, BoxFuture, Facts, LaunchError, Launched, ProcLauncher, Sighting, Stop, StreamKinds,
    Streams, SurveyError,
};
use crate::bus::{Bus, BusAddress, BusError, Connected, Signatures};
use crate::id::ProcId;
use crate::spec::{ProcSpec, defaults};
use crate::sys::token::token;
use crate::unit::SystemdVersion;

/// Letters and digits in the word that tells one launcher's tie and slices from another's.
const TOKEN_LEN: usize = 10;

/// Starts procs as transient services of this user's systemd.
///
/// Dropping it lets go of the tie: the attached procs it started are stopped by systemd.
pub struct SystemdLauncher {
    shared: Arc<Shared>,
    router: tokio::task::JoinHandle<()>,
}

/// What every run of this launcher needs.
struct Shared {
    bus: Bus,
    version: SystemdVersion,
    routes: Routes,
    placement: Placement,
    signatures: OnceCell<Signatures>,
    /// The user whose manager it is, once that was asked for.
    owner: OnceCell<u32>,
    manager_env: Mutex<ManagerEnv>,
}

/// The user manager's environment, as of a moment.
struct ManagerEnv {
    entries: Vec<(String, String)>,
    read_at: Instant,
}

/// How old the manager's environment may be at a launch. What somebody puts into it by `systemctl --user
/// set-environment` shows in procs launched more than this later; no signal tells of it.
const MANAGER_ENV_AGE: Duration = Duration::from_secs(1);

impl Shared {
    async fn owner(&self) -> Result<u32, BusError> {
        self.owner.get_or_try_init(|| self.bus.owner()).await.copied()
    }

    /// What the manager would add to a proc's environment.
    async fn manager_env(&self) -> Result<Vec<(String, String)>, BusError> {
        let mut known = self.manager_env.lock().await;
        if known.read_at.elapsed() >= MANAGER_ENV_AGE {
            known.entries = self.bus.info().await?.environment;
            known.read_at = Instant::now();
        }
        Ok(known.entries.clone())
    }
}

impl SystemdLauncher {
    /// Connects to the user manager that the environment names.
    ///
    /// # Errors
    /// [`BusError`], whose message names what cannot be reached.
    pub async fn connect() -> Result<Self, BusError> {
        Self::connect_to(BusAddress::from_env()?).await
    }

    /// Connects to the user manager at this address.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn connect_to(address: BusAddress) -> Result<Self, BusError> {
        Self::on(Bus::connect(address).await?)
    }

    fn on(connected: Connected) -> Result<Self, BusError> {
        let Connected { bus, events, info } = connected;
        let version = info.version.parse().map_err(|_| BusError::NotAUserManager {
            message: format!("its version is {:?}", info.version),
        })?;
        let shared = Arc::new(Shared {
            placement: Placement::new(token(TOKEN_LEN), bus.clone()),
            bus,
            version,
            routes: Routes::default(),
            signatures: OnceCell::new(),
            owner: OnceCell::new(),
            manager_env: Mutex::new(ManagerEnv { entries: info.environment, read_at: Instant::now() }),
        });
        let router = tokio::spawn(router::run(Arc::downgrade(&shared), events));
        Ok(Self { shared, router })
    }

    /// How many procs lie in one slice; [`PROCS_PER_SLICE`](defaults::PROCS_PER_SLICE) otherwise. Larger ones make each
    /// further launch slower, smaller ones cost a unit more often.
    #[must_use]
    pub fn procs_per_slice(self, count: NonZeroUsize) -> Self {
        self.shared.placement.procs_per_slice(count);
        self
    }

    /// The user manager's version.
    pub fn version(&self) -> SystemdVersion {
        self.shared.version
    }
}

impl Drop for SystemdLauncher {
    fn drop(&mut self) {
        // A call that is still on its way keeps `shared`; what is attached must not wait for it.
        self.shared.placement.let_go();
        self.router.abort();
    }
}

impl ProcLauncher for SystemdLauncher {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn restarts_by_itself(&self) -> bool {
        true
    }

    fn launches_at_once(&self) -> Option<NonZeroUsize> {
        Some(defaults::LAUNCHES_AT_ONCE)
    }

    /// Below 257 a unit that is started again has lost the descriptors that were passed for it.
    fn stream_kinds(&self, spec: &ProcSpec) -> StreamKinds {
        if launch::opens_by_path(spec, self.shared.version) {
            StreamKinds::PathsOrJournal
        } else {
            StreamKinds::DescriptorsOrJournal
        }
    }

    fn launch(
        &self,
        spec: ProcSpec,
        streams: Streams,
        facts: Facts,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { launch::launch(&shared, &spec, &streams, facts).await })
    }

    fn adopt(&self, id: ProcId, facts: Facts) -> BoxFuture<'_, Result<Adopted, AdoptError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { run::adopt(&shared, id, facts).await })
    }

    fn survey(&self) -> BoxFuture<'_, Result<Vec<Sighting>, SurveyError>> {
        Box::pin(sighting::survey(&self.shared.bus))
    }

    /// A slice of which all are among them is stopped as one job.
    fn stop_many(&self, stops: Vec<Stop>) -> BoxFuture<'_, ()> {
        Box::pin(bulk::stop_many(Arc::clone(&self.shared), stops))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.shared.placement.close())
    }

    fn ended_kept(&self) -> BoxFuture<'_, Result<usize, SurveyError>> {
        Box::pin(sighting::ended_kept(&self.shared.bus))
    }
}
