//! What a trace file holds: one line of JSON that says what must come out, and one for each thing seen or done.

use std::fs;
use std::path::{Path, PathBuf};

use procunit::report::EndedBy;
use procunit::status::ProcStatus;
use procunit::status::machine::Restarts;
use procunit::status::snapshot::Snapshot;
use procunit::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The first line: the truth, known from what was done and not from what was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Truth {
    /// What ran and what happened to it.
    pub(crate) what: String,
    /// The version of the manager.
    pub(crate) systemd: String,
    /// The status in the end.
    pub(crate) end: ProcStatus,
    /// Who ended it; null where that does not apply.
    pub(crate) ended_by: Option<EndedBy>,
    /// The longest run time that the unit was given, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) runtime_max: Option<f64>,
    /// What its unit starts it again by.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) restarts: Option<Restarts>,
    /// How the runs before the last one ended.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) earlier: Vec<ProcStatus>,
}

/// Every further line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) at: Timestamp,
    #[serde(flatten)]
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// A signal pair of systemd's.
    Signal(Snapshot),
    /// The answer to a look.
    Look(Snapshot),
    /// A stop of ours was delivered, for this reason.
    StopDelivered(String),
    /// A job of the unit ended with this word. No fact of the machine's; for people.
    Job(String),
    /// What somebody did. For people.
    Did(String),
}

/// One recorded life.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// `252/exit_7`.
    pub(crate) name: String,
    pub(crate) truth: Truth,
    pub(crate) lines: Vec<Line>,
}

impl Trace {
    pub(crate) fn directory() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces")
    }

    pub(crate) fn to_text(&self) -> String {
        let json = |value: Result<String, serde_json::Error>| value.expect("plain values") + "\n";
        let lines = self.lines.iter().map(|line| json(serde_json::to_string(line)));
        std::iter::once(json(serde_json::to_string(&self.truth))).chain(lines).collect()
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a trace that can be read");
        let mut lines = text.lines();
        let truth = serde_json::from_str(lines.next().expect("a first line"));
        let parent = path.parent().and_then(Path::file_name).expect("a directory per release");
        let name = Path::new(parent).join(path.file_stem().expect("a name")).display().to_string();
        let line =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
        Self {
            truth: truth.unwrap_or_else(|error| panic!("{name}: {error}")),
            lines: lines.map(line).collect(),
            name,
        }
    }

    /// Every recorded one.
    pub(crate) fn all() -> Vec<Self> {
        let files = |directory: PathBuf| {
            fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path())
        };
        let releases = files(Self::directory()).filter(|path| path.is_dir());
        let mut paths: Vec<_> = releases.flat_map(files).collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }
}
