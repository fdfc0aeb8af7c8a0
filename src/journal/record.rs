//! One record of the journal, and its JSON form.
//!
//! A field is a string; an array of bytes where it is not UTF-8 or has control characters; null where it is longer
//! than 4,096 bytes and `--all` was not given; an array of these where a record has it more than once
//! (<https://systemd.io/JOURNAL_EXPORT_FORMATS>, "Journal JSON Format"; measured, 252).

use serde::Deserialize;
use serde::de::Error as _;

use crate::id::InvocationId;
use crate::time::Timestamp;

/// A record, as far as a line of a proc needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the journal.
    pub cursor: String,
    /// When journald took it.
    pub at: Timestamp,
    /// What was written, without its end of line. Any bytes.
    pub message: Vec<u8>,
    /// Whether the line goes on in the stream's next record: journald splits after 48 KiB (`LineMax=`).
    pub continues: bool,
    /// The syslog level, 0 (emergency) to 7 (debug).
    pub priority: Option<u8>,
    /// `SYSLOG_IDENTIFIER`.
    pub identifier: Option<String>,
    /// Who wrote it.
    pub uid: Option<u32>,
    /// The process that wrote it.
    pub pid: Option<u32>,
    /// The run it was written in, where journald could still tell.
    pub invocation: Option<InvocationId>,
    /// The stream it came through; one belongs to one run.
    pub stream: Option<String>,
}

/// A line of journalctl that is no record.
#[derive(Debug, thiserror::Error)]
#[error("not a record of the journal: {0}")]
pub struct BadRecord(#[source] serde_json::Error);

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "__CURSOR")]
    cursor: String,
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    at: String,
    #[serde(rename = "MESSAGE")]
    message: Option<Field>,
    #[serde(rename = "PRIORITY")]
    priority: Option<Field>,
    #[serde(rename = "SYSLOG_IDENTIFIER")]
    identifier: Option<Field>,
    #[serde(rename = "_UID")]
    uid: Option<Field>,
    #[serde(rename = "_PID")]
    pid: Option<Field>,
    #[serde(rename = "_SYSTEMD_INVOCATION_ID")]
    invocation: Option<Field>,
    #[serde(rename = "_STREAM_ID")]
    stream: Option<Field>,
    #[serde(rename = "_LINE_BREAK")]
    line_break: Option<Field>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Text(String),
    Bytes(Vec<u8>),
    Many(Vec<Option<Field>>),
}

impl Record {
    /// Reads one line of `journalctl --output=json --all`.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(line: &[u8]) -> Result<Self, BadRecord> {
        let raw: Raw = serde_json::from_slice(line).map_err(BadRecord)?;
        let no_time = |_| BadRecord(serde_json::Error::custom("its time is no number"));
        let micros = raw.at.parse().map_err(no_time)?;
        Ok(Self {
            cursor: raw.cursor,
            at: Timestamp::from_micros(micros),
            message: raw.message.map(Field::into_bytes).unwrap_or_default(),
            continues: raw.line_break.and_then(Field::into_text).as_deref() == Some("line-max"),
            priority: number(raw.priority),
            identifier: raw.identifier.and_then(Field::into_text),
            uid: number(raw.uid),
            pid: number(raw.pid),
            invocation: number(raw.invocation),
            stream: raw.stream.and_then(Field::into_text),
        })
    }
}

impl Field {
    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
            // Only a program that writes records itself can give one field twice; the first is the message.
            Self::Many(fields) => {
                fields.into_iter().flatten().next().map(Self::into_bytes).unwrap_or_default()
            }
        }
    }

    fn into_text(self) -> Option<String> {
        String::from_utf8(self.into_bytes()).ok()
    }
}

fn number<T: std::str::FromStr>(field: Option<Field>) -> Option<T> {
    field?.into_text()?.parse().ok()
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
    fn what_is_no_record_is_refused() {
        for line in ["", "-- No entries --", "{}", r#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"x"}"#] {
            assert!(Record::parse(line.as_bytes()).is_err(), "{line}");
        }
    }
}
