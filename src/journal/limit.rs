//! Whether journald's rate limit can have taken records that it has not told of yet.
//!
//! It tells of them with the next record of the same system unit that it keeps. A sentinel is of who writes it, which may be
//! another unit (a login's session), and passes where the proc's own lines do not. So until a further record comes there
//! is arithmetic alone: nothing is dropped before as many were kept, within the limit's interval, as the limit allows
//! (`journal_ratelimit_test`, journald-rate-limit.c; it allows more where the disk has room).

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::error::JournalError;
use super::query::{Query, Start, Wanted};
use super::{JournalReader, Records};
use crate::time::{Span, Timestamp, parse_span};

/// Between the moment a record counts for the limit and its time in the journal.
const MARGIN: Duration = Duration::from_secs(1);

/// How many records are counted before it is given up and nothing said to be sure.
const MOST_READ: usize = 200_000;

/// So many records of a unit are kept within this time, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    interval: Duration,
    burst: usize,
}

/// What journald has without settings (journald.conf(5)).
const DEFAULT: Limit = Limit { interval: Duration::from_secs(30), burst: 10_000 };

impl Limit {
    /// The limit of a system unit, as far as its settings can be read and understood.
    pub(crate) async fn of(unit: &str) -> Option<Self> {
        // The unit's own, LogRateLimit*= in systemd.exec(5), which goes before.
        let own = |which| Path::new("/run/systemd/units").join(format!("log-rate-limit-{which}:{unit}"));
        if ["interval", "burst"].map(own).iter().any(|link| link.symlink_metadata().is_ok()) {
            return None;
        }
        let mut command = Command::new("systemd-analyze");
        command.args(["cat-config", "systemd/journald.conf"]).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.ok().filter(|output| output.status.success())?;
        Self::read(&String::from_utf8(output.stdout).ok()?)
    }

    /// From all configuration files, in their order.
    fn read(settings: &str) -> Option<Self> {
        let mut limit = DEFAULT;
        for (key, value) in settings.lines().filter_map(|line| line.split_once('=')) {
            match key.trim() {
                "RateLimitIntervalSec" | "RateLimitInterval" => {
                    let Ok(Span::Finite(interval)) = parse_span(value.trim()) else { return None };
                    limit.interval = interval;
                }
                "RateLimitBurst" => limit.burst = value.trim().parse().ok()?,
                _ => {}
            }
        }
        Some(limit)
    }

    fn is_off(self) -> bool {
        self.interval.is_zero() || self.burst == 0
    }

    /// Whether records of the unit can have been dropped: after the last one that was kept, before which journald has told of
    /// it, or anywhere from `since` on, for who may not read what it told.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) async fn may_hide<J: JournalReader>(
        self,
        reader: &J,
        unit: &str,
        since: Option<Timestamp>,
    ) -> Result<bool, JournalError> {
        let query = |start| Query { of: Wanted::Unit(unit.to_owned()), start, until: None, follow: false };
        if self.is_off() {
            return Ok(false);
        }
        let Some(newest) = reader.open(&query(Start::Newest(1)))?.next().await? else { return Ok(false) };
        let since = since.unwrap_or(newest.at).min(newest.at).before(self.interval + MARGIN);
        let mut records = reader.open(&query(Start::Since(since)))?;
        let (mut newest, mut read) = (VecDeque::new(), 0);
        while let Some(record) = records.next().await? {
            read += 1;
            newest.push_back(record.at);
            if newest.len() < self.burst {
                continue;
            }
            let full_since = newest.pop_front();
            if read > MOST_READ || full_since.is_some_and(|at| record.at.since(at) <= self.interval + MARGIN)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The system unit that journald counts this process's records for; `None` where it counts them for none.
pub(crate) fn own_unit() -> Option<String> {
    unit_in(&std::fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// The first part of a control group's path that is no slice (`cg_path_get_unit`, cgroup-util.c).
fn unit_in(cgroups: &str) -> Option<String> {
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let is_slice = |part: &&str| part.rsplit_once('.').is_some_and(|(_, kind)| kind == "slice");
    path.split('/').filter(|part| !part.is_empty()).find(|part| !is_slice(part)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::held::{Held, held};
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn limit(seconds: u64, burst: usize) -> Limit {
        Limit { interval: Duration::from_secs(seconds), burst }
    }

    #[test]
    fn the_last_setting_counts_and_what_is_not_understood_is_not_guessed() {
        assert_eq!(Limit::read("# /etc/x\n[Journal]\n#RateLimitBurst=1\nStorage=auto\n"), Some(DEFAULT));
        let two = "RateLimitIntervalSec=5\nRateLimitBurst=7\n# next\nRateLimitIntervalSec=1min 3s\n";
        assert_eq!(Limit::read(two), Some(limit(63, 7)));
        assert!(Limit::read("RateLimitIntervalSec=0").unwrap().is_off());
        assert_eq!(Limit::read("RateLimitBurst=many"), None);
    }

    #[tokio::test]
    async fn lines_can_be_missing_only_where_as_many_were_kept_as_the_limit_allows() {
        let at = |times: &[u64]| Held(times.iter().map(|second| held((100 + second) * SECOND)).collect());
        for (times, hides) in [
            (&[0, 1, 2][..], true),
            (&[0, 1], false),
            (&[0, 20, 21], false),
            (&[0, 1, 2, 900], false),
            (&[], false),
        ] {
            assert_eq!(limit(10, 3).may_hide(&at(times), "x", None).await.unwrap(), hides, "{times:?}");
        }
        assert!(!limit(0, 3).may_hide(&at(&[0, 1, 2]), "x", None).await.unwrap());
    }

    #[tokio::test]
    async fn who_cannot_read_what_was_told_counts_from_the_start_on() {
        let kept = Held([0, 1, 2, 900].map(|second| held((100 + second) * SECOND)).to_vec());
        for (start, hides) in [(0, true), (5, true), (12, false), (800, false)] {
            let since = Timestamp::from_micros((100 + start) * SECOND);
            let found = limit(10, 3).may_hide(&kept, "x", Some(since)).await.unwrap();
            assert_eq!(found, hides, "{start}");
        }
    }

    #[test]
    fn records_count_for_the_first_of_a_path_that_is_no_slice() {
        let of = |path: &str| unit_in(&format!("1:name=systemd:/\n0::{path}\n"));
        let manager = "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service";
        assert_eq!(of(manager).as_deref(), Some("user@1000.service"));
        assert_eq!(of("/user.slice/user-1000.slice/session-3.scope").as_deref(), Some("session-3.scope"));
        assert_eq!(of("/"), None);
    }
}
