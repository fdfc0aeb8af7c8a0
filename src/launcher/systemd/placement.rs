//! Where a unit goes: the tie that ends it with this process, and what has to be made for it and its slice.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{sleep, timeout};

use super::slices::{Offer, Rows, Seat, SliceHold, Slices};
use crate::bus::{AuxUnit, Bus};
use crate::id::{SliceName, TieName, UnitName};
use crate::spec::Lifetime;
use crate::status::snapshot::Snapshot;
use crate::sys::program;
use crate::unit::{slice_properties, tie_plan};

/// The tie and the slices of one launcher.
///
/// The tie is a service whose program reads a pipe that only this process holds open for writing. However this
/// process ends, the kernel closes the pipe, the program reads the end of it and exits, and systemd stops every
/// unit bound to the tie (measured: gone 4 ms after a SIGKILL, with another child of the process still alive).
/// The process itself is never moved to another control group: a scope of its own would live as long as any
/// child of it, and a second manager in the process would empty the first one's.
pub(super) struct Placement {
    token: String,
    bus: Bus,
    rows: Arc<Rows>,
    state: Mutex<State>,
    /// Set where units may have gone without us seeing it, so that the slice is not taken for granted.
    slice_doubt: AtomicBool,
    /// Set where the tie may be ending.
    tie_doubt: AtomicBool,
}

/// How long the holder of a tie that was let go of may take to end. It is a matter of milliseconds.
const TIE_ENDS_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(5);

struct State {
    ties: u32,
    tie: Option<Tie>,
    slices: Slices,
}

struct Tie {
    name: TieName,
    /// The write end. The kernel closes it with this process; nothing is ever written.
    _held: OwnedFd,
}

/// Where one unit goes, and the units that have to be made for it in the same call.
pub(super) struct Place<'a> {
    pub(super) slice: SliceName,
    pub(super) tie: Option<TieName>,
    pub(super) aux: Vec<AuxUnit>,
    /// The read end of a new tie's pipe.
    pub(super) tie_read: Option<OwnedFd>,
    pub(super) seat: Seat,
    /// Held while units are being made, so that nobody counts on them before they are there.
    making: Option<Making<'a>>,
}

struct Making<'a> {
    state: MutexGuard<'a, State>,
    tie: Option<Tie>,
    slice: Option<Arc<SliceHold>>,
}

impl Placement {
    pub(super) fn new(token: String, bus: Bus) -> Self {
        let (slice_doubt, tie_doubt) = (AtomicBool::new(false), AtomicBool::new(false));
        let rows = Arc::<Rows>::default();
        let slices = Slices::new(token.clone(), bus.clone(), Arc::clone(&rows));
        let state = Mutex::new(State { ties: 0, tie: None, slices });
        Self { token, bus, rows, state, slice_doubt, tie_doubt }
    }

    /// Nothing was launched yet.
    pub(super) fn procs_per_slice(&self, count: NonZeroUsize) {
        // Whoever launches has the launcher, which is still in one hand here: the lock is free.
        if let Ok(mut state) = self.state.try_lock() {
            state.slices.resize(count);
        }
    }

    /// Lets go of the tie, which ends what is attached.
    pub(super) fn let_go(&self) {
        // A launch holds the lock, and the launcher with it: whoever drops the launcher finds it free.
        if let Ok(mut state) = self.state.try_lock() {
            state.tie = None;
        }
    }

    /// Lets go of the tie and waits until it is gone, for a bounded time: it ends by itself from here on.
    pub(super) async fn close(&self) {
        let Some(tie) = self.state.lock().await.tie.take() else { return };
        let name = tie.name.clone();
        drop(tie);
        let gone = async {
            // The holder is nobody's to be told of: it is not referenced.
            while self.bus.look(name.as_str()).await.is_ok_and(|seen| is_there(&seen)) {
                sleep(LOOK_EVERY).await;
            }
        };
        if timeout(TIE_ENDS_WITHIN, gone).await.is_err() {
            tracing::warn!(tie = %name, "the tie is still there");
        }
    }

    /// Takes nothing for granted at the next launch: it gets a new slice, and looks at the tie.
    pub(super) fn doubt(&self) {
        self.slice_doubt.store(true, Ordering::Relaxed);
        self.doubt_tie();
    }

    /// Looks at the tie before the next attached proc is tied to it. A proc that is being stopped may be so because
    /// somebody stops the tie; what is tied to it in the middle of that would be stopped with the rest.
    pub(super) fn doubt_tie(&self) {
        self.tie_doubt.store(true, Ordering::Relaxed);
    }

    /// Forgets a tie that is ending or gone.
    async fn check_tie(&self, state: &mut State) {
        let Some(tie) = &state.tie else { return };
        match self.bus.look(tie.name.as_str()).await {
            Ok(seen) if holds(&seen) => {}
            Ok(_) => state.tie = None,
            // The launch that follows will meet the same, and say so.
            Err(error) => tracing::debug!(tie = %tie.name, %error, "could not look at the tie"),
        }
    }

    /// Closes each slice in which only `units` lie, as far as this launcher has put any there, so that none is put
    /// there any more: the slices, and who lies in them. It waits for no launch.
    pub(super) fn close_slices_of(&self, units: &HashSet<UnitName>) -> Vec<(SliceName, Vec<UnitName>)> {
        self.rows.close_those_of(units)
    }

    /// A place for this unit.
    ///
    /// # Errors
    /// Where no pipe can be made.
    pub(super) async fn place(
        &self,
        unit: &UnitName,
        lifetime: Lifetime,
    ) -> Result<Place<'_>, std::io::Error> {
        let mut state = self.state.lock().await;
        if lifetime == Lifetime::Attached && self.tie_doubt.swap(false, Ordering::Relaxed) {
            self.check_tie(&mut state).await;
        }
        if self.slice_doubt.swap(false, Ordering::Relaxed) {
            state.slices.forget();
        }
        let mut aux = Vec::new();
        let Offer { slice, seat, new: new_slice } = state.slices.seat(unit);
        if new_slice.is_some() {
            aux.push(AuxUnit { name: slice.to_string(), properties: slice_properties() });
        }
        let (tie, made) = match (&state.tie, lifetime) {
            (_, Lifetime::Detached) => (None, None),
            (Some(tie), Lifetime::Attached) => (Some(tie.name.clone()), None),
            (None, Lifetime::Attached) => {
                let (name, read, held) = self.new_tie(&mut state)?;
                let (unit, properties) = tie_plan(&name, &tie_program()?, &slice);
                aux.push(AuxUnit { name: unit, properties });
                (Some(name.clone()), Some((Tie { name, _held: held }, read)))
            }
        };
        let (made, tie_read) = made.map_or((None, None), |(tie, read)| (Some(tie), Some(read)));
        let making = (!aux.is_empty()).then_some(Making { state, tie: made, slice: new_slice });
        Ok(Place { slice, tie, aux, tie_read, seat, making })
    }

    /// The tie's name, and the two ends of its pipe.
    fn new_tie(&self, state: &mut State) -> Result<(TieName, OwnedFd, OwnedFd), std::io::Error> {
        let (read, held) = pipe2(OFlag::O_CLOEXEC)?;
        let name = TieName::new(&format!("{}x{}", self.token, state.ties));
        state.ties += 1;
        Ok((name, read, held))
    }

    /// The tie is not there any more: the next attached proc gets a new one.
    pub(super) async fn tie_is_gone(&self, gone: &TieName) {
        let mut state = self.state.lock().await;
        if state.tie.as_ref().is_some_and(|tie| tie.name == *gone) {
            state.tie = None;
        }
    }
}

/// Whether a tie is up and nothing is about to change that, or is only just being started.
fn holds(tie: &Snapshot) -> bool {
    let has_job = tie.unit.job.is_some_and(|job| job != 0);
    match tie.unit.active_state.as_deref() {
        Some("active") => !has_job,
        // To let go of it now would end the first procs that are tied to it.
        Some("inactive" | "activating") => has_job,
        _ => false,
    }
}

fn is_there(unit: &Snapshot) -> bool {
    unit.unit.load_state.as_deref() != Some("not-found")
}

/// What holds the tie: it reads its standard input to the end and writes nothing.
fn tie_program() -> Result<String, std::io::Error> {
    let found =
        program::resolve("cat", Path::new("/"), Some("/usr/bin:/bin")).map_err(std::io::Error::other)?;
    Ok(found.to_string_lossy().into_owned())
}

impl Place<'_> {
    /// The units that had to be made are there, and the seat is the unit's.
    pub(super) fn made(self) -> Seat {
        if let Some(Making { mut state, tie, slice }) = self.making {
            if tie.is_some() {
                state.tie = tie;
            }
            if let Some(slice) = slice {
                state.slices.made(slice);
            }
        }
        self.seat
    }
}
