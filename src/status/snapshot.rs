//! What a unit looked like at one moment: plain values, as the bus room decoded them.
//!
//! A signal carries one *side* of a unit, the `.Service` interface or the `.Unit` interface. systemd sends the
//! service side first and the unit side at once after it, and documents that order so that a client can read
//! both as one picture (`send_changed_signal` in dbus-unit.c, 252 to 257): a [`Snapshot`] is therefore complete
//! when a unit side arrives. A `GetAll` gives both sides in one.
//!
//! Every field is optional, for a property that this systemd does not have; nothing here decides what a value
//! means.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::id::InvocationId;
use crate::time::Timestamp;

/// A word of systemd's, such as `active`. Those that come with every signal cost no memory of their own.
pub type Word = Cow<'static, str>;

/// Both sides of a unit, as of the newest signal or look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// The properties of `org.freedesktop.systemd1.Unit`.
    pub unit: UnitSide,
    /// The properties of `org.freedesktop.systemd1.Service`.
    pub service: ServiceSide,
}

/// The properties of `org.freedesktop.systemd1.Unit` that say where a unit is in its life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnitSide {
    /// `LoadState`: only a look (`GetAll`) tells it; systemd does not emit it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_state: Option<Word>,
    /// `ActiveState`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_state: Option<Word>,
    /// `SubState`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_state: Option<Word>,
    /// `Job`: the id of the job that is queued or running for the unit; `Some(0)` is "none".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<u32>,
    /// `InvocationID`; absent while the unit has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation: Option<InvocationId>,
    /// `ActiveEnterTimestamp`; absent where it is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_enter: Option<Timestamp>,
    /// `ActiveExitTimestamp`; absent where it is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_exit: Option<Timestamp>,
}

/// The properties of `org.freedesktop.systemd1.Service` that say what became of the main process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceSide {
    /// `MainPID`; `Some(0)` is "no main process".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub main_pid: Option<u32>,
    /// `ExecMainPID`: the newest main process, also after its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_main_pid: Option<u32>,
    /// `ExecMainCode`: 0 not ended, 1 exited, 2 killed, 3 dumped core (`si_code` of waitid(2)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_main_code: Option<i32>,
    /// `ExecMainStatus`: the exit code, or the signal's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_main_status: Option<i32>,
    /// `ExecMainStartTimestamp`: when the main process was forked; absent where it is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_main_start: Option<Timestamp>,
    /// `ExecMainExitTimestamp`; absent where it is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_main_exit: Option<Timestamp>,
    /// `ExecMainHandoffTimestampMonotonic`, microseconds: `Some(0)` says that exec was never reached.
    /// Only systemd 256 and later have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handoff_monotonic: Option<u64>,
    /// `Result`: systemd's reason, such as `success`, `exit-code`, `signal`, `timeout`, `oom-kill`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Word>,
    /// `StatusText`, as the program set it by sd_notify.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_text: Option<String>,
    /// `NRestarts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_restarts: Option<u32>,
}
