//! journald as somebody else sees it: what it has, by `journalctl -t`; and, in a bed, the means to hold it up.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command as Blocking, Stdio};
use std::time::Duration;

use procunit::id::ProcId;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::{BOUND, within_for};

/// Begins a line that the crate itself writes at the end of a stream.
const SENTINEL: &str = "procunit: end of log ";
/// How many identifiers are asked for at once.
const AT_ONCE: usize = 200;

/// A record, as far as these tests look at it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kept {
    pub(crate) priority: String,
    pub(crate) message: String,
    pub(crate) invocation: Option<String>,
}

/// What `journalctl -t ID` shows of each of these, oldest first, without what this crate wrote there itself.
pub(crate) async fn kept(ids: &[ProcId]) -> HashMap<String, Vec<Kept>> {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for some in ids.chunks(AT_ONCE) {
        let wanted = some.iter().flat_map(|id| ["-t", id.as_str()]);
        for (id, record) in journalctl(wanted).await {
            found.entry(id).or_default().push(record);
        }
    }
    found
}

/// How many records of this user's procs journald says that it dropped, since it was started.
pub(crate) async fn told_dropped() -> u64 {
    let told = journalctl(["MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e"]).await;
    let whose = format!(" messages from user@{}.service", nix::unistd::getuid());
    let count =
        |record: &Kept| record.message.strip_prefix("Suppressed ")?.strip_suffix(&whose)?.parse::<u64>().ok();
    told.iter().filter_map(|(_, record)| count(record)).sum()
}

async fn journalctl<'a>(wanted: impl IntoIterator<Item = &'a str>) -> Vec<(String, Kept)> {
    let mut command = Command::new("journalctl");
    command.args(["--output=json", "--all", "--quiet", "--no-pager"]).args(wanted);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = within_for(BOUND * 2, "journalctl", command.output()).await.expect("journalctl");
    assert!(output.status.success(), "journalctl: {}", String::from_utf8_lossy(&output.stderr));
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = |line| serde_json::from_slice::<serde_json::Value>(line).expect("a record");
    let text = |record: &serde_json::Value, field: &str| record[field].as_str().map(str::to_owned);
    let all = lines.map(read).map(|record| {
        let kept = Kept {
            priority: text(&record, "PRIORITY").unwrap_or_default(),
            message: text(&record, "MESSAGE").unwrap_or_default(),
            invocation: text(&record, "_SYSTEMD_INVOCATION_ID"),
        };
        (text(&record, "SYSLOG_IDENTIFIER").unwrap_or_default(), kept)
    });
    all.filter(|(_, record)| !record.message.starts_with(SENTINEL)).collect()
}

/// A program of somebody else's, whose output goes to journald; it ends with this value.
pub(crate) fn elsewhere(identifier: &str, program: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new("systemd-cat");
    command.args(["-t", identifier, program]).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("systemd-cat")
}

/// Holds journald up for this long, and does this meanwhile. It goes on also where the test ends before.
///
/// # Panics
/// Outside of a bed: there it is everybody's.
pub(crate) async fn held_up_for(time: Duration, meanwhile: impl FnOnce()) {
    let held = HeldUp::now();
    meanwhile();
    sleep(time).await;
    drop(held);
}

struct HeldUp {
    pid: String,
}

impl HeldUp {
    fn now() -> Self {
        let held = Self { pid: pid_of_journald() };
        held.tell("-STOP");
        held
    }

    fn tell(&self, signal: &str) {
        // In the container of `--release`, journald is root's and this user is not.
        let kill = if Path::new(KILL_IN_CONTAINER).exists() { KILL_IN_CONTAINER } else { "/bin/kill" };
        let told = Blocking::new(kill).args([signal, &self.pid]).status();
        assert!(told.is_ok_and(|status| status.success()), "{signal} to journald");
    }
}

impl Drop for HeldUp {
    fn drop(&mut self) {
        self.tell("-CONT");
    }
}

const KILL_IN_CONTAINER: &str = "/usr/local/bin/testbed-kill";

fn pid_of_journald() -> String {
    let in_a_bed = ["/run/systemd/bed", KILL_IN_CONTAINER].iter().any(|path| Path::new(path).exists());
    assert!(in_a_bed, "this test stops journald: run it in a bed (contrib/testbed --journald ...)");
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let mut found = processes.filter(|process| {
        // The kernel keeps 15 bytes of a name.
        std::fs::read_to_string(process.path().join("comm"))
            .is_ok_and(|name| name.trim() == "systemd-journal")
    });
    found.next().expect("journald").file_name().into_string().expect("a number")
}
