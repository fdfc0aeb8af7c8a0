//! The properties of `GetAll` that reports show.

use std::time::Duration;

use super::decode::{Fill, Plain, Taken, keep};
use crate::status::details::UnitDetails;

/// systemd writes an unset counter, and an infinite span, as the highest number.
fn set(number: u64) -> Option<u64> {
    (number != u64::MAX).then_some(number)
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|&one| one.to_owned()).collect()
}

impl Fill for UnitDetails {
    fn take(&mut self, name: &str, value: &Plain<'_>) -> Taken {
        use Plain::{Bool, I32, Str, StrList, U32, U64};
        match name {
            "CPUUsageNSec" => {
                keep!(self.cpu_usage, *value, U64(spent) => set(spent).map(Duration::from_nanos))
            }
            "MemoryCurrent" => keep!(self.memory_current, *value, U64(bytes) => set(bytes)),
            "MemoryPeak" => keep!(self.memory_peak, *value, U64(bytes) => set(bytes)),
            "MemorySwapPeak" => keep!(self.memory_swap_peak, *value, U64(bytes) => set(bytes)),
            "TasksCurrent" => keep!(self.tasks_current, *value, U64(count) => set(count)),
            "IOReadBytes" => keep!(self.io_read_bytes, *value, U64(bytes) => set(bytes)),
            "IOWriteBytes" => keep!(self.io_write_bytes, *value, U64(bytes) => set(bytes)),
            "OOMKills" => keep!(self.oom_kills, *value, U64(count) => set(count)),
            "ControlGroup" => keep!(self.control_group, *value, Str(path) => Some(path.to_owned())),
            "Slice" => keep!(self.slice, *value, Str(name) => Some(name.to_owned())),
            "Description" => keep!(self.description, *value, Str(text) => Some(text.to_owned())),
            "Environment" => keep!(self.environment, value, StrList(list) => Some(owned(list))),
            "FragmentPath" => keep!(self.fragment_path, *value, Str(path) => Some(path.to_owned())),
            "Transient" => keep!(self.transient, *value, Bool(yes) => Some(yes)),
            "Type" => keep!(self.service_type, *value, Str(word) => Some(word.to_owned())),
            "Restart" => keep!(self.restart, *value, Str(word) => Some(word.to_owned())),
            "StartLimitIntervalUSec" => {
                keep!(self.start_limit_interval, *value, U64(span) => set(span).map(Duration::from_micros))
            }
            "StartLimitBurst" => keep!(self.start_limit_burst, *value, U32(count) => Some(count)),
            "RemainAfterExit" => keep!(self.remain_after_exit, *value, Bool(yes) => Some(yes)),
            "KillSignal" => keep!(self.kill_signal, *value, I32(number) => Some(number)),
            "TimeoutStopUSec" => {
                keep!(self.stop_timeout, *value, U64(span) => set(span).map(Duration::from_micros))
            }
            "TimeoutAbortUSec" => {
                keep!(self.abort_timeout, *value, U64(span) => set(span).map(Duration::from_micros))
            }
            "RuntimeMaxUSec" => {
                keep!(self.runtime_max, *value, U64(span) => set(span).map(Duration::from_micros))
            }
            "StandardError" => keep!(self.standard_error, *value, Str(word) => Some(word.to_owned())),
            "SyslogLevelPrefix" => keep!(self.syslog_level_prefix, *value, Bool(yes) => Some(yes)),
            "BindsTo" => keep!(self.binds_to, value, StrList(list) => Some(owned(list))),
            _ => Taken::Unknown,
        }
    }
}
