//! Everything a proc forked, as far as it can be reached: the session of its leader.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use nix::errno::Errno;
use nix::unistd::Pid;
use tokio::sync::{RwLock, watch};

use super::census::Census;
use super::leader::Leader;
use crate::launcher::{DeliverError, Facts};
use crate::signal::Signal;
use crate::status::machine::Event;
use crate::sys::processes::{self, Process};

/// The leader and all others in its session.
///
/// The leader's process group is signalled in one step. Groups of their own in the session, such as the jobs of a
/// shell, are looked up and signalled process by process.
pub(super) struct Tree {
    leader: Leader,
    facts: Facts,
    /// Whether the leader's end was told. Held while a stop is delivered and told, so that what the leader does about
    /// it is told after it.
    end_told: Mutex<bool>,
    /// Read while signals go by the leader's number, written to before that is given back.
    deliveries: RwLock<()>,
    census: Arc<Census>,
    /// Whether SIGKILL is wanted: then nothing of it is to be left, whatever is forked meanwhile.
    killed: watch::Sender<bool>,
    /// Closed when the launcher is gone.
    launcher: watch::Receiver<()>,
}

impl Tree {
    pub(super) fn new(
        leader: Leader,
        facts: Facts,
        census: Arc<Census>,
        launcher: watch::Receiver<()>,
    ) -> Self {
        let killed = watch::Sender::new(false);
        let (end_told, deliveries) = (Mutex::new(false), RwLock::new(()));
        Self { leader, facts, end_told, deliveries, census, killed, launcher }
    }

    pub(super) fn leader(&self) -> &Leader {
        &self.leader
    }

    /// Waits for the leader, which is over, once no delivery is under way.
    pub(super) async fn reap(&self) {
        let _number = self.deliveries.write().await;
        self.leader.reap();
    }

    /// What is left of it besides the leader.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub(super) async fn others(&self) -> io::Result<Vec<Process>> {
        let pid = self.leader.pid();
        let mut others = self.census.of_session(pid).await?;
        others.retain(|process| process.pid != pid);
        Ok(others)
    }

    /// What is left of it.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub(super) async fn processes(&self) -> io::Result<Vec<Pid>> {
        if self.leader.is_reaped() {
            return Ok(Vec::new());
        }
        Ok(self.census.of_session(self.leader.pid()).await?.iter().map(|process| process.pid).collect())
    }

    /// Tells how the leader ended, once.
    pub(super) fn tell_end(&self) {
        self.tell_end_once(&mut self.end_told());
    }

    fn end_told(&self) -> MutexGuard<'_, bool> {
        self.end_told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_end_once(&self, told: &mut bool) {
        if !*told && let Ok(Some(exit)) = self.leader.end() {
            *told = true;
            self.facts.send(Event::Exited { exit, at: SystemTime::now().into() });
        }
    }

    /// Sends signals, in order, to every process of it.
    ///
    /// # Errors
    /// [`DeliverError::Gone`] where nothing is left; [`DeliverError::Failed`] where none may be signalled.
    pub(super) async fn signal(&self, sent: &[Signal]) -> Result<(), DeliverError> {
        self.deliver(sent, false).await
    }

    /// The same, and tells that a stop was delivered where the leader was there to take it.
    ///
    /// # Errors
    /// As [`Self::signal`].
    pub(super) async fn stop(&self, sent: &[Signal]) -> Result<(), DeliverError> {
        self.deliver(sent, true).await
    }

    async fn deliver(&self, sent: &[Signal], is_stop: bool) -> Result<(), DeliverError> {
        let _number = self.deliveries.read().await;
        let alive = self.deliver_to_group(sent, is_stop).map_err(failed)?;
        // The group has it; where /proc cannot be read, the rest of the session may not.
        let others = self.others().await.map_err(|error| DeliverError::Failed(Box::new(error)))?;
        // A group whose leader is over takes every signal; then it is on the others whether there was anybody.
        if !alive && others.is_empty() {
            return Err(DeliverError::Gone);
        }
        self.signal_outside(&others, sent);
        Ok(())
    }

    /// Whether the leader was there to take it.
    fn deliver_to_group(&self, sent: &[Signal], is_stop: bool) -> Result<bool, Errno> {
        let mut end_told = self.end_told();
        self.tell_end_once(&mut end_told);
        for &signal in sent {
            self.leader.signal_group(signal)?;
        }
        if is_stop && !*end_told {
            self.facts.send(Event::StopDelivered);
        }
        Ok(!*end_told)
    }

    /// Sends signals to those in groups of their own.
    pub(super) fn signal_outside(&self, others: &[Process], sent: &[Signal]) {
        let leader = self.leader.pid();
        for process in others.iter().filter(|process| process.group != leader) {
            match processes::send(process, leader, sent) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => tracing::debug!(pid = %process.pid, %errno, "not signalled"),
            }
        }
    }

    /// Kills all of it, now and what shows up later.
    ///
    /// # Errors
    /// As [`Self::signal`].
    pub(super) async fn kill(&self) -> Result<(), DeliverError> {
        self.killed.send_replace(true);
        self.stop(&[Signal::KILL]).await
    }

    /// Resolves once nothing of it is to be left: it was killed, or its launcher is gone. Cancel safe.
    pub(super) async fn doomed(&self) {
        let mut killed = self.killed.subscribe();
        let mut launcher = self.launcher.clone();
        tokio::select! {
            // Its sender is here: it cannot close.
            _ = killed.wait_for(|killed| *killed) => {}
            // Nothing is ever sent: it closes.
            _ = launcher.changed() => {}
        }
    }
}

pub(super) fn failed(errno: Errno) -> DeliverError {
    match errno {
        Errno::ESRCH => DeliverError::Gone,
        errno => DeliverError::Failed(Box::new(io::Error::from(errno))),
    }
}
