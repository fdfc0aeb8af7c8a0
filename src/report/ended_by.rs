//! Who ended a proc: never a guess beyond what was seen.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::status::exit::Exit;
use crate::status::observe::Ended;

/// Why we asked a proc to end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    not(any(feature = "runtime", test)),
    expect(dead_code, reason = "only managers have runs to tell of")
)]
pub(crate) enum Asked {
    /// A caller did, for this reason.
    Reason(String),
    /// Its time was up.
    TimeLimit,
}

/// Who ended a proc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "who", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndedBy {
    /// It ended by itself: nobody had begun to stop it.
    Program,
    /// This manager was asked to end it.
    Procunit {
        /// The reason that was given.
        reason: String,
    },
    /// Its time limit.
    TimeLimit,
    /// systemd, by another of its limits.
    Systemd {
        /// Which, in words.
        limit: String,
    },
    /// Somebody else had systemd stop it.
    SomeoneElse,
    /// A signal, and nothing tells who sent it.
    UnknownSender,
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program => f.write_str("by itself"),
            Self::Procunit { reason } => write!(f, "by procunit: {reason}"),
            Self::TimeLimit => f.write_str("by its time limit"),
            Self::Systemd { limit } => write!(f, "by systemd: {limit}"),
            Self::SomeoneElse => f.write_str("by someone else, who had systemd stop it"),
            Self::UnknownSender => f.write_str("by a signal; who sent it is not known"),
        }
    }
}

/// What was seen around an end.
pub(super) struct Seen<'a> {
    pub(super) ended: &'a Ended,
    /// A stop of ours was delivered before the end, for this reason.
    pub(super) asked: Option<&'a Asked>,
    /// systemd had begun to stop it before the end.
    pub(super) deactivated: bool,
    /// It was between two runs, and somebody kept the next from beginning.
    pub(super) between_runs: bool,
    /// It ran as long as its unit allows.
    pub(super) reached_runtime_max: bool,
}

/// Who ended it.
pub(super) fn ended_by(seen: &Seen<'_>) -> EndedBy {
    if !seen.between_runs && seen.was_first() && matches!(seen.ended.exit, Exit::Code(_)) {
        // Whatever was asked of it by then, or became of what it left. A kill leaves no code.
        return EndedBy::Program;
    }
    if let Some(asked) = seen.asked {
        return match asked {
            Asked::Reason(reason) => EndedBy::Procunit { reason: reason.clone() },
            Asked::TimeLimit => EndedBy::TimeLimit,
        };
    }
    if seen.between_runs {
        return EndedBy::SomeoneElse;
    }
    if let Some(by) = systemd_limit(seen) {
        return by;
    }
    match seen.ended.exit {
        _ if seen.deactivated => EndedBy::SomeoneElse,
        Exit::Code(_) => EndedBy::Program,
        Exit::Signal { .. } => EndedBy::UnknownSender,
    }
}

impl Seen<'_> {
    /// Whether it is known that its main process was over before anything had begun to stop it.
    fn was_first(&self) -> bool {
        self.ended.stopped_first == Some(false) && !self.deactivated
    }
}

/// The limit of systemd's own that `Result` names (systemd.exec(5), `$SERVICE_RESULT`).
fn systemd_limit(seen: &Seen<'_>) -> Option<EndedBy> {
    let limit = match seen.ended.result.as_deref()? {
        // The kernel kills without a stop.
        "oom-kill" => "out of memory",
        // `Result` is of the unit: these are then of what the main process left in it (measured, 252 and 257).
        _ if seen.was_first() => return None,
        "timeout" if seen.reached_runtime_max => return Some(EndedBy::TimeLimit),
        "timeout" => "it did not end within its stop timeout",
        "watchdog" => "it missed its watchdog",
        _ => return None,
    };
    Some(EndedBy::Systemd { limit: limit.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Signal;
    use crate::status::exit::ExecReached;

    fn ended(exit: Exit, result: &str) -> Ended {
        Ended {
            exit,
            pid: None,
            started_at: None,
            ended_at: None,
            exec: ExecReached::Yes,
            stopped_first: None,
            result: Some(result.to_owned().into()),
        }
    }

    fn killed(signal: Signal, result: &str) -> Ended {
        ended(Exit::Signal { signal, core_dumped: false }, result)
    }

    fn seen(ended: &Ended) -> Seen<'_> {
        Seen { ended, asked: None, deactivated: false, between_runs: false, reached_runtime_max: false }
    }

    #[test]
    fn an_exit_that_nobody_asked_for_is_the_programs_own() {
        assert_eq!(ended_by(&seen(&ended(Exit::Code(3), "exit-code"))), EndedBy::Program);
    }

    #[test]
    fn a_signal_without_a_stop_job_has_an_unknown_sender() {
        let end = killed(Signal::SEGV, "signal");
        assert_eq!(ended_by(&seen(&end)), EndedBy::UnknownSender);
    }

    #[test]
    fn a_stop_job_that_is_not_ours_is_someone_elses_whatever_the_exit() {
        for end in [killed(Signal::TERM, "success"), ended(Exit::Code(0), "success")] {
            let by = ended_by(&Seen { deactivated: true, ..seen(&end) });
            assert_eq!(by, EndedBy::SomeoneElse);
        }
    }

    #[test]
    fn our_wish_comes_before_what_systemd_calls_it() {
        let end = killed(Signal::KILL, "timeout");
        let asked = Asked::Reason("stop".to_owned());
        let by = ended_by(&Seen { asked: Some(&asked), deactivated: true, ..seen(&end) });
        assert_eq!(by, EndedBy::Procunit { reason: "stop".to_owned() });
    }

    #[test]
    fn a_timeout_is_the_time_limit_only_where_it_ran_that_long() {
        let end = killed(Signal::TERM, "timeout");
        let by = ended_by(&Seen { deactivated: true, reached_runtime_max: true, ..seen(&end) });
        assert_eq!(by, EndedBy::TimeLimit);
        assert!(matches!(ended_by(&Seen { deactivated: true, ..seen(&end) }), EndedBy::Systemd { .. }));
    }

    fn before_any_stop(ended: Ended) -> Ended {
        Ended { stopped_first: Some(false), ..ended }
    }

    /// What it left refused to end until SIGKILL: systemd's `Result` is of the unit, not of the main process.
    #[test]
    fn a_stop_timeout_of_the_children_is_not_the_main_processs_end() {
        let exited = before_any_stop(ended(Exit::Code(0), "timeout"));
        assert_eq!(ended_by(&seen(&exited)), EndedBy::Program);
        let by_signal = before_any_stop(killed(Signal::TERM, "timeout"));
        assert_eq!(ended_by(&seen(&by_signal)), EndedBy::UnknownSender);
    }

    #[test]
    fn an_exit_before_our_stop_had_begun_is_the_programs_own() {
        let asked = Asked::Reason("stop".to_owned());
        let exited = before_any_stop(ended(Exit::Code(0), "success"));
        assert_eq!(ended_by(&Seen { asked: Some(&asked), ..seen(&exited) }), EndedBy::Program);
        // SIGKILL of ours goes out without a stop.
        let by_kill = before_any_stop(killed(Signal::KILL, "signal"));
        let by = ended_by(&Seen { asked: Some(&asked), ..seen(&by_kill) });
        assert_eq!(by, EndedBy::Procunit { reason: "stop".to_owned() });
    }

    #[test]
    fn an_oom_kill_needs_no_stop_before_it() {
        let by = ended_by(&seen(&before_any_stop(killed(Signal::KILL, "oom-kill"))));
        assert_eq!(by, EndedBy::Systemd { limit: "out of memory".to_owned() });
    }

    #[test]
    fn a_missed_watchdog_is_systemds_word() {
        let end = killed(Signal::new(6).unwrap(), "watchdog");
        let by = ended_by(&Seen { deactivated: true, ..seen(&end) });
        assert_eq!(by, EndedBy::Systemd { limit: "it missed its watchdog".to_owned() });
    }

    #[test]
    fn our_time_limit_is_told_as_one() {
        let end = killed(Signal::TERM, "success");
        let by = ended_by(&Seen { asked: Some(&Asked::TimeLimit), deactivated: true, ..seen(&end) });
        assert_eq!(by, EndedBy::TimeLimit);
    }

    #[test]
    fn each_has_its_words_and_its_json() {
        let procunit = EndedBy::Procunit { reason: "stop".to_owned() };
        let systemd = EndedBy::Systemd { limit: "out of memory".to_owned() };
        for (by, words, json) in [
            (EndedBy::Program, "by itself", r#"{"who":"program"}"#),
            (procunit, "by procunit: stop", r#"{"who":"procunit","reason":"stop"}"#),
            (EndedBy::TimeLimit, "by its time limit", r#"{"who":"time_limit"}"#),
            (systemd, "by systemd: out of memory", r#"{"who":"systemd","limit":"out of memory"}"#),
            (EndedBy::SomeoneElse, "by someone else, who had systemd stop it", r#"{"who":"someone_else"}"#),
            (EndedBy::UnknownSender, "by a signal; who sent it is not known", r#"{"who":"unknown_sender"}"#),
        ] {
            assert_eq!(by.to_string(), words);
            assert_eq!(serde_json::to_string(&by).unwrap(), json);
            assert_eq!(serde_json::from_str::<EndedBy>(json).unwrap(), by);
        }
    }

    #[test]
    fn an_oom_kill_is_systemds_word() {
        let by = ended_by(&seen(&killed(Signal::KILL, "oom-kill")));
        assert_eq!(by, EndedBy::Systemd { limit: "out of memory".to_owned() });
    }
}
