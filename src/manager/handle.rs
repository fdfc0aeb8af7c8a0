//! A clonable view of one proc. It holds no state of its own: the status lives in the manager's watch channel.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::entry::Entry;
use super::error::{ReadyError, TerminateError, WaitError};
use super::events::{Log, ProcEvent, ProcEvents};
use super::message::Command;
use super::output::{RunOutput, Slot};
use crate::id::{InvocationId, ProcId};
use crate::launcher::{DeliverError, RunKey, Target};
use crate::report::Report;
use crate::signal::Signal;
use crate::spec::defaults;
use crate::status::ProcStatus;
use crate::status::history::Transition;

/// What the manager's task publishes of a proc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) status: ProcStatus,
    pub(super) run: Option<InvocationId>,
    pub(super) pid: Option<u32>,
    /// How many transitions there were.
    pub(super) moves: u64,
    /// Until when it has to be ready; absent where nothing will tell.
    pub(super) ready_by: Option<Instant>,
}

/// One run of a proc, as its manager sees it.
///
/// Clones are views of the same run; a later run of the same id has handles of its own. Dropping a handle
/// changes nothing. Every method is cancel safe: dropping its future takes no wish back that was sent.
#[derive(Debug, Clone)]
pub struct ProcHandle {
    id: ProcId,
    key: RunKey,
    view: watch::Receiver<View>,
    log: Log,
    commands: Arc<mpsc::WeakUnboundedSender<Command>>,
    notes: Arc<[String]>,
    output: Slot,
}

impl ProcHandle {
    pub(super) fn new(key: RunKey, entry: &Entry, commands: mpsc::WeakUnboundedSender<Command>) -> Self {
        Self {
            id: entry.id.clone(),
            key,
            view: entry.view.subscribe(),
            log: entry.log.clone(),
            commands: Arc::new(commands),
            notes: entry.notes.clone().into(),
            output: Arc::clone(&entry.output),
        }
    }

    /// The proc's id.
    pub fn id(&self) -> &ProcId {
        &self.id
    }

    /// systemd's id of this run; `None` for a launcher without one.
    pub fn run(&self) -> Option<InvocationId> {
        self.view.borrow().run
    }

    /// The main process, also after its end.
    pub fn pid(&self) -> Option<u32> {
        self.view.borrow().pid
    }

    /// The address that it announced when it became ready, also after its end.
    pub fn addr(&self) -> Option<String> {
        self.announced().0
    }

    /// The address of the agent in it, as it announced it when it became ready, also after its end.
    pub fn agent(&self) -> Option<String> {
        self.announced().1
    }

    fn announced(&self) -> (Option<String>, Option<String>) {
        let log = self.log.lock();
        let announced = log.iter().rev().find_map(|transition| match &transition.to {
            ProcStatus::Ready { addr, agent, .. } => Some((addr.clone(), agent.clone())),
            _ => None,
        });
        announced.unwrap_or_default()
    }

    /// What this process has of its output.
    pub(super) fn output(&self) -> Option<&RunOutput> {
        self.output.get()
    }

    /// What about the launch was worth telling, such as an environment entry that could not be passed.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The status now.
    pub fn status(&self) -> ProcStatus {
        self.view.borrow().status.clone()
    }

    /// A watch of the newest status, which may skip statuses between two looks.
    pub fn watch(&self) -> StatusWatch {
        StatusWatch { given: self.status(), view: self.view.clone() }
    }

    /// Every transition in order, from the oldest that is kept. Many may read, each at its own pace; who is slow is
    /// told how many were lost.
    pub fn events(&self) -> ProcEvents {
        ProcEvents::new(self.log.clone(), self.view.clone(), 0)
    }

    /// Resolves with the status after the next change that follows this call. Of a proc that is over there is none.
    ///
    /// # Errors
    /// [`WaitError::Closed`] where the manager is gone, or goes, without one.
    pub fn changed(&self) -> impl Future<Output = Result<ProcStatus, WaitError>> + Send + use<> {
        // Now, and not when it is first polled.
        let mut watch = self.watch();
        async move { watch.changed().await }
    }

    /// Resolves with the end; at once if it is over. Many may wait.
    ///
    /// It resolves as soon as the main process's end is known; processes it left may still be being swept, see
    /// [`Self::gone`].
    ///
    /// # Errors
    /// [`WaitError::Closed`] where the manager is gone and the proc was not over.
    pub async fn wait(&self) -> Result<ProcStatus, WaitError> {
        let mut view = self.view.clone();
        let ended = view.wait_for(|view| view.status.is_exit()).await.map_err(|_| WaitError::Closed)?;
        Ok(ended.status.clone())
    }

    /// Resolves once it is ready; at once if it is. Who waits when it becomes ready is told so, however soon it ends
    /// after that.
    ///
    /// # Errors
    /// [`ReadyError`].
    pub async fn ready(&self) -> Result<ProcStatus, ReadyError> {
        let (status, moves, by) = {
            let view = self.view.borrow();
            (view.status.clone(), view.moves, view.ready_by)
        };
        match status {
            ProcStatus::Ready { .. } => return Ok(status),
            status if status.is_exit() => return Err(ReadyError::Terminal(status)),
            _ => {}
        }
        let by = by.ok_or(ReadyError::NotDeclared)?;
        let late = ReadyError::TimedOut { after: defaults::READY_TIMEOUT };
        timeout_at(by, self.ready_after(moves)).await.unwrap_or(Err(late))
    }

    async fn ready_after(&self, moves: u64) -> Result<ProcStatus, ReadyError> {
        let mut events = ProcEvents::new(self.log.clone(), self.view.clone(), moves);
        while let Some(event) = events.next().await {
            match event {
                ProcEvent::Transition(Transition { to: to @ ProcStatus::Ready { .. }, .. }) => return Ok(to),
                ProcEvent::Transition(Transition { to, .. }) if to.is_exit() => {
                    return Err(ReadyError::Terminal(to));
                }
                ProcEvent::Transition(_) | ProcEvent::Lost(_) => {}
            }
        }
        Err(ReadyError::Closed)
    }

    /// Resolves with the end once nothing of the proc is left: what the main process left behind is ended by
    /// systemd (attached) or by this manager (detached).
    ///
    /// # Errors
    /// [`TerminateError::TimedOut`] where leftovers outlive SIGKILL, [`TerminateError::Closed`].
    pub async fn gone(&self) -> Result<ProcStatus, TerminateError> {
        self.ask(|reply| Command::Gone { key: self.key, reply }).await?
    }

    /// Ends the proc: the stop signal to the whole tree now, SIGKILL after `grace` (the spec's stop timeout when
    /// `None`), an error 5 s after that. `Ok` carries the exact end and means that nothing of it is left.
    ///
    /// A second call joins the first, and the earlier deadline wins. `reason` stands in the report.
    ///
    /// # Errors
    /// [`TerminateError`].
    pub async fn terminate(
        &self,
        grace: Option<Duration>,
        reason: impl Into<String>,
    ) -> Result<ProcStatus, TerminateError> {
        let reason = reason.into();
        let span = tracing::info_span!("terminate", id = %self.id, reason);
        self.ask(|reply| Command::Terminate { key: self.key, grace, reason, reply }).instrument(span).await?
    }

    /// As [`Self::terminate`], without waiting for what comes of it.
    ///
    /// # Errors
    /// [`TerminateError::AlreadyTerminated`], [`TerminateError::Closed`].
    pub fn request_stop(
        &self,
        grace: Option<Duration>,
        reason: impl Into<String>,
    ) -> Result<(), TerminateError> {
        let status = self.status();
        let (reply, _) = oneshot::channel();
        // What an ended one left is to be ended all the same.
        self.send(Command::Terminate { key: self.key, grace, reason: reason.into(), reply })?;
        if status.is_exit() { Err(TerminateError::AlreadyTerminated(status)) } else { Ok(()) }
    }

    /// Ends the proc with SIGKILL to the whole tree now. `Ok` as for [`Self::terminate`].
    ///
    /// # Errors
    /// [`TerminateError`].
    pub async fn kill(&self) -> Result<ProcStatus, TerminateError> {
        let span = tracing::info_span!("kill", id = %self.id);
        self.ask(|reply| Command::Kill { key: self.key, reply }).instrument(span).await?
    }

    /// Sends a signal. It changes no status by itself.
    ///
    /// # Errors
    /// [`DeliverError`]; [`DeliverError::Gone`] also where the manager is gone.
    pub async fn signal(&self, signal: Signal, to: Target) -> Result<(), DeliverError> {
        match self.ask(|reply| Command::Signal { key: self.key, signal, to, reply }).await {
            Ok(answer) => answer,
            Err(_) => Err(DeliverError::Gone),
        }
    }

    /// Everything that is known of it now.
    ///
    /// `None` where the manager is gone, or keeps no record of this run any more.
    pub async fn report(&self) -> Option<Report> {
        self.ask(|reply| Command::Report { key: self.key, reply }).await.ok().flatten()
    }

    /// Gives up what is kept of an ended detached proc, so that its id is free. Without effect on one that is
    /// not over.
    pub async fn reap(&self) {
        let _ = self.ask(|reply| Command::Reap { key: self.key, reply }).await;
    }

    /// Gives up the hold on a proc that is not over and was adopted; this handle is of no use any more.
    pub(super) fn let_go(&self) {
        let _ = self.send(Command::LetGo { key: self.key });
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, TerminateError> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply))?;
        answer.await.map_err(|_| TerminateError::Closed)
    }

    fn send(&self, command: Command) -> Result<(), TerminateError> {
        let commands = self.commands.upgrade().ok_or(TerminateError::Closed)?;
        commands.send(command).map_err(|_| TerminateError::Closed)
    }
}

/// The newest status of a proc, and a wait for a newer one.
#[derive(Debug, Clone)]
pub struct StatusWatch {
    view: watch::Receiver<View>,
    /// What a change is a change from.
    given: ProcStatus,
}

impl StatusWatch {
    /// The status now.
    pub fn status(&self) -> ProcStatus {
        self.view.borrow().status.clone()
    }

    /// Resolves with the newest status once it is another than at the call before, or than when the watch was made: at
    /// once where it changed in between. Statuses between two calls are skipped.
    ///
    /// # Errors
    /// [`WaitError::Closed`] where the manager is gone.
    pub async fn changed(&mut self) -> Result<ProcStatus, WaitError> {
        // The run's id or pid alone is no change of status.
        let changed = self.view.wait_for(|view| view.status != self.given).await;
        self.given.clone_from(&changed.map_err(|_| WaitError::Closed)?.status);
        Ok(self.given.clone())
    }
}
