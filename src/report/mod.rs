//! Everything that is known of one proc, as a value for people and programs. No IO.
//!
//! The JSON form is an interface: version 1, snake_case, RFC 3339 times, durations in seconds, sizes in bytes,
//! what is not known as null. Tests pin it.

mod ended_by;
mod logs;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use ended_by::Asked;
pub use ended_by::EndedBy;
use ended_by::{Seen, ended_by};
pub use logs::{Completeness, LastLine, OutputReport};

use crate::id::{InvocationId, ProcId, UnitName};
use crate::spec::Lifetime;
use crate::status::details::UnitDetails;
use crate::status::history::{History, Transition};
use crate::status::machine::{Event, Machine};
use crate::status::observe::{Ended, Main, observe};
use crate::status::snapshot::Snapshot;
use crate::status::{FailReason, ProcStatus, RunRecord, StatusKind};
use crate::time::Timestamp;

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// Why a report says nothing of the log.
const NOT_ASKED: &str = "its log was not looked at";

/// Everything that is known of one proc at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The proc's id.
    pub id: ProcId,
    /// Its unit; null for a launcher without units.
    pub unit: Option<UnitName>,
    /// Its launcher.
    pub launcher: String,
    /// What people call it, where it has a name besides the id.
    pub label: Option<String>,
    /// Whether it ends with its manager.
    pub lifetime: Lifetime,
    /// systemd's id of the run.
    pub invocation_id: Option<InvocationId>,
    /// The status.
    pub status: ProcStatus,
    /// The main process, also after its end.
    pub pid: Option<u32>,
    /// When the main process was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Seconds between the two.
    pub wall_seconds: Option<f64>,
    /// Seconds of processor time, of the whole tree.
    pub cpu_seconds: Option<f64>,
    /// Memory used now, bytes.
    pub memory_bytes: Option<u64>,
    /// The most memory it ever used, bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Processes that are there although the main process is over.
    pub leftovers: Option<usize>,
    /// Who ended it; null while it is not over, or its end is not known.
    pub ended_by: Option<EndedBy>,
    /// Whether SIGKILL of ours was needed.
    pub escalated: bool,
    /// systemd's `Result`.
    pub result: Option<String>,
    /// What keeps this from being the whole truth.
    pub doubts: Vec<String>,
    /// What was worth telling at the launch, and of how it was to be stopped.
    pub notes: Vec<String>,
    /// How often its restart policy started it again.
    #[serde(default)]
    pub restarts: u32,
    /// Its runs as far as they were seen, oldest first, the newest included; of many the newest.
    #[serde(default)]
    pub runs: Vec<RunRecord>,
    /// Where its output goes.
    #[serde(default)]
    pub output: OutputReport,
    /// Whether the journal has all that it wrote there; null where that is not known.
    #[serde(default)]
    pub logs_complete: Option<bool>,
    /// Why it has not, or why that is not known.
    #[serde(default)]
    pub logs_complete_why: Option<String>,
    /// How many lines journald says that it dropped while the proc ran, of this one and of its user's others.
    #[serde(default)]
    pub logs_suppressed: Option<u64>,
    /// Its last lines, oldest first, where they were asked for.
    #[serde(default)]
    pub last_lines: Vec<LastLine>,
    /// The transitions this manager saw, oldest first.
    pub transitions: Vec<Transition>,
    /// How many more there were before them.
    pub transitions_dropped: u64,
}

/// What a manager knows of a run.
pub(crate) struct RunFacts<'a> {
    pub(crate) id: &'a ProcId,
    pub(crate) unit: Option<UnitName>,
    pub(crate) launcher: &'static str,
    pub(crate) label: Option<&'a str>,
    pub(crate) lifetime: Lifetime,
    pub(crate) machine: &'a Machine,
    pub(crate) history: &'a History,
    /// Why it was asked to end, where that was delivered before the end.
    pub(crate) asked: Option<&'a Asked>,
    pub(crate) escalated: bool,
    pub(crate) details: Option<&'a UnitDetails>,
    pub(crate) runtime_max: Option<Duration>,
    pub(crate) notes: &'a [String],
    pub(crate) output: &'a OutputReport,
}

/// What is seen of a proc that nobody here holds.
pub struct SeenProc<'a> {
    /// Its id.
    pub id: &'a ProcId,
    /// Its unit.
    pub unit: &'a UnitName,
    /// The launcher that sees it.
    pub launcher: &'a str,
    /// Whether it ends with its manager.
    pub lifetime: Lifetime,
    /// What its unit looked like.
    pub snapshot: &'a Snapshot,
    /// What it was given and has used.
    pub details: &'a UnitDetails,
    /// How many processes are in it although its main process is over.
    pub leftovers: Option<usize>,
}

impl Report {
    #[cfg_attr(
        not(any(feature = "runtime", test)),
        expect(dead_code, reason = "only managers have runs to tell of")
    )]
    pub(crate) fn of_run(facts: &RunFacts<'_>) -> Self {
        let machine = facts.machine;
        let mut report = Self::blank(facts.id.clone(), facts.launcher, facts.lifetime);
        report.unit.clone_from(&facts.unit);
        report.label = facts.label.map(str::to_owned);
        report.take_machine(machine, facts.asked, facts.details, facts.runtime_max);
        report.escalated = facts.escalated;
        report.notes = facts.notes.to_vec();
        report.output.clone_from(facts.output);
        report.transitions = facts.history.iter().cloned().collect();
        report.transitions_dropped = facts.history.dropped();
        report
    }

    /// Of a proc that is only looked at: its status is what the picture alone says.
    ///
    /// `now` dates what the picture does not date itself.
    pub fn of_seen(seen: &SeenProc<'_>, now: Timestamp) -> Self {
        let mut machine = Machine::restarting(seen.details.restarts());
        machine.step(event_of(seen.snapshot), now);
        let mut report = Self::blank(seen.id.clone(), seen.launcher, seen.lifetime);
        report.unit = Some(seen.unit.clone());
        report.label = label_of(seen.id, seen.details);
        report.take_machine(&machine, None, Some(seen.details), seen.details.runtime_max);
        report.leftovers = seen.leftovers.filter(|left| *left > 0);
        report
    }

    fn blank(id: ProcId, launcher: &str, lifetime: Lifetime) -> Self {
        Self {
            version: VERSION,
            id,
            unit: None,
            launcher: launcher.to_owned(),
            label: None,
            lifetime,
            invocation_id: None,
            status: ProcStatus::Starting,
            pid: None,
            started_at: None,
            ended_at: None,
            wall_seconds: None,
            cpu_seconds: None,
            memory_bytes: None,
            memory_peak_bytes: None,
            leftovers: None,
            ended_by: None,
            escalated: false,
            result: None,
            doubts: Vec::new(),
            notes: Vec::new(),
            restarts: 0,
            runs: Vec::new(),
            output: OutputReport::default(),
            logs_complete: None,
            logs_complete_why: Some(NOT_ASKED.to_owned()),
            logs_suppressed: None,
            last_lines: Vec::new(),
            transitions: Vec::new(),
            transitions_dropped: 0,
        }
    }

    fn take_machine(
        &mut self,
        machine: &Machine,
        asked: Option<&Asked>,
        details: Option<&UnitDetails>,
        runtime_max: Option<Duration>,
    ) {
        self.status = machine.status().clone();
        self.invocation_id = machine.run();
        self.pid = machine.pid();
        self.started_at = machine.started_at();
        self.restarts = machine.restarts();
        self.runs = machine.runs().collect();
        if let Some(details) = details {
            self.take_details(details);
        }
        if let Some(ended) = machine.ended() {
            self.take_end(ended, machine, asked, runtime_max);
        }
    }

    fn take_details(&mut self, details: &UnitDetails) {
        self.cpu_seconds = details.cpu_usage.map(|spent| spent.as_secs_f64());
        // An ended proc uses none; what systemd then says of it is its last value.
        self.memory_bytes = details.memory_current.filter(|_| !self.status.is_exit());
        self.memory_peak_bytes = details.memory_peak;
        self.output.apart = details.streams_apart();
    }

    fn take_end(
        &mut self,
        ended: &Ended,
        machine: &Machine,
        asked: Option<&Asked>,
        runtime_max: Option<Duration>,
    ) {
        let wall = ended.ended_at.zip(self.started_at).map(|(ended, started)| ended.since(started));
        self.ended_at = ended.ended_at;
        self.wall_seconds = wall.map(|wall| wall.as_secs_f64());
        self.result = ended.result.as_deref().map(str::to_owned);
        self.ended_by = Some(ended_by(&Seen {
            ended,
            asked,
            deactivated: machine.was_deactivated(),
            between_runs: machine.ended_between_runs(),
            reached_runtime_max: runtime_max.zip(wall).is_some_and(|(limit, wall)| wall >= limit),
        }));
        if let Some(step) = ended.may_be_setup() {
            self.doubts.push(format!(
                "systemd below 256 cannot tell this program's own exit {} from a failed setup ({})",
                step.status(),
                step.describe(),
            ));
        }
    }

    /// Adds what is known of its log.
    pub fn take_logs(&mut self, completeness: &Completeness, last_lines: Vec<LastLine>) {
        (self.logs_complete, self.logs_complete_why, self.logs_suppressed) = match completeness {
            Completeness::Complete => (Some(true), None, None),
            Completeness::Incomplete { why, suppressed } => (Some(false), Some(why.clone()), *suppressed),
            Completeness::Unknown { why } => (None, Some(why.clone()), None),
        };
        self.last_lines = last_lines;
    }

    /// Whether its time limit ended it.
    pub fn hit_time_limit(&self) -> bool {
        self.ended_by == Some(EndedBy::TimeLimit)
    }

    /// How long it has been up at `now`, or was up in all.
    pub fn up(&self, now: Timestamp) -> Option<Duration> {
        match (self.wall_seconds, self.status.kind()) {
            (Some(seconds), _) => Some(Duration::from_secs_f64(seconds)),
            (None, StatusKind::Running | StatusKind::Ready | StatusKind::Stopping) => {
                self.started_at.map(|started| now.since(started))
            }
            (None, _) => None,
        }
    }
}

/// What one picture says where no other was seen: a unit that is not there is lost.
fn event_of(picture: &Snapshot) -> Event {
    match observe(picture, None).main {
        Main::Failed(FailReason::Lost { found }) => Event::Lost(found),
        _ => Event::Snapshot(picture.clone()),
    }
}

/// A unit's description is `label @ host`; the label of a proc without one is its id.
pub fn label_of(id: &ProcId, details: &UnitDetails) -> Option<String> {
    let (label, _host) = details.description.as_deref()?.rsplit_once(" @ ")?;
    (label != id.as_str()).then(|| label.to_owned())
}
