//! One record of the journal, and its JSON form.
//!
//! A field is a string; an array of bytes where it is not UTF-8 or has control characters; null where it is longer
//! than 4,096 bytes and `--all` was not given; an array of these where a record has it more than once
//! (<https://systemd.io/JOURNAL_EXPORT_FORMATS>, "Journal JSON Format"; measured, 252).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use super::mark;
use super::stream::StdStream;
use crate::id::InvocationId;
use crate::time::Timestamp;

/// The fields that are read. The cursor, the times and the boot come unasked.
pub(super) const FIELDS: [&str; 18] = [
    "MESSAGE",
    "MESSAGE_ID",
    "PRIORITY",
    "SYSLOG_FACILITY",
    "SYSLOG_IDENTIFIER",
    "USER_UNIT",
    "USER_INVOCATION_ID",
    "N_DROPPED",
    "_UID",
    "_PID",
    "_SYSTEMD_USER_UNIT",
    "_SYSTEMD_INVOCATION_ID",
    "_TRANSPORT",
    "_STREAM_ID",
    "_LINE_BREAK",
    mark::RUN_FIELD,
    mark::STREAM_FIELD,
    mark::CONTINUES_FIELD,
];

/// `SD_MESSAGE_UNIT_STARTED` (sd-messages.h).
pub(super) const STARTED: &str = "39f53479d3a045ac8e11786248231fbf";

/// A record, as far as a line of a proc needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the journal.
    pub cursor: String,
    /// When journald took it.
    pub at: Timestamp,
    /// The boot in which it was taken.
    pub boot_id: Option<u128>,
    /// What was written, without its end of line. Any bytes.
    pub message: Vec<u8>,
    /// Whether the line goes on in the next record of its stream: journald splits after 48 KiB (`LineMax=`).
    pub continues: bool,
    /// The syslog level, 0 (emergency) to 7 (debug).
    pub priority: Option<u8>,
    /// `SYSLOG_IDENTIFIER`.
    pub identifier: Option<String>,
    /// Who wrote it.
    pub uid: Option<u32>,
    /// The process that wrote it.
    pub pid: Option<u32>,
    /// The user unit it was written in, where journald could still tell, or whose output a manager says it is.
    pub unit: Option<String>,
    /// The invocation of the unit it was written in, where journald could still tell.
    pub invocation: Option<InvocationId>,
    /// The run whose output it is, where a manager read that output and sent it.
    pub run: Option<InvocationId>,
    /// The run of which it says that it was started: it is the user manager's.
    pub started: Option<InvocationId>,
    /// The stream to journald that it came through.
    pub stream_id: Option<u128>,
    /// Which of the two standard streams it was written to. `None` where that was not kept: both go through one
    /// stream to journald, or it is no output at all.
    pub stream: Option<StdStream>,
    /// How many records journald threw away, where it says so in this one.
    pub dropped: Option<u64>,
}

/// A line of journalctl that is no record.
#[derive(Debug, thiserror::Error)]
#[error("not a record of the journal: {0}")]
pub struct BadRecord(#[source] serde_json::Error);

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "__CURSOR", borrow)]
    cursor: Cow<'a, str>,
    #[serde(rename = "__REALTIME_TIMESTAMP", borrow)]
    at: Cow<'a, str>,
    #[serde(rename = "_BOOT_ID", borrow)]
    boot_id: Option<Field<'a>>,
    #[serde(rename = "MESSAGE", borrow)]
    message: Option<Field<'a>>,
    #[serde(rename = "MESSAGE_ID", borrow)]
    kind: Option<Field<'a>>,
    #[serde(rename = "USER_UNIT", borrow)]
    about_unit: Option<Field<'a>>,
    #[serde(rename = "USER_INVOCATION_ID", borrow)]
    about_run: Option<Field<'a>>,
    #[serde(rename = "PRIORITY", borrow)]
    priority: Option<Field<'a>>,
    #[serde(rename = "SYSLOG_FACILITY", borrow)]
    facility: Option<Field<'a>>,
    #[serde(rename = "SYSLOG_IDENTIFIER", borrow)]
    identifier: Option<Field<'a>>,
    #[serde(rename = "N_DROPPED", borrow)]
    dropped: Option<Field<'a>>,
    #[serde(rename = "_UID", borrow)]
    uid: Option<Field<'a>>,
    #[serde(rename = "_PID", borrow)]
    pid: Option<Field<'a>>,
    #[serde(rename = "_SYSTEMD_USER_UNIT", borrow)]
    unit: Option<Field<'a>>,
    #[serde(rename = "_SYSTEMD_INVOCATION_ID", borrow)]
    invocation: Option<Field<'a>>,
    #[serde(rename = "_TRANSPORT", borrow)]
    transport: Option<Field<'a>>,
    #[serde(rename = "_STREAM_ID", borrow)]
    stream_id: Option<Field<'a>>,
    #[serde(rename = "_LINE_BREAK", borrow)]
    line_break: Option<Field<'a>>,
    // The names are those of `mark`; an attribute takes no constant, and a test compares.
    #[serde(rename = "PROCUNIT_INVOCATION", borrow)]
    sent_run: Option<Field<'a>>,
    #[serde(rename = "PROCUNIT_STREAM", borrow)]
    sent_stream: Option<Field<'a>>,
    #[serde(rename = "PROCUNIT_CONTINUES", borrow)]
    sent_continues: Option<Field<'a>>,
}

/// The bytes of a field; of one that a record has more than once, which only a program that writes records itself can
/// give, the first.
struct Field<'a>(Cow<'a, [u8]>);

impl Record {
    /// Reads one line of `journalctl --output=json --all`.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(line: &[u8]) -> Result<Self, BadRecord> {
        let raw: Raw<'_> = serde_json::from_slice(line).map_err(BadRecord)?;
        let no_time = |_| BadRecord(serde_json::Error::custom("its time is no number"));
        let micros = raw.at.parse().map_err(no_time)?;
        let stream = raw.stream();
        Ok(Self {
            at: Timestamp::from_micros(micros),
            boot_id: id(raw.boot_id.as_ref()),
            continues: text(raw.line_break.as_ref()) == Some("line-max") || raw.sent_continues.is_some(),
            priority: number(raw.priority.as_ref()),
            identifier: text(raw.identifier.as_ref()).map(str::to_owned),
            uid: number(raw.uid.as_ref()),
            pid: number(raw.pid.as_ref()),
            unit: text(raw.unit()).map(str::to_owned),
            invocation: number(raw.invocation.as_ref()),
            run: number(raw.sent_run.as_ref()),
            started: number(raw.about_run.as_ref().filter(|_| text(raw.kind.as_ref()) == Some(STARTED))),
            stream_id: id(raw.stream_id.as_ref()),
            stream,
            dropped: number(raw.dropped.as_ref()),
            message: raw.message.map(|message| message.0.into_owned()).unwrap_or_default(),
            cursor: raw.cursor.into_owned(),
        })
    }
}

impl Raw<'_> {
    fn unit(&self) -> Option<&Field<'_>> {
        if self.sent_run.is_some() { self.about_unit.as_ref() } else { self.unit.as_ref() }
    }

    /// A stream that this crate opened has no facility, and what it carries has the priority of the stream. One that
    /// systemd opened has its own facility (`SyslogFacility=`, daemon unless set), also where a line began with a
    /// priority (`stdout_stream_log`, journald-stream.c; measured, 252).
    fn stream(&self) -> Option<StdStream> {
        if let Some(sent) = text(self.sent_stream.as_ref()) {
            return [StdStream::Stdout, StdStream::Stderr].into_iter().find(|kind| kind.as_str() == sent);
        }
        let is_own = text(self.transport.as_ref()) == Some("stdout") && self.facility.is_none();
        let priority = number(self.priority.as_ref()).filter(|_| is_own);
        priority.and_then(StdStream::of_priority)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

/// What stands in an array: a byte of the field, or the field once more.
enum Item<'a> {
    Byte(u8),
    Field(Field<'a>),
}

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, an array or null")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Field(Cow::Borrowed(text.as_bytes())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Field(Cow::Owned(text.as_bytes().to_vec())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Field(Cow::Borrowed(&[])))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut bytes = Vec::new();
        let mut first = None;
        while let Some(item) = items.next_element()? {
            match item {
                Item::Byte(byte) => bytes.push(byte),
                Item::Field(field) => first = first.or(Some(field)),
            }
        }
        Ok(first.unwrap_or(Field(Cow::Owned(bytes))))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte, a string, an array or null")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Self::Value, E> {
        u8::try_from(number).map(Item::Byte).map_err(E::custom)
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        FieldVisitor.visit_borrowed_str(text).map(Item::Field)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        FieldVisitor.visit_str(text).map(Item::Field)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        FieldVisitor.visit_unit().map(Item::Field)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        FieldVisitor.visit_seq(items).map(Item::Field)
    }
}

fn text<'a>(field: Option<&'a Field<'_>>) -> Option<&'a str> {
    std::str::from_utf8(&field?.0).ok()
}

fn number<T: std::str::FromStr>(field: Option<&Field<'_>>) -> Option<T> {
    text(field)?.parse().ok()
}

/// 128 bits as journald writes them.
fn id(field: Option<&Field<'_>>) -> Option<u128> {
    u128::from_str_radix(text(field)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"__CURSOR":"s=06;i=3","__REALTIME_TIMESTAMP":"1795253666940356","MESSAGE":"hello",
        "PRIORITY":"6","SYSLOG_IDENTIFIER":"a/echo","_UID":"1000","_PID":"60","_STREAM_ID":"eacc25",
        "_SYSTEMD_INVOCATION_ID":"f82bc701683a4d1d84894610857aeabe","_TRANSPORT":"stdout"}"#;

    fn with(fields: &str) -> Record {
        let line = format!(r#"{{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1",{fields}}}"#);
        Record::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn a_record_keeps_what_a_line_needs() {
        let record = Record::parse(WHOLE.as_bytes()).unwrap();
        assert_eq!(record.message, b"hello");
        assert_eq!(record.at, Timestamp::from_micros(1_795_253_666_940_356));
        assert_eq!((record.priority, record.uid, record.pid), (Some(6), Some(1000), Some(60)));
        assert_eq!(record.identifier.as_deref(), Some("a/echo"));
        assert_eq!(record.invocation.unwrap().to_string(), "f82bc701683a4d1d84894610857aeabe");
        assert_eq!(record.stream_id, Some(0x00ea_cc25));
        assert_eq!(record.stream, Some(StdStream::Stdout));
        assert!(!record.continues);
    }

    #[test]
    fn a_message_that_is_no_text_keeps_its_bytes() {
        assert_eq!(with(r#""MESSAGE":[98,105,110,255,254]"#).message, b"bin\xff\xfe");
    }

    #[test]
    fn of_several_messages_in_one_record_the_first_counts() {
        assert_eq!(with(r#""MESSAGE":["one","two"]"#).message, b"one");
        assert_eq!(with(r#""MESSAGE":[[255],"two"]"#).message, [255]);
    }

    #[test]
    fn a_record_without_a_message_is_an_empty_line() {
        assert_eq!(with(r#""MESSAGE":null"#).message, b"");
        assert_eq!(with(r#""PRIORITY":"3""#).message, b"");
    }

    #[test]
    fn only_a_line_that_was_too_long_goes_on() {
        assert!(with(r#""_LINE_BREAK":"line-max""#).continues);
        assert!(!with(r#""_LINE_BREAK":"eof""#).continues);
        assert!(!with(r#""_LINE_BREAK":"pid-change""#).continues);
    }

    #[test]
    fn a_line_of_a_stream_of_our_own_says_which_it_is() {
        let stream = |fields: &str| with(fields).stream;
        assert_eq!(stream(r#""_TRANSPORT":"stdout","PRIORITY":"6""#), Some(StdStream::Stdout));
        assert_eq!(stream(r#""_TRANSPORT":"stdout","PRIORITY":"3""#), Some(StdStream::Stderr));
        assert_eq!(stream(r#""_TRANSPORT":"stdout","PRIORITY":"4""#), None);
        assert_eq!(
            stream(r#""_TRANSPORT":"stdout","PRIORITY":"6","SYSLOG_FACILITY":"3""#),
            None,
            "systemd's"
        );
        assert_eq!(stream(r#""_TRANSPORT":"journal","PRIORITY":"3""#), None, "a program's own record");
        let sent = r#""_TRANSPORT":"journal","PRIORITY":"6","PROCUNIT_STREAM":"stderr""#;
        assert_eq!(stream(sent), Some(StdStream::Stderr));
        assert_eq!(stream(r#""_TRANSPORT":"journal","PROCUNIT_STREAM":"neither""#), None);
    }

    #[test]
    fn what_a_manager_sent_names_its_run() {
        let run = "f82bc701683a4d1d84894610857aeabe";
        let sent = with(&format!(r#""PROCUNIT_INVOCATION":"{run}","PROCUNIT_CONTINUES":"1""#));
        assert_eq!(sent.run.unwrap().to_string(), run);
        assert_eq!((sent.invocation, sent.continues), (None, true));
    }

    #[test]
    fn each_field_that_is_read_is_asked_for() {
        let source = include_str!("record.rs");
        let (source, _) = source.split_once("#[cfg(test)]").unwrap();
        let read =
            source.split("rename = \"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(name, _)| name);
        let mut read: Vec<_> = read.filter(|name| !name.starts_with("__") && *name != "_BOOT_ID").collect();
        let mut asked = FIELDS.to_vec();
        read.sort_unstable();
        asked.sort_unstable();
        assert_eq!(asked, read);
    }

    #[test]
    fn the_start_of_a_unit_names_its_run() {
        let run = "f82bc701683a4d1d84894610857aeabe";
        let about = |kind| with(&format!(r#""USER_INVOCATION_ID":"{run}","MESSAGE_ID":"{kind}""#)).started;
        assert_eq!(about(STARTED).unwrap().to_string(), run);
        assert_eq!(about("7d4958e842da4a678f6cdc4a3d3bc1e1"), None);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for line in ["", "-- No entries --", "{}", r#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"x"}"#] {
            assert!(Record::parse(line.as_bytes()).is_err(), "{line}");
        }
    }
}
