//! Procs as found: what a unit says of the proc in it.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::bus::{Bus, BusError, ListedUnit};
use crate::id::{ProcId, TieName, UnitName};
use crate::launcher::{AdoptError, Sighting, SurveyError};
use crate::signal::Signal;
use crate::spec::{Lifetime, StopPolicy, defaults};
use crate::status::details::UnitDetails;
use crate::status::machine::Restarts;
use crate::status::observe::{Main, is_settled, observe};
use crate::status::snapshot::Snapshot;
use crate::unit::stop_timeout;

/// How many units are looked at at a time.
const LOOKS_AT_ONCE: usize = 16;

/// Why a unit is no proc to be seen.
pub(super) enum Unseen {
    /// There is none.
    NoUnit,
    /// It stands in a file.
    NotTransient,
    /// It was not made by this project.
    NotOurs(&'static str),
}

impl Unseen {
    pub(super) fn for_id(self, id: ProcId, unit: &UnitName) -> AdoptError {
        match self {
            Self::NoUnit => AdoptError::NotFound { id },
            Self::NotTransient => AdoptError::NotTransient { unit: unit.to_string() },
            Self::NotOurs(why) => AdoptError::NotOurs { unit: unit.to_string(), why },
        }
    }
}

/// Every proc of this user, ended ones that are kept included.
pub(super) async fn survey(bus: &Bus) -> Result<Vec<Sighting>, SurveyError> {
    let failed = |error: BusError| SurveyError(Box::new(error));
    let listed = bus.list(UnitName::PATTERN).await.map_err(failed)?;
    let units = listed.into_iter().filter_map(|unit| UnitName::parse(&unit.name).ok());
    let mut sightings: Vec<_> = stream::iter(units)
        .map(|unit| look_at(bus, unit))
        .buffer_unordered(LOOKS_AT_ONCE)
        .try_filter_map(|seen| async { Ok(seen) })
        .try_collect()
        .await
        .map_err(failed)?;
    sightings.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(sightings)
}

/// How many units of ended procs there are. One call: 1,000 units are listed in a few milliseconds, and looked at
/// in a few hundred.
pub(super) async fn ended_kept(bus: &Bus) -> Result<usize, SurveyError> {
    let failed = |error: BusError| SurveyError(Box::new(error));
    let listed = bus.list(UnitName::PATTERN).await.map_err(failed)?;
    // With RemainAfterExit, a unit whose program ended well is active without a main process.
    let over = |unit: &&ListedUnit| match (unit.active_state.as_str(), unit.sub_state.as_str()) {
        ("failed", _) | ("active", "exited") => UnitName::parse(&unit.name).is_ok(),
        _ => false,
    };
    Ok(listed.iter().filter(over).count())
}

/// `None` for a unit that went meanwhile, or is not ours.
async fn look_at(bus: &Bus, unit: UnitName) -> Result<Option<Sighting>, BusError> {
    let (snapshot, details) = bus.details(unit.as_str()).await?;
    let Ok(mut sighting) = sight(&unit, snapshot, details) else { return Ok(None) };
    let over = is_over(&sighting.snapshot, &sighting.details);
    // Up, or on the way down, without a main process: what it left may still be there.
    if over && matches!(sighting.snapshot.unit.active_state.as_deref(), Some("active" | "deactivating")) {
        let left = bus.processes(unit.as_str()).await;
        sighting.processes = left.ok().map(|left| left.into_iter().map(|process| process.pid).collect());
    }
    Ok(Some(sighting))
}

/// What the unit says of the proc in it. All that is not systemd's default stands in the unit itself.
pub(super) fn sight(unit: &UnitName, snapshot: Snapshot, details: UnitDetails) -> Result<Sighting, Unseen> {
    if snapshot.unit.load_state.as_deref() == Some("not-found") {
        return Err(Unseen::NoUnit);
    }
    if details.transient != Some(true) {
        return Err(Unseen::NotTransient);
    }
    let id = id_of(&details).ok_or(Unseen::NotOurs("its environment names no PROCUNIT_ID"))?;
    if UnitName::for_proc(&id) != *unit {
        return Err(Unseen::NotOurs("its PROCUNIT_ID belongs to another unit name"));
    }
    Ok(Sighting {
        id,
        unit: unit.clone(),
        lifetime: lifetime(&details),
        restarts: details.restarts(),
        stop: stop_policy(&details),
        runtime_max: details.runtime_max,
        processes: None,
        snapshot,
        details,
    })
}

/// A detached unit remains after its exit, but for one that is always started again: that is known by what it lacks, a
/// tie to its manager.
fn lifetime(details: &UnitDetails) -> Lifetime {
    let is_tied = || details.binds_to.iter().flatten().any(|unit| unit.starts_with(TieName::PREFIX));
    match details.remain_after_exit {
        Some(true) => Lifetime::Detached,
        _ if details.restart.as_deref() == Some("always") && !is_tied() => Lifetime::Detached,
        Some(false) | None => Lifetime::Attached,
    }
}

/// Whether a look shows the proc over: the end of a run that its policy follows is none.
pub(super) fn is_over(look: &Snapshot, details: &UnitDetails) -> bool {
    let ended = matches!(observe(look, None).main, Main::Ended(_) | Main::Failed(_));
    ended && (details.restarts() == Restarts::Never || is_settled(look))
}

fn id_of(details: &UnitDetails) -> Option<ProcId> {
    let environment = details.environment.as_deref()?;
    let id = environment.iter().find_map(|entry| entry.strip_prefix("PROCUNIT_ID="))?;
    ProcId::new(id).ok()
}

/// The unit keeps the signal, the backstop and, as a timeout it has no other use for, the stop timeout.
fn stop_policy(details: &UnitDetails) -> StopPolicy {
    let signal = details.kill_signal.and_then(|number| Signal::new(number).ok());
    let backstop = details.stop_timeout.unwrap_or(defaults::BACKSTOP);
    let timeout = details.abort_timeout.map_or(defaults::STOP_TIMEOUT, |kept| stop_timeout(micros(kept)));
    StopPolicy::new(signal.unwrap_or(defaults::STOP_SIGNAL), timeout, backstop).unwrap_or_default()
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
