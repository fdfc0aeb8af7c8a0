//! One record of the journal, made of its fields.

use super::export::Fields;
use super::mark;
use super::stream::StdStream;
use crate::id::InvocationId;
use crate::time::Timestamp;

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

/// What journalctl wrote that is no record.
#[derive(Debug, thiserror::Error)]
#[error("not a record of the journal: {0}")]
pub struct BadRecord(pub(super) &'static str);

/// The values of the fields that are read; of one that a record has more than once, which only a program that writes
/// records itself can give, the first.
#[derive(Default)]
struct Raw<'a> {
    cursor: Option<&'a [u8]>,
    at: Option<&'a [u8]>,
    boot_id: Option<&'a [u8]>,
    message: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    about_unit: Option<&'a [u8]>,
    about_run: Option<&'a [u8]>,
    priority: Option<&'a [u8]>,
    facility: Option<&'a [u8]>,
    identifier: Option<&'a [u8]>,
    dropped: Option<&'a [u8]>,
    uid: Option<&'a [u8]>,
    pid: Option<&'a [u8]>,
    unit: Option<&'a [u8]>,
    invocation: Option<&'a [u8]>,
    transport: Option<&'a [u8]>,
    stream_id: Option<&'a [u8]>,
    line_break: Option<&'a [u8]>,
    sent_run: Option<&'a [u8]>,
    sent_stream: Option<&'a [u8]>,
    sent_continues: Option<&'a [u8]>,
}

impl Record {
    /// Reads one record of `journalctl --output=export`, without the empty line that ends it.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(record: &[u8]) -> Result<Self, BadRecord> {
        let raw = Raw::read(record)?;
        let cursor = text(raw.cursor).ok_or(BadRecord("it has no cursor"))?;
        let micros = number(raw.at).ok_or(BadRecord("it has no time"))?;
        Ok(Self {
            at: Timestamp::from_micros(micros),
            boot_id: id(raw.boot_id),
            continues: raw.line_break == Some(b"line-max") || raw.sent_continues.is_some(),
            priority: number(raw.priority),
            identifier: text(raw.identifier).map(str::to_owned),
            uid: number(raw.uid),
            pid: number(raw.pid),
            unit: text(raw.unit()).map(str::to_owned),
            invocation: number(raw.invocation),
            run: number(raw.sent_run),
            started: number(raw.about_run.filter(|_| text(raw.kind) == Some(STARTED))),
            stream_id: id(raw.stream_id),
            stream: raw.stream(),
            dropped: number(raw.dropped),
            message: raw.message.unwrap_or_default().to_vec(),
            cursor: cursor.to_owned(),
        })
    }
}

impl<'a> Raw<'a> {
    fn read(record: &'a [u8]) -> Result<Self, BadRecord> {
        let mut raw = Self::default();
        for field in Fields(record) {
            let (name, value) = field?;
            if let Some(slot) = text(Some(name)).and_then(|name| raw.slot(name)) {
                slot.get_or_insert(value);
            }
        }
        Ok(raw)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<&'a [u8]>> {
        Some(match name {
            "__CURSOR" => &mut self.cursor,
            "__REALTIME_TIMESTAMP" => &mut self.at,
            "_BOOT_ID" => &mut self.boot_id,
            "MESSAGE" => &mut self.message,
            "MESSAGE_ID" => &mut self.kind,
            "USER_UNIT" => &mut self.about_unit,
            "USER_INVOCATION_ID" => &mut self.about_run,
            "PRIORITY" => &mut self.priority,
            "SYSLOG_FACILITY" => &mut self.facility,
            "SYSLOG_IDENTIFIER" => &mut self.identifier,
            "N_DROPPED" => &mut self.dropped,
            "_UID" => &mut self.uid,
            "_PID" => &mut self.pid,
            "_SYSTEMD_USER_UNIT" => &mut self.unit,
            "_SYSTEMD_INVOCATION_ID" => &mut self.invocation,
            "_TRANSPORT" => &mut self.transport,
            "_STREAM_ID" => &mut self.stream_id,
            "_LINE_BREAK" => &mut self.line_break,
            mark::RUN_FIELD => &mut self.sent_run,
            mark::STREAM_FIELD => &mut self.sent_stream,
            mark::CONTINUES_FIELD => &mut self.sent_continues,
            _ => return None,
        })
    }

    fn unit(&self) -> Option<&'a [u8]> {
        if self.sent_run.is_some() { self.about_unit } else { self.unit }
    }

    /// A stream that this crate opened has no facility, and what it carries has the priority of the stream. One that
    /// systemd opened has its own facility (`SyslogFacility=`, daemon unless set), also where a line began with a
    /// priority (`stdout_stream_log`, journald-stream.c; measured, 252).
    fn stream(&self) -> Option<StdStream> {
        if let Some(sent) = text(self.sent_stream) {
            return [StdStream::Stdout, StdStream::Stderr].into_iter().find(|kind| kind.as_str() == sent);
        }
        let is_own = text(self.transport) == Some("stdout") && self.facility.is_none();
        let priority = number(self.priority).filter(|_| is_own);
        priority.and_then(StdStream::of_priority)
    }
}

fn text(field: Option<&[u8]>) -> Option<&str> {
    std::str::from_utf8(field?).ok()
}

fn number<T: std::str::FromStr>(field: Option<&[u8]>) -> Option<T> {
    text(field)?.parse().ok()
}

/// 128 bits as journald writes them.
fn id(field: Option<&[u8]>) -> Option<u128> {
    u128::from_str_radix(text(field)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::export::tests::exported;
    use super::*;

    /// With what only newer journalctls write, and what is not asked for.
    const WHOLE: &str = "__CURSOR=s=06;i=3\n__REALTIME_TIMESTAMP=1795253666940356\n__MONOTONIC_TIMESTAMP=7\n\
        __SEQNUM=3\n__SEQNUM_ID=06\n_BOOT_ID=0b\nMESSAGE=hello=\nPRIORITY=6\nSYSLOG_IDENTIFIER=a/echo\n\
        _UID=1000\n_PID=60\n_STREAM_ID=eacc25\n_SYSTEMD_INVOCATION_ID=f82bc701683a4d1d84894610857aeabe\n\
        _TRANSPORT=stdout\n";

    fn with_bytes(fields: &[(&str, &[u8])]) -> Record {
        let own: [(&str, &[u8]); 2] = [("__CURSOR", b"c"), ("__REALTIME_TIMESTAMP", b"1")];
        Record::parse(&exported(&[&own, fields].concat())).unwrap()
    }

    fn with(fields: &[(&str, &str)]) -> Record {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        with_bytes(&fields)
    }

    #[test]
    fn a_record_keeps_what_a_line_needs() {
        let record = Record::parse(WHOLE.as_bytes()).unwrap();
        assert_eq!((record.message.as_slice(), record.boot_id), (&b"hello="[..], Some(0x0b)));
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
        for message in [&b"bin\xff\xfe"[..], b"two\nlines", b"\n\n", b"\0", b"a\nPRIORITY=0\n"] {
            let record = with_bytes(&[("MESSAGE", message), ("PRIORITY", b"6")]);
            assert_eq!((record.message.as_slice(), record.priority), (message, Some(6)));
        }
    }

    #[test]
    fn of_several_messages_in_one_record_the_first_counts() {
        assert_eq!(with(&[("MESSAGE", "one"), ("MESSAGE", "two")]).message, b"one");
        assert_eq!(with_bytes(&[("MESSAGE", &[255]), ("MESSAGE", b"two")]).message, [255]);
    }

    #[test]
    fn a_record_without_a_message_is_an_empty_line() {
        assert_eq!(with(&[("MESSAGE", "")]).message, b"");
        assert_eq!(with(&[("PRIORITY", "3")]).message, b"");
    }

    #[test]
    fn only_a_line_that_was_too_long_goes_on() {
        assert!(with(&[("_LINE_BREAK", "line-max")]).continues);
        assert!(!with(&[("_LINE_BREAK", "eof")]).continues);
        assert!(!with(&[("_LINE_BREAK", "pid-change")]).continues);
    }

    #[test]
    fn a_line_of_a_stream_of_our_own_says_which_it_is() {
        let stream = |fields: &[(&str, &str)]| with(fields).stream;
        assert_eq!(stream(&[("_TRANSPORT", "stdout"), ("PRIORITY", "6")]), Some(StdStream::Stdout));
        assert_eq!(stream(&[("_TRANSPORT", "stdout"), ("PRIORITY", "3")]), Some(StdStream::Stderr));
        assert_eq!(stream(&[("_TRANSPORT", "stdout"), ("PRIORITY", "4")]), None);
        assert_eq!(
            stream(&[("_TRANSPORT", "stdout"), ("PRIORITY", "6"), ("SYSLOG_FACILITY", "3")]),
            None,
            "systemd's"
        );
        assert_eq!(stream(&[("_TRANSPORT", "journal"), ("PRIORITY", "3")]), None, "a program's own record");
        let sent = &[("_TRANSPORT", "journal"), ("PRIORITY", "6"), ("PROCUNIT_STREAM", "stderr")];
        assert_eq!(stream(sent), Some(StdStream::Stderr));
        assert_eq!(stream(&[("_TRANSPORT", "journal"), ("PROCUNIT_STREAM", "neither")]), None);
    }

    #[test]
    fn what_a_manager_sent_names_its_run() {
        let run = "f82bc701683a4d1d84894610857aeabe";
        let sent = with(&[("PROCUNIT_INVOCATION", run), ("PROCUNIT_CONTINUES", "1")]);
        assert_eq!(sent.run.unwrap().to_string(), run);
        assert_eq!((sent.invocation, sent.continues), (None, true));
    }

    #[test]
    fn the_start_of_a_unit_names_its_run() {
        let run = "f82bc701683a4d1d84894610857aeabe";
        let about = |kind| with(&[("USER_INVOCATION_ID", run), ("MESSAGE_ID", kind)]).started;
        assert_eq!(about(STARTED).unwrap().to_string(), run);
        assert_eq!(about("7d4958e842da4a678f6cdc4a3d3bc1e1"), None);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let no_time = "__CURSOR=c\n__REALTIME_TIMESTAMP=x\n";
        for record in ["", "-- No entries --\n", "MESSAGE=x\n", "__CURSOR=c\n", no_time, "__CURSOR=c"] {
            assert!(Record::parse(record.as_bytes()).is_err(), "{record}");
        }
    }
}
