//! Somebody else stops, kills and resets procs at random moments of their first 300 ms. What the library then says
//! of each must agree with what the program itself wrote down.

#![cfg(feature = "systemd")]

mod live;

use std::sync::Arc;
use std::time::Duration;

use live::chance::Chance;
use live::outside::{alive, loaded, nothing_left, systemctl, unit_of};
use live::record::Record;
use live::relay::Relay;
use live::{BOUND, eventually, fresh, manager, within, within_for};
use procunit::bus::{Bus, BusAddress, BusError, Whom};
use procunit::id::ProcId;
use procunit::launcher::LaunchError;
use procunit::launcher::systemd::SystemdLauncher;
use procunit::signal::Signal;
use procunit::spec::{Lifetime, Output};
use procunit::status::{FailReason, Found};
use procunit::{ProcHandle, ProcManager, ProcSpec, ProcStatus};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

const MOMENTS: usize = 50;
const FIRST: Duration = Duration::from_millis(300);
/// A launch takes about this long on an idle machine.
const LAUNCH: Duration = Duration::from_millis(30);
/// How long after its end a proc's status may take.
const SEEN_WITHIN: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 8;

/// What runs. Each writes `pid N` first and, where it exits by itself, `exit N` last.
#[derive(Debug, Clone, Copy)]
enum Program {
    Obeys,
    Traps,
    IgnoresForAWhile,
    Exits0,
    Exits7,
}

impl Program {
    const ALL: [Self; 5] = [Self::Obeys, Self::Traps, Self::IgnoresForAWhile, Self::Exits0, Self::Exits7];

    /// From `exit N` on no TERM can come in between.
    fn script(self) -> &'static str {
        match self {
            Self::Obeys => r#"echo pid $$ >>"$1"; exec sleep 60"#,
            Self::Traps => {
                r#"trap 'trap "" TERM; echo term >>"$1"; echo exit 3 >>"$1"; exit 3' TERM
                   echo pid $$ >>"$1"; sleep 60 & wait"#
            }
            Self::IgnoresForAWhile => {
                r#"trap "" TERM; echo pid $$ >>"$1"; sleep 0.4; echo exit 5 >>"$1"; exit 5"#
            }
            Self::Exits0 => r#"echo pid $$ >>"$1"; sleep 0.15; trap "" TERM; echo exit 0 >>"$1"; exit 0"#,
            Self::Exits7 => r#"echo pid $$ >>"$1"; sleep 0.15; trap "" TERM; echo exit 7 >>"$1"; exit 7"#,
        }
    }

    /// Whether it has a way of its own with TERM as soon as it has written anything.
    fn minds_term(self) -> bool {
        matches!(self, Self::Traps | Self::IgnoresForAWhile)
    }

    fn ends_by_itself(self) -> bool {
        matches!(self, Self::IgnoresForAWhile | Self::Exits0 | Self::Exits7)
    }
}

/// What somebody else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Stop,
    Term,
    Kill,
    ResetFailed,
}

/// Another client of the user manager.
#[derive(Debug, Clone)]
enum Other {
    /// A process of its own, which takes some milliseconds to get there.
    Systemctl,
    /// The same call at once.
    Call(Bus),
}

impl Other {
    /// Whether it found the unit.
    async fn does(&self, act: Act, unit: &str) -> bool {
        match self {
            Self::Systemctl => {
                let words: &[&str] = match act {
                    Act::Stop => &["stop"],
                    Act::Term => &["kill", "--signal=TERM"],
                    Act::Kill => &["kill", "--signal=KILL"],
                    Act::ResetFailed => &["reset-failed"],
                };
                systemctl(&[words, &[unit]].concat()).await.0
            }
            Self::Call(bus) => {
                let done = match act {
                    Act::Stop => bus.stop(unit).await.map(drop),
                    Act::Term => bus.kill(unit, Whom::All, Signal::TERM).await,
                    Act::Kill => bus.kill(unit, Whom::All, Signal::KILL).await,
                    Act::ResetFailed => bus.reset_failed(unit).await,
                };
                assert!(matches!(done, Ok(()) | Err(BusError::NoSuchUnit { .. })), "{act:?}: {done:?}");
                done.is_ok()
            }
        }
    }
}

/// When it does it.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// This long after the launch began.
    OfTheLaunch(Duration),
    /// This long after the launch was answered.
    OfTheProc(Duration),
}

struct Case {
    id: ProcId,
    program: Program,
    act: Act,
    lifetime: Lifetime,
    moment: Moment,
    other: Other,
    record: Record,
}

impl Case {
    fn spec(&self) -> ProcSpec {
        let spec = ProcSpec::builder(self.id.clone(), "/bin/sh").args(["-c", self.program.script(), "sh"]);
        spec.arg(self.record.path()).lifetime(self.lifetime).build().expect("a spec")
    }

    async fn run(self, manager: Arc<ProcManager>) {
        let by = if matches!(self.other, Other::Systemctl) { "systemctl" } else { "a call" };
        let label =
            format!("{:?} by {by} at {:?} of {:?} {:?}", self.act, self.moment, self.lifetime, self.program);
        match self.moment {
            Moment::OfTheLaunch(after) => {
                let spawned = manager.spawn(self.spec());
                let (spawned, found) =
                    within(&label, async { tokio::join!(spawned, self.acts(after)) }).await;
                match spawned {
                    // A stop that systemd took ends it; a signal may have found no process yet.
                    Ok(handle) => self.judge(&label, &handle, found && self.act == Act::Stop).await,
                    Err(error) => self.judge_refusal(&label, &error).await,
                }
            }
            Moment::OfTheProc(after) => {
                let handle = within(&label, manager.spawn(self.spec())).await.expect(&label);
                within(&label, self.acts(after)).await;
                self.judge(&label, &handle, self.act != Act::ResetFailed).await;
            }
        }
    }

    async fn acts(&self, after: Duration) -> bool {
        sleep(after).await;
        self.other.does(self.act, &unit_of(&self.id)).await
    }

    /// An error says that the program never ran, and then nothing of it may be there.
    async fn judge_refusal(&self, label: &str, error: &LaunchError) {
        let interrupted = matches!(error, LaunchError::Interrupted { .. });
        assert!(interrupted && self.act != Act::ResetFailed, "{label}: {error}");
        assert_eq!(self.record.lines(), [""; 0], "{label}: refused, yet it ran");
        assert_eq!(loaded(&[&unit_of(&self.id)]).await, [""; 0], "{label}: refused, yet it is there");
    }

    async fn judge(&self, label: &str, handle: &ProcHandle, must_end: bool) {
        let pid = handle.pid().unwrap_or_else(|| panic!("{label}: no pid"));
        let over = || async { (!alive(pid)).then_some(()) };
        let ends = must_end || self.program.ends_by_itself();
        let asked_by_us =
            !ends && tokio::time::timeout(LAUNCH, eventually(BOUND, label, over)).await.is_err();
        if asked_by_us {
            // It may end in between.
            let _ = within(label, handle.terminate(None, "the test is over")).await;
        }
        eventually(BOUND, label, over).await;
        let seen = within_for(SEEN_WITHIN, &format!("{label}: the status of its end"), handle.wait()).await;
        self.agrees(label, &seen.expect("the manager is there"), asked_by_us);
        if self.lifetime == Lifetime::Detached {
            within(label, handle.reap()).await;
        }
    }

    fn agrees(&self, label: &str, status: &ProcStatus, asked_by_us: bool) {
        let (exit, written) = (self.record.exit(), self.record.lines());
        let term_came = matches!(self.act, Act::Stop | Act::Term) || asked_by_us;
        let agrees = match status {
            ProcStatus::Stopped { exit_code, .. } => exit == Some(*exit_code),
            ProcStatus::Killed { signal: Signal::TERM, .. } => {
                term_came && exit.is_none() && (written.is_empty() || !self.program.minds_term())
            }
            ProcStatus::Killed { signal: Signal::KILL, .. } => self.act == Act::Kill,
            _ => false,
        };
        assert!(agrees, "{label}: {status}, but the program wrote {written:?}");
    }
}

async fn other() -> Bus {
    let address = BusAddress::from_env().expect("a user manager to test with");
    within("connecting", Bus::connect(address)).await.expect("a user manager to test with").bus
}

/// Does `act` at random moments to each kind of program, attached and detached.
async fn interfere(act: Act, name: &str) {
    let mut chance = Chance::new(name);
    let (manager, bus) = (Arc::new(manager().await), other().await);
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut cases = JoinSet::new();
    for moment in 0..MOMENTS {
        let program = Program::ALL[moment % Program::ALL.len()];
        let lifetime = if chance.coin() { Lifetime::Attached } else { Lifetime::Detached };
        let when = if chance.coin() {
            Moment::OfTheLaunch(chance.before(LAUNCH))
        } else {
            Moment::OfTheProc(chance.before(FIRST))
        };
        let other = if chance.coin() { Other::Systemctl } else { Other::Call(bus.clone()) };
        let (id, record) = (fresh(name), Record::new());
        let case = Case { id, program, act, lifetime, moment: when, other, record };
        let (manager, turns) = (Arc::clone(&manager), Arc::clone(&turns));
        cases.spawn(async move {
            let _turn = turns.acquire_owned().await.expect("open");
            case.run(manager).await;
        });
    }
    within("all cases", cases.join_all()).await;
    nothing_left(name).await;
}

#[tokio::test]
async fn a_stop_by_someone_else_shows_as_what_the_program_did() {
    interfere(Act::Stop, "stop").await;
}

#[tokio::test]
async fn a_term_by_someone_else_shows_as_what_the_program_did() {
    interfere(Act::Term, "term").await;
}

#[tokio::test]
async fn a_kill_by_someone_else_shows_as_what_the_program_did() {
    interfere(Act::Kill, "kill").await;
}

#[tokio::test]
async fn a_reset_by_someone_else_changes_nothing() {
    interfere(Act::ResetFailed, "reset").await;
}

fn sleeper(label: &str) -> ProcSpec {
    // The relay carries bytes and no descriptors.
    let spec =
        ProcSpec::builder(fresh(label), "/bin/sleep").arg("60").stdout(Output::Null).stderr(Output::Null);
    spec.lifetime(Lifetime::Detached).build().expect("a spec")
}

#[tokio::test]
async fn a_unit_that_went_while_the_bus_was_away_is_lost_and_nothing_else() {
    let relay = Relay::start();
    let launcher = within("connecting", SystemdLauncher::connect_to(relay.address())).await;
    let manager = ProcManager::new(launcher.expect("a user manager to test with"));
    let handle = within("the start", manager.spawn(sleeper("unseen"))).await.expect("started");
    relay.cut();
    // A stop of a unit that nobody holds is forgotten at once.
    let unit = unit_of(handle.id());
    let gone = || async {
        systemctl(&["stop", &unit]).await;
        loaded(&[&unit]).await.is_empty().then_some(())
    };
    eventually(BOUND, "the end of the unit", gone).await;
    assert!(!handle.status().is_exit(), "nothing was seen, so nothing is said: {}", handle.status());
    relay.mend();
    let status = within("the end", handle.wait()).await.expect("the manager is there");
    assert_eq!(status, ProcStatus::Failed { reason: FailReason::Lost { found: Found::NoUnit } });
}
