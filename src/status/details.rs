//! What reports show of a unit beside its state: plain values, as the bus room decoded them.
//!
//! Every field is optional: this systemd may not have the property, the controller that counts may be off, or
//! the counter may be unset, which systemd writes as the highest number and this type as absent. Nothing here
//! is in a signal; only a look (`GetAll`) tells it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::machine::Restarts;

/// Accounting and settings of a service unit, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnitDetails {
    /// `CPUUsageNSec`: processor time used so far.
    pub cpu_usage: Option<Duration>,
    /// `MemoryCurrent`, bytes.
    pub memory_current: Option<u64>,
    /// `MemoryPeak`, bytes; systemd 255 and later.
    pub memory_peak: Option<u64>,
    /// `MemorySwapPeak`, bytes; systemd 255 and later.
    pub memory_swap_peak: Option<u64>,
    /// `TasksCurrent`: processes and threads.
    pub tasks_current: Option<u64>,
    /// `IOReadBytes`; unset in a user manager, which the `io` controller is not delegated to.
    pub io_read_bytes: Option<u64>,
    /// `IOWriteBytes`.
    pub io_write_bytes: Option<u64>,
    /// `OOMKills`; systemd 259 and later.
    pub oom_kills: Option<u64>,
    /// `ControlGroup`: the path below `/sys/fs/cgroup`; empty while the unit has none.
    pub control_group: Option<String>,
    /// `Slice`.
    pub slice: Option<String>,
    /// `Description`.
    pub description: Option<String>,
    /// `Environment`: `NAME=VALUE` each, without what the manager adds.
    pub environment: Option<Vec<String>>,
    /// `FragmentPath`: the unit file; empty where there is none.
    pub fragment_path: Option<String>,
    /// `Transient`: made by a call, not from a file.
    pub transient: Option<bool>,
    /// `Type`, such as `exec` or `notify`.
    pub service_type: Option<String>,
    /// `Restart`, such as `no` or `on-failure`.
    pub restart: Option<String>,
    /// `StartLimitIntervalUSec`; absent where it is infinite.
    pub start_limit_interval: Option<Duration>,
    /// `StartLimitBurst`: the most starts in that time, the first included.
    pub start_limit_burst: Option<u32>,
    /// `RemainAfterExit`.
    pub remain_after_exit: Option<bool>,
    /// `KillSignal`: the number of the stop signal.
    pub kill_signal: Option<i32>,
    /// `TimeoutStopUSec`; absent where it is infinite.
    pub stop_timeout: Option<Duration>,
    /// `TimeoutAbortUSec`, in which the unit keeps its proc's own stop timeout.
    pub abort_timeout: Option<Duration>,
    /// `RuntimeMaxUSec`; absent where it is infinite.
    pub runtime_max: Option<Duration>,
    /// `StandardError`: where it goes, unless a descriptor was passed for it.
    pub standard_error: Option<String>,
    /// `SyslogLevelPrefix`: whether a line can begin with a priority. It cannot where the streams were opened for the unit
    /// and are told apart by theirs.
    pub syslog_level_prefix: Option<bool>,
    /// `BindsTo`: the units whose end ends this one.
    pub binds_to: Option<Vec<String>>,
}

impl UnitDetails {
    /// Whether the journal tells its standard output from its standard error; absent where that is not known, or it does
    /// not write there.
    pub fn streams_apart(&self) -> Option<bool> {
        match (self.syslog_level_prefix, self.standard_error.as_deref()) {
            (Some(false), _) => Some(true),
            (_, Some("journal")) => Some(false),
            _ => None,
        }
    }

    /// Who starts the proc of this unit again.
    ///
    /// systemd bounds starts within a time. The bound of a policy is one of all time, which reads as absent.
    pub fn restarts(&self) -> Restarts {
        match self.restart.as_deref() {
            None | Some("no") => Restarts::Never,
            Some(_) => {
                let starts = self.start_limit_burst.filter(|_| self.start_limit_interval.is_none());
                Restarts::ByUnit { max: starts.map(|starts| starts.saturating_sub(1)) }
            }
        }
    }
}
