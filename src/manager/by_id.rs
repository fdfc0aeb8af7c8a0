//! What is asked of a proc by its id: of the newest run that this manager has of it.

use std::time::Duration;

use super::error::{ReapError, TerminateError};
use super::message::Command;
use super::monitor::{ExitMonitor, MonitorError, monitor};
use super::{ProcHandle, ProcManager, StatusWatch};
use crate::id::ProcId;
use crate::status::ProcStatus;

impl ProcManager {
    /// The handle of a proc this manager holds, also after its end while its record is kept and it is not reaped.
    pub async fn get(&self, id: &ProcId) -> Option<ProcHandle> {
        self.ask(|reply| Command::Get { id: id.clone(), reply }).await.flatten()
    }

    /// The handle of the proc whose main process this is. None of an ended one: its number may be another's.
    pub async fn get_by_pid(&self, pid: u32) -> Option<ProcHandle> {
        self.ask(|reply| Command::GetByPid { pid, reply }).await.flatten()
    }

    /// The handles of all procs that [`Self::get`] would give one for, in the order of their ids.
    pub async fn list(&self) -> Vec<ProcHandle> {
        let mut all = self.ask(|reply| Command::List { reply }).await.unwrap_or_default();
        all.sort_by(|one, other| one.id().cmp(other.id()));
        all
    }

    /// The status of a proc now; `None` where this manager has none of that id.
    pub async fn status(&self, id: &ProcId) -> Option<ProcStatus> {
        Some(self.get(id).await?.status())
    }

    /// A watch of the newest status of a proc; `None` where this manager has none of that id.
    pub async fn watch(&self, id: &ProcId) -> Option<StatusWatch> {
        Some(self.get(id).await?.watch())
    }

    /// Ends a proc, see [`ProcHandle::terminate`].
    ///
    /// # Errors
    /// [`TerminateError`].
    pub async fn terminate(
        &self,
        id: &ProcId,
        grace: Option<Duration>,
        reason: impl Into<String>,
    ) -> Result<ProcStatus, TerminateError> {
        self.held(id).await?.terminate(grace, reason).await
    }

    /// Ends a proc with SIGKILL, see [`ProcHandle::kill`].
    ///
    /// # Errors
    /// [`TerminateError`].
    pub async fn kill(&self, id: &ProcId) -> Result<ProcStatus, TerminateError> {
        self.held(id).await?.kill().await
    }

    /// Begins to end a proc, see [`ProcHandle::request_stop`].
    ///
    /// # Errors
    /// [`TerminateError::NotHeld`], [`TerminateError::AlreadyTerminated`], [`TerminateError::Closed`].
    pub async fn request_stop(
        &self,
        id: &ProcId,
        grace: Option<Duration>,
        reason: impl Into<String>,
    ) -> Result<(), TerminateError> {
        self.held(id).await?.request_stop(grace, reason)
    }

    async fn held(&self, id: &ProcId) -> Result<ProcHandle, TerminateError> {
        let answer = self.ask(|reply| Command::Get { id: id.clone(), reply }).await;
        answer.ok_or(TerminateError::Closed)?.ok_or_else(|| TerminateError::NotHeld { id: id.clone() })
    }

    /// Calls `callback` with the end of a proc, exactly once, also where it is over already.
    ///
    /// It is called when everything of the proc has been cleaned up, so that it may launch the same id again (a
    /// detached one after [`Self::reap`]); on a thread of its own, within the manager's runtime. It may block. With a
    /// restart policy it is told the final end. An end that cannot be known any more, also because the manager is
    /// gone, is told as `Failed`.
    ///
    /// # Errors
    /// [`MonitorError`].
    pub async fn on_exit(
        &self,
        id: &ProcId,
        callback: impl FnOnce(ProcStatus) + Send + 'static,
    ) -> Result<ExitMonitor, MonitorError> {
        let (handle, slot) = monitor(Box::new(callback));
        let answer = self.ask(|reply| Command::Monitor { id: id.clone(), slot, reply }).await;
        answer.unwrap_or(Err(MonitorError::Closed)).map(|()| handle)
    }

    /// Throws away what is kept of a proc that is over, here and by the launcher, so that its id is free. What its main
    /// process left behind is ended.
    ///
    /// # Errors
    /// [`ReapError`].
    pub async fn reap(&self, id: &ProcId) -> Result<(), ReapError> {
        let answer = self.ask(|reply| Command::Get { id: id.clone(), reply }).await;
        let handle = answer.ok_or(ReapError::Closed)?.ok_or_else(|| ReapError::NotHeld { id: id.clone() })?;
        let status = handle.status();
        if !status.is_exit() {
            return Err(ReapError::NotOver { id: id.clone(), status });
        }
        handle.reap().await;
        Ok(())
    }

    /// Throws away an ended proc that has this id, wherever it was launched. False where it is not over.
    pub(super) async fn make_way(&self, id: &ProcId) -> bool {
        if let Some(held) = self.get(id).await {
            return reap_if_over(&held).await;
        }
        let Ok(found) = self.adopt(id).await else { return false };
        let over = reap_if_over(&found).await;
        if !over {
            // It is none of ours.
            found.let_go();
        }
        over
    }
}

async fn reap_if_over(found: &ProcHandle) -> bool {
    let over = found.status().is_exit();
    if over {
        found.reap().await;
    }
    over
}
