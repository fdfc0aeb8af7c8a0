//! Which slice a unit lies in.
//!
//! systemd goes slower with every unit that lives in a slice (measured, 252: 270 starts a second with none, 143 with
//! 3,000), so no slice has more than a number of procs of one launcher at a time, [`PROCS_PER_SLICE`] if not told otherwise. The first seats are in
//! `app.slice`, which is there anyway. A slice of its own costs a lone proc a tenth of its launch; and one that stops
//! and starts with each proc in it keeps its end from being seen for 2 ms more (measured, 252).

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::Handle;

use crate::bus::Bus;
use crate::id::{SliceName, UnitName};
use crate::spec::defaults::PROCS_PER_SLICE;

/// The slices of one launcher.
pub(super) struct Slices {
    token: String,
    bus: Bus,
    /// Each part of it but this one is a seat in `app.slice`.
    app: Arc<()>,
    /// The slice of its own that is being filled.
    filling: Option<Arc<SliceHold>>,
    /// How many were made.
    made: u32,
    /// Seats in each.
    size: NonZeroUsize,
    rows: Arc<Rows>,
}

/// The slices of its own of one launcher that are still there. It can be asked while a slice is being made.
#[derive(Default)]
pub(super) struct Rows(Mutex<Vec<Weak<SliceHold>>>);

/// A reference on a slice. systemd stops an empty slice by itself, and would forget that it should: the reference
/// keeps what it is in memory for the next unit in it.
pub(super) struct SliceHold {
    name: SliceName,
    bus: Bus,
    size: NonZeroUsize,
    seats: Mutex<Seats>,
}

struct Seats {
    taken: HashSet<UnitName>,
    /// Whether it takes nobody any more.
    closed: bool,
}

/// A unit's part in its slice, which keeps the slice in being.
pub(super) enum Seat {
    App { _seats: Arc<()> },
    Own { slice: Arc<SliceHold>, unit: UnitName },
}

/// Where a unit is to lie.
pub(super) struct Offer {
    pub(super) slice: SliceName,
    pub(super) seat: Seat,
    /// Set where the slice has to be made first, and [`Slices::made`] to be told when it is.
    pub(super) new: Option<Arc<SliceHold>>,
}

impl Slices {
    pub(super) fn new(token: String, bus: Bus, rows: Arc<Rows>) -> Self {
        Self { token, bus, app: Arc::default(), filling: None, made: 0, size: PROCS_PER_SLICE, rows }
    }

    /// Each slice that is made from now on has so many seats, and `app.slice`.
    pub(super) fn resize(&mut self, size: NonZeroUsize) {
        self.size = size;
    }

    /// A seat for this unit, in a new slice where the others are full.
    pub(super) fn seat(&mut self, unit: &UnitName) -> Offer {
        // Each part of it but this one is a seat.
        if Arc::strong_count(&self.app) <= self.size.get() {
            let seat = Seat::App { _seats: Arc::clone(&self.app) };
            return Offer { slice: SliceName::app(), seat, new: None };
        }
        if let Some(filling) = &self.filling
            && let Some(seat) = filling.seat(unit)
        {
            return Offer { slice: filling.name.clone(), seat, new: None };
        }
        let made = self.new_hold(unit);
        let seat = Seat::Own { slice: Arc::clone(&made), unit: unit.clone() };
        Offer { slice: made.name.clone(), seat, new: Some(made) }
    }

    fn new_hold(&mut self, first: &UnitName) -> Arc<SliceHold> {
        let name = SliceName::numbered(&self.token, self.made);
        self.made += 1;
        let seats = Mutex::new(Seats { taken: HashSet::from([first.clone()]), closed: false });
        let hold = Arc::new(SliceHold { name, bus: self.bus.clone(), size: self.size, seats });
        self.rows.add(&hold);
        hold
    }

    /// A slice is there: it is filled from now on.
    pub(super) fn made(&mut self, slice: Arc<SliceHold>) {
        self.filling = Some(slice);
    }

    /// The slice that is being filled may be gone: the next unit that needs one gets a new one.
    pub(super) fn forget(&mut self) {
        self.filling = None;
    }
}

impl Rows {
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<SliceHold>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, slice: &Arc<SliceHold>) {
        let mut rows = self.lock();
        rows.retain(|row| row.strong_count() > 0);
        rows.push(Arc::downgrade(slice));
    }

    /// Closes each slice in which some of `units` have a seat and nobody else has: the slices, and who sits in them.
    pub(super) fn close_those_of(&self, units: &HashSet<UnitName>) -> Vec<(SliceName, Vec<UnitName>)> {
        // Not under the lock, as dropping the last part of a slice does more than that.
        let slices: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        let close = |slice: &Arc<SliceHold>| Some((slice.name.clone(), slice.close_if_of(units)?));
        slices.iter().filter_map(close).collect()
    }
}

impl SliceHold {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat; `None` where it takes no more.
    fn seat(self: &Arc<Self>, unit: &UnitName) -> Option<Seat> {
        let mut seats = self.seats();
        if seats.closed || seats.taken.len() >= self.size.get() {
            return None;
        }
        seats.taken.insert(unit.clone());
        Some(Seat::Own { slice: Arc::clone(self), unit: unit.clone() })
    }

    /// Takes nobody any more if all that have a seat are among `units`, and some are: who they are.
    fn close_if_of(&self, units: &HashSet<UnitName>) -> Option<Vec<UnitName>> {
        let mut seats = self.seats();
        if seats.taken.is_empty() || !seats.taken.is_subset(units) {
            return None;
        }
        seats.closed = true;
        Some(seats.taken.iter().cloned().collect())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Self::Own { slice, unit } = self {
            slice.seats().taken.remove(unit);
        }
    }
}

impl Drop for SliceHold {
    fn drop(&mut self) {
        // Without a runtime the connection goes too, and the reference with it.
        if let Ok(runtime) = Handle::try_current() {
            let (bus, name) = (self.bus.clone(), self.name.clone());
            runtime.spawn(async move { bus.through_reconnects(|| bus.unref(name.as_str())).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Connected;
    use crate::bus::fake::Fake;
    use crate::id::ProcId;

    fn unit(number: usize) -> UnitName {
        UnitName::for_proc(&ProcId::new(format!("web/{number}")).unwrap())
    }

    /// Slices with `app.slice` full.
    async fn slices() -> (Slices, Arc<Rows>, Vec<Seat>) {
        let (_, Connected { bus, .. }) = Fake::connected().await;
        let rows = Arc::<Rows>::default();
        let mut slices = Slices::new("k3f9".to_owned(), bus, Arc::clone(&rows));
        let app: Vec<_> = (0..PROCS_PER_SLICE.get()).map(|number| slices.seat(&unit(number)).seat).collect();
        (slices, rows, app)
    }

    /// A seat, in a slice that is made at once where it has to be.
    fn take(slices: &mut Slices, number: usize) -> (SliceName, Seat) {
        let Offer { slice, seat, new } = slices.seat(&unit(number));
        if let Some(new) = new {
            slices.made(new);
        }
        (slice, seat)
    }

    fn close(rows: &Rows, numbers: impl IntoIterator<Item = usize>) -> Vec<SliceName> {
        let closed = rows.close_those_of(&numbers.into_iter().map(unit).collect());
        closed.into_iter().map(|(slice, _)| slice).collect()
    }

    #[tokio::test]
    async fn a_slice_takes_its_number_of_units_and_the_next_one_the_rest() {
        let (mut slices, _rows, _app) = slices().await;
        let seated: Vec<_> = (0..=PROCS_PER_SLICE.get()).map(|number| take(&mut slices, number)).collect();
        assert!(seated[..PROCS_PER_SLICE.get()].iter().all(|(slice, _)| *slice == seated[0].0));
        assert_ne!(seated[PROCS_PER_SLICE.get()].0, seated[0].0);
        let (first, _) = &seated[0];
        assert_eq!(first.as_str(), "app-procunit_k3f9x0.slice");
    }

    #[tokio::test]
    async fn a_slice_of_two_takes_two_and_app_slice_as_well() {
        let (_, Connected { bus, .. }) = Fake::connected().await;
        let mut slices = Slices::new("k3f9".to_owned(), bus, Arc::default());
        slices.resize(NonZeroUsize::new(2).unwrap());
        let seated: Vec<_> = (0..5).map(|number| take(&mut slices, number)).collect();
        let names: Vec<_> = seated.iter().map(|(slice, _)| slice.as_str()).collect();
        let [first, second] = ["app-procunit_k3f9x0.slice", "app-procunit_k3f9x1.slice"];
        assert_eq!(names, ["app.slice", "app.slice", first, first, second]);
    }

    #[tokio::test]
    async fn a_slice_where_somebody_else_has_a_seat_is_not_closed() {
        let (mut slices, rows, _app) = slices().await;
        let (slice, _first) = take(&mut slices, 100);
        let (_, launching) = take(&mut slices, 101);
        assert_eq!(close(&rows, [100]), []);
        assert_eq!(take(&mut slices, 102).0, slice, "it is filled on");
        drop(launching);
        assert_eq!(close(&rows, [100]), [slice], "seats that were given up do not count");
    }

    #[tokio::test]
    async fn a_closed_slice_takes_nobody_any_more() {
        let (mut slices, rows, _app) = slices().await;
        let (slice, _first) = take(&mut slices, 100);
        assert_eq!(close(&rows, [100, 7]), std::slice::from_ref(&slice));
        assert_ne!(take(&mut slices, 101).0, slice);
    }

    #[tokio::test]
    async fn a_slice_without_a_unit_and_one_that_is_gone_are_left_alone() {
        let (mut slices, rows, _app) = slices().await;
        let (slice, first) = take(&mut slices, 100);
        drop(first);
        assert_eq!(close(&rows, [100]), []);
        assert_eq!(take(&mut slices, 101).0, slice, "it is filled on");
        slices.forget();
        assert_eq!(close(&rows, [101]), []);
    }
}
