//! Which slice a unit lies in.
//!
//! systemd goes slower with every unit that lives in a slice (measured, 252: 270 starts a second with none, 143 with
//! 3,000), so no slice has more than [`PROCS_PER_SLICE`] procs of one launcher at a time. The first seats are in
//! `app.slice`, which is there anyway. A slice of its own costs a lone proc a tenth of its launch; and one that stops
//! and starts with each proc in it keeps its end from being seen for 2 ms more (measured, 252).

use std::collections::HashSet;
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
        Self { token, bus, app: Arc::default(), filling: None, made: 0, rows }
    }

    /// A seat for this unit, in a new slice where the others are full.
    pub(super) fn seat(&mut self, unit: &UnitName) -> Offer {
        // Each part of it but this one is a seat.
        if Arc::strong_count(&self.app) <= PROCS_PER_SLICE {
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
        let hold = Arc::new(SliceHold { name, bus: self.bus.clone(), seats });
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
        if seats.closed || seats.taken.len() >= PROCS_PER_SLICE {
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
