//! A launcher whose procs exist on paper alone: what they do is scripted, and what is asked of them is written down.
//!
//! It is for tests, this project's and its users': nothing is started, no clock but tokio's is waited for, so that hours
//! pass in no time under `#[tokio::test(start_paused = true)]`. It tells facts as the systemd launcher does, in pictures
//! of units, or, made by [`FakeLauncher::without_units`], as the native one does. Like any launcher it decides no status.
//!
//! Three things make a test: a [`Script`] says what a proc will do, a [`FakeProc`] does it now, and the [`Record`]s say
//! what the manager asked for and when.
//!
//! ```
//! use std::time::Duration;
//!
//! use procunit::launcher::fake::{FakeLauncher, Reaction, Script, What};
//! use procunit::{ProcManager, ProcSpec};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let fake = FakeLauncher::new();
//! let manager = ProcManager::new(fake.clone());
//!
//! // A proc that ignores its stop signal.
//! fake.script(Script::new().on_stop(Reaction::ignore()));
//! let spec = ProcSpec::builder("web".parse()?, "/usr/bin/web").build()?;
//! let web = manager.spawn(spec).await?;
//!
//! let end = web.terminate(Some(Duration::from_secs(60)), "a test").await?;
//! assert_eq!(end.to_string(), "Killed(sig=9)");
//!
//! let asked = fake.records();
//! let at = |what| asked.iter().find(|record| record.what == what).map(|record| record.at);
//! assert_eq!(at(What::Kill), at(What::Stop).map(|stop| stop + Duration::from_secs(60)));
//! # Ok(())
//! # }
//! ```

mod hub;
mod picture;
mod proc;
mod record;
mod run;
mod script;
mod trace;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use proc::FakeProc;
pub use record::{Record, What};
pub use script::{Reaction, Script, When};
pub use trace::{BadTrace, Trace};

use self::hub::Hub;
use self::proc::Origin;
use self::run::FakeRun;
use super::{
    AdoptError, Adopted, BoxFuture, Facts, LaunchError, Launched, ProcLauncher, Sighting, Source, SurveyError,
};
use crate::id::ProcId;
use crate::spec::{Lifetime, ProcSpec};

/// A launcher of scripted procs. Clones are the same one: a manager takes one, and the test keeps one.
///
/// An id is taken while its proc is not over, and after that until the manager lets go of it (attached) or discards it
/// (detached): launching it then is refused as systemd would refuse it. An attached proc ends by its stop signal when
/// the last that held it is dropped, as by its tie.
#[derive(Debug, Clone)]
pub struct FakeLauncher {
    hub: Arc<Hub>,
    board: Arc<Mutex<Board>>,
}

/// What is scripted and what is there.
#[derive(Debug, Default)]
struct Board {
    script: Script,
    scripts: HashMap<ProcId, Script>,
    procs: HashMap<ProcId, FakeProc>,
    /// Those that another one was placed in front of, until whoever holds them has heard.
    replaced: Vec<FakeProc>,
    /// With how many procs those of which nothing is kept are taken out next.
    forget_at: usize,
}

impl Default for FakeLauncher {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeLauncher {
    /// One that tells facts in pictures of units, as the systemd launcher does: every run has an id.
    pub fn new() -> Self {
        Self::with(Hub::new(true))
    }

    /// One that tells plain facts, as the native launcher does: no units, no ids of runs.
    pub fn without_units() -> Self {
        Self::with(Hub::new(false))
    }

    fn with(hub: Hub) -> Self {
        Self { hub: Arc::new(hub), board: Arc::default() }
    }

    /// Scripts every later launch whose id has no script of its own. Without any, procs run until they are told to end,
    /// and obey.
    pub fn script(&self, script: Script) {
        self.board().script = script;
    }

    /// Scripts every later launch of this id, and its adoption.
    pub fn script_for(&self, id: &ProcId, script: Script) {
        self.board().scripts.insert(id.clone(), script);
    }

    /// The newest proc of this id, from the call that launches it until nothing of it is kept.
    pub fn proc(&self, id: &ProcId) -> Option<FakeProc> {
        self.board().procs.get(id).filter(|proc| !proc.is_forgotten()).cloned()
    }

    /// Puts a running proc there that somebody else started, to be adopted and surveyed. It replaces one of that id.
    pub fn place(&self, id: &ProcId, lifetime: Lifetime) -> FakeProc {
        let mut board = self.board();
        let proc = FakeProc::new(&self.hub, Origin::Placed { id: id.clone(), lifetime }, board.script_of(id));
        if let Some(before) = board.procs.insert(id.clone(), proc.clone()) {
            before.vanish();
            board.replaced.push(before);
        }
        drop(board);
        proc.start();
        proc
    }

    /// Everything that was asked about procs so far, and every end, oldest first.
    pub fn records(&self) -> Vec<Record> {
        self.hub.records()
    }

    /// The same, and forgets them.
    pub fn take_records(&self) -> Vec<Record> {
        self.hub.take_records()
    }

    /// Resolves with the first record that fits, at once if it is there. Cancel safe. It has no bound of its own.
    pub async fn recorded(&self, fits: impl Fn(&Record) -> bool) -> Record {
        self.hub.recorded(fits).await
    }

    /// Loses the way to the procs. Until [`Self::reconnect`] facts are swallowed, and whatever is asked of the launcher
    /// fails.
    pub fn disconnect(&self) {
        self.hub.set_connected(false);
    }

    /// Has the way back, and looks at every proc that is held: what is there now is told, what came and went in between
    /// is not.
    pub fn reconnect(&self) {
        self.hub.set_connected(true);
        let mut board = self.board();
        let procs: Vec<_> =
            std::mem::take(&mut board.replaced).into_iter().chain(board.procs.values().cloned()).collect();
        drop(board);
        for proc in procs {
            proc.look_again();
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, spec: ProcSpec) -> Result<FakeProc, LaunchError> {
        if !self.hub.is_connected() {
            return Err(LaunchError::Unreachable {
                what: "the fake launcher is disconnected".to_owned(),
                remedy: "reconnect it".to_owned(),
                source: hub::no_way(),
            });
        }
        let mut board = self.board();
        board.forget();
        let id = spec.id().clone();
        if let Some(there) = board.procs.get(&id).filter(|proc| !proc.is_forgotten()) {
            let ended = there.is_over() && there.lifetime() == Lifetime::Attached;
            // Without units there are no names that could be held: who starts it again still holds the run before.
            if !ended || there.tells_units() {
                return Err(if ended {
                    LaunchError::NameHeld { id }
                } else {
                    LaunchError::AlreadyExists { id }
                });
            }
        }
        let proc = FakeProc::new(&self.hub, Origin::Launched(Box::new(spec)), board.script_of(&id));
        board.procs.insert(id, proc.clone());
        Ok(proc)
    }

    /// What is there, or the error of an operation that looks.
    fn seen(&self) -> Result<Vec<FakeProc>, Source> {
        if !self.hub.is_connected() {
            return Err(hub::no_way());
        }
        let mut procs: Vec<_> = self.board().procs.values().filter(|proc| proc.is_there()).cloned().collect();
        procs.sort_by(|one, other| one.id().cmp(other.id()));
        Ok(procs)
    }

    fn take_hold(&self, id: ProcId, facts: Facts) -> Result<Adopted, AdoptError> {
        let failed = |source| AdoptError::Launcher { id: id.clone(), source };
        let procs = self.seen().map_err(failed)?;
        if let Some(refused) = self.board().script_of(&id).adoption(&id) {
            return Err(refused);
        }
        let proc = procs.into_iter().find(|proc| *proc.id() == id).ok_or(AdoptError::NotFound { id })?;
        proc.record(What::Adopt);
        let run = FakeRun::new(proc.clone(), facts);
        proc.look_again();
        Ok(Adopted { run: Box::new(run), sighting: proc.sighting() })
    }
}

impl Board {
    fn script_of(&self, id: &ProcId) -> Script {
        self.scripts.get(id).unwrap_or(&self.script).clone()
    }

    /// Takes those out of which nothing is kept, when there are twice as many as the last time: a look at all of them
    /// at every launch would make the launch of thousands slow.
    fn forget(&mut self) {
        if self.procs.len() >= self.forget_at {
            self.procs.retain(|_, proc| !proc.is_forgotten());
            self.forget_at = self.procs.len().max(8) * 2;
        }
    }
}

impl ProcLauncher for FakeLauncher {
    fn name(&self) -> &'static str {
        "fake"
    }

    /// With units it is so, as systemd does it. A run that follows is told by a trace, or by [`FakeProc::tell`].
    fn restarts_by_itself(&self) -> bool {
        self.hub.units
    }

    fn launch(
        &self,
        spec: ProcSpec,
        _: super::Streams,
        facts: Facts,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        Box::pin(async move {
            let proc = self.enter(spec)?;
            proc.record(What::Launch);
            let run = FakeRun::new(proc.clone(), facts);
            let script = proc.launch().await?;
            let (notes, tells_ready) = (script.notes, script.tells_ready);
            Ok(Launched { notes, tells_ready, ..Launched::new(run) })
        })
    }

    fn adopt(&self, id: ProcId, facts: Facts) -> BoxFuture<'_, Result<Adopted, AdoptError>> {
        Box::pin(async move { self.take_hold(id, facts) })
    }

    fn survey(&self) -> BoxFuture<'_, Result<Vec<Sighting>, SurveyError>> {
        Box::pin(async { Ok(self.seen().map_err(SurveyError)?.iter().map(FakeProc::sighting).collect()) })
    }

    fn ended_kept(&self) -> BoxFuture<'_, Result<usize, SurveyError>> {
        Box::pin(async { Ok(self.seen().map_err(SurveyError)?.iter().filter(|proc| proc.is_over()).count()) })
    }
}
