//! A proc in words: what people read who read nothing else.

use std::fmt::Write as _;
use std::time::Duration;

use procunit::ProcStatus;
use procunit::report::{EndedBy, Report};
use procunit::signal::Signal;
use procunit::size::format_size;
use procunit::spec::Lifetime;
use procunit::status::FailReason;
use procunit::time::{Timestamp, format_span};

use crate::printable::printable;
use crate::show;

/// What became of it, or what it is: `exited with 7`, `killed by SIGSEGV, core dumped`, `running`.
pub(crate) fn state(status: &ProcStatus) -> String {
    match status {
        ProcStatus::Starting => "starting".to_owned(),
        ProcStatus::Running { .. } => "running".to_owned(),
        ProcStatus::Ready { addr: None, .. } => "ready".to_owned(),
        ProcStatus::Ready { addr: Some(addr), .. } => format!("ready at {addr}"),
        ProcStatus::Stopping { .. } => "stopping".to_owned(),
        ProcStatus::Stopped { exit_code, .. } => format!("exited with {exit_code}"),
        ProcStatus::Killed { signal, core_dumped: false } => format!("killed by {signal}"),
        ProcStatus::Killed { signal, core_dumped: true } => format!("killed by {signal}, core dumped"),
        ProcStatus::Failed { reason: reason @ FailReason::Lost { .. } } => reason.to_string(),
        ProcStatus::Failed { reason } => format!("failed: {reason}"),
    }
}

/// The words in the colour of what they mean.
pub(crate) fn coloured(status: &ProcStatus, words: &str) -> String {
    match status {
        ProcStatus::Running { .. } | ProcStatus::Ready { .. } => show::good(words),
        ProcStatus::Starting | ProcStatus::Stopping { .. } => show::attention(words),
        ProcStatus::Stopped { exit_code: 0, .. } => words.to_owned(),
        ProcStatus::Stopped { .. } | ProcStatus::Killed { .. } | ProcStatus::Failed { .. } => {
            show::bad(words)
        }
    }
}

/// Its end in one line: `exited with 7 after 1.2s`.
pub(crate) fn end(report: &Report) -> String {
    let after = report.wall_seconds.map(|wall| format!(" after {}", span(wall)));
    let again = restarts(report).map(|restarts| format!(", in the last run of {restarts}"));
    state(&report.status) + &after.unwrap_or_default() + &again.unwrap_or_default()
}

/// Whether its main process is there: between two runs, the last one's is over as well.
pub(crate) fn has_main(report: &Report) -> bool {
    !report.status.is_exit() && report.ended_at.is_none()
}

/// How many runs there were, where there was more than one.
fn restarts(report: &Report) -> Option<u64> {
    (report.restarts > 0).then(|| u64::from(report.restarts) + 1)
}

/// Who ended it, where that is more than that it ended by itself.
pub(crate) fn who(report: &Report) -> Option<String> {
    let by = report.ended_by.as_ref()?;
    let forced = if was_forced(report) { "; it had not stopped when it got SIGKILL" } else { "" };
    (*by != EndedBy::Program).then(|| format!("{by}{forced}"))
}

/// Whether it was asked to stop first and did not. Where our deadline and the unit's own are the same, systemd may be
/// the one who sends SIGKILL.
pub(crate) fn was_forced(report: &Report) -> bool {
    let asked = match &report.ended_by {
        Some(EndedBy::Procunit { reason }) => reason != "kill",
        Some(EndedBy::TimeLimit) => true,
        _ => false,
    };
    let killed = matches!(report.status, ProcStatus::Killed { signal: Signal::KILL, .. });
    asked && killed && (report.escalated || report.result.as_deref() == Some("timeout"))
}

/// How a proc ended, for whoever ran it: one line where that is all there is to say. `kept` says whether a later
/// command finds it.
pub(crate) fn exit_report(report: &Report, kept: bool) -> String {
    let mut text = format!("procunit: {}: {}", report.id, coloured(&report.status, &end(report)));
    let mut facts = ending(report);
    let logs = logs(report).filter(|_| kept);
    // By itself, with nothing left and nothing doubted: the rest would be figures alone.
    if facts.is_empty() && matches!(report.status, ProcStatus::Stopped { .. }) {
        text.extend(logs.map(|logs| format!("; {logs}")));
        return text;
    }
    facts.extend(figures(report));
    let steps: Vec<_> = next_step(report).into_iter().chain(logs).collect();
    if !steps.is_empty() {
        facts.push(("next", steps.join("; ")));
    }
    for (name, fact) in facts {
        let _ = write!(text, "\n{name:>12}: {fact}");
    }
    text
}

/// Who ended it, what is left of it, and what is not sure.
fn ending(report: &Report) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    facts.extend(who(report).map(|who| ("ended", who)));
    facts.extend(leftovers(report).map(|left| ("left behind", left)));
    facts.extend(report.doubts.iter().map(|doubt| ("doubt", doubt.clone())));
    facts
}

fn figures(report: &Report) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    facts.extend(report.cpu_seconds.map(|cpu| ("cpu time", span(cpu))));
    facts.extend(report.memory_peak_bytes.map(|peak| ("peak memory", format_size(peak))));
    facts.extend(report.unit.as_ref().map(|unit| ("unit", unit.to_string())));
    facts
}

/// Where the words of a detached one are; those of an attached one went by.
fn logs(report: &Report) -> Option<String> {
    let detached = report.lifetime == Lifetime::Detached;
    detached.then(|| format!("`procunit logs {}` shows what it wrote", shell_word(report.id.as_str())))
}

/// What is to be said of the log of one that is over.
fn log(report: &Report) -> Option<String> {
    if !report.status.is_exit() {
        return None;
    }
    let why = report.logs_complete_why.as_deref().unwrap_or_default();
    Some(match report.logs_complete {
        Some(true) => "complete".to_owned(),
        Some(false) => format!("incomplete: {why}"),
        None => format!("not known to be complete: {why}"),
    })
}

fn leftovers(report: &Report) -> Option<String> {
    let left = report.leftovers.filter(|left| *left > 0)?;
    Some(format!("{left} {}, ended by the next `wait`, `stop` or `rm`", plural(left, "process", "processes")))
}

/// What a person would want to do or know next; `None` where there is nothing in particular.
fn next_step(report: &Report) -> Option<String> {
    let step = match (&report.status, &report.ended_by) {
        (ProcStatus::Failed { reason: FailReason::Lost { .. } }, _) => match &report.unit {
            Some(unit) => format!("`journalctl --user -u {unit}` may tell how it ended"),
            None => return None,
        },
        (ProcStatus::Killed { core_dumped: true, .. }, _) => match report.pid {
            Some(pid) => format!("`coredumpctl info {pid}` where systemd-coredump is set up"),
            None => return None,
        },
        (_, Some(EndedBy::Systemd { limit })) if limit.contains("memory") => {
            "its memory limit is in its unit: `-p MemoryMax=`".to_owned()
        }
        (_, Some(EndedBy::TimeLimit)) => "give it more with `run --timeout`".to_owned(),
        _ => return None,
    };
    Some(step)
}

/// Everything that is known of it, as `systemctl status` would show it, with the last lines of its log.
pub(crate) fn card(report: &Report, now: Timestamp) -> String {
    let mut text = title(report);
    let mut fact = |name: &str, fact: String| {
        let _ = write!(text, "\n{name:>12}: {fact}");
    };
    if let Some(unit) = &report.unit {
        fact("unit", format!("{unit} ({})", lifetime(report)));
    }
    if let Some(run) = report.invocation_id {
        fact("run", run.to_string());
    }
    // Of what is over the last one is told below, as the proc's own.
    let is_earlier = |number, over: bool| number <= report.restarts || (over && !report.status.is_exit());
    for run in report.runs.iter().filter(|run| is_earlier(run.number, run.end.is_some())) {
        let end = run.end.as_ref().map_or_else(|| "not over".to_owned(), state);
        fact("earlier run", format!("{}: {end}", run.number));
    }
    if let Some(pid) = report.pid {
        fact("main pid", if has_main(report) { pid.to_string() } else { format!("{pid} (over)") });
    }
    if let Some(at) = report.started_at {
        fact("started", when(at, now));
    }
    if let Some(at) = report.ended_at {
        let by = report.ended_by.as_ref().map(|by| format!(", {by}")).unwrap_or_default();
        fact("ended", format!("{}{by}", when(at, now)));
    }
    if let Some(wall) = report.wall_seconds {
        fact("ran for", span(wall));
    }
    if let Some(cpu) = report.cpu_seconds {
        fact("cpu time", span(cpu));
    }
    if let Some(memory) = memory(report) {
        fact("memory", memory);
    }
    if let Some(left) = leftovers(report) {
        fact("left behind", left);
    }
    for doubt in &report.doubts {
        fact("doubt", doubt.clone());
    }
    for (nth, line) in report.last_lines.iter().enumerate() {
        fact(if nth == 0 { "last lines" } else { "" }, printable(line.message.as_bytes()).into_owned());
    }
    if let Some(log) = log(report) {
        fact("log", log);
    }
    fact("next", steps(report));
    text.replace("\n            : ", &format!("\n{:14}", ""))
}

fn title(report: &Report) -> String {
    let label = report.label.as_ref().map(|label| format!(" ({label})")).unwrap_or_default();
    let dot = coloured(&report.status, "●");
    format!("{dot} {}{label}: {}", report.id, coloured(&report.status, &state(&report.status)))
}

fn lifetime(report: &Report) -> &'static str {
    match report.lifetime {
        Lifetime::Attached => "attached: it ends with what ran it",
        Lifetime::Detached => "detached",
    }
}

fn memory(report: &Report) -> Option<String> {
    match (report.memory_bytes, report.memory_peak_bytes) {
        (Some(now), Some(peak)) => Some(format!("{} (peak {})", format_size(now), format_size(peak))),
        (Some(now), None) => Some(format_size(now)),
        (None, Some(peak)) => Some(format!("peak {}", format_size(peak))),
        (None, None) => None,
    }
}

fn steps(report: &Report) -> String {
    let id = shell_word(report.id.as_str());
    let usual = match (report.status.is_exit(), report.lifetime) {
        (true, Lifetime::Detached) => format!("`procunit logs {id}`, `procunit rm {id}`"),
        (true, Lifetime::Attached) => format!("`procunit rm {id}`"),
        (false, Lifetime::Detached) => format!("`procunit logs -f {id}`, `procunit stop {id}`"),
        (false, Lifetime::Attached) => format!("`procunit stop {id}`"),
    };
    next_step(report).into_iter().chain([usual]).collect::<Vec<_>>().join("; ")
}

/// A name as a shell reads it back.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+,=".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A moment for people: this host's own time, and how long ago it was.
fn when(at: Timestamp, now: Timestamp) -> String {
    format!("{}, {} ago", local(at), format_span(whole(now.since(at))))
}

/// A moment in this host's time zone.
pub(crate) fn local(at: Timestamp) -> String {
    match zoned(at) {
        Some(time) => time.strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        None => at.to_string(),
    }
}

/// A moment in this host's time zone; `None` beyond the year 9999.
pub(crate) fn zoned(at: Timestamp) -> Option<jiff::Zoned> {
    let micros = i64::try_from(at.as_micros()).ok()?;
    let time = jiff::Timestamp::from_microsecond(micros).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::system()))
}

/// Seconds of a report in words.
pub(crate) fn span(seconds: f64) -> String {
    format_span(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Milliseconds say nothing beside seconds.
pub(crate) fn whole(span: Duration) -> Duration {
    if span.as_secs() >= 1 { Duration::from_secs(span.as_secs()) } else { span }
}

/// The word for that many.
pub(crate) fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A report of an attached proc that exited with 0, with these fields instead.
    fn report(fields: Value) -> Report {
        let mut whole = json!({
            "version": 1, "id": "web", "unit": "procunit-web.service", "launcher": "systemd", "label": null,
            "lifetime": "attached", "invocation_id": null, "pid": 7, "started_at": "2026-07-30T10:00:00Z",
            "status": {"state": "stopped", "exit_code": 0}, "ended_at": "2026-07-30T10:00:02Z",
            "wall_seconds": 2.0, "cpu_seconds": 0.25, "memory_bytes": null, "memory_peak_bytes": 1_572_864,
            "leftovers": null, "ended_by": {"who": "program"}, "escalated": false, "result": null,
            "doubts": [], "notes": [], "transitions": [], "transitions_dropped": 0,
        });
        let (Value::Object(whole), Value::Object(fields)) = (&mut whole, fields) else {
            panic!("no objects")
        };
        whole.extend(fields);
        serde_json::from_value(Value::Object(whole.clone())).unwrap()
    }

    /// As a terminal without colours shows it.
    fn told(fields: Value) -> String {
        anstream::adapter::strip_str(&exit_report(&report(fields), true)).to_string()
    }

    #[test]
    fn a_plain_exit_is_one_line() {
        let status = json!({"state": "stopped", "exit_code": 7});
        assert_eq!(told(json!({"status": status})), "procunit: web: exited with 7 after 2s");
        assert_eq!(
            told(json!({"status": status, "lifetime": "detached"})),
            "procunit: web: exited with 7 after 2s; `procunit logs web` shows what it wrote"
        );
    }

    #[test]
    fn a_kill_says_who_asked_and_what_it_had_used() {
        let told = told(json!({
            "status": {"state": "killed", "signal": 9, "core_dumped": false}, "escalated": true,
            "ended_by": {"who": "procunit", "reason": "interrupted (Ctrl-C)"},
        }));
        assert_eq!(
            told,
            "procunit: web: killed by SIGKILL after 2s\n\
             \u{20}      ended: by procunit: interrupted (Ctrl-C); it had not stopped when it got SIGKILL\n\
             \u{20}   cpu time: 250ms\n\
             \u{20}peak memory: 1.5M\n\
             \u{20}       unit: procunit-web.service"
        );
    }

    #[test]
    fn a_kill_that_was_asked_for_is_not_called_one_that_was_needed() {
        let told = told(json!({
            "status": {"state": "killed", "signal": 9, "core_dumped": false}, "escalated": true,
            "ended_by": {"who": "procunit", "reason": "kill"},
        }));
        assert!(!told.contains("in time"), "{told}");
    }

    #[test]
    fn only_what_went_to_the_journal_is_looked_for_there() {
        assert_eq!(steps(&report(json!({}))), "`procunit rm web`");
        let detached = report(json!({"lifetime": "detached"}));
        assert_eq!(steps(&detached), "`procunit logs web`, `procunit rm web`");
    }

    #[test]
    fn what_is_doubtful_or_left_is_told_also_of_a_plain_exit() {
        let doubt = told(json!({"status": {"state": "stopped", "exit_code": 203}, "doubts": ["it may be"]}));
        assert!(doubt.contains("\n       doubt: it may be\n"), "{doubt}");
        let left = told(json!({"leftovers": 1}));
        assert!(left.contains("\n left behind: 1 process, ended by"), "{left}");
    }

    #[test]
    fn what_ended_without_being_seen_says_where_to_look() {
        let told = told(json!({
            "status": {"state": "failed", "reason": {"kind": "lost", "found": "no_unit"}},
            "ended_by": null, "wall_seconds": null,
        }));
        assert!(told.starts_with("procunit: web: lost: its unit is gone and nobody saw the end\n"), "{told}");
        assert!(
            told.ends_with("next: `journalctl --user -u procunit-web.service` may tell how it ended"),
            "{told}"
        );
    }

    #[test]
    fn a_core_dump_says_how_to_see_it() {
        let told = told(json!({"status": {"state": "killed", "signal": 11, "core_dumped": true}}));
        assert!(told.starts_with("procunit: web: killed by SIGSEGV, core dumped after 2s\n"), "{told}");
        assert!(told.contains("coredumpctl info 7"), "{told}");
    }

    #[test]
    fn a_name_in_advice_can_be_pasted_into_a_shell() {
        assert_eq!(shell_word("shop/web-0"), "shop/web-0");
        assert_eq!(shell_word("it's $x"), "'it'\\''s $x'");
    }
}
