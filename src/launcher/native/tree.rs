//! Everything a proc forked, as far as it can be reached: the session of its leader.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use nix::errno::Errno;
use nix::unistd::Pid;
use tokio::sync::{RwLock, RwLockReadGuard};

use super::leader::Leader;
use super::spawner::Spawner;
use crate::launcher::{DeliverError, Facts};
use crate::signal::Signal;
use crate::status::machine::Event;
use crate::sys::processes::{self, Process, Seen};

/// The leader and all others in its session.
///
/// The leader's process group is signalled in one step. Groups of their own in the session, such as the jobs of a
/// shell, are looked up and signalled process by process.
pub(super) struct Tree {
    leader: Leader,
    facts: Facts,
    spawner: Spawner,
    /// Whether the leader's end was told. Held while a stop is delivered and told, so that what the leader does about
    /// it is told after it.
    end_told: Mutex<bool>,
    /// Read while signals go by the leader's number, written to before that is given back.
    deliveries: RwLock<()>,
    /// Whether that is to be given back when the delivery that keeps it is over.
    reap_is_due: AtomicBool,
    /// Whether nothing of it is to be left, whatever is forked meanwhile: SIGKILL is wanted, or its launcher is gone.
    doomed: AtomicBool,
    /// Whether somebody waits until nothing of it is left: it was asked to end.
    awaited: AtomicBool,
}

impl Tree {
    pub(super) fn new(leader: Leader, facts: Facts, spawner: Spawner) -> Self {
        let (end_told, deliveries) = (Mutex::new(false), RwLock::new(()));
        Self {
            leader,
            facts,
            spawner,
            end_told,
            deliveries,
            reap_is_due: AtomicBool::new(false),
            doomed: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
        }
    }

    pub(super) fn leader(&self) -> &Leader {
        &self.leader
    }

    pub(super) fn spawner(&self) -> &Spawner {
        &self.spawner
    }

    /// Waits for the leader, which is over. False while a delivery is under way: it keeps its number then, and calls for
    /// a look when it is over.
    pub(super) fn reap(&self) -> bool {
        self.try_reap() || {
            self.reap_is_due.store(true, Ordering::SeqCst);
            // A delivery that ended in between has not seen that.
            self.try_reap()
        }
    }

    fn try_reap(&self) -> bool {
        let number = self.deliveries.try_write();
        if number.is_ok() {
            self.leader.reap();
        }
        number.is_ok()
    }

    /// What is left of it besides the leader.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    async fn others(&self) -> io::Result<Vec<Process>> {
        let pid = self.leader.pid();
        let mut others = self.in_session().await?;
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
        Ok(self.in_session().await?.iter().map(|process| process.pid).collect())
    }

    async fn in_session(&self) -> io::Result<Vec<Process>> {
        let leader = self.leader.pid();
        let all = self.spawner.look().await?;
        let found = all.iter().filter(|listed| listed.session == leader);
        let seen = processes::look_again(leader, &found.map(|listed| listed.pid).collect::<Vec<_>>())?;
        Ok(seen.iter().filter_map(Seen::alive).collect())
    }

    /// Tells a fact of it.
    pub(super) fn tell(&self, event: Event) {
        self.facts.send(event);
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
        self.awaited.store(true, Ordering::SeqCst);
        self.deliver(sent, true).await
    }

    async fn deliver(&self, sent: &[Signal], is_stop: bool) -> Result<(), DeliverError> {
        let _number = self.hold_number().await;
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

    pub(super) async fn hold_number(&self) -> Number<'_> {
        Number { tree: self, held: Some(self.deliveries.read().await) }
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
        self.doom();
        self.spawner.look_behind(self.leader.pid());
        self.stop(&[Signal::KILL]).await
    }

    /// From now on nothing of it is to be left, once its leader is over.
    pub(super) fn doom(&self) {
        self.doomed.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::SeqCst) || self.is_doomed()
    }

    pub(super) fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::SeqCst)
    }
}

/// Keeps the number of the leader from being given back.
pub(super) struct Number<'tree> {
    tree: &'tree Tree,
    held: Option<RwLockReadGuard<'tree, ()>>,
}

impl Drop for Number<'_> {
    fn drop(&mut self) {
        // First: it is to be had when the keeper asks for it again.
        self.held = None;
        if self.tree.reap_is_due.swap(false, Ordering::SeqCst) {
            self.tree.spawner.look_behind(self.tree.leader.pid());
        }
    }
}

pub(super) fn failed(errno: Errno) -> DeliverError {
    match errno {
        Errno::ESRCH => DeliverError::Gone,
        errno => DeliverError::Failed(Box::new(io::Error::from(errno))),
    }
}
