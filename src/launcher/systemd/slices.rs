//! Which slice a unit lies in.
//!
//! systemd goes slower with every unit that lives in a slice (measured, 252: 270 starts a second with none, 143 with
//! 3,000), so no slice has more than [`PROCS_PER_SLICE`] procs of one launcher at a time. The first seats are in
//! `app.slice`, which is there anyway. A slice of its own costs a lone proc a tenth of its launch; and one that stops
//! and starts with each proc in it keeps its end from being seen for 2 ms more (measured, 252).

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::bus::Bus;
use crate::id::SliceName;
use crate::spec::defaults::PROCS_PER_SLICE;

/// The slices of one launcher.
pub(super) struct Slices {
    token: String,
    bus: Bus,
    /// Each part of it but this one is a seat in `app.slice`.
    app: Arc<()>,
    /// The slice of its own that is being filled. Each part of it but this one is a seat in it.
    filling: Option<Arc<SliceHold>>,
    /// How many were made.
    made: u32,
}

/// A reference on a slice. systemd stops an empty slice by itself, and would forget that it should: the reference
/// keeps what it is in memory for the next unit in it.
pub(super) struct SliceHold {
    name: SliceName,
    bus: Bus,
}

/// A unit's part in its slice, which keeps the slice in being.
pub(super) struct Seat {
    _app: Option<Arc<()>>,
    _own: Option<Arc<SliceHold>>,
}

/// Where a unit is to lie.
pub(super) struct Offer {
    pub(super) slice: SliceName,
    pub(super) seat: Seat,
    /// Set where the slice has to be made first, and [`Slices::made`] to be told when it is.
    pub(super) new: Option<Arc<SliceHold>>,
}

impl Slices {
    pub(super) fn new(token: String, bus: Bus) -> Self {
        Self { token, bus, app: Arc::default(), filling: None, made: 0 }
    }

    /// A seat, in a new slice where the others are full.
    pub(super) fn seat(&mut self) -> Offer {
        if has_room(&self.app) {
            let seat = Seat { _app: Some(Arc::clone(&self.app)), _own: None };
            return Offer { slice: SliceName::app(), seat, new: None };
        }
        let filling = self.filling.as_ref().filter(|filling| has_room(filling)).map(Arc::clone);
        let (hold, is_new) = filling.map_or_else(|| (self.new_hold(), true), |hold| (hold, false));
        let seat = Seat { _app: None, _own: Some(Arc::clone(&hold)) };
        Offer { slice: hold.name.clone(), seat, new: is_new.then_some(hold) }
    }

    fn new_hold(&mut self) -> Arc<SliceHold> {
        let name = SliceName::numbered(&self.token, self.made);
        self.made += 1;
        Arc::new(SliceHold { name, bus: self.bus.clone() })
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

/// Whether a further unit may lie where `seats` counts the units, and one part more.
fn has_room<T>(seats: &Arc<T>) -> bool {
    Arc::strong_count(seats) <= PROCS_PER_SLICE
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
