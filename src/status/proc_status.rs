//! The one status enum.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::exit::{Exit, SetupStep};
use crate::signal::Signal;
use crate::time::Timestamp;

/// What was observed of a proc. Never what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ProcStatus {
    /// Accepted, and exec has not been seen to succeed; or between two runs of a restart policy.
    Starting,
    /// Exec succeeded; the main process exists.
    Running {
        /// When the main process was started.
        started_at: Timestamp,
    },
    /// The proc said that it is ready, or its probe passed.
    Ready {
        /// When the main process was started.
        started_at: Timestamp,
        /// The address the proc announced.
        addr: Option<String>,
        /// The address of its agent.
        agent: Option<String>,
    },
    /// A stop has been delivered, or systemd is deactivating it; it is still there.
    Stopping {
        /// When the main process was started; absent where it was stopped before that was seen.
        started_at: Option<Timestamp>,
    },
    /// The main process exited by itself.
    Stopped {
        /// Its exit code.
        exit_code: u8,
        /// Its last lines on stderr that this process had at hand when it ended; often none.
        #[serde(default)]
        stderr_tail: Vec<String>,
    },
    /// The main process died by a signal, whoever sent it.
    Killed {
        /// The signal.
        signal: Signal,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
    /// Its end is unknown, or a run of it could not be set up.
    Failed {
        /// Which, and why.
        reason: FailReason,
    },
}

/// Why a proc is [`ProcStatus::Failed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailReason {
    /// The proc is gone and nobody saw how it ended.
    Lost {
        /// What was found in its place.
        found: Found,
    },
    /// The program was never executed: setting its process up failed.
    Setup {
        /// The step that failed.
        step: SetupStep,
    },
    /// systemd started no main process.
    NoMainProcess {
        /// systemd's `Result`, such as `resources` or `start-limit-hit`.
        result: String,
    },
}

/// What was found where a proc had been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Found {
    /// No unit of that name.
    NoUnit,
    /// The unit, in another run of it.
    OtherRun,
    /// Its next run, by its restart policy.
    NextRun,
    /// The unit without a main process and without the exit status of one.
    NoExitStatus,
    /// Nothing can be looked at any more: the launcher is gone for good.
    NoLauncher,
}

/// A status without its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusKind {
    /// See [`ProcStatus::Starting`].
    Starting,
    /// See [`ProcStatus::Running`].
    Running,
    /// See [`ProcStatus::Ready`].
    Ready,
    /// See [`ProcStatus::Stopping`].
    Stopping,
    /// See [`ProcStatus::Stopped`].
    Stopped,
    /// See [`ProcStatus::Killed`].
    Killed,
    /// See [`ProcStatus::Failed`].
    Failed,
}

impl StatusKind {
    /// Every kind, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Starting,
        Self::Running,
        Self::Ready,
        Self::Stopping,
        Self::Stopped,
        Self::Killed,
        Self::Failed,
    ];

    /// Whether this is an end.
    pub const fn is_exit(self) -> bool {
        matches!(self, Self::Stopped | Self::Killed | Self::Failed)
    }

    /// The word that status lines, `--state` and JSON use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Killed => "killed",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for StatusKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl ProcStatus {
    /// The status that an exact end gives.
    pub fn from_exit(exit: Exit) -> Self {
        match exit {
            Exit::Code(exit_code) => Self::Stopped { exit_code, stderr_tail: Vec::new() },
            Exit::Signal { signal, core_dumped } => Self::Killed { signal, core_dumped },
        }
    }

    /// The kind, without fields.
    pub const fn kind(&self) -> StatusKind {
        match self {
            Self::Starting => StatusKind::Starting,
            Self::Running { .. } => StatusKind::Running,
            Self::Ready { .. } => StatusKind::Ready,
            Self::Stopping { .. } => StatusKind::Stopping,
            Self::Stopped { .. } => StatusKind::Stopped,
            Self::Killed { .. } => StatusKind::Killed,
            Self::Failed { .. } => StatusKind::Failed,
        }
    }

    /// Whether the proc is over. Nothing follows an end.
    pub const fn is_exit(&self) -> bool {
        self.kind().is_exit()
    }

    /// The exact end, where it is known.
    pub fn exit(&self) -> Option<Exit> {
        match *self {
            Self::Stopped { exit_code, .. } => Some(Exit::Code(exit_code)),
            Self::Killed { signal, core_dumped } => Some(Exit::Signal { signal, core_dumped }),
            Self::Starting
            | Self::Running { .. }
            | Self::Ready { .. }
            | Self::Stopping { .. }
            | Self::Failed { .. } => None,
        }
    }

    /// When the main process was started, while the status says so.
    pub const fn started_at(&self) -> Option<Timestamp> {
        match *self {
            Self::Running { started_at } | Self::Ready { started_at, .. } => Some(started_at),
            Self::Stopping { started_at } => started_at,
            Self::Starting | Self::Stopped { .. } | Self::Killed { .. } | Self::Failed { .. } => None,
        }
    }

    /// The status in one line as of `now`, with the time it is up: `Running up 42s`.
    pub const fn at(&self, now: Timestamp) -> StatusAt<'_> {
        StatusAt { status: self, now: Some(now) }
    }
}

/// The status in one line, without the time it is up: `Running`, `Stopped(exit=7)`, `Killed(sig=9, core)`.
impl fmt::Display for ProcStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        StatusAt { status: self, now: None }.fmt(f)
    }
}

/// A status as of a moment; see [`ProcStatus::at`].
#[derive(Debug, Clone, Copy)]
pub struct StatusAt<'a> {
    status: &'a ProcStatus,
    now: Option<Timestamp>,
}

impl fmt::Display for StatusAt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            ProcStatus::Starting => f.write_str("Starting"),
            ProcStatus::Running { started_at } => {
                f.write_str("Running")?;
                self.write_up(f, *started_at)
            }
            ProcStatus::Ready { started_at, addr, .. } => {
                f.write_str("Ready")?;
                if let Some(addr) = addr {
                    write!(f, " at {addr}")?;
                }
                self.write_up(f, *started_at)
            }
            ProcStatus::Stopping { started_at } => {
                f.write_str("Stopping")?;
                started_at.map_or(Ok(()), |started_at| self.write_up(f, started_at))
            }
            ProcStatus::Stopped { exit_code, .. } => write!(f, "Stopped(exit={exit_code})"),
            ProcStatus::Killed { signal, core_dumped } => {
                let core = if *core_dumped { ", core" } else { "" };
                write!(f, "Killed(sig={}{core})", signal.number())
            }
            ProcStatus::Failed { reason } => write!(f, "Failed({reason})"),
        }
    }
}

impl StatusAt<'_> {
    fn write_up(&self, f: &mut fmt::Formatter<'_>, started_at: Timestamp) -> fmt::Result {
        self.now.map_or(Ok(()), |now| write!(f, " up {}", Up(now.since(started_at))))
    }
}

/// A duration in its two largest units: `42s`, `5min 20s`, `3h 4min`, `2d 7h`.
struct Up(Duration);

impl fmt::Display for Up {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        match () {
            () if days > 0 => write!(f, "{days}d {}h", hours % 24),
            () if hours > 0 => write!(f, "{hours}h {}min", minutes % 60),
            () if minutes > 0 => write!(f, "{minutes}min {}s", seconds % 60),
            () => write!(f, "{seconds}s"),
        }
    }
}

impl fmt::Display for FailReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { found } => write!(f, "lost: {found}"),
            Self::Setup { step } => write!(f, "setup failed: {step}"),
            // A reset by someone has taken the reason.
            Self::NoMainProcess { result } if result == "success" => {
                f.write_str("no main process was started")
            }
            Self::NoMainProcess { result } => write!(f, "no main process was started: {result}"),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoUnit => "its unit is gone and nobody saw the end",
            Self::OtherRun => "its unit runs again and nobody saw the end",
            Self::NextRun => "its next run was there, and nobody saw the end of this one",
            Self::NoExitStatus => "its unit has ended without an exit status",
            Self::NoLauncher => "its launcher can no longer be reached",
        })
    }
}
