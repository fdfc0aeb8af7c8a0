//! The calls themselves, each on a given connection: what is sent, within which bound, and what comes back.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use zbus::Variant;

use super::connect::{DBUS, DBUS_PATH, SYSTEMD};
use super::decode::{All, Fill, SERVICE, UNIT};
use super::error::BusError;
use super::jobs::JobId;
use super::link::Calls;
use super::path;
use crate::signal::Signal;

/// How long one call may take: sd-bus's own default, with which `systemctl` waits, too (sd_bus_call(3)).
pub const CALL_TIMEOUT: Duration = Duration::from_secs(25);

/// Which processes of a unit get a signal, as `KillUnit` calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The main process; [`BusError::NoSuchProcess`] while there is none.
    Main,
    /// Every process of the unit; no error where there is none.
    All,
}

/// What the user manager says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ManagerInfo {
    /// Its version as it writes it, such as `252.39-1~deb12u1`.
    pub version: String,
    /// The environment it gives to what it starts, in its order.
    pub environment: Vec<(String, String)>,
}

/// A unit as `ListUnitsByPatterns` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedUnit {
    /// Its name.
    pub name: String,
    /// `Description`.
    pub description: String,
    /// `LoadState`.
    pub load_state: String,
    /// `ActiveState`.
    pub active_state: String,
    /// `SubState`.
    pub sub_state: String,
    /// The id of its job; 0 is "none".
    pub job: u32,
}

/// A process of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitProcess {
    /// Its process id.
    pub pid: u32,
    /// Its command line, as systemd shows it: quoted where it must be, and possibly cut.
    pub command: String,
}

/// A property's name and value on their way.
pub(super) type Named<'a> = (&'a str, Variant<'a>);

/// `answer` within [`CALL_TIMEOUT`] once its turn has come, its errors told as this room's.
async fn bounded<T>(
    on: &Calls,
    call: &'static str,
    unit: &str,
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, BusError> {
    // Nobody closes it.
    let _turn = on.turns.acquire().await;
    match tokio::time::timeout(CALL_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|error| BusError::of_call(call, unit, error)),
        Err(_) => Err(BusError::TimedOut { call, after: CALL_TIMEOUT }),
    }
}

/// Fails where nobody on the bus is systemd.
pub(super) async fn has_manager(on: &Calls) -> Result<(), BusError> {
    let asked = on.connection.call_method(Some(DBUS), DBUS_PATH, Some(DBUS), "GetNameOwner", &SYSTEMD);
    bounded(on, "GetNameOwner", "", asked).await.map(drop)
}

/// The user whose systemd this is.
pub(super) async fn owner(on: &Calls) -> Result<u32, BusError> {
    let call = "GetConnectionUnixUser";
    let asked = on.connection.call_method(Some(DBUS), DBUS_PATH, Some(DBUS), call, &SYSTEMD);
    bounded(on, call, "", async { asked.await?.body().deserialize::<u32>() }).await
}

pub(super) async fn info(on: &Calls) -> Result<ManagerInfo, BusError> {
    // Both questions are on their way before the first answer is awaited.
    let (version, environment) = tokio::try_join!(
        bounded(on, "Version", "", on.manager.version()),
        bounded(on, "Environment", "", on.manager.environment())
    )?;
    let split = |entry: String| {
        let (name, value) = entry.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    Ok(ManagerInfo { version, environment: environment.into_iter().filter_map(split).collect() })
}

pub(super) async fn start_transient(
    on: &Calls,
    unit: &str,
    properties: &[Named<'_>],
    aux: &[(&str, Vec<Named<'_>>)],
) -> Result<JobId, BusError> {
    let properties = by_reference(properties);
    let aux: Vec<_> = aux.iter().map(|(name, properties)| (*name, by_reference(properties))).collect();
    let aux: Vec<_> = aux.iter().map(|(name, properties)| (*name, borrow_each(properties))).collect();
    let aux: Vec<_> = aux.iter().map(|(name, properties)| (*name, properties.as_slice())).collect();
    let call = "StartTransientUnit";
    let (properties, aux) = (borrow_each(&properties), borrow_each(&aux));
    // Not "fail": a slice that stops because its last unit went would make the start of the next one an error
    // (TransactionIsDestructive). The name of a unit that exists is refused in every mode.
    let sent = on.manager.start_transient_unit(unit, "replace", &properties, &aux);
    let started = bounded(on, call, unit, sent).await;
    let job = started.map_err(|error| error.or_of(aux.iter().map(|(name, _)| *name)))?;
    job_id(call, job.as_str())
}

// The generated call takes slices of references to pairs of references.
fn by_reference<'a>(properties: &'a [Named<'a>]) -> Vec<(&'a str, &'a Variant<'a>)> {
    properties.iter().map(|(name, value)| (*name, value)).collect()
}

fn borrow_each<T>(each: &[T]) -> Vec<&T> {
    each.iter().collect()
}

pub(super) async fn stop(on: &Calls, unit: &str) -> Result<JobId, BusError> {
    let call = "StopUnit";
    job_id(call, bounded(on, call, unit, on.manager.stop_unit(unit, "replace")).await?.as_str())
}

/// The number at the end of `/org/freedesktop/systemd1/job/NUMBER`.
fn job_id(call: &'static str, path: &str) -> Result<JobId, BusError> {
    let number = path.rsplit('/').next().and_then(|number| number.parse().ok());
    let unreadable = || BusError::Protocol { call, source: zbus::Error::InvalidReply.into() };
    number.map(JobId).ok_or_else(unreadable)
}

pub(super) async fn kill(on: &Calls, unit: &str, whom: Whom, signal: Signal) -> Result<(), BusError> {
    let whom = match whom {
        Whom::Main => "main",
        Whom::All => "all",
    };
    bounded(on, "KillUnit", unit, on.manager.kill_unit(unit, whom, signal.number())).await
}

pub(super) async fn reset_failed(on: &Calls, unit: &str) -> Result<(), BusError> {
    bounded(on, "ResetFailedUnit", unit, on.manager.reset_failed_unit(unit)).await
}

pub(super) async fn add_ref(on: &Calls, unit: &str) -> Result<(), BusError> {
    bounded(on, "RefUnit", unit, on.manager.ref_unit(unit)).await
}

pub(super) async fn unref(on: &Calls, unit: &str) -> Result<(), BusError> {
    match bounded(on, "UnrefUnit", unit, on.manager.unref_unit(unit)).await {
        // What was to be reached is so: a lost connection took the reference, or the whole unit, with it.
        Err(BusError::NoSuchUnit { .. }) => Ok(()),
        Err(BusError::Remote { name, .. }) if name == "org.freedesktop.systemd1.NotReferenced" => Ok(()),
        other => other,
    }
}

/// All properties of all interfaces of a unit at one moment, as far as `T` takes them. systemd reads an empty
/// interface name as "all", which is what `systemctl show` asks with.
pub(super) async fn get_all<T: Fill>(on: &Calls, unit: &str) -> Result<T, BusError> {
    let properties = Some("org.freedesktop.DBus.Properties");
    let asked = on.connection.call_method(Some(SYSTEMD), path::unit_path(unit), properties, "GetAll", &"");
    bounded(on, "GetAll", unit, async { asked.await?.body().deserialize::<All<T>>() }).await.map(|all| all.0)
}

/// Some counters of a service; what this systemd does not have or has not counted is `None`.
///
/// All are asked for before the first answer is awaited. A `GetAll` would cost the manager several times as much:
/// 0.70 ms beside 0.04 ms for one property (measured, 252).
pub(super) async fn counters<const N: usize>(
    on: &Calls,
    unit: &str,
    names: [&str; N],
) -> Result<[Option<u64>; N], BusError> {
    let path = path::unit_path(unit);
    let path = &path;
    let asked = names.map(|name| async move {
        let properties = Some("org.freedesktop.DBus.Properties");
        let body = (SERVICE, name);
        let asked = on.connection.call_method(Some(SYSTEMD), path, properties, "Get", &body);
        let value = bounded(on, "Get", unit, async {
            Ok(asked.await?.body().deserialize::<Variant<'_>>()?.downcast_ref::<u64>().ok())
        });
        value.await.map(|value| value.filter(|count| *count != u64::MAX))
    });
    let mut counters = [None; N];
    for (counter, answer) in counters.iter_mut().zip(join_all(asked).await) {
        *counter = answer?;
    }
    Ok(counters)
}

/// Through which a unit's stop job goes over to others: the other sides of `Requires=`, which every unit has on its slice,
/// `Requisite=`, `BindsTo=`, `PartOf=` and `StopPropagatedFrom=` (systemd.unit(5); measured, 252 and 257).
const STOPPED_WITH: [&str; 5] = ["RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf", "PropagatesStopTo"];

/// The units that a stop of this one stops: of a slice, all that lie in it and those that depend on it elsewhere.
pub(super) async fn stopped_with(on: &Calls, unit: &str) -> Result<Vec<String>, BusError> {
    let path = path::unit_path(unit);
    let path = &path;
    let asked = STOPPED_WITH.map(|name| async move {
        let properties = Some("org.freedesktop.DBus.Properties");
        let body = (UNIT, name);
        let asked = on.connection.call_method(Some(SYSTEMD), path, properties, "Get", &body);
        let names = async { Vec::<String>::try_from(asked.await?.body().deserialize::<Variant<'_>>()?) };
        bounded(on, "Get", unit, names).await
    });
    let mut names = try_join_all(asked).await?.concat();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

pub(super) async fn list(on: &Calls, pattern: &str) -> Result<Vec<ListedUnit>, BusError> {
    let listed =
        bounded(on, "ListUnitsByPatterns", "", on.manager.list_units_by_patterns(&[], &[pattern])).await?;
    let unit = |(name, description, load_state, active_state, sub_state, _, _, job, _, _)| ListedUnit {
        name,
        description,
        load_state,
        active_state,
        sub_state,
        job,
    };
    Ok(listed.into_iter().map(unit).collect())
}

pub(super) async fn processes(on: &Calls, unit: &str) -> Result<Vec<UnitProcess>, BusError> {
    let found = bounded(on, "GetUnitProcesses", unit, on.manager.get_unit_processes(unit)).await?;
    Ok(found.into_iter().map(|(_, pid, command)| UnitProcess { pid, command }).collect())
}

/// The XML that systemd gives of a unit's object.
pub(super) async fn introspect(on: &Calls, unit: &str) -> Result<String, BusError> {
    let interface = Some("org.freedesktop.DBus.Introspectable");
    let asked = on.connection.call_method(Some(SYSTEMD), path::unit_path(unit), interface, "Introspect", &());
    bounded(on, "Introspect", unit, async { asked.await?.body().deserialize::<String>() }).await
}
