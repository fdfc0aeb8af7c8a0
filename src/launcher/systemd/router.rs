//! From bus events to the facts of each run. Nothing here awaits a call; looks run in tasks of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;

use super::Shared;
use crate::bus::{BusEvent, Events};
use crate::id::UnitName;
use crate::launcher::Facts;
use crate::status::machine::Event;
use crate::status::observe::{Main, observe};
use crate::status::snapshot::Snapshot;

/// Where the pictures of each held unit go.
#[derive(Default)]
pub(super) struct Routes(Mutex<HashMap<UnitName, Route>>);

struct Route {
    facts: Facts,
    /// Who waits for the first picture that says something of the main process.
    verdict: Option<oneshot::Sender<Main>>,
}

impl Routes {
    fn lock(&self) -> MutexGuard<'_, HashMap<UnitName, Route>> {
        // Every change is one insertion or removal: the table is whole after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the pictures of `unit` to `facts`, and the first verdict to the receiver.
    ///
    /// `None` where another run of this launcher has the unit.
    pub(super) fn open(&self, unit: &UnitName, facts: Facts) -> Option<oneshot::Receiver<Main>> {
        let mut routes = self.lock();
        if routes.contains_key(unit) {
            return None;
        }
        let (verdict, answer) = oneshot::channel();
        routes.insert(unit.clone(), Route { facts, verdict: Some(verdict) });
        Some(answer)
    }

    /// Sends no more of `unit`.
    pub(super) fn close(&self, unit: &UnitName) {
        self.lock().remove(unit);
    }

    /// Passes one picture on.
    pub(super) fn picture(&self, unit: &UnitName, snapshot: Snapshot) {
        let mut routes = self.lock();
        let Some(route) = routes.get_mut(unit) else { return };
        // The first picture that decides is of the run that was started here: its unit did not exist before.
        let main = route.verdict.as_ref().map(|_| observe(&snapshot, None).main);
        route.facts.send(Event::Snapshot(snapshot));
        if let Some(main) = main.filter(|main| *main != Main::Pending)
            && let Some(verdict) = route.verdict.take()
        {
            let _ = verdict.send(main);
        }
    }

    fn units(&self) -> Vec<UnitName> {
        self.lock().keys().cloned().collect()
    }
}

/// Passes on what the bus tells until the bus or the launcher is gone.
pub(super) async fn run(shared: Weak<Shared>, mut events: Events) {
    while let Some(event) = events.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        match event {
            BusEvent::Changed(unit, snapshot) => {
                if snapshot.unit.active_state.as_deref() == Some("deactivating") {
                    shared.placement.doubt_tie();
                }
                shared.routes.picture(&unit, snapshot);
            }
            // What was missed meanwhile, a look tells; until then no status changes.
            BusEvent::Reconnected | BusEvent::ManagerBack => {
                shared.placement.doubt();
                tokio::spawn(look_again(shared));
            }
            BusEvent::JobRemoved { .. } | BusEvent::Disconnected { .. } | BusEvent::ManagerLost => {}
        }
    }
}

async fn look_again(shared: Arc<Shared>) {
    for unit in shared.routes.units() {
        match shared.bus.look(unit.as_str()).await {
            Ok(snapshot) => shared.routes.picture(&unit, snapshot),
            // Lost again: the next reconnection looks again.
            Err(error) => return tracing::debug!(%unit, %error, "could not look again"),
        }
    }
}
