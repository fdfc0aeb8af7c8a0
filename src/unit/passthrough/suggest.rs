//! "Did you mean": the nearest of the names that people write.

/// How many letters may differ.
const NEAR: usize = 3;

/// The nearest known name that `exists` here; `None` where none is near.
pub(super) fn nearest(name: &str, exists: impl Fn(&str) -> bool) -> Option<&'static str> {
    let wanted = name.to_ascii_lowercase();
    // A short name is near everything: at most a third of it may differ.
    let bound = NEAR.min(wanted.len() / 3);
    let near = NAMES.iter().map(|known| (distance(&wanted, &known.to_ascii_lowercase()), *known));
    let mut near: Vec<_> = near.filter(|(distance, _)| *distance <= bound).collect();
    near.sort_unstable();
    near.into_iter().map(|(_, known)| known).find(|known| exists(known))
}

/// Letters to insert, delete, replace, or swap with a neighbour to get from one to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = above[j] + usize::from(a != b);
            let mut best = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[to.len()]
}

/// Free service properties of simple types, in the spelling of unit files (systemd.exec(5), systemd.service(5),
/// systemd.resource-control(5), systemd.unit(5)).
const NAMES: [&str; 97] = [
    "AllowIsolate",
    "Before",
    "CPUAccounting",
    "CPUAffinityFromNUMA",
    "CPUQuota",
    "CPUQuotaPeriodSec",
    "CPUSchedulingPolicy",
    "CPUSchedulingPriority",
    "CPUSchedulingResetOnFork",
    "CPUWeight",
    "CacheDirectory",
    "CacheDirectoryMode",
    "ConfigurationDirectory",
    "Conflicts",
    "DefaultDependencies",
    "Delegate",
    "DevicePolicy",
    "Documentation",
    "ExecSearchPath",
    "FailureAction",
    "FileDescriptorStoreMax",
    "IOAccounting",
    "IOSchedulingClass",
    "IOSchedulingPriority",
    "IOWeight",
    "IPAccounting",
    "IgnoreSIGPIPE",
    "InaccessiblePaths",
    "JobTimeoutSec",
    "KeyringMode",
    "LimitAS",
    "LimitCORE",
    "LimitCPU",
    "LimitDATA",
    "LimitFSIZE",
    "LimitLOCKS",
    "LimitMEMLOCK",
    "LimitMSGQUEUE",
    "LimitNICE",
    "LimitNOFILE",
    "LimitNPROC",
    "LimitRSS",
    "LimitRTPRIO",
    "LimitRTTIME",
    "LimitSIGPENDING",
    "LimitSTACK",
    "LockPersonality",
    "LogLevelMax",
    "LogRateLimitBurst",
    "LogRateLimitIntervalSec",
    "LogsDirectory",
    "ManagedOOMMemoryPressure",
    "ManagedOOMMemoryPressureLimit",
    "ManagedOOMPreference",
    "ManagedOOMSwap",
    "MemoryAccounting",
    "MemoryDenyWriteExecute",
    "MemoryHigh",
    "MemoryLow",
    "MemoryMax",
    "MemoryMin",
    "MemorySwapMax",
    "NUMAPolicy",
    "Nice",
    "NoNewPrivileges",
    "OOMPolicy",
    "OOMScoreAdjust",
    "OnFailure",
    "OnSuccess",
    "PartOf",
    "Personality",
    "PrivateDevices",
    "PrivateNetwork",
    "PrivateTmp",
    "PrivateUsers",
    "ProtectHome",
    "ProtectSystem",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "Requires",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "RootDirectory",
    "RuntimeDirectory",
    "RuntimeDirectoryMode",
    "SendSIGHUP",
    "StartLimitBurst",
    "StartLimitIntervalSec",
    "StateDirectory",
    "SyslogFacility",
    "SyslogLevel",
    "TasksMax",
    "TimeoutStartSec",
    "TimerSlackNSec",
    "UMask",
    "Wants",
    "WatchdogSec",
];
