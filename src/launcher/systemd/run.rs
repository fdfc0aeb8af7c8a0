//! One held unit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::geteuid;

use super::slices::Seat;
use super::{Shared, error, sighting};
use crate::bus::{BusError, Whom};
use crate::id::{InvocationId, ProcId, UnitName};
use crate::launcher::{AdoptError, Adopted, BoxFuture, DeliverError, Facts, Left, ProcRun, RunKey, Target};
use crate::signal::Signal;
use crate::status::details::UnitDetails;
use crate::status::machine::Restarts;
use crate::unit::Feature;

/// A unit this client holds a reference on, so that its end stays readable and its signals flow.
pub(super) struct SystemdRun {
    shared: Arc<Shared>,
    unit: UnitName,
    key: RunKey,
    /// Whether the reference is still there. Another run may have the name once it is not.
    referenced: AtomicBool,
    /// Whether what was kept of it has been thrown away: what has the name since then is not it.
    discarded: AtomicBool,
    /// Its place in a slice, until the hold is given up.
    seat: Mutex<Option<Seat>>,
}

impl SystemdRun {
    pub(super) fn new(shared: Arc<Shared>, unit: UnitName, key: RunKey, seat: Option<Seat>) -> Self {
        let (referenced, discarded) = (AtomicBool::new(true), AtomicBool::new(false));
        Self { shared, unit, key, referenced, discarded, seat: Mutex::new(seat) }
    }

    /// The seat first: with the route the unit's name is free, and may be given a seat anew.
    fn give_up_route(&self) {
        drop(self.seat.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.shared.close_route(&self.unit, self.key);
    }

    async fn throw_away(&self, run: Option<InvocationId>) -> Result<(), BusError> {
        let (bus, unit) = (&self.shared.bus, self.unit.as_str());
        let there = bus.look(unit).await?.unit.invocation;
        if run.is_some() && there.is_some() && there != run {
            return Ok(());
        }
        // A detached unit that ended well is still active; its stop ends what is left in it, too.
        match bus.stop(unit).await {
            Ok(mut job) => drop(job.ended().await?),
            Err(BusError::NoSuchUnit { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        bus.reset_failed(unit).await
    }
}

impl Drop for SystemdRun {
    fn drop(&mut self) {
        self.give_up_route();
    }
}

impl ProcRun for SystemdRun {
    fn unit(&self) -> Option<&UnitName> {
        Some(&self.unit)
    }

    /// StopUnit: TERM and CONT to the whole control group, no restart after it, and systemd's own KILL at the
    /// backstop should this process die in the middle.
    fn stop(&self) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(async {
            let queued = self.shared.bus.stop(self.unit.as_str()).await;
            queued.map(drop).map_err(error::of_delivery)
        })
    }

    /// KillUnit to all of the control group: `main` would be an error before there is a main process.
    ///
    /// Of one that is started again StopUnit follows, on its way before the first answer is there: systemd takes them
    /// in that order, so that SIGKILL comes before the stop's TERM, and no restart after it.
    fn kill(&self) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(async {
            let (bus, unit) = (&self.shared.bus, self.unit.as_str());
            let kill = bus.kill(unit, Whom::All, Signal::KILL);
            if !self.shared.routes.is_restarted(&self.unit, self.key) {
                return kill.await.map_err(error::of_delivery);
            }
            let (killed, stopped) = tokio::join!(biased; kill, bus.stop(unit));
            killed.map_err(error::of_delivery)?;
            stopped.map(drop).map_err(error::of_delivery)
        })
    }

    fn signal(&self, signal: Signal, to: Target) -> BoxFuture<'_, Result<(), DeliverError>> {
        let whom = match to {
            Target::Main => Whom::Main,
            Target::Tree => Whom::All,
        };
        Box::pin(async move {
            self.shared.bus.kill(self.unit.as_str(), whom, signal).await.map_err(error::of_delivery)
        })
    }

    fn processes(&self) -> BoxFuture<'_, Option<Vec<u32>>> {
        Box::pin(async {
            let left = self.shared.bus.processes(self.unit.as_str()).await;
            match left {
                Ok(left) => Some(left.into_iter().map(|process| process.pid).collect()),
                Err(BusError::NoSuchUnit { .. }) => Some(Vec::new()),
                Err(_) => None,
            }
        })
    }

    fn left(&self, run: Option<InvocationId>) -> BoxFuture<'_, Option<Left>> {
        Box::pin(async move {
            if self.processes().await?.is_empty() {
                return Some(Left::Nothing);
            }
            // Last, so that little time is left for the name to become another run's.
            let seen = self.shared.bus.look(self.unit.as_str()).await.ok()?.unit;
            let anothers = run.is_some() && seen.invocation.is_some() && seen.invocation != run;
            Some(match seen.active_state.as_deref()? {
                _ if anothers => Left::Nothing,
                "inactive" | "failed" => Left::Nothing,
                "active" => Left::Staying,
                _ => Left::Ending,
            })
        })
    }

    fn details(&self) -> BoxFuture<'_, Option<UnitDetails>> {
        Box::pin(async {
            let (snapshot, details) = self.shared.bus.details(self.unit.as_str()).await.ok()?;
            // A unit that is not there reads as one with every counter at its default.
            (snapshot.unit.load_state.as_deref() != Some("not-found")).then_some(details)
        })
    }

    fn usage(&self) -> BoxFuture<'_, Option<UnitDetails>> {
        let with_peak = self.shared.version.has(Feature::MemoryPeak);
        Box::pin(async move { self.shared.bus.usage(self.unit.as_str(), with_peak).await.ok() })
    }

    fn discard(&self, run: Option<InvocationId>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if self.discarded.load(Ordering::Acquire) {
                return;
            }
            match self.shared.bus.through_reconnects(|| self.throw_away(run)).await {
                Ok(()) | Err(BusError::NoSuchUnit { .. }) => self.discarded.store(true, Ordering::Release),
                Err(error) => tracing::warn!(unit = %self.unit, %error, "what is kept of it is still there"),
            }
        })
    }

    fn release(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if !self.referenced.swap(false, Ordering::AcqRel) {
                return;
            }
            self.give_up_route();
            // Also where the connection was lost, and the reference with it: it may be being taken anew just now.
            let (bus, unit) = (&self.shared.bus, self.unit.as_str());
            match bus.through_reconnects(|| bus.unref(unit)).await {
                Ok(()) | Err(BusError::NoSuchUnit { .. }) => {}
                Err(error) => tracing::debug!(%unit, %error, "not released"),
            }
        })
    }
}

/// Takes a reference on the unit of a proc that somebody else started, and looks at it.
pub(super) async fn adopt(shared: &Arc<Shared>, id: ProcId, facts: Facts) -> Result<Adopted, AdoptError> {
    let unit = UnitName::for_proc(&id);
    let key = facts.key;
    let owner = shared.owner().await.map_err(|refused| error::of_adopt(&id, refused))?;
    refuse_anothers(&unit, owner, geteuid().as_raw())?;
    if shared.routes.open_found(&unit, facts).is_none() {
        return Err(AdoptError::AlreadyHeld { id });
    }
    // From here on dropping the run takes the route back.
    let run = SystemdRun::new(Arc::clone(shared), unit.clone(), key, None);
    shared.bus.track(&unit);
    shared.bus.add_ref(unit.as_str()).await.map_err(|refused| error::of_adopt(&id, refused))?;
    let (snapshot, details) =
        shared.bus.details(unit.as_str()).await.map_err(|refused| error::of_adopt(&id, refused))?;
    match sighting::sight(&unit, snapshot.clone(), details) {
        Ok(sighting) => {
            shared.routes.found(&unit, key, sighting.restarts != Restarts::Never);
            shared.routes.looked(&unit, key, snapshot);
            Ok(Adopted { run: Box::new(run), sighting })
        }
        Err(unseen) => {
            let _ = shared.bus.unref(unit.as_str()).await;
            Err(unseen.for_id(id, &unit))
        }
    }
}

/// A bus that lets root in, say, may be another user's.
fn refuse_anothers(unit: &UnitName, owner: u32, user: u32) -> Result<(), AdoptError> {
    if owner == user {
        return Ok(());
    }
    Err(AdoptError::OtherOwner { unit: unit.to_string(), owner, user })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_users_units_are_refused_by_name() {
        let unit = UnitName::for_proc(&ProcId::new("web").unwrap());
        assert!(refuse_anothers(&unit, 1000, 1000).is_ok());
        let refused = refuse_anothers(&unit, 1000, 0).unwrap_err().to_string();
        assert_eq!(
            refused,
            "procunit-web.service belongs to user 1000, and this is user 0; run it as that user"
        );
    }
}
