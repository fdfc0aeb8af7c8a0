//! From bus events to the facts of each run. Nothing here awaits a call; looks run in tasks of their own.
//!
//! Signals and answers come on two connections: the last signals of a unit may be read after everything was done
//! to let it go, when the next run of the same name is already being started (measured, 252: 76 of 3,189 times,
//! 8 names over and over). So of a start the pictures count from the first one that carries its own job.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::Shared;
use crate::bus::{BusEvent, Events, JobId, PER_UNIT};
use crate::id::UnitName;
use crate::launcher::{Facts, RunKey};
use crate::status::machine::Event;
use crate::status::observe::{Main, is_down, observe};
use crate::status::snapshot::Snapshot;

/// Where the pictures of each held unit go.
#[derive(Default)]
pub(super) struct Routes(Mutex<HashMap<UnitName, Route>>);

struct Route {
    facts: Facts,
    counts: Counts,
    /// Whether the unit starts it again, so that a signal of its end is not believed without a look.
    restarts: bool,
    /// Who waits for the first picture that says something of the main process.
    verdict: Option<oneshot::Sender<Main>>,
}

/// Which pictures of a name are of the run that the route is for.
enum Counts {
    /// systemd has not accepted the start yet; these may be of the run before or already of this one.
    NotYet(VecDeque<Snapshot>),
    /// From the one on that carries this job.
    FromJob(JobId),
    /// All.
    All,
}

impl Routes {
    fn lock(&self) -> MutexGuard<'_, HashMap<UnitName, Route>> {
        // Every change is one insertion or removal: the table is whole after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes way for a unit that is about to be started: its pictures will go to `facts`, and the first verdict to
    /// the receiver, once [`Routes::accepted`] has said which pictures those are.
    ///
    /// `None` where another run of this launcher has the unit.
    pub(super) fn open(
        &self,
        unit: &UnitName,
        facts: Facts,
        restarts: bool,
    ) -> Option<oneshot::Receiver<Main>> {
        self.insert(unit, facts, Counts::NotYet(VecDeque::new()), restarts)
    }

    /// Sends the pictures of a unit that is there already to `facts`. `None` as for [`Routes::open`].
    ///
    /// Until [`Routes::found`] says it, whether the unit starts it again is not known, and no end is believed without a
    /// look.
    pub(super) fn open_found(&self, unit: &UnitName, facts: Facts) -> Option<()> {
        self.insert(unit, facts, Counts::All, true).map(drop)
    }

    fn insert(
        &self,
        unit: &UnitName,
        facts: Facts,
        counts: Counts,
        restarts: bool,
    ) -> Option<oneshot::Receiver<Main>> {
        let mut routes = self.lock();
        if routes.contains_key(unit) {
            return None;
        }
        let (verdict, answer) = oneshot::channel();
        routes.insert(unit.clone(), Route { facts, counts, restarts, verdict: Some(verdict) });
        Some(answer)
    }

    /// systemd has accepted the start, as this job.
    pub(super) fn accepted(&self, unit: &UnitName, job: JobId) {
        let mut routes = self.lock();
        let Some(route) = routes.get_mut(unit) else { return };
        if let Counts::NotYet(shown) = std::mem::replace(&mut route.counts, Counts::FromJob(job)) {
            for snapshot in shown {
                route.signalled(snapshot);
            }
        }
    }

    /// Sends no more of `unit`, unless a later run has it by now. Says whether it did.
    pub(super) fn close(&self, unit: &UnitName, key: RunKey) -> bool {
        let mut routes = self.lock();
        let ours = routes.get(unit).is_some_and(|route| route.facts.key == key);
        if ours {
            routes.remove(unit);
        }
        ours
    }

    /// Whether the run is held.
    fn has(&self, unit: &UnitName, key: RunKey) -> bool {
        self.lock().get(unit).is_some_and(|route| route.facts.key == key)
    }

    /// Whether the unit starts it again, as was found.
    pub(super) fn found(&self, unit: &UnitName, key: RunKey, restarts: bool) {
        if let Some(route) = self.lock().get_mut(unit).filter(|route| route.facts.key == key) {
            route.restarts = restarts;
        }
    }

    /// Whether the unit starts it again.
    pub(super) fn is_restarted(&self, unit: &UnitName, key: RunKey) -> bool {
        self.lock().get(unit).is_some_and(|route| route.facts.key == key && route.restarts)
    }

    /// Passes on what a signal showed; the run that is to be looked at for it, if one is.
    pub(super) fn signalled(&self, unit: &UnitName, snapshot: Snapshot) -> Option<RunKey> {
        let mut routes = self.lock();
        let route = routes.get_mut(unit)?;
        let doubtful = route.restarts && is_down(&snapshot);
        route.signalled(snapshot);
        doubtful.then_some(route.facts.key)
    }

    /// Passes on what a look showed that was asked for on behalf of the run `key`.
    pub(super) fn looked(&self, unit: &UnitName, key: RunKey, snapshot: Snapshot) {
        if let Some(route) = self.lock().get_mut(unit)
            && route.facts.key == key
            && !matches!(route.counts, Counts::NotYet(_))
        {
            // Asked for after the start was accepted: what comes later is newer than that, too.
            route.counts = Counts::All;
            route.pass(snapshot);
        }
    }

    /// The runs whose unit is there, as far as is known.
    fn runs(&self) -> Vec<(UnitName, RunKey)> {
        let there = |route: &Route| !matches!(route.counts, Counts::NotYet(_));
        let routes = self.lock();
        let runs = routes.iter().filter(|(_, route)| there(route));
        runs.map(|(unit, route)| (unit.clone(), route.facts.key)).collect()
    }
}

impl Route {
    fn signalled(&mut self, snapshot: Snapshot) {
        match &mut self.counts {
            Counts::NotYet(shown) => {
                // A start that is accepted shows fewer than this before its answer is read.
                if shown.len() == PER_UNIT {
                    shown.pop_front();
                }
                shown.push_back(snapshot);
            }
            Counts::FromJob(job) if snapshot.unit.job != Some(job.0) => {}
            Counts::FromJob(_) => {
                self.counts = Counts::All;
                self.pass(snapshot);
            }
            Counts::All => self.pass(snapshot),
        }
    }

    fn pass(&mut self, snapshot: Snapshot) {
        let main = self.verdict.as_ref().map(|_| observe(&snapshot, None).main);
        self.facts.send(Event::Snapshot(snapshot));
        if let Some(main) = main.filter(|main| *main != Main::Pending)
            && let Some(verdict) = self.verdict.take()
        {
            let _ = verdict.send(main);
        }
    }
}

impl Shared {
    /// Takes the route of a run back.
    pub(super) fn close_route(&self, unit: &UnitName, key: RunKey) {
        if self.routes.close(unit, key) {
            self.bus.untrack(unit);
        }
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
                if let Some(key) = shared.routes.signalled(&unit, snapshot) {
                    tokio::spawn(look_at(Arc::downgrade(&shared), unit, key));
                }
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

/// The pause before a look that was not answered is asked for again. It doubles with each further one.
const LOOK_AGAIN_FIRST: Duration = Duration::from_millis(50);
/// The longest of these pauses.
const LOOK_AGAIN_LONGEST: Duration = Duration::from_secs(5);

/// Asks what a signal leaves open: whether a unit that is down will be started again. Nothing else may tell it, so it
/// is asked until there is an answer, or nobody holds the run any more.
async fn look_at(shared: Weak<Shared>, unit: UnitName, key: RunKey) {
    let mut pause = LOOK_AGAIN_FIRST;
    while let Some(shared) = shared.upgrade().filter(|shared| shared.routes.has(&unit, key)) {
        match shared.bus.look(unit.as_str()).await {
            Ok(snapshot) => return shared.routes.looked(&unit, key, snapshot),
            // The reconnection looks again.
            Err(error) if error.is_broken_off() => return,
            Err(error) => tracing::warn!(%unit, %error, "could not look"),
        }
        drop(shared);
        sleep(pause).await;
        pause = (pause * 2).min(LOOK_AGAIN_LONGEST);
    }
}

async fn look_again(shared: Arc<Shared>) {
    for (unit, key) in shared.routes.runs() {
        match shared.bus.look(unit.as_str()).await {
            Ok(snapshot) => shared.routes.looked(&unit, key, snapshot),
            // Lost again: the next reconnection looks again.
            Err(error) => return tracing::debug!(%unit, %error, "could not look again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::id::{InvocationId, ProcId};
    use crate::launcher::Fact;

    const JOB: JobId = JobId(40);

    fn unit() -> UnitName {
        UnitName::for_proc(&ProcId::new("web").unwrap())
    }

    fn facts(key: u64) -> (Facts, UnboundedReceiver<Fact>) {
        let (to, from) = unbounded_channel();
        (Facts { key: RunKey(key), to }, from)
    }

    fn picture(run: u8, state: &str, job: u32, exit: Option<i32>) -> Snapshot {
        let mut picture = Snapshot::default();
        picture.unit.invocation = InvocationId::from_bytes(&[run; 16]);
        picture.unit.active_state = Some(state.to_owned().into());
        picture.unit.job = Some(job);
        picture.service.exec_main_code = Some(i32::from(exit.is_some()));
        picture.service.exec_main_status = Some(exit.unwrap_or(0));
        picture
    }

    /// The end of the run before, as a reset shows it once more.
    fn before() -> Snapshot {
        picture(1, "inactive", 0, Some(7))
    }

    fn starting() -> Snapshot {
        picture(2, "activating", JOB.0, None)
    }

    fn up() -> Snapshot {
        picture(2, "active", 0, None)
    }

    fn told(from: &mut UnboundedReceiver<Fact>) -> Vec<Snapshot> {
        std::iter::from_fn(|| from.try_recv().ok())
            .map(|fact| match fact.event {
                Event::Snapshot(snapshot) => snapshot,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_was_shown_of_the_run_before_is_not_of_this_one() {
        let routes = Routes::default();
        let (facts, mut from) = facts(2);
        let mut verdict = routes.open(&unit(), facts, false).unwrap();
        routes.signalled(&unit(), before());
        routes.accepted(&unit(), JOB);
        routes.signalled(&unit(), before());
        assert!(verdict.try_recv().is_err());
        routes.signalled(&unit(), starting());
        routes.signalled(&unit(), up());
        assert_eq!(told(&mut from), [starting(), up()]);
        assert!(matches!(verdict.try_recv(), Ok(Main::Alive(_))));
    }

    #[test]
    fn what_was_shown_before_the_answer_is_told_with_it() {
        let routes = Routes::default();
        let (facts, mut from) = facts(2);
        let mut verdict = routes.open(&unit(), facts, false).unwrap();
        for snapshot in [before(), starting(), up()] {
            routes.signalled(&unit(), snapshot);
        }
        assert_eq!(told(&mut from), []);
        routes.accepted(&unit(), JOB);
        assert_eq!(told(&mut from), [starting(), up()]);
        assert!(matches!(verdict.try_recv(), Ok(Main::Alive(_))));
    }

    #[test]
    fn a_look_after_the_answer_counts_without_any_signal_and_opens_the_way_for_them() {
        let routes = Routes::default();
        let (facts, mut from) = facts(2);
        let _verdict = routes.open(&unit(), facts, false).unwrap();
        routes.looked(&unit(), RunKey(2), before());
        routes.accepted(&unit(), JOB);
        routes.looked(&unit(), RunKey(2), up());
        routes.signalled(&unit(), up());
        assert_eq!(told(&mut from), [up(), up()]);
    }

    #[test]
    fn a_look_for_an_earlier_run_and_its_end_touch_no_later_one() {
        let routes = Routes::default();
        let (earlier, _from) = facts(1);
        routes.open_found(&unit(), earlier).unwrap();
        assert!(routes.close(&unit(), RunKey(1)));
        let (later, mut from) = facts(2);
        routes.open_found(&unit(), later).unwrap();
        routes.looked(&unit(), RunKey(1), before());
        assert!(!routes.close(&unit(), RunKey(1)));
        routes.signalled(&unit(), up());
        assert_eq!(told(&mut from), [up()]);
    }

    #[test]
    fn a_unit_that_is_there_is_told_from_the_first_picture_on_and_looked_at_again() {
        let routes = Routes::default();
        let (found, mut from) = facts(1);
        routes.open_found(&unit(), found).unwrap();
        routes.signalled(&unit(), up());
        assert_eq!(told(&mut from), [up()]);
        assert_eq!(routes.runs(), [(unit(), RunKey(1))]);
        let (second, _) = facts(2);
        assert!(routes.open(&unit(), second, false).is_none(), "it has a run");
    }

    #[test]
    fn an_end_that_is_shown_before_the_policy_is_known_is_looked_at() {
        let routes = Routes::default();
        let (found, _from) = facts(1);
        routes.open_found(&unit(), found).unwrap();
        let down = || picture(1, "failed", 0, Some(7));
        assert_eq!(routes.signalled(&unit(), down()), Some(RunKey(1)));
        routes.found(&unit(), RunKey(1), false);
        assert_eq!(routes.signalled(&unit(), down()), None);
        routes.found(&unit(), RunKey(1), true);
        assert_eq!(routes.signalled(&unit(), down()), Some(RunKey(1)));
    }

    #[test]
    fn a_unit_whose_start_is_not_accepted_is_not_looked_at() {
        let routes = Routes::default();
        let (facts, _from) = facts(1);
        let _verdict = routes.open(&unit(), facts, false).unwrap();
        assert_eq!(routes.runs(), []);
        routes.accepted(&unit(), JOB);
        assert_eq!(routes.runs(), [(unit(), RunKey(1))]);
    }
}
