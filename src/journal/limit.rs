//! Whether journald's rate limit can have taken records that it has not told of yet.
//!
//! It counts by system unit and by class of priority, and tells of what it took with the next record of the same unit and class
//! that it keeps: of errors only when a further error comes. It may never: it forgets a unit that was quiet for the limit's
//! interval, with what it has not told (`journal_ratelimit_vacuum`). A sentinel is of who writes it, which may be another
//! unit (a login's session), and passes where the proc's own lines do not. So there is arithmetic alone: nothing is dropped
//! before as many of a class were kept, within the interval, as the limit allows (`journal_ratelimit_test`,
//! journald-rate-limit.c; it allows more where the disk has room).

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

/// How many records are counted before it is given up.
const MOST_READ: usize = 200_000;

/// `POOLS_MAX` (journald-rate-limit.c).
const CLASSES: usize = 5;

/// Of a record without a priority (`server_process_native_entry`, journald-native.c).
const INFO: u8 = 6;

/// Whether the limit had room for all that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Nothing was dropped.
    Left,
    /// As many were kept as it allows, and more may have come.
    Filled,
    /// There are too many records to count them.
    NotCounted,
}

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

    /// Whether records of the unit can have been dropped from `since` on.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) async fn room<J: JournalReader>(
        self,
        reader: &J,
        unit: &str,
        since: Timestamp,
    ) -> Result<Room, JournalError> {
        if self.is_off() {
            return Ok(Room::Left);
        }
        let within = self.interval + MARGIN;
        // What was kept shortly before counts as well.
        let start = Start::Since(since.before(within));
        let query = Query { of: Wanted::Unit(unit.to_owned()), start, until: None, follow: false };
        let mut records = reader.open(&query)?;
        let mut newest: [VecDeque<Timestamp>; CLASSES] = Default::default();
        let mut read = 0;
        while let Some(record) = records.next().await? {
            read += 1;
            if read > MOST_READ {
                return Ok(Room::NotCounted);
            }
            let newest = &mut newest[class(record.priority)];
            newest.push_back(record.at);
            let full_since = if newest.len() < self.burst { None } else { newest.pop_front() };
            if full_since.is_some_and(|at| record.at.since(at) <= within) {
                return Ok(Room::Filled);
            }
        }
        Ok(if records.skipped() == 0 { Room::Left } else { Room::NotCounted })
    }
}

/// What is counted together (`priority_map`, journald-rate-limit.c).
fn class(priority: Option<u8>) -> usize {
    match priority.unwrap_or(INFO) {
        0..=2 => 0,
        3 => 1,
        4 => 2,
        5 | 6 => 3,
        _ => 4,
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
    use super::super::record::Record;
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

    fn at(second: u64) -> Record {
        held((100 + second) * SECOND)
    }

    async fn room(limit: Limit, kept: Vec<Record>, since: u64) -> Room {
        limit.room(&Held(kept), "x", at(since).at).await.unwrap()
    }

    #[tokio::test]
    async fn lines_can_be_missing_only_where_as_many_were_kept_as_the_limit_allows() {
        for (times, expected) in [
            (&[0, 1, 2][..], Room::Filled),
            (&[0, 1], Room::Left),
            (&[0, 20, 21], Room::Left),
            (&[0, 20, 21, 22, 900], Room::Filled),
            (&[], Room::Left),
        ] {
            let kept = times.iter().map(|second| at(*second)).collect();
            assert_eq!(room(limit(10, 3), kept, 0).await, expected, "{times:?}");
        }
        assert_eq!(room(limit(0, 3), [0, 1, 2].map(at).to_vec(), 0).await, Room::Left);
    }

    #[tokio::test]
    async fn a_later_line_that_is_kept_does_not_show_that_none_was_dropped() {
        for (start, expected) in [(0, Room::Filled), (5, Room::Filled), (12, Room::Left), (800, Room::Left)] {
            let kept = [0, 1, 2, 900].map(at).to_vec();
            assert_eq!(room(limit(10, 3), kept, start).await, expected, "{start}");
        }
    }

    #[tokio::test]
    async fn each_class_of_priority_has_a_limit_of_its_own() {
        for (priorities, expected) in [
            ([Some(3), Some(6), Some(3)], Room::Left),
            ([Some(3), Some(3), Some(3)], Room::Filled),
            ([Some(5), Some(6), None], Room::Filled),
            ([Some(0), Some(1), Some(2)], Room::Filled),
            ([Some(2), Some(3), Some(4)], Room::Left),
            ([Some(6), Some(7), Some(6)], Room::Left),
        ] {
            let kept = priorities.map(|priority| Record { priority, ..at(0) }).to_vec();
            assert_eq!(room(limit(10, 3), kept, 0).await, expected, "{priorities:?}");
        }
    }

    #[tokio::test]
    async fn too_many_are_not_counted() {
        let many = vec![at(0); MOST_READ + 1];
        assert_eq!(room(limit(10, 2 * MOST_READ), many, 0).await, Room::NotCounted);
        assert_eq!(room(limit(10, 2 * MOST_READ), vec![at(0); 9], 0).await, Room::Left);
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
