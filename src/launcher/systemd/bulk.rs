//! Many stops at once: a slice with nothing else in it is stopped as one job.
//!
//! Stopping a slice stops every unit in it in one transaction, as a StopUnit for each does: TERM and CONT, no restart
//! after it, also of one that waits for its next run, and the unit's own stop time-out (measured, 252 and 257). It
//! spares the bus and the user manager a call, its answer and the end of its job for each. It must touch nothing that is
//! not to be stopped, so whatever leaves a doubt about that has the stops delivered one by one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Shared;
use crate::bus::{Bus, BusError};
use crate::id::{SliceName, UnitName};
use crate::launcher::Stop;

/// Delivers each stop, by slice or by itself, and answers it.
pub(super) async fn stop_many(shared: Arc<Shared>, stops: Vec<Stop>) {
    let (with_unit, mut single): (Vec<_>, Vec<_>) =
        stops.into_iter().partition(|stop| stop.run().unit().is_some());
    let of_unit = |stop: Stop| Some((stop.run().unit()?.clone(), stop));
    let mut by_unit: HashMap<UnitName, Stop> = with_unit.into_iter().filter_map(of_unit).collect();
    let slices = shared.placement.close_slices_of(&by_unit.keys().cloned().collect());
    let mut whole = JoinSet::new();
    for (slice, units) in slices {
        let stops = units.iter().filter_map(|unit| by_unit.remove(unit)).collect();
        whole.spawn(stop_slice(shared.bus.clone(), slice, units, stops));
    }
    single.extend(by_unit.into_values());
    tokio::join!(Stop::deliver_each(single), whole.join_all());
}

/// Stops what lies in this slice.
///
/// A stop that was delivered says that systemd has queued the unit's job, for a slice as for a unit.
async fn stop_slice(bus: Bus, slice: SliceName, units: Vec<UnitName>, stops: Vec<Stop>) {
    match stop_as_one(&bus, &slice, &units).await {
        Ok(true) => stops.into_iter().for_each(|stop| stop.answer(Ok(()))),
        Ok(false) => Stop::deliver_each(stops).await,
        Err(error) => {
            tracing::debug!(%slice, %error, "not stopped as one; its units are stopped one by one");
            Stop::deliver_each(stops).await;
        }
    }
}

/// Stops the slice if these units are all that its stop would stop; whether it did. Besides what lies in it those are units
/// elsewhere, such as one with `BindsTo=` on it.
///
/// This launcher puts nothing there any more. Somebody else may, such as a program in it by `systemd-run
/// --slice-inherit`: between the look and the stop is all the time that it has to be overlooked.
async fn stop_as_one(bus: &Bus, slice: &SliceName, units: &[UnitName]) -> Result<bool, BusError> {
    let there = bus.in_slice(slice.as_str()).await?;
    let there: HashSet<&str> = there.iter().map(String::as_str).collect();
    if there != units.iter().map(UnitName::as_str).collect() {
        return Ok(false);
    }
    bus.stop(slice.as_str()).await.map(|_| true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Connected;
    use crate::bus::fake::{Answer, Fake};
    use crate::id::ProcId;

    fn units() -> Vec<UnitName> {
        ["web/0", "web/1"].map(|id| UnitName::for_proc(&ProcId::new(id).unwrap())).into()
    }

    /// Units, by the property of the slice that names them.
    type There = &'static [(&'static str, &'static [&'static str])];

    /// What comes of a slice with these in it or bound to it, and whether it was stopped.
    async fn stopped(there: There, stop: fn() -> Answer) -> (Result<bool, BusError>, bool) {
        let (fake, Connected { bus, .. }) = Fake::connected().await;
        fake.on("Get", move |call| {
            let body = call.body();
            let (_, asked) = body.deserialize::<(&str, &str)>().unwrap();
            let named = there.iter().filter(|(property, _)| *property == asked);
            Answer::body(zbus::Variant::from(named.flat_map(|(_, units)| units.to_vec()).collect::<Vec<_>>()))
        });
        fake.on("StopUnit", move |_| stop());
        let slice = SliceName::numbered("k3f9", 0);
        let outcome = stop_as_one(&bus, &slice, &units()).await;
        (outcome, fake.seen().contains(&format!("StopUnit {slice}")))
    }

    const TWO: &[&str] = &["procunit-web:1.service", "procunit-web:0.service"];
    const BOTH: There = &[("RequiredBy", TWO)];

    #[tokio::test]
    async fn a_slice_with_these_units_alone_is_stopped() {
        let (outcome, stopped) = stopped(BOTH, || Answer::job(7)).await;
        assert!(matches!(outcome, Ok(true)) && stopped);
    }

    #[tokio::test]
    async fn a_slice_with_anything_else_or_less_in_it_is_not_touched() {
        const MORE: &[&str] = &["procunit-web:1.service", "procunit-web:0.service", "run-7.scope"];
        const LESS: &[&str] = &["procunit-web:1.service"];
        for there in [&[("RequiredBy", MORE)] as There, &[("RequiredBy", LESS)], &[]] {
            let (outcome, stopped) = stopped(there, || Answer::job(7)).await;
            assert!(matches!(outcome, Ok(false)) && !stopped, "{there:?}");
        }
    }

    #[tokio::test]
    async fn a_slice_that_a_unit_elsewhere_depends_on_is_not_touched() {
        const OTHER: &[&str] = &["other.service"];
        const BESIDE: [There; 4] = [
            &[("RequiredBy", TWO), ("RequisiteOf", OTHER)],
            &[("RequiredBy", TWO), ("BoundBy", OTHER)],
            &[("RequiredBy", TWO), ("ConsistsOf", OTHER)],
            &[("RequiredBy", TWO), ("PropagatesStopTo", OTHER)],
        ];
        for there in BESIDE {
            let (outcome, stopped) = stopped(there, || Answer::job(7)).await;
            assert!(matches!(outcome, Ok(false)) && !stopped, "{there:?}");
        }
    }

    #[tokio::test]
    async fn a_slice_that_cannot_be_stopped_is_an_error_and_no_delivery() {
        let no_unit = || Answer::error("org.freedesktop.systemd1.NoSuchUnit", "not loaded");
        let (outcome, _) = stopped(BOTH, no_unit).await;
        assert!(matches!(outcome, Err(BusError::NoSuchUnit { .. })));
    }
}
