//! One fake proc: its life on paper, and the hand that moves it.

mod delivery;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::hub::Hub;
use super::picture;
use super::record::{Record, What};
use super::script::{Script, When};
use super::trace::Trace;
use crate::id::{InvocationId, ProcId, UnitName};
use crate::launcher::{Facts, LaunchError, Left, Sighting};
use crate::spec::{Lifetime, ProcSpec, StopPolicy};
use crate::status::Found;
use crate::status::details::UnitDetails;
use crate::status::exit::Exit;
use crate::status::machine::{Event, Restarts};
use crate::status::snapshot::Snapshot;

/// One run of a fake proc, in the hand of a test. Clones are the same one; dropping it changes nothing.
///
/// What is done with it happens at once, and whoever holds the proc is told. On a proc that is over, ending it again is
/// without effect.
#[derive(Debug, Clone)]
pub struct FakeProc(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hub: Arc<Hub>,
    origin: Origin,
    run: InvocationId,
    pid: u32,
    /// One permit for each answer that was told to go.
    told: Semaphore,
    life: Mutex<Life>,
}

/// Where it came from.
#[derive(Debug)]
pub(super) enum Origin {
    /// A manager launched it.
    Launched(Box<ProcSpec>),
    /// Somebody else did.
    Placed { id: ProcId, lifetime: Lifetime },
}

#[derive(Debug)]
struct Life {
    script: Script,
    /// What systemd would show of it, which is its state.
    picture: Snapshot,
    /// Processes that its main process left.
    left: Vec<u32>,
    holds: Vec<(u64, Facts)>,
    holds_taken: u64,
    /// Whether a trace does the telling.
    replaying: bool,
    /// Whether nothing is kept of it any more.
    forgotten: bool,
}

impl Life {
    fn is_over(&self) -> bool {
        self.forgotten || picture::exit(&self.picture).is_some()
    }

    fn is_alive(&self) -> bool {
        !self.is_over() && self.picture.service.exec_main_start.is_some()
    }
}

impl FakeProc {
    pub(super) fn new(hub: &Arc<Hub>, origin: Origin, script: Script) -> Self {
        let (run, pid) = hub.next_run();
        let life = Life {
            script,
            picture: picture::queued(),
            left: Vec::new(),
            holds: Vec::new(),
            holds_taken: 0,
            replaying: false,
            forgotten: false,
        };
        let (hub, told) = (Arc::clone(hub), Semaphore::new(0));
        Self(Arc::new(Inner { hub, origin, run, pid, told, life: Mutex::new(life) }))
    }

    /// The proc's id.
    pub fn id(&self) -> &ProcId {
        match &self.0.origin {
            Origin::Launched(spec) => spec.id(),
            Origin::Placed { id, .. } => id,
        }
    }

    /// The run, also where the launcher tells managers of none.
    pub fn run(&self) -> InvocationId {
        self.0.run
    }

    /// The number of its main process. No real process has it.
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// What it was launched with; `None` for one that was placed there.
    pub fn spec(&self) -> Option<&ProcSpec> {
        match &self.0.origin {
            Origin::Launched(spec) => Some(spec),
            Origin::Placed { .. } => None,
        }
    }

    /// Whether its main process is over.
    pub fn is_over(&self) -> bool {
        self.life().is_over()
    }

    /// Gives it another script, for what is still to come.
    pub fn script(&self, script: Script) {
        self.life().script = script;
    }

    /// Lets one answer go that waits for that ([`When::Told`]), or the next that will.
    pub fn answer(&self) {
        self.0.told.add_permits(1);
    }

    /// The main process exits with this code.
    pub fn exit(&self, code: u8) {
        self.end(Exit::Code(code));
    }

    /// The main process ends.
    pub fn end(&self, exit: Exit) {
        let leaves = self.life().script.leaves;
        self.end_leaving(exit, leaves);
    }

    /// What its main process left ends.
    pub fn leftovers_end(&self) {
        let mut life = self.life();
        if life.is_over() && !life.left.is_empty() {
            life.left.clear();
            self.settle(&mut life);
        }
    }

    /// All of it goes, and its unit, and nobody sees how.
    pub fn vanish(&self) {
        let mut life = self.life();
        if !life.forgotten && life.picture.unit.invocation.is_some() {
            life.picture = picture::none();
            life.left.clear();
            self.forget(&mut life);
            self.record(What::Vanished);
            self.say(&life);
        }
    }

    /// It says that it is ready, at this address.
    pub fn ready(&self, addr: Option<&str>) {
        self.tell(Event::Ready { addr: addr.map(str::to_owned), agent: None });
    }

    /// Tells whoever holds it a fact as it stands, true or not: one that comes twice, too late or in the wrong order.
    /// A picture is from then on what it looks like. While disconnected nobody hears it.
    pub fn tell(&self, fact: Event) {
        let mut life = self.life();
        if let Event::Snapshot(picture) = &fact {
            life.picture = picture.clone();
        }
        self.send(&life, &[fact]);
    }

    pub(super) fn lifetime(&self) -> Lifetime {
        match &self.0.origin {
            Origin::Launched(spec) => spec.lifetime(),
            Origin::Placed { lifetime, .. } => *lifetime,
        }
    }

    fn stop_policy(&self) -> StopPolicy {
        self.spec().map(|spec| spec.stop().clone()).unwrap_or_default()
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.life().forgotten
    }

    /// Whether it can be seen: started, and kept.
    pub(super) fn is_there(&self) -> bool {
        let life = self.life();
        !life.forgotten && life.picture.unit.invocation.is_some()
    }

    pub(super) fn tells_units(&self) -> bool {
        self.0.hub.units
    }

    pub(super) fn record(&self, what: What) {
        let (id, run, pid) = (self.id().clone(), self.run(), self.pid());
        self.0.hub.record(Record { at: Instant::now(), id, run, pid, what });
    }

    /// From the call to the answer.
    pub(super) async fn launch(&self) -> Result<Script, LaunchError> {
        let script = self.life().script.clone();
        self.wait(script.answers).await;
        if let Some(refuse) = &script.refusal {
            self.forget(&mut self.life());
            return Err(refuse(self.id().clone()));
        }
        self.start();
        Ok(script)
    }

    pub(super) fn start(&self) {
        let mut life = self.life();
        if let Some(trace) = life.script.replays.take() {
            life.replaying = true;
            drop(tokio::spawn(self.clone().replay(trace)));
            return;
        }
        life.picture = picture::running(self.0.run, self.0.pid, self.0.hub.stamp());
        self.say(&life);
        let (ends, leaves) = (life.script.ends, life.script.leaves);
        drop(life);
        if let Some((after, exit)) = ends {
            self.later(after, move |proc| proc.end_leaving(exit, leaves));
        }
    }

    async fn replay(self, trace: Trace) {
        for (after, fact) in trace.steps {
            sleep(after).await;
            self.tell(fact);
        }
    }

    pub(super) async fn wait(&self, until: When) {
        match until {
            When::Now => {}
            When::After(delay) => sleep(delay).await,
            When::Told => {
                if let Ok(permit) = self.0.told.acquire().await {
                    permit.forget();
                }
            }
        }
    }

    /// A manager takes hold of it; the number names the hold.
    pub(super) fn hold(&self, facts: Facts) -> u64 {
        let mut life = self.life();
        life.holds_taken += 1;
        let hold = life.holds_taken;
        life.holds.push((hold, facts));
        hold
    }

    /// The hold is given up. Attached, its unit goes with it.
    pub(super) fn release(&self, hold: u64) {
        let mut life = self.life();
        life.holds.retain(|(held, _)| *held != hold);
        let over = life.is_over() || life.replaying;
        if over && self.lifetime() == Lifetime::Attached {
            self.forget(&mut life);
        }
    }

    /// Whoever had this hold is gone. Attached, it ends with the last.
    pub(super) fn untie(&self, hold: u64) {
        let mut life = self.life();
        life.holds.retain(|(held, _)| *held != hold);
        let orphaned = life.holds.is_empty() && self.lifetime() == Lifetime::Attached;
        drop(life);
        if orphaned {
            self.end_leaving(Exit::Signal { signal: self.stop_policy().signal, core_dumped: false }, 0);
            self.forget(&mut self.life());
        }
    }

    /// Keeps nothing of it any more. What was held back is answered: nobody could tell it to go.
    fn forget(&self, life: &mut Life) {
        life.forgotten = true;
        self.0.told.close();
    }

    pub(super) fn discard(&self) {
        let mut life = self.life();
        if self.0.hub.is_connected() {
            life.left.clear();
            self.settle(&mut life);
            self.forget(&mut life);
        }
    }

    /// Tells what it looks like now.
    pub(super) fn look_again(&self) {
        self.say(&self.life());
    }

    pub(super) fn sighting(&self) -> Sighting {
        let life = self.life();
        Sighting {
            id: self.id().clone(),
            unit: UnitName::for_proc(self.id()),
            snapshot: life.picture.clone(),
            details: life.script.details.clone().unwrap_or_default(),
            processes: Some(self.processes_of(&life)),
            lifetime: self.lifetime(),
            stop: self.stop_policy(),
            runtime_max: self.spec().and_then(ProcSpec::runtime_max),
            restarts: life.script.details.as_ref().map_or(Restarts::Never, UnitDetails::restarts),
        }
    }

    pub(super) fn processes(&self) -> Option<Vec<u32>> {
        self.0.hub.is_connected().then(|| self.processes_of(&self.life()))
    }

    fn processes_of(&self, life: &Life) -> Vec<u32> {
        if life.is_alive() { vec![self.0.pid] } else { life.left.clone() }
    }

    pub(super) fn left(&self) -> Option<Left> {
        let left = self.processes()?;
        Some(match self.life().picture.unit.active_state.as_deref() {
            _ if left.is_empty() => Left::Nothing,
            Some("active") => Left::Staying,
            _ => Left::Ending,
        })
    }

    pub(super) fn details(&self) -> Option<UnitDetails> {
        self.0.hub.is_connected().then(|| self.life().script.details.clone()).flatten()
    }

    fn later(&self, delay: Duration, act: impl FnOnce(&Self) + Send + 'static) {
        if delay.is_zero() {
            return act(self);
        }
        let proc = self.clone();
        drop(tokio::spawn(async move {
            sleep(delay).await;
            act(&proc);
        }));
    }

    fn end_leaving(&self, exit: Exit, leaves: usize) {
        let mut life = self.life();
        if !life.is_alive() {
            return;
        }
        let others =
            (1..=leaves).filter_map(|number| self.0.pid.checked_add(u32::try_from(number).ok()? << 23));
        life.left = others.collect();
        picture::end(&mut life.picture, exit, self.0.hub.stamp());
        // Written down first: what the manager does about it comes after it.
        self.record(What::Ended(exit));
        self.settle(&mut life);
        let ending = !life.left.is_empty() && picture::is_going_down(&life.picture);
        drop(life);
        if ending {
            self.later(self.stop_policy().backstop, Self::leftovers_end);
        }
    }

    fn settle(&self, life: &mut Life) {
        let left = !life.left.is_empty();
        picture::settle(&mut life.picture, self.lifetime(), left, self.0.hub.stamp());
        self.say(life);
    }

    /// Tells what it looks like, unless a trace does that.
    fn say(&self, life: &Life) {
        if life.replaying || life.picture.unit == picture::queued().unit {
            return;
        }
        if self.0.hub.units {
            self.send(life, &[Event::Snapshot(life.picture.clone())]);
        } else {
            self.send(life, &picture::plain(&life.picture));
        }
        if picture::is_none(&life.picture) {
            // A picture of no unit says nothing to who has never seen one: the launcher knows that there was.
            self.send(life, &[Event::Lost(Found::NoUnit), Event::TreeGone]);
        }
    }

    fn send(&self, life: &Life, facts: &[Event]) {
        if self.0.hub.is_connected() {
            for (_, held) in &life.holds {
                for fact in facts {
                    held.send(fact.clone());
                }
            }
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.0.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
