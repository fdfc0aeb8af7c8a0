//! The manager: owns procs and their statuses. One task per manager drains facts and is the only writer.
//!
//! It knows launchers by their traits alone: no bus, no kernel here.

mod backlog;
mod builder;
mod bulk;
mod by_id;
mod callbacks;
mod captured;
mod cut;
mod deliveries;
mod entry;
mod error;
mod events;
mod handle;
mod ladder;
mod log_end;
mod log_lines;
mod logs;
mod message;
mod monitor;
mod opening;
mod outlets;
mod output;
mod settings;
mod sweep;
mod task;
mod to_journal;
mod turns;

use std::ffi::OsString;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

pub use builder::ManagerBuilder;
pub use bulk::{AdoptSummary, Concurrency, TerminateSummary};
pub use captured::Captured;
pub use error::{ReadyError, ReapError, TerminateError, WaitError};
pub use events::{ProcEvent, ProcEvents};
pub use handle::{ProcHandle, StatusWatch};
pub use log_lines::{LogEvent, LogLine, LogLines};
pub use logs::logged_run;
pub use monitor::{ExitMonitor, MonitorError};
pub use settings::BadSetting;

use crate::id::ProcId;
use crate::launcher::{AdoptError, LaunchError, ProcLauncher, Sighting, SurveyError};
use crate::report::{Report, SeenProc};
use crate::spec::{ProcSpec, ProcSpecBuilder};
use builder::SpecDefaults;
use message::{Command, Spawned};
use outlets::{Outlets, OutputSettings};
use turns::Turns;

/// Starts procs and keeps hold of them. A clone is the same manager.
///
/// Dropping the last clone ends its task: attached procs end by their tie, detached ones live on, waits that are not
/// over answer `Closed`, and callbacks that wait for an end are told that it is not known. A callback that holds a
/// clone keeps the manager until it is called or cancelled. [`Self::shutdown`] ends it in order.
///
/// It must be made within a tokio runtime, which may be a current-thread one.
#[derive(Debug, Clone)]
pub struct ProcManager {
    commands: mpsc::UnboundedSender<Command>,
    launcher: Arc<dyn ProcLauncher>,
    outlets: Arc<Outlets>,
    turns: Turns,
    defaults: SpecDefaults,
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
        Self::builder(launcher).build()
    }

    /// A manager on this launcher, with settings of its own.
    pub fn builder(launcher: impl ProcLauncher) -> ManagerBuilder {
        ManagerBuilder::new(launcher)
    }

    fn start(
        launcher: Arc<dyn ProcLauncher>,
        turns: Turns,
        defaults: SpecDefaults,
        exit_records: usize,
        output: OutputSettings,
    ) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let outlets = Outlets::new(output);
        let outlets = Arc::new(outlets);
        let task = task::Task::new(
            (Arc::clone(&launcher), Arc::clone(&outlets)),
            turns.clone(),
            commands.downgrade(),
            inbox,
            exit_records,
        );
        tokio::spawn(task.run());
        Self { commands, launcher, outlets, turns, defaults }
    }

    /// How many lines could not be written to the files of [`ManagerBuilder::aggregate`], as of a disk that is full. The
    /// files say it, too, where they take more.
    pub fn lines_not_gathered(&self) -> u64 {
        self.outlets.not_gathered()
    }

    /// The launcher's name.
    pub fn launcher(&self) -> &'static str {
        self.launcher.name()
    }

    /// Begins a spec with this manager's defaults ([`ManagerBuilder::defaults`]); what is set on it wins. A spec that is
    /// begun by [`ProcSpec::builder`] has the built-in ones alone.
    pub fn spec(&self, id: ProcId, program: impl Into<OsString>) -> ProcSpecBuilder {
        self.defaults.begin(id, program.into())
    }

    /// Starts a proc and answers when exec has succeeded, also where the program is over by then.
    ///
    /// Any number of calls may be made at once: as many launches are under way as help the launcher
    /// ([`ManagerBuilder::launches_at_once`]), and the others wait in the order in which they were first polled. Until
    /// its turn comes nothing is known of a proc but to its caller.
    ///
    /// Cancel safe: where the future is dropped before it has answered, what was started is ended; before its turn
    /// nothing was.
    ///
    /// # Errors
    /// [`LaunchError`]; nothing of the proc is left then.
    pub async fn spawn(&self, spec: ProcSpec) -> Result<ProcHandle, LaunchError> {
        let spec = Box::new(spec);
        if spec.replaces_ended() { Box::pin(self.replace(spec)).await } else { self.spawn_new(spec).await }
    }

    async fn replace(&self, spec: Box<ProcSpec>) -> Result<ProcHandle, LaunchError> {
        // Twice, as what this manager has of the id may be an earlier run than the one that is in the way.
        for _ in 0..2 {
            match self.spawn_new(spec.clone()).await {
                Err(LaunchError::AlreadyExists { id }) if self.make_way(&id).await => {}
                answer => return answer,
            }
        }
        self.spawn_new(spec).await
    }

    async fn spawn_new(&self, spec: Box<ProcSpec>) -> Result<ProcHandle, LaunchError> {
        let mut spec = spec;
        loop {
            let Ok(turn) = self.turns.next().await else { return Err(LaunchError::Closed) };
            match self.ask(|reply| Command::Spawn { spec, turn, reply }).await {
                None => return Err(LaunchError::Closed),
                Some(Spawned::Done(launched)) => return launched,
                Some(Spawned::NotYet { spec: given_back, free }) => {
                    spec = given_back;
                    let _ = free.await;
                }
            }
        }
    }

    /// Takes hold of a proc that somebody else started, whether it is over or not.
    ///
    /// Cancel safe: where the future is dropped, the hold is given up.
    ///
    /// # Errors
    /// [`AdoptError`].
    pub async fn adopt(&self, id: &ProcId) -> Result<ProcHandle, AdoptError> {
        let answer = self.ask(|reply| Command::Adopt { id: id.clone(), reply }).await;
        answer.unwrap_or(Err(AdoptError::Closed))
    }

    /// Ends every proc that it holds, attached and detached, each by the stop policy of its spec and 16 at a time, and
    /// then itself: reads what is still to be read, tells every callback, and lets go of its launcher. Afterwards there
    /// is nothing left of it; who asks it for something is told that it is gone. Callbacks run on their own threads, and
    /// their end is not waited for.
    ///
    /// From the call on nothing is launched or adopted any more. To leave detached procs running, drop the manager
    /// instead. Dropping the future breaks it off in the middle; another call goes on with it.
    pub async fn shutdown(&self) -> TerminateSummary {
        self.turns.close();
        let _ = self.ask(|reply| Command::Close { reply }).await;
        let summary = self.terminate_all(None, Concurrency::default(), "its manager was shut down").await;
        self.outlets.flush().await;
        let _ = self.ask(|reply| Command::Finish { reply }).await;
        self.launcher.close().await;
        summary
    }

    /// `None` where the manager is gone.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).ok()?;
        answer.await.ok()
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
