//! Whether what procs write can be found again, and what may be lost.

use std::fs;
use std::path::Path;

use procunit::journal::{STREAMS_BUSY, streams_open};
use procunit::report::Report;

use super::Check;

/// What came of the probe's word, how it got there, and how many others are on the same way.
pub(super) fn checks(report: &Report, word: &str) -> [Check; 2] {
    [line(report, word), streams(report)]
}

fn line(report: &Report, word: &str) -> Check {
    const NAME: &str = "journal";
    let storage = storage();
    if report.last_lines.iter().any(|line| line.message == word) {
        return Check::ok(NAME, format!("a line came back; storage is {storage}"));
    }
    let why = report.logs_complete_why.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
    Check::warning(
        NAME,
        format!("a line did not come back{why}; storage is {storage}"),
        "with volatile storage an ordinary user cannot read its own, and users below 1000 never can: set \
         Storage=persistent in journald.conf and restart systemd-journald, or join the group systemd-journal",
    )
}

/// journald serves a bounded number of streams for the whole host; beyond half of it procs get systemd's own, one for both.
fn streams(report: &Report) -> Check {
    const NAME: &str = "streams";
    let open = streams_open().map(|open| format!("; journald has {open} open")).unwrap_or_default();
    match report.output.apart {
        Some(true) => Check::ok(NAME, format!("standard output and standard error are told apart{open}")),
        _ => Check::warning(
            NAME,
            format!("standard output and standard error are not told apart{open}"),
            format!(
                "from {STREAMS_BUSY} streams on procs get one for both; `ss -x` shows who has them (/run/systemd/journal/stdout)"
            ),
        ),
    }
}

fn storage() -> &'static str {
    if is_persistent() { "persistent" } else { "volatile: gone after a reboot" }
}

/// `Storage=volatile` holds also where there is /var/log/journal, but then journald makes nothing in it.
pub(crate) fn is_persistent() -> bool {
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    !machine.trim().is_empty() && Path::new("/var/log/journal").join(machine.trim()).is_dir()
}

/// journald's own limit, which all procs of a user share (252 to 262: user units cannot set their own).
pub(super) fn rate_limit() -> Check {
    let burst = setting("RateLimitBurst").unwrap_or_else(|| "10000".to_owned());
    let interval = setting("RateLimitIntervalSec").unwrap_or_else(|| "30s".to_owned());
    if burst == "0" || interval == "0" {
        return Check::ok("rate limit", "none in journald's configuration");
    }
    Check::ok(
        "rate limit",
        format!(
            "{burst} lines in {interval} for all procs of this user together; what is over is dropped, and told as such; \
             RateLimitBurst=0 in /etc/systemd/journald.conf lifts it"
        ),
    )
}

/// A setting of journald.conf(5): the last file that sets it wins, drop-ins by name after the main file.
fn setting(name: &str) -> Option<String> {
    let mut files = vec![Path::new("/etc/systemd/journald.conf").to_owned()];
    let mut drop_ins: Vec<_> =
        ["/usr/lib/systemd/journald.conf.d", "/run/systemd/journald.conf.d", "/etc/systemd/journald.conf.d"]
            .iter()
            .filter_map(|directory| fs::read_dir(directory).ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
            .collect();
    drop_ins.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    files.append(&mut drop_ins);
    files.iter().rev().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| {
        let line = text.lines().rev().find(|line| line.trim_start().starts_with(name))?;
        line.split_once('=').map(|(_, value)| value.trim().to_owned())
    })
}
