//! The sure way to read: `journalctl`, which opens every format of every version and knows who may read what.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinSet;

use super::error::JournalError;
use super::export::Gathering;
use super::mark;
use super::query::{LoggedRun, NamedBy, Query, Start, Wanted};
use super::record::{BadRecord, Record, STARTED};
use super::{JournalReader, Records};
use crate::id::{ProcId, UnitName};
use crate::time::Timestamp;
use crate::unit::syslog_identifier;

/// Of more runs than this all records of their users are read and sorted out here: journalctl looks for each match anew
/// at every record, and with those of 200 runs it does not keep up with 2,000 lines a second (measured, 252: 50 times the
/// time per line).
const MOST_MATCHED: usize = 16;
/// How much is read at once.
const BUFFER: usize = 64 * 1024;
/// How much of journalctl's last words is kept.
const LAST_WORDS: usize = 4096;

/// Reads by running journalctl. Dropping what it gives ends the process.
#[derive(Debug, Clone)]
pub struct Journalctl {
    program: OsString,
}

impl Default for Journalctl {
    fn default() -> Self {
        Self { program: "journalctl".into() }
    }
}

impl JournalReader for Journalctl {
    type Records = JournalctlRecords;

    fn open(&self, query: &Query) -> Result<JournalctlRecords, JournalError> {
        let mut command = Command::new(&self.program);
        command.args(arguments(query));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(JournalError::NoJournalctl)?;
        let stdout = child.stdout.take().map(|stdout| BufReader::with_capacity(BUFFER, stdout));
        // From the start on: a journalctl whose complaints nobody takes would stand still.
        let stderr = child.stderr.take().into_iter().map(last_words).collect();
        Ok(JournalctlRecords { child, stdout, stderr, said: Vec::new(), gathering: Gathering::default() })
    }
}

/// What a journalctl writes.
#[derive(Debug)]
pub struct JournalctlRecords {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    /// Reads its last words, as long as it goes on.
    stderr: JoinSet<io::Result<Vec<u8>>>,
    said: Vec<u8>,
    /// What has been read of a record; kept here, so that a read that is dropped loses nothing.
    gathering: Gathering,
}

impl Records for JournalctlRecords {
    async fn next(&mut self) -> Result<Option<Record>, JournalError> {
        if self.record().await? {
            return Record::parse(self.gathering.record()).map(Some).map_err(JournalError::BadRecord);
        }
        self.verdict().await?;
        if self.gathering.is_within() {
            return Err(JournalError::BadRecord(BadRecord("it is not whole")));
        }
        Ok(None)
    }

    fn skipped(&self) -> u64 {
        self.gathering.skipped()
    }
}

impl JournalctlRecords {
    /// Reads on until a record is whole; false at the end.
    async fn record(&mut self) -> Result<bool, JournalError> {
        let Some(stdout) = &mut self.stdout else { return Ok(false) };
        loop {
            let chunk = stdout.fill_buf().await.map_err(JournalError::Io)?;
            if chunk.is_empty() {
                return Ok(false);
            }
            let (read, is_whole) = self.gathering.read(chunk).map_err(JournalError::BadRecord)?;
            stdout.consume(read);
            if is_whole {
                return Ok(true);
            }
        }
    }

    /// What its exit says once there is no more to read.
    async fn verdict(&mut self) -> Result<(), JournalError> {
        if let Some(read) = self.stderr.join_next().await {
            self.said = read.map_err(io::Error::from).flatten().map_err(JournalError::Io)?;
        }
        let status = self.child.wait().await.map_err(JournalError::Io)?;
        if status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&self.said);
        // The words of `journal_access_check_and_warn`, 252 to 257; its exit code is that of any failure.
        if said.contains("insufficient permissions") {
            return Err(JournalError::NotPermitted);
        }
        Err(JournalError::Failed { status, said: said.trim().to_owned() })
    }
}

/// The end of what it says.
async fn last_words(mut stderr: ChildStderr) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    while stderr.read_buf(&mut said).await? > 0 {
        said.drain(..said.len().saturating_sub(LAST_WORDS));
    }
    Ok(said)
}

fn arguments(query: &Query) -> Vec<String> {
    // All fields, as to name the 18 that are read costs journalctl half as much again; JSON of these costs three times as
    // much (252, 2,000 lines a second, CPU of 8 s: short 0.20 s, export 0.31 s, of 18 fields 0.47 s, JSON of them 0.88 s).
    let mut arguments: Vec<_> = ["--output=export", "--quiet", "--no-pager"].map(str::to_owned).into();
    match &query.start {
        Start::Oldest => arguments.push("--lines=all".to_owned()),
        Start::Since(since) => {
            arguments.extend(["--lines=all".to_owned(), format!("--since={}", at(*since))]);
        }
        // With --since, 252 gives the oldest ones and not the newest: never together.
        Start::Newest(count) => arguments.push(format!("--lines={count}")),
        Start::After(cursor) => {
            arguments.extend(["--lines=all".to_owned(), format!("--after-cursor={cursor}")]);
        }
    }
    if let Some(until) = query.until {
        arguments.push(format!("--until={}", at(until)));
    }
    if query.follow {
        arguments.push("--follow".to_owned());
    }
    if let Wanted::Unit(_) = query.of {
        arguments.push("--output-fields=PRIORITY".to_owned());
    }
    arguments.push("--".to_owned());
    match &query.of {
        Wanted::Runs(runs) => arguments.extend(matches(runs)),
        Wanted::Proc { id, uid } => arguments.extend(matches_of_proc(id, *uid)),
        Wanted::Kind(message_id) => arguments.push(format!("MESSAGE_ID={message_id}")),
        Wanted::Unit(unit) => arguments.push(format!("_SYSTEMD_UNIT={unit}")),
    }
    arguments
}

/// Values of one field are alternatives, different fields add up, and `+` stands between alternatives of these.
///
/// What a manager sent for a run has the run's identifier and user, too.
fn matches(runs: &[LoggedRun]) -> Vec<String> {
    let users = values("_UID", runs.iter().map(|run| run.uid));
    if runs.len() > MOST_MATCHED {
        // Also what a program that changed its user wrote in a unit of theirs.
        let owners = values("_SYSTEMD_OWNER_UID", runs.iter().map(|run| run.uid));
        return [users, owners].join(&"+".to_owned());
    }
    let by_journald = runs.iter().filter(|run| run.named_by == NamedBy::Journald);
    let invocations = values("_SYSTEMD_INVOCATION_ID", by_journald.filter_map(|run| run.invocation));
    let identifiers = [values("SYSLOG_IDENTIFIER", runs.iter().map(LoggedRun::identifier)), users].concat();
    if invocations.is_empty() { identifiers } else { [invocations, identifiers].join(&"+".to_owned()) }
}

fn matches_of_proc(id: &ProcId, uid: u32) -> Vec<String> {
    let unit = UnitName::for_proc(id);
    let user = format!("_UID={uid}");
    let alternatives = [
        vec![format!("SYSLOG_IDENTIFIER={}", syslog_identifier(id))],
        vec![format!("{}={id}", mark::ID_FIELD)],
        vec![format!("_SYSTEMD_USER_UNIT={unit}")],
        vec![format!("USER_UNIT={unit}"), format!("MESSAGE_ID={STARTED}")],
    ];
    let with_user = alternatives.map(|mut matches| {
        matches.push(user.clone());
        matches
    });
    with_user.join(&"+".to_owned())
}

/// Each once.
fn values<T: Display>(field: &str, values: impl Iterator<Item = T>) -> Vec<String> {
    let matches: BTreeSet<_> = values.map(|value| format!("{field}={value}")).collect();
    matches.into_iter().collect()
}

/// Seconds since the epoch, as systemd.time(7) reads them.
fn at(time: Timestamp) -> String {
    let micros = time.as_micros();
    format!("@{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(start: Start) -> Query {
        let run = |id: &str, invocation: Option<&str>| LoggedRun {
            invocation: invocation.map(|text| text.parse().unwrap()),
            ..LoggedRun::new(ProcId::new(id).unwrap(), 1000)
        };
        let runs = vec![run("a b", Some("f82bc701683a4d1d84894610857aeabe")), run("c", None)];
        Query { of: Wanted::Runs(runs), start, until: Some(Timestamp::from_micros(2_000_001)), follow: true }
    }

    #[test]
    fn a_question_names_the_runs_or_identifier_and_user() {
        let asked = arguments(&query(Start::Since(Timestamp::from_micros(1_500_000)))).join(" ");
        assert_eq!(
            asked,
            "--output=export --quiet --no-pager --lines=all --since=@1.500000 --until=@2.000001 --follow -- \
             _SYSTEMD_INVOCATION_ID=f82bc701683a4d1d84894610857aeabe + SYSLOG_IDENTIFIER=a b SYSLOG_IDENTIFIER=c \
             _UID=1000"
        );
    }

    #[test]
    fn a_proc_is_asked_for_by_all_that_may_name_it() {
        let of = Wanted::Proc { id: ProcId::new("a/b").unwrap(), uid: 7 };
        let query = Query { of, start: Start::Oldest, until: None, follow: false };
        let asked = arguments(&query).join(" ");
        let (_, asked) = asked.split_once(" -- ").unwrap();
        assert_eq!(
            asked,
            "SYSLOG_IDENTIFIER=a/b _UID=7 + PROCUNIT_ID=a/b _UID=7 + _SYSTEMD_USER_UNIT=procunit-a:b.service _UID=7 + \
             USER_UNIT=procunit-a:b.service MESSAGE_ID=39f53479d3a045ac8e11786248231fbf _UID=7"
        );
    }

    #[test]
    fn what_is_only_counted_is_asked_for_without_its_words() {
        let of = Wanted::Unit("x.service".to_owned());
        let query = Query { of, start: Start::Oldest, until: None, follow: false };
        let asked = arguments(&query).join(" ");
        assert!(asked.ends_with(" --output-fields=PRIORITY -- _SYSTEMD_UNIT=x.service"), "{asked}");
    }

    #[test]
    fn of_many_runs_all_records_of_the_user_are_asked_for() {
        let run = |n: usize| LoggedRun::new(ProcId::new(n.to_string()).unwrap(), 7);
        let few: Vec<_> = (0..MOST_MATCHED).map(run).collect();
        assert_eq!(matches(&few).len(), MOST_MATCHED + 1);
        let many: Vec<_> = (0..=MOST_MATCHED).map(run).collect();
        assert_eq!(matches(&many), ["_UID=7", "+", "_SYSTEMD_OWNER_UID=7"]);
    }

    #[test]
    fn a_count_is_never_asked_for_together_with_a_time() {
        let asked = arguments(&query(Start::Newest(7)));
        assert!(asked.contains(&"--lines=7".to_owned()), "{asked:?}");
        assert!(!asked.iter().any(|word| word.starts_with("--since")), "{asked:?}");
    }

    async fn said_by(script: &str) -> Result<(Vec<Record>, u64), JournalError> {
        let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&file, mode).unwrap();
        let reader = Journalctl { program: file.as_os_str().to_owned() };
        let mut records = reader.open(&query(Start::Oldest))?;
        let mut all = Vec::new();
        while let Some(record) = records.next().await? {
            all.push(record);
        }
        Ok((all, records.skipped()))
    }

    #[tokio::test]
    async fn a_journal_that_may_not_be_read_is_told_with_its_remedy() {
        let words = "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1";
        let error = said_by(words).await.unwrap_err();
        assert!(matches!(error, JournalError::NotPermitted), "{error}");
        assert!(error.to_string().contains("systemd-journal"), "{error}");
    }

    #[tokio::test]
    async fn a_failure_is_told_in_the_words_of_journalctl() {
        let error = said_by("echo 'Failed to do it' >&2; exit 3").await.unwrap_err();
        assert_eq!(error.to_string(), "journalctl failed (exit status: 3): Failed to do it");
    }

    #[tokio::test]
    async fn a_journalctl_with_much_to_say_goes_on_and_is_told_by_its_last_words() {
        let script = r"head -c 300000 /dev/zero | tr '\0' x >&2
            printf '__CURSOR=one\n__REALTIME_TIMESTAMP=1\n\n'; echo 'and no more' >&2; exit 3";
        let error = said_by(script).await.unwrap_err().to_string();
        assert!(error.ends_with("xand no more") && error.len() < 2 * LAST_WORDS, "{error}");
    }

    #[tokio::test]
    async fn records_come_as_they_were_written_and_one_too_long_is_counted() {
        let script = r"r() { printf '__CURSOR=%s\n__REALTIME_TIMESTAMP=1\nMESSAGE=' $1; }
            r one; printf '\n\n'; r long; head -c 17000000 /dev/zero | tr '\0' x; printf '\n\n'; r two; printf '\n\n'";
        let (all, skipped) = said_by(script).await.unwrap();
        let cursors: Vec<_> = all.iter().map(|record| record.cursor.as_str()).collect();
        assert_eq!((cursors.as_slice(), skipped), (["one", "two"].as_slice(), 1));
    }

    #[tokio::test]
    async fn a_record_that_is_not_whole_is_an_error_unless_journalctl_tells_a_better_one() {
        let half = "printf '__CURSOR=c\\n__REALTIME_TIMESTAMP=1\\nMESS'";
        assert!(matches!(said_by(half).await.unwrap_err(), JournalError::BadRecord(_)));
        let failed = format!("{half}; echo 'Failed to go on' >&2; exit 1");
        assert!(matches!(said_by(&failed).await.unwrap_err(), JournalError::Failed { .. }));
    }
}
