//! Exit truth: how a main process ended, and what systemd's numbers say of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::snapshot::Snapshot;
use crate::signal::Signal;
use crate::time::Timestamp;

/// How a main process ended, as the kernel told its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited by itself with this code.
    Code(u8),
    /// It died by this signal, whoever sent it.
    Signal {
        /// The signal.
        signal: Signal,
        /// Whether the kernel says that a core was dumped.
        core_dumped: bool,
    },
}

impl Exit {
    /// From `ExecMainCode` (`si_code` of waitid(2): 1 exited, 2 killed, 3 dumped) and `ExecMainStatus`.
    ///
    /// `None` where the process has not ended (code 0), or where the numbers are none that waitid(2) can give.
    pub fn from_exec_main(code: i32, status: i32) -> Option<Self> {
        match code {
            1 => u8::try_from(status).ok().map(Self::Code),
            2 | 3 => Signal::new(status).ok().map(|signal| Self::Signal { signal, core_dumped: code == 3 }),
            _ => None,
        }
    }

    /// Whether systemd counts it as a failure (systemd.service(5), `Restart=on-failure`): a code other than 0, or death by
    /// a signal other than HUP, INT, TERM and PIPE, or with a core dump.
    pub fn is_failure(self) -> bool {
        match self {
            Self::Code(code) => code != 0,
            Self::Signal { signal, core_dumped } => {
                core_dumped || ![Signal::HUP, Signal::INT, Signal::TERM, Signal::PIPE].contains(&signal)
            }
        }
    }

    /// Whether it exited with 0.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Code(0))
    }
}

/// Whether the program itself was ever reached by exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecReached {
    /// It was.
    Yes,
    /// It was not: the end is that of systemd's own child, before exec.
    No,
    /// This systemd cannot tell (below 256, for a program that ended before its unit became active).
    Unknown,
}

impl ExecReached {
    /// What a snapshot of an ended main process says.
    ///
    /// With `Type=exec` a unit becomes active when exec has succeeded, so that having been active proves it. Not
    /// having been active proves nothing below systemd 256: 200 of 200 concurrent short programs never got there
    /// although exec worked (measured, 252). From 256 on it is always seen (200 of 200, measured, 257), and the handoff
    /// timestamp is 0 where the setup failed. It is taken right before execve(2), though: where that fails itself (203,
    /// EXEC), the timestamp is there and the unit was never active (measured, 257).
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let was_active = active_enter(snapshot).is_some();
        match snapshot.service.handoff_monotonic {
            Some(0) => Self::No,
            Some(_) if !was_active && exited_with(snapshot, EXEC_FAILED) => Self::No,
            Some(_) => Self::Yes,
            None if was_active => Self::Yes,
            None => Self::Unknown,
        }
    }
}

/// The exit status of systemd's child where execve(2) failed.
const EXEC_FAILED: u8 = 203;

fn exited_with(snapshot: &Snapshot, status: u8) -> bool {
    let service = &snapshot.service;
    let exit = service.exec_main_code.zip(service.exec_main_status);
    exit.and_then(|(code, status)| Exit::from_exec_main(code, status)) == Some(Exit::Code(status))
}

/// When the unit became active in the run that the picture shows.
///
/// A unit that is started again keeps the time of the run before until it is active again (measured, 252 and 257);
/// that time lies before this run's main process.
pub(super) fn active_enter(snapshot: &Snapshot) -> Option<Timestamp> {
    let entered = snapshot.unit.active_enter?;
    let in_this_run = snapshot.service.exec_main_start.is_none_or(|forked| forked <= entered);
    in_this_run.then_some(entered)
}

/// The step of setting up a process at which systemd's child gave up, before exec.
///
/// The exit status of that child is the step's number (systemd.exec(5), "Process Exit Codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct SetupStep(u8);

/// Not an exit status that systemd gives to a failed setup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not the status of a setup step (200 to 243)")]
pub struct BadSetupStep(u8);

impl TryFrom<u8> for SetupStep {
    type Error = BadSetupStep;

    fn try_from(status: u8) -> Result<Self, Self::Error> {
        Self::from_status(status).ok_or(BadSetupStep(status))
    }
}

impl From<SetupStep> for u8 {
    fn from(step: SetupStep) -> Self {
        step.0
    }
}

/// systemd's names of the steps (exit-status.c, 252 to 257). 223 and 234 are not used.
const STEPS: &[(u8, &str, &str)] = &[
    (200, "CHDIR", "changing to the working directory"),
    (201, "NICE", "setting the nice level"),
    (202, "FDS", "arranging file descriptors"),
    (203, "EXEC", "executing the program"),
    (204, "MEMORY", "allocating memory"),
    (205, "LIMITS", "setting resource limits"),
    (206, "OOM_ADJUST", "setting the OOM score"),
    (207, "SIGNAL_MASK", "setting the signal mask"),
    (208, "STDIN", "opening standard input"),
    (209, "STDOUT", "opening standard output"),
    (210, "CHROOT", "changing the root directory"),
    (211, "IOPRIO", "setting the IO priority"),
    (212, "TIMERSLACK", "setting the timer slack"),
    (213, "SECUREBITS", "setting the secure bits"),
    (214, "SETSCHEDULER", "setting the CPU scheduler"),
    (215, "CPUAFFINITY", "setting the CPU affinity"),
    (216, "GROUP", "changing the group"),
    (217, "USER", "changing the user"),
    (218, "CAPABILITIES", "setting capabilities"),
    (219, "CGROUP", "entering the control group"),
    (220, "SETSID", "making a session"),
    (221, "CONFIRM", "asking for confirmation"),
    (222, "STDERR", "opening standard error"),
    (224, "PAM", "setting up the PAM session"),
    (225, "NETWORK", "setting up the network namespace"),
    (226, "NAMESPACE", "setting up the mount namespace"),
    (227, "NO_NEW_PRIVILEGES", "setting no-new-privileges"),
    (228, "SECCOMP", "installing the system call filter"),
    (229, "SELINUX_CONTEXT", "setting the SELinux context"),
    (230, "PERSONALITY", "setting the personality"),
    (231, "APPARMOR_PROFILE", "setting the AppArmor profile"),
    (232, "ADDRESS_FAMILIES", "restricting address families"),
    (233, "RUNTIME_DIRECTORY", "making the runtime directory"),
    (235, "CHOWN", "changing the owner of a socket"),
    (236, "SMACK_PROCESS_LABEL", "setting the SMACK label"),
    (237, "KEYRING", "setting up the kernel keyring"),
    (238, "STATE_DIRECTORY", "making the state directory"),
    (239, "CACHE_DIRECTORY", "making the cache directory"),
    (240, "LOGS_DIRECTORY", "making the logs directory"),
    (241, "CONFIGURATION_DIRECTORY", "making the configuration directory"),
    (242, "NUMA_POLICY", "setting the NUMA policy"),
    (243, "CREDENTIALS", "setting up credentials"),
];

impl SetupStep {
    /// The step of this exit status; `None` where it is no status that systemd gives to a failed setup.
    pub fn from_status(status: u8) -> Option<Self> {
        (200..=243).contains(&status).then_some(Self(status))
    }

    /// The exit status.
    pub const fn status(self) -> u8 {
        self.0
    }

    /// systemd's name of the step, such as `CHDIR`; `?` for one that no known version has.
    pub fn name(self) -> &'static str {
        self.entry().map_or("?", |entry| entry.1)
    }

    /// What the step does, in words.
    pub fn describe(self) -> &'static str {
        self.entry().map_or("a setup step of a newer systemd", |entry| entry.2)
    }

    fn entry(self) -> Option<&'static (u8, &'static str, &'static str)> {
        STEPS.iter().find(|entry| entry.0 == self.0)
    }
}

impl fmt::Display for SetupStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}/{})", self.describe(), self.0, self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_1_is_an_exit_with_every_status_that_a_program_can_give() {
        for status in 0..=255_u8 {
            assert_eq!(Exit::from_exec_main(1, status.into()), Some(Exit::Code(status)));
        }
    }

    #[test]
    fn codes_2_and_3_are_a_death_by_every_signal_there_is() {
        for number in 1..=64 {
            let death = |core_dumped| Exit::Signal { signal: Signal::new(number).unwrap(), core_dumped };
            assert_eq!(Exit::from_exec_main(2, number), Some(death(false)));
            assert_eq!(Exit::from_exec_main(3, number), Some(death(true)));
        }
    }

    #[test]
    fn what_waitid_never_gives_is_no_exit() {
        let numbers = [
            (0, 0),
            (0, 7),
            (1, -1),
            (1, 256),
            (2, 0),
            (2, -9),
            (2, 65),
            (3, 0),
            (3, 65),
            (4, 19),
            (5, 19),
            (6, 18),
            (-1, 0),
            (i32::MIN, i32::MIN),
            (i32::MAX, i32::MAX),
            (1, i32::MIN),
            (2, i32::MAX),
        ];
        for (code, status) in numbers {
            assert_eq!(Exit::from_exec_main(code, status), None, "{code}/{status}");
        }
    }

    #[test]
    fn only_exit_0_is_success() {
        assert!(Exit::Code(0).is_success());
        assert!(!Exit::Code(1).is_success());
        assert!(!Exit::Signal { signal: Signal::TERM, core_dumped: false }.is_success());
    }

    #[test]
    fn an_exit_reads_back_from_json() {
        let signal = Exit::Signal { signal: Signal::SEGV, core_dumped: true };
        for (exit, json) in
            [(Exit::Code(7), r#"{"code":7}"#), (signal, r#"{"signal":{"signal":11,"core_dumped":true}}"#)]
        {
            assert_eq!(serde_json::to_string(&exit).unwrap(), json);
            assert_eq!(serde_json::from_str::<Exit>(json).unwrap(), exit);
        }
    }

    #[test]
    fn the_handoff_decides_whether_exec_was_reached_and_below_256_being_active_does() {
        let mut snapshot = Snapshot::default();
        assert_eq!(ExecReached::of(&snapshot), ExecReached::Unknown);
        snapshot.unit.active_enter = Some(Timestamp::from_micros(1));
        assert_eq!(ExecReached::of(&snapshot), ExecReached::Yes);
        snapshot.service.handoff_monotonic = Some(0);
        assert_eq!(ExecReached::of(&snapshot), ExecReached::No);
        snapshot.service.handoff_monotonic = Some(5);
        snapshot.unit.active_enter = None;
        assert_eq!(ExecReached::of(&snapshot), ExecReached::Yes);
    }

    #[test]
    fn the_statuses_from_200_to_243_are_setup_steps_and_no_others() {
        let steps: Vec<_> = (0..=255).filter_map(SetupStep::from_status).map(SetupStep::status).collect();
        assert_eq!(steps, (200..=243).collect::<Vec<_>>());
    }

    #[test]
    fn a_step_has_the_name_that_systemd_gives_it() {
        let name = |status| SetupStep::from_status(status).map(SetupStep::name);
        assert_eq!(name(200), Some("CHDIR"));
        assert_eq!(name(203), Some("EXEC"));
        assert_eq!(name(217), Some("USER"));
        assert_eq!(name(243), Some("CREDENTIALS"));
        assert_eq!(name(223), Some("?"), "no version uses it");
    }

    #[test]
    fn a_step_is_one_line_also_where_nobody_knows_it() {
        let line = |status| SetupStep::from_status(status).unwrap().to_string();
        assert_eq!(line(203), "executing the program (203/EXEC)");
        assert_eq!(line(234), "a setup step of a newer systemd (234/?)");
    }

    #[test]
    fn the_table_of_steps_is_in_order_and_names_each_once() {
        assert!(STEPS.is_sorted_by(|one, next| one.0 < next.0));
        let names: std::collections::BTreeSet<_> = STEPS.iter().map(|step| step.1).collect();
        assert_eq!((names.len(), STEPS.len()), (42, 42));
    }
}
