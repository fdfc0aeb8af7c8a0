//! The sure way to read: `journalctl`, which opens every format of every version and knows who may read what.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Display;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::error::JournalError;
use super::mark;
use super::query::{LoggedRun, NamedBy, Query, Start, Wanted};
use super::record::{FIELDS, Record, STARTED};
use super::{JournalReader, Records};
use crate::id::{ProcId, UnitName};
use crate::time::Timestamp;
use crate::unit::syslog_identifier;

/// The longest record held, in bytes of JSON. A stream's are below 300 KiB (48 KiB as an array of numbers); only
/// a program that writes records itself can make longer ones.
const LONGEST_RECORD: usize = 16 * 1024 * 1024;
/// How much is read at once.
const BUFFER: usize = 64 * 1024;
/// Of more runs than this, their user's records are read and told apart here: of each record journalctl looks up every
/// match in every file, which beside 300 of them is 0.4 ms, and reading a record that is another's 0.04 ms.
const MANY_RUNS: usize = 16;
/// How much of journalctl's last words is kept.
const LAST_WORDS: u64 = 4096;

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
        Ok(JournalctlRecords { child, stdout, line: Vec::new(), overlong: false, skipped: 0 })
    }
}

/// What a journalctl writes.
#[derive(Debug)]
pub struct JournalctlRecords {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    /// What has been read of a line; kept here, so that a read that is dropped loses nothing.
    line: Vec<u8>,
    /// The line being read is too long and is thrown away.
    overlong: bool,
    skipped: u64,
}

impl Records for JournalctlRecords {
    async fn next(&mut self) -> Result<Option<Record>, JournalError> {
        if self.line().await.map_err(JournalError::Io)? {
            let record = Record::parse(&self.line).map_err(JournalError::BadRecord);
            self.line.clear();
            return record.map(Some);
        }
        self.verdict().await.map(|()| None)
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}

impl JournalctlRecords {
    /// Reads on until `self.line` is a whole line; false at the end.
    async fn line(&mut self) -> std::io::Result<bool> {
        let Some(stdout) = &mut self.stdout else { return Ok(false) };
        loop {
            let chunk = stdout.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(false);
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            self.overlong |= self.line.len() + part.len() > LONGEST_RECORD;
            if self.overlong {
                self.line.clear();
            } else {
                self.line.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            stdout.consume(taken);
            if end.is_none() {
                continue;
            }
            if std::mem::take(&mut self.overlong) {
                self.skipped += 1;
            } else if !self.line.is_empty() {
                return Ok(true);
            }
        }
    }

    /// What its exit says once there is no more to read.
    async fn verdict(&mut self) -> Result<(), JournalError> {
        let mut said = String::new();
        if let Some(stderr) = self.child.stderr.take() {
            stderr.take(LAST_WORDS).read_to_string(&mut said).await.map_err(JournalError::Io)?;
        }
        let status = self.child.wait().await.map_err(JournalError::Io)?;
        if status.success() {
            return Ok(());
        }
        // The words of `journal_access_check_and_warn`, 252 to 257; its exit code is that of any failure.
        if said.contains("insufficient permissions") {
            return Err(JournalError::NotPermitted);
        }
        Err(JournalError::Failed { status, said: said.trim().to_owned() })
    }
}

fn arguments(query: &Query) -> Vec<String> {
    // Without --all, what is longer than 4,096 bytes becomes null.
    let mut arguments: Vec<_> = ["--output=json", "--all", "--quiet", "--no-pager"].map(str::to_owned).into();
    arguments.push(format!("--output-fields={}", FIELDS.join(",")));
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
    arguments.push("--".to_owned());
    match &query.of {
        Wanted::Runs(runs) => arguments.extend(matches(runs)),
        Wanted::Proc { id, uid } => arguments.extend(matches_of_proc(id, *uid)),
        Wanted::Kind(message_id) => arguments.push(format!("MESSAGE_ID={message_id}")),
    }
    arguments
}

/// Values of one field are alternatives, different fields add up, and `+` stands between alternatives of these.
fn matches(runs: &[LoggedRun]) -> Vec<String> {
    if runs.len() > MANY_RUNS {
        return matches_of_users(runs);
    }
    let invocations = runs.iter().filter_map(|run| run.invocation.map(|named| (run.named_by, named)));
    let by_journald = invocations.clone().filter(|(named_by, _)| *named_by == NamedBy::Journald);
    let users = || values("_UID", runs.iter().map(|run| run.uid));
    let sent = values(mark::RUN_FIELD, invocations.map(|(_, named)| named));
    let alternatives = [
        values("_SYSTEMD_INVOCATION_ID", by_journald.map(|(_, named)| named)),
        if sent.is_empty() { sent } else { [sent, users()].concat() },
        [values("SYSLOG_IDENTIFIER", runs.iter().map(LoggedRun::identifier)), users()].concat(),
    ];
    let alternatives: Vec<_> = alternatives.into_iter().filter(|matches| !matches.is_empty()).collect();
    alternatives.join(&"+".to_owned())
}

/// All that [`matches()`] may find, and more. Where journald can tell the invocation of a user's unit, it can tell whose
/// unit it is, also of what runs as another user there.
fn matches_of_users(runs: &[LoggedRun]) -> Vec<String> {
    let users = |field| values(field, runs.iter().map(|run| run.uid));
    [users("_UID"), users("_SYSTEMD_OWNER_UID")].join(&"+".to_owned())
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
        let asked = asked.replace(&format!("--output-fields={}", FIELDS.join(",")), "FIELDS");
        assert_eq!(
            asked,
            "--output=json --all --quiet --no-pager FIELDS --lines=all --since=@1.500000 --until=@2.000001 --follow -- \
             _SYSTEMD_INVOCATION_ID=f82bc701683a4d1d84894610857aeabe + \
             PROCUNIT_INVOCATION=f82bc701683a4d1d84894610857aeabe _UID=1000 + SYSLOG_IDENTIFIER=a b SYSLOG_IDENTIFIER=c \
             _UID=1000"
        );
    }

    #[test]
    fn of_many_runs_all_records_of_their_user_are_asked_for() {
        let run = |number| LoggedRun::new(ProcId::new(format!("web/{number}")).unwrap(), 1000);
        let of = |count| Wanted::Runs((0..count).map(run).collect());
        let query = |count| Query { of: of(count), start: Start::Oldest, until: None, follow: true };
        let asked = |count| arguments(&query(count)).join(" ").split_once(" -- ").unwrap().1.to_owned();
        assert_eq!(asked(MANY_RUNS + 1), "_UID=1000 + _SYSTEMD_OWNER_UID=1000");
        assert!(asked(MANY_RUNS).ends_with(" SYSLOG_IDENTIFIER=web/9 _UID=1000"));
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
    async fn records_come_as_they_were_written_and_one_too_long_is_counted() {
        let script = r#"r() { printf '{"__CURSOR":"%s","__REALTIME_TIMESTAMP":"1","MESSAGE":"' "$1"; }
            r one; echo '"}'; r long; head -c 17000000 /dev/zero | tr '\0' x; echo '"}'; r two; echo '"}'"#;
        let (all, skipped) = said_by(script).await.unwrap();
        let cursors: Vec<_> = all.iter().map(|record| record.cursor.as_str()).collect();
        assert_eq!((cursors.as_slice(), skipped), (["one", "two"].as_slice(), 1));
    }
}
