//! What a backend is: it starts, signals and reports facts. It never decides a status.
//!
//! A third backend implements [`ProcLauncher`] and [`ProcRun`]; the systemd launcher is the model.

mod boxed;
mod error;
#[cfg(feature = "test-util")]
pub mod fake;
mod kind;
#[cfg(feature = "native")]
pub mod native;
#[cfg(any(feature = "systemd", feature = "native"))]
mod resolve;
mod stop;
mod streams;
#[cfg(feature = "systemd")]
pub mod systemd;

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;

pub use error::{AdoptError, DeliverError, LaunchError, Source, SurveyError};
pub use kind::{Chosen, LauncherKind, UnknownLauncher};
pub use stop::Stop;
pub use streams::{Stream, StreamKinds, Streams};

use crate::id::{InvocationId, ProcId, UnitName};
use crate::signal::Signal;
use crate::spec::{Lifetime, ProcSpec, StopPolicy};
use crate::status::details::UnitDetails;
use crate::status::machine::{Event, Restarts};
use crate::status::snapshot::Snapshot;
use crate::time::Timestamp;

/// A boxed future, so that the traits stay object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Starts procs and finds started ones.
///
/// Every method may be called from any task of the runtime the launcher was made in, and none may block a
/// thread.
pub trait ProcLauncher: Send + Sync + 'static {
    /// The launcher's name, as `--launcher` takes it.
    fn name(&self) -> &'static str;

    /// Whether what it starts is started again by its spec's restart policy without anybody's doing. Where it is not,
    /// its manager asks for each run by [`Self::launch`], with the same spec, when nothing of the run before is left: what a
    /// main process leaves is the launcher's to end then, also of a detached proc.
    fn restarts_by_itself(&self) -> bool {
        false
    }

    /// How many launches under way at a time help it; further ones would wait in it, or make it slower. Its manager has
    /// no more under way, whatever is asked of it, but for those that are not answered for 5 s. `None` is for one that does
    /// not mind.
    fn launches_at_once(&self) -> Option<NonZeroUsize> {
        None
    }

    /// What it does with the streams of [`Self::launch`] of this proc.
    fn stream_kinds(&self, spec: &ProcSpec) -> StreamKinds {
        let _ = spec;
        StreamKinds::None
    }

    /// Starts a proc and answers when exec has succeeded, also where the program is over by then.
    ///
    /// What the spec says of standard streams has been done: `streams` are they.
    ///
    /// From then on every fact about the run goes to `facts`, in the order in which it became known; facts may
    /// go there before the answer. On an error nothing is left: no process, unit or name.
    ///
    /// Dropping the future may leave the proc started; a manager never does that.
    fn launch(
        &self,
        spec: ProcSpec,
        streams: Streams,
        facts: Facts,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>>;

    /// Takes hold of a proc that somebody else started, whether it is over or not.
    ///
    /// What it looks like goes to `facts` before the answer, as a fact like every later one: the answer alone moves no
    /// status.
    fn adopt(&self, id: ProcId, facts: Facts) -> BoxFuture<'_, Result<Adopted, AdoptError>>;

    /// What is there of this user's procs, held by anybody or by nobody. Changes nothing and takes no hold.
    fn survey(&self) -> BoxFuture<'_, Result<Vec<Sighting>, SurveyError>>;

    /// How many ended procs of this user are kept until they are reaped, without a look at each: for a bound, not
    /// for a report. A launcher that keeps none need not say so.
    fn ended_kept(&self) -> BoxFuture<'_, Result<usize, SurveyError>> {
        Box::pin(async { Ok(0) })
    }

    /// Delivers many stops that are due at once, and answers each. Nothing else may end by it, and what comes of one
    /// holds up no other.
    ///
    /// A launcher without a better way need not say so: [`ProcRun::stop`] is called on each, all at once.
    fn stop_many(&self, stops: Vec<Stop>) -> BoxFuture<'_, ()> {
        Box::pin(Stop::deliver_each(stops))
    }

    /// Lets go of everything it has of its own, as dropping it does, and waits until that is gone. Nothing is asked of it
    /// afterwards.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// One run of a proc, held. Dropping it gives up the hold and ends nothing.
///
/// The methods only initiate: what follows from them arrives as facts.
pub trait ProcRun: Send + Sync {
    /// The unit, for launchers that have one.
    fn unit(&self) -> Option<&UnitName>;

    /// Delivers the stop signal to the whole tree and keeps anything from starting the proc again.
    ///
    /// `Ok` says that it was delivered.
    fn stop(&self) -> BoxFuture<'_, Result<(), DeliverError>>;

    /// Delivers SIGKILL to the whole tree and keeps anything from starting the proc again.
    fn kill(&self) -> BoxFuture<'_, Result<(), DeliverError>>;

    /// Delivers a signal, which changes no status by itself.
    fn signal(&self, signal: Signal, to: Target) -> BoxFuture<'_, Result<(), DeliverError>>;

    /// The processes that are left of it; `None` where that cannot be told.
    fn processes(&self) -> BoxFuture<'_, Option<Vec<u32>>>;

    /// What is left of it when its main process is over; `None` where that cannot be told. `run` is the run it was,
    /// as far as is known: a later one that has the id is no part of it.
    fn left(&self, run: Option<InvocationId>) -> BoxFuture<'_, Option<Left>> {
        let _ = run;
        Box::pin(async {
            let left = self.processes().await?;
            Some(if left.is_empty() { Left::Nothing } else { Left::Staying })
        })
    }

    /// What it was given and what it has used, as far as that can still be read.
    fn details(&self) -> BoxFuture<'_, Option<UnitDetails>>;

    /// What it has used, read once when it is over: cheaper than [`Self::details`], and less.
    fn usage(&self) -> BoxFuture<'_, Option<UnitDetails>> {
        self.details()
    }

    /// Throws away what is kept of this proc, which is over, so that its id is free: what is left of it is ended.
    /// `run` is the run it was, as far as is known; where a later one has the id, nothing is done.
    fn discard(&self, run: Option<InvocationId>) -> BoxFuture<'_, ()>;

    /// Gives up the hold.
    fn release(&self) -> BoxFuture<'_, ()>;
}

/// Which processes of a proc a signal goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The main process alone.
    Main,
    /// Every process of it.
    Tree,
}

/// What is left of a proc whose main process is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// No process of it.
    Nothing,
    /// Processes that the launcher is ending by itself, with a deadline of its own.
    Ending,
    /// Processes that live on until somebody ends them.
    Staying,
}

/// A proc whose exec has succeeded.
#[non_exhaustive]
pub struct Launched {
    /// The hold on it.
    pub run: Box<dyn ProcRun>,
    /// What about the launch is worth telling, such as an environment entry that could not be passed.
    pub notes: Vec<String>,
    /// Whether [`Event::Ready`] is among its facts to come: that it is running does not say that it is ready.
    pub tells_ready: bool,
}

impl Launched {
    /// Nothing worth telling, and no readiness.
    pub fn new(run: impl ProcRun + 'static) -> Self {
        Self { run: Box::new(run), notes: Vec::new(), tells_ready: false }
    }
}

/// A proc that somebody else started.
pub struct Adopted {
    /// The hold on it.
    pub run: Box<dyn ProcRun>,
    /// What it looked like.
    pub sighting: Sighting,
}

/// A proc as found, not held.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// Its id.
    pub id: ProcId,
    /// Its unit.
    pub unit: UnitName,
    /// What its unit looked like.
    pub snapshot: Snapshot,
    /// What it was given and has used.
    pub details: UnitDetails,
    /// The processes found in it, main process included; `None` where that was not asked or cannot be told.
    pub processes: Option<Vec<u32>>,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// How it is ended.
    pub stop: StopPolicy,
    /// Its longest run time, where one is set.
    pub runtime_max: Option<Duration>,
    /// Who starts it again.
    pub restarts: Restarts,
}

/// Names one run within one manager; a later run of the same id has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RunKey(pub(crate) u64);

/// A fact, as it travels from a launcher to the manager's task.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) key: RunKey,
    pub(crate) event: Event,
    pub(crate) at: Timestamp,
}

/// Where a launcher sends the facts of one run.
///
/// Sending never waits and never fails: a manager that is gone reads nothing. A run has a handful of facts in
/// its life, so the queue behind it is bounded by the runs that are alive.
#[derive(Debug, Clone)]
pub struct Facts {
    pub(crate) key: RunKey,
    pub(crate) to: mpsc::UnboundedSender<Fact>,
}

impl Facts {
    /// Sends one fact, dated now.
    pub fn send(&self, event: Event) {
        let at = Timestamp::from(std::time::SystemTime::now());
        // Nobody to tell is no fault of the launcher.
        let _ = self.to.send(Fact { key: self.key, event, at });
    }
}
