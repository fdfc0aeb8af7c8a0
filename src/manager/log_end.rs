//! Whether the journal has all that a proc wrote there, as far as that can be known.
//!
//! A sentinel in a stream of the proc's own comes after everything that the proc wrote there, so a journal that has the
//! sentinel has had the rest as well. What journald has read and not kept, its rate limit took; and as the sentinel is of
//! this process, whose unit may have a limit of its own, whether it took some is asked apart.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::output::{self, Missing, RunOutput};
use crate::journal::barrier::{self, Barrier};
use crate::journal::limit::{Limit, Room, own_unit};
use crate::journal::{JournalError, Journalctl, LoggedRun, StdStream, sees_suppressed, suppressed_of, sync};
use crate::report::{Completeness, Report};
use crate::spec::defaults;
use crate::time::Timestamp;

/// How long after the end what journald dropped before is looked for: it tells with the next line that it keeps, after
/// its interval (30 s by default).
const TOLD_LATER: Duration = Duration::from_secs(60);
/// How much of the time is left to ask for what was dropped.
const ASKING: Duration = Duration::from_millis(500);

/// What came of the wait for the end of a log.
enum End {
    /// All is there that was kept.
    Reached,
    /// The last of it was dropped.
    Dropped,
    /// journald did not take lines that this process sent.
    Lost { which: StdStream, lines: u64 },
    /// It was written to a pipe that was closed here as nobody took what came of it.
    Unread { which: StdStream, bytes: u64 },
    /// Nobody can say.
    Unknown(String),
}

/// Waits for the end of the log of a proc that is over, and says whether all of it is there.
pub(super) async fn of(
    report: &Report,
    run: &LoggedRun,
    output: Option<&RunOutput>,
    until: Instant,
) -> Completeness {
    let unknown = |why: &str| Completeness::Unknown { why: why.to_owned() };
    if !reaches_journal(report) {
        return unknown("nothing of it goes to the journal");
    }
    if !report.status.is_exit() {
        return unknown("it is not over");
    }
    if output.is_some_and(RunOutput::misses_journal) {
        return Completeness::Incomplete {
            why: "there was no journal to send it to".to_owned(),
            suppressed: None,
        };
    }
    // A journalctl that hangs must not hold up who asks.
    match timeout_at(until, looked_up(report, run, output, until)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => unknown(&error.to_string()),
        Err(_) => unknown(&format!("to look took longer than {} s", defaults::LOG_END_WAIT.as_secs())),
    }
}

async fn looked_up(
    report: &Report,
    run: &LoggedRun,
    output: Option<&RunOutput>,
    until: Instant,
) -> Result<Completeness, JournalError> {
    let end = end(run, output, until.checked_sub(ASKING).unwrap_or(until)).await?;
    let units = limited_units(report, output);
    let dropped = dropped(report, &units, &end).await?;
    if let (End::Reached, 0) = (&end, dropped)
        && let Some(why) = untold(report, &units).await?
    {
        return Ok(Completeness::Unknown { why: why.to_owned() });
    }
    Ok(verdict(end, dropped))
}

fn verdict(end: End, dropped: u64) -> Completeness {
    const LIMIT: &str = "RateLimitIntervalSec= and RateLimitBurst= in /etc/systemd/journald.conf, shared by all of \
                         this user's units, lift it";
    let suppressed = (dropped > 0).then_some(dropped);
    match (end, suppressed) {
        (End::Reached, None) => Completeness::Complete,
        (_, Some(count)) => Completeness::Incomplete {
            why: format!(
                "journald told of {count} lines of this user's units that its rate limit dropped; {LIMIT}"
            ),
            suppressed,
        },
        (End::Dropped, None) => Completeness::Incomplete {
            why: format!(
                "journald took the end of it and did not keep it: its rate limit is in force; {LIMIT}"
            ),
            suppressed,
        },
        (End::Lost { which, lines }, None) => Completeness::Incomplete {
            why: format!("journald did not take {lines} lines of {which} in time"),
            suppressed,
        },
        (End::Unread { which, bytes }, None) => Completeness::Incomplete {
            why: format!(
                "the last {bytes} bytes of {which} were written when nobody took it any more, and not read"
            ),
            suppressed,
        },
        (End::Unknown(why), None) => Completeness::Unknown { why },
    }
}

/// Whether a stream of it goes there, as far as is known: of one that somebody else launched, nothing is.
pub(super) fn reaches_journal(report: &Report) -> bool {
    let reaches = |word: &Option<String>| word.as_deref().is_none_or(output::reaches_journal);
    reaches(&report.output.stdout) || reaches(&report.output.stderr)
}

async fn end(run: &LoggedRun, output: Option<&RunOutput>, until: Instant) -> Result<End, JournalError> {
    const BEHIND: &str = "journald is behind, and had not taken all of it in time";
    if let Some(output) = output
        && let Err(end) = handed_on(output, until).await
    {
        return Ok(end);
    }
    let ways = output.map(|output| output.ways(&run.id)).unwrap_or_default();
    if !ways.is_empty() {
        return Ok(match barrier::pass(run, ways, until).await? {
            Barrier::Passed => End::Reached,
            Barrier::Dropped => End::Dropped,
            Barrier::Behind => End::Unknown(BEHIND.to_owned()),
            Barrier::Closed(error) => End::Unknown(format!("journald has closed its stream ({error})")),
        });
    }
    Ok(match timeout_at(until, sync::synchronize()).await {
        Ok(Ok(())) => End::Reached,
        Ok(Err(_)) => End::Unknown(why_no_barrier(output).to_owned()),
        Err(_) => End::Unknown(BEHIND.to_owned()),
    })
}

/// Waits until everything that was read here has been sent on. The error is why that is no use.
async fn handed_on(output: &RunOutput, until: Instant) -> Result<(), End> {
    for (which, pump) in output.pumps() {
        if timeout_at(until, pump.handed_on()).await.is_err() {
            return Err(End::Unknown(format!(
                "not all of {which} was taken by those who have to take it, in time"
            )));
        }
    }
    match output.missing().first() {
        Some(&(which, Missing { lines: 0, unread: bytes })) => Err(End::Unread { which, bytes }),
        Some(&(which, Missing { lines, .. })) => Err(End::Lost { which, lines }),
        None => Ok(()),
    }
}

fn why_no_barrier(output: Option<&RunOutput>) -> &'static str {
    match output.map(|output| output.told().apart) {
        None => {
            "who launched it is gone, and before systemd 258 journald tells nobody but root when it is through"
        }
        Some(Some(false)) => "standard output and standard error share systemd's stream",
        Some(_) => "its streams are closed by now; it was asked too late",
    }
}

/// The system units that journald's rate limit counts its lines for: its user manager's, and this process's where it
/// started it or sends them for it.
fn limited_units(report: &Report, kept: Option<&RunOutput>) -> Vec<String> {
    let is_sent = |which| kept.is_some_and(|kept| kept.pump(which).is_some());
    let unit_of = |(which, word): (StdStream, &Option<String>)| {
        let goes_there = word.as_deref().is_none_or(output::reaches_journal);
        match goes_there {
            false => None,
            true if report.launcher == "native" || is_sent(which) => own_unit(),
            true => Some(format!("user@{}.service", nix::unistd::getuid())),
        }
    };
    let both = [(StdStream::Stdout, &report.output.stdout), (StdStream::Stderr, &report.output.stderr)];
    let mut units: Vec<_> = both.into_iter().filter_map(unit_of).collect();
    units.dedup();
    units
}

/// Why journald may have dropped lines without this process having been told.
async fn untold(report: &Report, units: &[String]) -> Result<Option<&'static str>, JournalError> {
    const NOT_TOLD: &str = "journald kept as many lines of this user's units as its rate limit allows, and has not said \
                            whether it dropped more; it says so with a later line of the same priority, or never";
    const NOT_HERE: &str = "journald kept as many lines of this user's units as its rate limit allows, and this user may not \
                            read whether it dropped more; the group systemd-journal may";
    const NOT_COUNTED: &str = "there are too many lines of this user's units since it was started to tell whether journald's \
                               rate limit dropped some";
    const NO_LIMIT: &str = "what rate limit journald has cannot be told, and so not whether it dropped some";
    let since = report.started_at.unwrap_or(Timestamp::from_micros(0));
    for unit in units {
        let Some(limit) = Limit::of(unit).await else { return Ok(Some(NO_LIMIT)) };
        match limit.room(&Journalctl::default(), unit, since).await? {
            Room::Left => {}
            Room::Filled => return Ok(Some(if sees_suppressed() { NOT_TOLD } else { NOT_HERE })),
            Room::NotCounted => return Ok(Some(NOT_COUNTED)),
        }
    }
    Ok(None)
}

/// How many lines journald says that it dropped, while the proc ran and, where the end of its log was not reached, in the
/// minute after.
async fn dropped(report: &Report, units: &[String], end: &End) -> Result<u64, JournalError> {
    let Some(since) = report.started_at else { return Ok(0) };
    let until = match end {
        End::Unknown(_) => report.ended_at.map(|ended| ended.after(TOLD_LATER)),
        End::Reached | End::Dropped | End::Lost { .. } | End::Unread { .. } => None,
    };
    let mut dropped = 0;
    for unit in units {
        let told = suppressed_of(&Journalctl::default(), unit, since, until).await?;
        dropped += told.into_iter().map(|(_, count)| count).sum::<u64>();
    }
    Ok(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_barrier_that_was_passed_and_no_drop_make_a_log_complete() {
        let none = || End::Unknown("why".to_owned());
        assert_eq!(verdict(End::Reached, 0), Completeness::Complete);
        assert_eq!(verdict(none(), 0), Completeness::Unknown { why: "why".to_owned() });
        let which = StdStream::Stdout;
        for end in [End::Lost { which, lines: 3 }, End::Unread { which, bytes: 3 }] {
            let Completeness::Incomplete { why, .. } = verdict(end, 0) else { panic!("not incomplete") };
            assert!(why.contains('3') && why.contains("stdout"), "{why}");
        }
        for (end, dropped, told) in [
            (End::Reached, 7, Some(7)),
            (none(), 7, Some(7)),
            (End::Dropped, 0, None),
            (End::Dropped, 7, Some(7)),
        ] {
            let Completeness::Incomplete { suppressed, why } = verdict(end, dropped) else {
                panic!("not incomplete")
            };
            assert_eq!(suppressed, told);
            assert!(why.contains("rate limit") && why.contains("RateLimitBurst="), "{why}");
        }
    }
}
