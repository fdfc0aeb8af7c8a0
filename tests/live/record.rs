//! Programs that write down what happens to them, so that a status can be held against it.

use std::path::PathBuf;
use std::time::Duration;

use super::{BOUND, eventually};

/// The file that a program writes to; it gets its path as `$1`.
pub(crate) struct Record {
    directory: tempfile::TempDir,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    /// Where it is written.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("record")
    }

    /// What has been written. A line that is not complete yet has not.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path()).unwrap_or_default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete.lines().map(str::to_owned).collect()
    }

    /// Whether this line has been written.
    pub(crate) fn says(&self, line: &str) -> bool {
        self.lines().iter().any(|written| written == line)
    }

    /// The process ids that have been written, as lines of `pid N`.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.lines().iter().filter_map(|line| line.strip_prefix("pid ")?.parse().ok()).collect()
    }

    /// The exit code that the program wrote just before exiting, as a line of `exit N`.
    pub(crate) fn exit(&self) -> Option<u8> {
        self.lines().iter().find_map(|line| line.strip_prefix("exit ")?.parse().ok())
    }

    /// Waits until `count` processes have written their ids, and gives them.
    pub(crate) async fn processes(&self, count: usize) -> Vec<u32> {
        let label = format!("{count} processes that write {}", self.path().display());
        eventually(BOUND, &label, || async { Some(self.pids()).filter(|pids| pids.len() == count) }).await
    }

    /// Waits until this line has been written.
    pub(crate) async fn until(&self, bound: Duration, line: &str) {
        eventually(bound, &format!("{line:?} in the record"), || async { self.says(line).then_some(()) })
            .await;
    }
}
