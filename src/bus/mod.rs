//! D-Bus to the user manager: connections, calls, signals.
//!
//! Owns the two connections, the match rules, the waiting for jobs, encoding and decoding, and reconnecting.
//! It must not decide what a state means, nor know a spec or a manager: property values go in, snapshots come
//! out. No type of the bus library is in its interface.

mod address;
mod calls;
mod connect;
mod decode;
mod details;
mod drain;
mod encode;
mod error;
mod event;
#[cfg(test)]
pub(crate) mod fake;
mod jobs;
mod link;
mod path;
mod proxies;
mod shared;
mod signatures;
#[cfg(test)]
mod tests;
mod units;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

pub use address::BusAddress;
pub use calls::{CALL_TIMEOUT, ListedUnit, ManagerInfo, UnitProcess, Whom};
pub use connect::CONNECT_TIMEOUT;
pub use drain::{RECONNECT_FIRST, RECONNECT_LONGEST};
pub use encode::FdSlots;
pub use error::{BusError, WireError};
pub use event::{BusEvent, Events, PER_UNIT};
pub use jobs::{Job, JobId};
pub use signatures::Signatures;

use self::connect::Connect;
use self::drain::Pair;
use self::link::Calls;
use self::shared::Shared;
use self::units::Generation;
use crate::id::UnitName;
use crate::signal::Signal;
use crate::status::details::UnitDetails;
use crate::status::snapshot::Snapshot;
use crate::unit::property::{Property, Value};

/// A further unit that is made in the same transaction, such as the holder that a proc is tied to.
#[derive(Clone, PartialEq)]
pub struct AuxUnit {
    /// Its name.
    pub name: String,
    /// Its properties.
    pub properties: Vec<Property>,
}

/// What connecting gives.
#[derive(Debug)]
pub struct Connected {
    /// For calls.
    pub bus: Bus,
    /// What is seen.
    pub events: Events,
    /// The manager's answer, asked for while the rest was being set up.
    pub info: ManagerInfo,
}

/// The user manager on its bus. Cheap to clone; when the last clone is gone, so are the connections, and with
/// them this client's references on units.
///
/// A call that is dropped before its answer may have been carried out all the same. Each call is bounded by
/// [`CALL_TIMEOUT`] from the moment that it is sent; 128 are under way at a time, and further ones wait in order. It
/// fails with [`BusError::Disconnected`] as soon as the connection is lost.
#[derive(Debug, Clone)]
pub struct Bus(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    drain: AbortHandle,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.drain.abort();
        self.shared.link.down("the bus was closed".to_owned());
        self.shared.jobs.lost("the bus was closed");
        self.shared.mailbox.close();
    }
}

impl Bus {
    /// Connects and asks the manager for its version. Needs a tokio runtime, on which the reading task then
    /// runs; a current-thread one will do.
    ///
    /// # Errors
    /// [`BusError::Unreachable`], [`BusError::Silent`] and [`BusError::NotAUserManager`] tell why there is nothing to
    /// talk to.
    pub async fn connect(address: BusAddress) -> Result<Connected, BusError> {
        // Two handshakes make a large future, and callers await this one deep in theirs.
        let connecting = Box::pin(Self::connect_by(Box::new(address.clone())));
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            // The bound of one step may be noticed in the same moment as that of the whole.
            Err(_) | Ok(Err(BusError::TimedOut { .. })) => {
                Err(BusError::Silent { address, after: CONNECT_TIMEOUT })
            }
            Ok(connected) => connected,
        }
    }

    async fn connect_by(connect: Box<dyn Connect>) -> Result<Connected, BusError> {
        let calls = async {
            let calls = connect::calls(&*connect, Generation::default()).await?;
            let info = calls::info(&calls).await?;
            Ok((calls, info))
        };
        let (signals, (calls, info)) = tokio::try_join!(connect::signals(&*connect), calls)?;
        let shared = Arc::new(Shared::new(calls.clone()));
        let events = Events(Arc::clone(&shared.mailbox));
        let drain = tokio::spawn(drain::run(Arc::clone(&shared), connect, Pair { signals, calls }));
        let bus = Self(Arc::new(Owner { shared, drain: drain.abort_handle() }));
        Ok(Connected { bus, events, info })
    }

    fn calls(&self) -> Result<Calls, BusError> {
        self.0.shared.link.calls()
    }

    /// From now on events of `unit` are told. To miss none, track before starting, or before a look.
    pub fn track(&self, unit: &UnitName) {
        self.0.shared.units.track(unit);
    }

    /// Nothing more of `unit` is told, also of what was seen already. The reference on it is not given back.
    pub fn untrack(&self, unit: &UnitName) {
        self.0.shared.units.untrack(unit);
        self.0.shared.mailbox.forget(unit);
    }

    /// The user whose systemd this is, by number.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn owner(&self) -> Result<u32, BusError> {
        calls::owner(&self.calls()?).await
    }

    /// What the manager says of itself now.
    pub async fn info(&self) -> Result<ManagerInfo, BusError> {
        calls::info(&self.calls()?).await
    }

    /// Makes and starts a transient unit, and the `aux` ones with it (`StartTransientUnit`).
    /// Properties may refer to `fds`. An auxiliary unit is started only where the main one pulls it in, by
    /// `BindsTo` or `Slice` for instance; on an error nothing of either is left.
    ///
    /// With `AddRef` among the properties and the unit tracked, the reference survives a lost connection.
    pub async fn start_transient(
        &self,
        unit: &str,
        properties: &[Property],
        aux: &[AuxUnit],
        fds: FdSlots<'_>,
    ) -> Result<Job, BusError> {
        let calls = self.calls()?;
        let encoded = encode::properties(properties, &fds)?;
        let aux = aux
            .iter()
            .map(|one| Ok((one.name.as_str(), encode::properties(&one.properties, &fds)?)))
            .collect::<Result<Vec<_>, BusError>>()?;
        // Before the call: the end of its job may be read before the answer.
        let expected = self.0.shared.jobs.expect(unit);
        let id = calls::start_transient(&calls, unit, &encoded, &aux).await?;
        if properties.iter().any(|one| one.name == "AddRef" && one.value == Value::Bool(true)) {
            self.referenced(unit, &calls).await?;
        }
        Ok(expected.job(id))
    }

    /// Stops a unit of any kind (`StopUnit` in mode `replace`); its stop time-out bounds the job.
    pub async fn stop(&self, unit: &str) -> Result<Job, BusError> {
        let calls = self.calls()?;
        let expected = self.0.shared.jobs.expect(unit);
        Ok(expected.job(calls::stop(&calls, unit).await?))
    }

    /// Sends a signal to processes of a unit.
    pub async fn kill(&self, unit: &str, whom: Whom, signal: Signal) -> Result<(), BusError> {
        calls::kill(&self.calls()?, unit, whom, signal).await
    }

    /// Lets go of a failed unit's state.
    pub async fn reset_failed(&self, unit: &str) -> Result<(), BusError> {
        calls::reset_failed(&self.calls()?, unit).await
    }

    /// Takes a reference: the unit stays in memory, and its signals flow, until [`Bus::unref`] or the end of
    /// the connection. On a tracked unit it is taken again after a reconnection. Each reference counts.
    pub async fn add_ref(&self, unit: &str) -> Result<(), BusError> {
        let calls = self.calls()?;
        calls::add_ref(&calls, unit).await?;
        self.referenced(unit, &calls).await
    }

    /// Gives a reference back; no error where there is none, or no unit. One that goes with the connection is not
    /// taken again.
    pub async fn unref(&self, unit: &str) -> Result<(), BusError> {
        self.0.shared.units.release(unit);
        calls::unref(&self.calls()?, unit).await
    }

    /// Whether calls can be made now, as far as is known.
    pub fn is_connected(&self) -> bool {
        self.calls().is_ok()
    }

    /// Does `work` and, where a lost connection or a manager that left broke it off, does it again when both are
    /// there, for at most [`CALL_TIMEOUT`] from then on.
    ///
    /// # Errors
    /// That of the last time `work` was done.
    pub async fn through_reconnects<T, F>(&self, work: impl Fn() -> F) -> Result<T, BusError>
    where
        F: Future<Output = Result<T, BusError>>,
    {
        let link = &self.0.shared.link;
        loop {
            let since = link.now();
            let lost = match work().await {
                Err(error) if error.is_broken_off() => error,
                other => return other,
            };
            if tokio::time::timeout(CALL_TIMEOUT, link.up_since(since)).await.is_err() {
                return Err(lost);
            }
        }
    }

    /// A reference on `unit` was taken on the connection of `calls`. If that was lost and replaced between the
    /// answer and this line, the one that took the references anew did not know of this one.
    async fn referenced(&self, unit: &str, calls: &Calls) -> Result<(), BusError> {
        let shared = &self.0.shared;
        // Not while references are taken anew, or both would take this one: systemd counts them.
        let _alone = shared.restoring.lock().await;
        shared.units.hold(unit, calls.generation);
        if let Ok(now) = shared.link.calls()
            && now.generation != calls.generation
        {
            calls::add_ref(&now, unit).await?;
            shared.units.hold(unit, now.generation);
        }
        Ok(())
    }

    /// The unit as it is now, load state included. A unit that does not exist is no error: its load state is
    /// `not-found`, and everything else has the values of a unit that never ran.
    pub async fn look(&self, unit: &str) -> Result<Snapshot, BusError> {
        calls::get_all(&self.calls()?, unit).await
    }

    /// [`Bus::look`] and, from the same moment, what reports show beside it.
    pub async fn details(&self, unit: &str) -> Result<(Snapshot, UnitDetails), BusError> {
        calls::get_all(&self.calls()?, unit).await
    }

    /// What a service has used: processor time and, from systemd 255 (`with_peak`), its peak of memory. Cheaper
    /// than [`Bus::details`], for the end of each run.
    pub async fn usage(&self, unit: &str, with_peak: bool) -> Result<UnitDetails, BusError> {
        let calls = self.calls()?;
        let (cpu, memory_peak) = if with_peak {
            let [cpu, peak] = calls::counters(&calls, unit, ["CPUUsageNSec", "MemoryPeak"]).await?;
            (cpu, peak)
        } else {
            let [cpu] = calls::counters(&calls, unit, ["CPUUsageNSec"]).await?;
            (cpu, None)
        };
        Ok(UnitDetails { cpu_usage: cpu.map(Duration::from_nanos), memory_peak, ..UnitDetails::default() })
    }

    /// The names of the units that a stop of this slice stops: those that lie in it, running or not, and those elsewhere
    /// that have a dependency on it with which a stop goes over.
    pub async fn in_slice(&self, slice: &str) -> Result<Vec<String>, BusError> {
        calls::stopped_with(&self.calls()?, slice).await
    }

    /// The units in memory whose name matches a glob.
    pub async fn list(&self, pattern: &str) -> Result<Vec<ListedUnit>, BusError> {
        calls::list(&self.calls()?, pattern).await
    }

    /// The processes in a unit's cgroup, without those of others that this user may not see.
    pub async fn processes(&self, unit: &str) -> Result<Vec<UnitProcess>, BusError> {
        calls::processes(&self.calls()?, unit).await
    }

    /// The D-Bus signature of every property that this manager's service units have.
    pub async fn service_signatures(&self) -> Result<Signatures, BusError> {
        // Any name does: systemd describes the object of a unit that does not exist just as well.
        signatures::of_service(&calls::introspect(&self.calls()?, "procunit-.service").await?)
    }
}
