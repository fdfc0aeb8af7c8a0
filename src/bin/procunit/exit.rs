//! Exit codes, and errors as people read them.

use std::fmt;

use procunit::ProcStatus;
use procunit::launcher::LaunchError;
use procunit::manager::BadSetting;
use procunit::report::Report;
use procunit::signal::Signal;
use procunit::status::FailReason;

use crate::log_runs::NoRun;
use crate::select::NoProc;

/// Something of what was asked could not be done.
pub(crate) const FAILED: u8 = 1;
/// What was asked cannot be meant; clap's own, too.
pub(crate) const USAGE: u8 = 2;
/// One of them is not running.
pub(crate) const NOT_RUNNING: u8 = 3;
/// There is no such proc, or no such run of it.
pub(crate) const NO_PROC: u8 = 4;
/// A time limit of ours.
pub(crate) const TIME_LIMIT: u8 = 124;
/// The launcher failed.
pub(crate) const LAUNCHER: u8 = 125;
/// The program cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// There is no such program.
pub(crate) const NOT_FOUND: u8 = 127;

/// The setup step at which the kernel refuses the program (`EXIT_EXEC`, systemd.exec(5)).
const EXEC: u8 = 203;

/// The exit code that says how a proc ended; 125 where that is not known.
pub(crate) fn code_of_status(status: &ProcStatus) -> u8 {
    match status {
        ProcStatus::Stopped { exit_code, .. } => *exit_code,
        ProcStatus::Killed { signal, .. } => code_of_signal(*signal),
        ProcStatus::Failed { reason } => code_of_failure(reason),
        ProcStatus::Starting
        | ProcStatus::Running { .. }
        | ProcStatus::Ready { .. }
        | ProcStatus::Stopping { .. } => LAUNCHER,
    }
}

/// The exit code that says how a proc ended, its own time limit included.
pub(crate) fn code_of_report(report: &Report) -> u8 {
    if report.hit_time_limit() { TIME_LIMIT } else { code_of_status(&report.status) }
}

/// The exit code that shells give to death by this signal.
pub(crate) fn code_of_signal(signal: Signal) -> u8 {
    // Signals are 1 to 64.
    128 + u8::try_from(signal.number()).unwrap_or(0)
}

/// The exit code that says what kind of error it was.
pub(crate) fn code_of_error(error: &anyhow::Error) -> u8 {
    if error.is::<NoProc>() || error.is::<NoRun>() {
        return NO_PROC;
    }
    if error.is::<BadSetting>() {
        return USAGE;
    }
    match error.downcast_ref::<LaunchError>() {
        Some(LaunchError::NotFound { .. }) => NOT_FOUND,
        Some(LaunchError::NotExecutable { .. } | LaunchError::Interpreter { .. }) => NOT_EXECUTABLE,
        Some(LaunchError::Setup { reason, .. }) => code_of_failure(reason),
        _ => LAUNCHER,
    }
}

/// The exit code for a proc whose program never ran, or whose end is not known.
fn code_of_failure(reason: &FailReason) -> u8 {
    match reason {
        FailReason::Setup { step } if u8::from(*step) == EXEC => NOT_EXECUTABLE,
        _ => LAUNCHER,
    }
}

/// An error in one line: what failed, and each cause that the line before does not name already.
pub(crate) struct Shown<'a>(pub(crate) &'a anyhow::Error);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = String::from("procunit");
        for cause in self.0.chain() {
            let words = cause.to_string();
            if !told.contains(&words) {
                told.push_str(": ");
                told.push_str(&words);
            }
            // All of its source is in its own words, in another order.
            if matches!(cause.downcast_ref(), Some(LaunchError::Rejected { .. })) {
                break;
            }
        }
        f.write_str(&told)
    }
}
