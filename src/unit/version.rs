//! What a systemd version can do. Versions are data: nothing else in this room compares numbers.

use std::fmt;
use std::str::FromStr;

/// The version of a systemd manager, such as 252.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemdVersion(pub u32);

/// A version string without a version in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a systemd version")]
pub struct BadVersion(String);

impl FromStr for SystemdVersion {
    type Err = BadVersion;

    /// Reads the manager's `Version` property: `252.38-1~deb12u1`, `257.7`, `v255`. A release candidate
    /// (`262~rc1`) counts as its release.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.trim().trim_start_matches("systemd ").trim_start_matches('v');
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        number[..end].parse().map(Self).map_err(|_| BadVersion(text.to_owned()))
    }
}

impl fmt::Display for SystemdVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something that not every systemd has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// `OpenFile=`.
    OpenFile,
    /// `GetUnitByPIDFD`.
    UnitByPidfd,
    /// `ExecStartEx` with `no-env-expand` that a reload does not break.
    ExecStartEx,
    /// `RestartMode=`.
    RestartMode,
    /// `RestartSteps=`: a restart delay that grows.
    RestartSteps,
    /// `QueueSignalUnit`.
    QueueSignal,
    /// `MEMORY_PRESSURE_WATCH` in a service's environment.
    MemoryPressure,
    /// `MemoryPeak` and `MemorySwapPeak`.
    MemoryPeak,
    /// A job result that says truly whether a `Type=exec` start reached exec.
    ReliableStartVerdict,
    /// `ExecMainHandoffTimestamp`: when exec was reached.
    HandoffTimestamp,
    /// `EffectiveMemoryMax` and `EffectiveTasksMax`.
    EffectiveLimits,
    /// `ExtraFileDescriptors`.
    ExtraFileDescriptors,
    /// Passed standard streams that a unit still has when it is started again. 252 closes them with the first run, and the
    /// next writes to `/dev/null`; 257 does not (both measured, those in between not tried).
    KeptDescriptors,
    /// `MANAGERPIDFDID` in a service's environment.
    ManagerPidfdId,
    /// journald's `Synchronize` for ordinary users.
    JournalSynchronize,
    /// `OOMKills` and `ManagedOOMKills`.
    OomKills,
}

/// Each feature, the version it came with, and what its lack means to a person. The facts file has the sources.
const TABLE: [(Feature, u32, &str); 16] = [
    (Feature::OpenFile, 253, "files opened for a proc by systemd"),
    (Feature::UnitByPidfd, 253, "finding a unit by pidfd"),
    (Feature::ExecStartEx, 254, "'$' in arguments after a reload and a restart"),
    (Feature::RestartMode, 254, "restarts that show no failure in between"),
    (Feature::RestartSteps, 254, "a restart delay that grows"),
    (Feature::QueueSignal, 254, "signals with a value"),
    (Feature::MemoryPressure, 254, "word of memory pressure to programs"),
    (Feature::MemoryPeak, 255, "peak memory from systemd"),
    (Feature::ReliableStartVerdict, 256, "a start result that is always true"),
    (Feature::HandoffTimestamp, 256, "telling a setup failure from a program's own exit 200 to 243"),
    (Feature::EffectiveLimits, 256, "effective memory and task limits"),
    (Feature::ExtraFileDescriptors, 257, "more descriptors than the standard three"),
    (Feature::KeptDescriptors, 257, "output streams of a proc that are kept over its restarts"),
    (Feature::ManagerPidfdId, 258, "the user manager's pidfd id for programs"),
    (Feature::JournalSynchronize, 258, "waiting for the journal to catch up"),
    (Feature::OomKills, 259, "the number of OOM kills"),
];

impl Feature {
    /// Every feature, oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(feature, _, _)| *feature)
    }

    /// The first version that has it.
    pub fn since(self) -> SystemdVersion {
        SystemdVersion(self.row().1)
    }

    fn row(self) -> &'static (Self, u32, &'static str) {
        // The table is in the order of the enum: a test holds it to that.
        &TABLE[self as usize]
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.row().2)
    }
}

impl SystemdVersion {
    /// The oldest version this project works with.
    pub const OLDEST: Self = Self(252);

    /// Whether this version has it.
    pub fn has(self, feature: Feature) -> bool {
        self >= feature.since()
    }

    /// What this version lacks, oldest first.
    pub fn lacks(self) -> impl Iterator<Item = Feature> {
        Feature::all().filter(move |feature| !self.has(*feature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_distributions_write_it() {
        for (text, number) in [
            ("252.38-1~deb12u1", 252),
            ("257.7", 257),
            ("257.13-1~deb13u1", 257),
            ("v255", 255),
            ("262~rc1", 262),
            ("255 (255.4-1ubuntu8)", 255),
            ("systemd 252", 252),
        ] {
            assert_eq!(text.parse(), Ok(SystemdVersion(number)), "{text:?}");
        }
        for text in ["", "v", "unknown", "-252", "99999999999"] {
            assert!(text.parse::<SystemdVersion>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_table_is_in_the_order_of_the_features_and_of_the_versions() {
        for (index, (feature, _, _)) in TABLE.iter().enumerate() {
            assert_eq!(*feature as usize, index, "{feature:?}");
        }
        assert!(TABLE.is_sorted_by_key(|(_, since, _)| since));
    }

    #[test]
    fn a_version_has_what_came_until_then() {
        let has = |version: u32, feature| SystemdVersion(version).has(feature);
        assert!(!has(253, Feature::ExecStartEx) && has(254, Feature::ExecStartEx));
        assert!(!has(255, Feature::HandoffTimestamp) && has(257, Feature::HandoffTimestamp));
        assert_eq!(SystemdVersion::OLDEST.lacks().count(), TABLE.len());
        let lacks: Vec<_> = SystemdVersion(257).lacks().collect();
        assert_eq!(lacks, [Feature::ManagerPidfdId, Feature::JournalSynchronize, Feature::OomKills]);
        assert_eq!(lacks[2].to_string(), "the number of OOM kills");
    }
}
