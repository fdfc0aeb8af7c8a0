//! What somebody else sees and does: `systemctl`, /proc, the control groups. Nothing of this crate but names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procunit::id::{ProcId, UnitName};
use tokio::process::Command;

use super::{BOUND, eventually, within};

/// `systemctl --user ARGS`: whether it succeeded, and what it said.
pub(crate) async fn systemctl(args: &[&str]) -> (bool, String) {
    let mut command = Command::new("systemctl");
    command.arg("--user").args(args).stdin(Stdio::null()).kill_on_drop(true);
    let output = within("systemctl", command.output()).await.expect("systemctl");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

/// The unit of a proc.
pub(crate) fn unit_of(id: &ProcId) -> String {
    UnitName::for_proc(id).to_string()
}

/// Which of these units systemd has in memory.
pub(crate) async fn loaded(units: &[&str]) -> Vec<String> {
    let (ok, said) =
        systemctl(&[&["list-units", "--all", "--full", "--plain", "--no-legend"], units].concat()).await;
    assert!(ok, "list-units: {said}");
    said.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Waits until no unit of a proc that [`super::fresh`] named with this label is in memory.
pub(crate) async fn nothing_left(label: &str) {
    let one = unit_of(&super::fresh(label));
    let stem = one.trim_end_matches(".service").trim_end_matches(|last: char| last.is_ascii_digit());
    let pattern = format!("{stem}*");
    let gone = eventually(BOUND, "none", || async { loaded(&[&pattern]).await.is_empty().then_some(()) });
    if tokio::time::timeout(BOUND / 2, gone).await.is_err() {
        let (_, left) = systemctl(&["status", "--all", "--no-pager", &pattern]).await;
        let (_, held) = systemctl(&["show", "--property=Id,Refs,ActiveState,Job", &pattern]).await;
        panic!("left: {left}\nheld by: {held}");
    }
}

/// Properties of a unit, by name.
pub(crate) async fn properties(unit: &str, names: &str) -> HashMap<String, String> {
    let (ok, said) = systemctl(&["show", "--property", names, unit]).await;
    assert!(ok, "show {unit}: {said}");
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    said.lines().filter_map(pair).collect()
}

/// Whether there is such a process. One that is over and not waited for is none.
pub(crate) fn alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name, in parentheses, may hold anything; the state follows it.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until none of these processes is there.
pub(crate) async fn all_gone(bound: Duration, label: &str, pids: &[u32]) {
    let label = format!("the end of {pids:?}: {label}");
    eventually(bound, &label, || async { (!pids.iter().any(|&pid| alive(pid))).then_some(()) }).await;
}

/// Sends a signal; to a process that is gone, none.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), signal);
}

/// All that a running proc has outside of its own processes.
#[derive(Debug)]
pub(crate) struct Traces {
    units: Vec<String>,
    cgroup: PathBuf,
}

impl Traces {
    /// Those of a proc that runs: its unit, its slice, its tie, its control group.
    pub(crate) async fn of(id: &ProcId) -> Self {
        let unit = unit_of(id);
        let shown = properties(&unit, "Slice,BindsTo,ControlGroup").await;
        let cgroup = Path::new("/sys/fs/cgroup").join(shown["ControlGroup"].trim_start_matches('/'));
        assert!(cgroup.is_dir(), "{unit} has no control group: {shown:?}");
        let (slice, ties) = (&shown["Slice"], &shown["BindsTo"]);
        // The slice of all of a user's applications stays.
        let own_slice = Some(slice.as_str()).filter(|slice| slice.starts_with("app-procunit_"));
        let others = ties.split_whitespace().chain(own_slice).map(str::to_owned);
        Self { units: others.chain([unit]).collect(), cgroup }
    }

    /// The service it is tied to.
    pub(crate) fn tie(&self) -> &str {
        self.units.iter().find(|unit| unit.starts_with("procunit_tie-")).expect("a tie")
    }

    /// Waits until nothing of it is left.
    pub(crate) async fn gone(&self, bound: Duration) {
        let units: Vec<_> = self.units.iter().map(String::as_str).collect();
        let label = format!("none of {units:?} in memory, and no {}", self.cgroup.display());
        eventually(bound, &label, || async {
            (!self.cgroup.exists() && loaded(&units).await.is_empty()).then_some(())
        })
        .await;
    }
}
