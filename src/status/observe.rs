//! What one snapshot means: the only place that reads systemd's words.

use serde::{Deserialize, Serialize};

use super::exit::{ExecReached, Exit, SetupStep, active_enter};
use super::proc_status::{FailReason, Found};
use super::snapshot::{Snapshot, Word};
use crate::id::InvocationId;
use crate::time::Timestamp;

/// What a snapshot says of one run of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The run the snapshot shows; absent before systemd has given it an id.
    pub run: Option<InvocationId>,
    /// What it says of the main process.
    pub main: Main,
    /// What it says of everything the proc forked.
    pub tree: Tree,
}

/// The main process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Main {
    /// Nothing can be said yet: the start is queued or under way.
    Pending,
    /// Exec succeeded and it is there.
    Alive(Alive),
    /// It is there, and systemd is ending it.
    Deactivating(Alive),
    /// It is over, and this is its exact end.
    Ended(Ended),
    /// It is over or never was, and this is why no exact end can be had.
    Failed(FailReason),
}

/// A main process that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alive {
    /// Its process id.
    pub pid: Option<u32>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
}

/// A main process that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub exit: Exit,
    /// The process id it had.
    pub pid: Option<u32>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether the program itself was reached.
    pub exec: ExecReached,
    /// Whether systemd had begun to end it before it ended. `None` where the timestamps do not tell.
    pub stopped_first: Option<bool>,
    /// systemd's `Result` at that moment: a reason, never an exit.
    pub result: Option<Word>,
}

impl Ended {
    /// Whether this end may be a failed setup that this systemd cannot tell from the program's own exit.
    pub fn may_be_setup(&self) -> Option<SetupStep> {
        match (self.exit, self.exec) {
            (Exit::Code(code), ExecReached::Unknown) => SetupStep::from_status(code),
            _ => None,
        }
    }
}

/// Everything a proc forked, its main process included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    /// The unit is up or going down: some of it may be there.
    Maybe,
    /// The unit is down: systemd has seen its control group empty, or has given up on what SIGKILL does not end.
    Gone,
}

/// What `snapshot` says of the run `ours`; with `ours` unknown, of the run it shows.
///
/// The rules, each a measured trap:
/// - a unit that does not exist reads as a clean success, so `LoadState=not-found` comes first;
/// - the first state announced is `inactive` with the start job pending, which is no end;
/// - only `ExecMainCode` and `ExecMainStatus` say how it ended; `Result` is `success` for death by TERM.
pub fn observe(snapshot: &Snapshot, ours: Option<InvocationId>) -> Observation {
    let unit = &snapshot.unit;
    let run = unit.invocation;
    if unit.load_state.as_deref() == Some("not-found") {
        return gone(run, Found::NoUnit);
    }
    match (ours, run) {
        (Some(ours), Some(shown)) if ours != shown => return gone(run, Found::OtherRun),
        // No run yet, or a picture from before ours had its id: a unit loses that only with its whole state. Also the
        // end of a start that was cancelled before it began (measured, 252 and 257), which the end of its job tells.
        (_, None) => return Observation { run, main: Main::Pending, tree: Tree::Maybe },
        (_, Some(_)) => {}
    }
    let activity = Activity::of(unit.active_state.as_deref(), unit.job);
    let tree = if activity == Activity::Down { Tree::Gone } else { Tree::Maybe };
    let main = match ended(snapshot) {
        Some(ended) => main_ended(ended),
        None => main_not_ended(snapshot, activity),
    };
    Observation { run, main, tree }
}

fn gone(run: Option<InvocationId>, found: Found) -> Observation {
    Observation { run, main: Main::Failed(FailReason::Lost { found }), tree: Tree::Gone }
}

/// Where a unit is, as far as a verdict needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activity {
    /// Not known, or on the way up.
    Unsettled,
    /// Up.
    Up,
    /// On the way down.
    Deactivating,
    /// Down, with no job that would start it.
    Down,
}

/// Whether the picture shows the unit down, with no job that would start it.
pub(crate) fn is_down(snapshot: &Snapshot) -> bool {
    Activity::of(snapshot.unit.active_state.as_deref(), snapshot.unit.job) == Activity::Down
}

/// Whether no restart follows the end that the picture shows, of a unit that has a policy: it stays up without a main
/// process, or it is down, and a look shows that. A signal that shows it down may be that of a moment, after which it
/// waits for its restart: before 254 systemd announces both in the same words (measured, 252).
pub(crate) fn is_settled(snapshot: &Snapshot) -> bool {
    let unit = &snapshot.unit;
    let kept = unit.active_state.as_deref() == Some("active") && unit.sub_state.as_deref() == Some("exited");
    kept || (unit.load_state.is_some() && is_down(snapshot))
}

impl Activity {
    fn of(active_state: Option<&str>, job: Option<u32>) -> Self {
        match active_state {
            Some("active" | "reloading" | "refreshing") => Self::Up,
            Some("deactivating") => Self::Deactivating,
            // Inactive with a job pending is how every unit begins. A missing job says nothing.
            Some("inactive" | "failed") if job == Some(0) => Self::Down,
            _ => Self::Unsettled,
        }
    }
}

fn ended(snapshot: &Snapshot) -> Option<Ended> {
    let service = &snapshot.service;
    let exit = Exit::from_exec_main(service.exec_main_code?, service.exec_main_status?)?;
    Some(Ended {
        exit,
        pid: service.exec_main_pid.filter(|&pid| pid != 0),
        started_at: service.exec_main_start,
        ended_at: service.exec_main_exit,
        exec: ExecReached::of(snapshot),
        stopped_first: stopped_first(snapshot),
        result: service.result.clone(),
    })
}

/// A unit leaves `active` when a stop begins, or, without one, when the end of its main process is read:
/// the order of the two timestamps tells which it was, also to someone who looks long after.
fn stopped_first(snapshot: &Snapshot) -> Option<bool> {
    let entered = active_enter(snapshot)?;
    let ended_at = snapshot.service.exec_main_exit?;
    // One from before is the run before's, which stays like that of `active_enter`: this run is still active although
    // its main process is over, and nobody stops it.
    let left = snapshot.unit.active_exit.filter(|left| entered <= *left);
    Some(left.is_some_and(|left| left < ended_at))
}

fn main_ended(ended: Ended) -> Main {
    match (ended.exit, ended.exec) {
        (Exit::Code(code), ExecReached::No) => match SetupStep::from_status(code) {
            Some(step) => Main::Failed(FailReason::Setup { step }),
            None => Main::Ended(ended),
        },
        _ => Main::Ended(ended),
    }
}

fn main_not_ended(snapshot: &Snapshot, activity: Activity) -> Main {
    let service = &snapshot.service;
    let alive = Alive { pid: service.main_pid.filter(|&pid| pid != 0), started_at: service.exec_main_start };
    let no_exit_status = || Main::Failed(FailReason::Lost { found: Found::NoExitStatus });
    match activity {
        Activity::Up if snapshot.unit.sub_state.as_deref() == Some("exited") => no_exit_status(),
        Activity::Up => Main::Alive(alive),
        Activity::Deactivating if alive.pid.is_some() => Main::Deactivating(alive),
        Activity::Deactivating | Activity::Unsettled => Main::Pending,
        Activity::Down if service.exec_main_pid.is_some_and(|pid| pid != 0) => no_exit_status(),
        Activity::Down => Main::Failed(FailReason::NoMainProcess {
            result: service.result.as_deref().unwrap_or_default().to_owned(),
        }),
    }
}
