//! Recorded lives: the facts of a run, in order, each some time after the one before.

use std::time::Duration;

use serde::Deserialize;

use crate::status::machine::Event;
use crate::status::snapshot::Snapshot;
use crate::time::Timestamp;

/// The facts of one run, to be told again.
///
/// A picture that a real unit gave serialises, so that a trace can be made of one's own:
///
/// ```
/// use procunit::launcher::fake::Trace;
/// use procunit::status::snapshot::Snapshot;
///
/// let seen: Snapshot = serde_json::from_str(
///     r#"{"unit": {"load_state": "loaded", "active_state": "failed", "job": 0,
///                  "invocation": "f82bc701683a4d1d84894610857aeabe"},
///         "service": {"main_pid": 0, "exec_main_pid": 7, "exec_main_code": 1, "exec_main_status": 3}}"#,
/// )?;
/// let trace: Trace = [seen].into_iter().collect();
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    pub(super) steps: Vec<(Duration, Event)>,
}

/// Text that is no trace.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the trace: {source}")]
pub struct BadTrace {
    /// Counted from 1.
    pub line: usize,
    /// Why.
    #[source]
    pub source: serde_json::Error,
}

/// A line of a recorded file. Lines that say nothing to a manager have none of these.
#[derive(Deserialize)]
struct Line {
    at: Timestamp,
    signal: Option<Snapshot>,
    look: Option<Snapshot>,
    stop_delivered: Option<String>,
}

impl Line {
    fn event(self) -> Option<Event> {
        let stop = self.stop_delivered.map(|_| Event::StopDelivered);
        self.signal.or(self.look).map(Event::Snapshot).or(stop)
    }
}

impl Trace {
    /// Adds a fact, so long after the one before it, or after the launch.
    #[must_use]
    pub fn then(mut self, after: Duration, fact: Event) -> Self {
        self.steps.push((after, fact));
        self
    }

    /// Reads a file of this project's recorder (`tests/traces`): a first line about the life as a whole, which is
    /// skipped, and one of JSON for each thing seen (`at` with `signal`, `look` or `stop_delivered`).
    ///
    /// # Errors
    /// [`BadTrace`] at the first line that does not read.
    pub fn from_recorded(text: &str) -> Result<Self, BadTrace> {
        let mut trace = Self::default();
        let mut before = None;
        for (index, text) in text.lines().enumerate().skip(1) {
            let line: Line =
                serde_json::from_str(text).map_err(|source| BadTrace { line: index + 1, source })?;
            let at = line.at;
            if let Some(fact) = line.event() {
                let after = before.replace(at).map_or(Duration::ZERO, |before| at.since(before));
                trace = trace.then(after, fact);
            }
        }
        Ok(trace)
    }
}

/// Pictures, one at once after the other.
impl FromIterator<Snapshot> for Trace {
    fn from_iter<I: IntoIterator<Item = Snapshot>>(pictures: I) -> Self {
        let step = |picture| (Duration::ZERO, Event::Snapshot(picture));
        Self { steps: pictures.into_iter().map(step).collect() }
    }
}
