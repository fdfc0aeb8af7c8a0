//! The manager: owns procs and their statuses. One task per manager drains facts and is the only writer.
//!
//! It knows launchers by their traits alone: no bus, no kernel here.

mod backlog;
mod entry;
mod error;
mod handle;
mod ladder;
mod message;
mod sweep;
mod task;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

pub use error::{TerminateError, WaitError};
pub use handle::{ProcHandle, StatusWatch};

use crate::id::ProcId;
use crate::launcher::{AdoptError, LaunchError, ProcLauncher, Sighting, SurveyError};
use crate::report::{Report, SeenProc};
use crate::spec::ProcSpec;
use message::Command;

/// Starts procs and keeps hold of them.
///
/// Dropping it ends its task: attached procs end by their tie, detached ones live on, and handles answer
/// `Closed`. It must be made within a tokio runtime, which may be a current-thread one.
#[derive(Debug)]
pub struct ProcManager {
    commands: mpsc::UnboundedSender<Command>,
    launcher: Arc<dyn ProcLauncher>,
}

impl std::fmt::Debug for dyn ProcLauncher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl ProcManager {
    /// A manager on this launcher.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(launcher: impl ProcLauncher) -> Self {
        let launcher: Arc<dyn ProcLauncher> = Arc::new(launcher);
        let (commands, inbox) = mpsc::unbounded_channel();
        tokio::spawn(task::Task::new(Arc::clone(&launcher), commands.downgrade(), inbox).run());
        Self { commands, launcher }
    }

    /// The launcher's name.
    pub fn launcher(&self) -> &'static str {
        self.launcher.name()
    }

    /// Starts a proc and answers when exec has succeeded, also where the program is over by then.
    ///
    /// Cancel safe: where the future is dropped before it has answered, what was started is ended.
    ///
    /// # Errors
    /// [`LaunchError`]; nothing of the proc is left then.
    pub async fn spawn(&self, spec: ProcSpec) -> Result<ProcHandle, LaunchError> {
        let (reply, answer) = oneshot::channel();
        let closed = || LaunchError::Closed;
        self.commands.send(Command::Spawn { spec: Box::new(spec), reply }).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Takes hold of a proc that somebody else started, whether it is over or not.
    ///
    /// # Errors
    /// [`AdoptError`].
    pub async fn adopt(&self, id: &ProcId) -> Result<ProcHandle, AdoptError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Adopt { id: id.clone(), reply }).map_err(|_| AdoptError::Closed)?;
        answer.await.map_err(|_| AdoptError::Closed)?
    }

    /// The handle of a proc this manager holds, also after its end while its record is kept.
    pub async fn get(&self, id: &ProcId) -> Option<ProcHandle> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Get { id: id.clone(), reply }).ok()?;
        answer.await.ok().flatten()
    }

    /// A report of every proc of this user that the launcher can see, held by anybody or by nobody. Changes
    /// nothing.
    ///
    /// # Errors
    /// [`SurveyError`] where the launcher cannot be asked.
    pub async fn survey(&self) -> Result<Vec<Report>, SurveyError> {
        let now = std::time::SystemTime::now().into();
        let sightings = self.launcher.survey().await?;
        Ok(sightings.iter().map(|sighting| Report::of_seen(&self.seen(sighting), now)).collect())
    }

    /// How many ended procs of this user the launcher keeps until they are reaped. Cheaper than a survey.
    ///
    /// # Errors
    /// [`SurveyError`] where the launcher cannot be asked.
    pub async fn ended_kept(&self) -> Result<usize, SurveyError> {
        self.launcher.ended_kept().await
    }

    fn seen<'a>(&'a self, sighting: &'a Sighting) -> SeenProc<'a> {
        // A main process that is over is in no list of processes.
        let leftovers = sighting.processes.as_ref().map(Vec::len);
        SeenProc {
            id: &sighting.id,
            unit: &sighting.unit,
            launcher: self.launcher.name(),
            lifetime: sighting.lifetime,
            snapshot: &sighting.snapshot,
            details: &sighting.details,
            leftovers,
        }
    }
}
