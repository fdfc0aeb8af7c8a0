//! One entry for the journal, in journald's native form (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).

use super::mark;
use super::stream::StdStream;
use crate::id::{InvocationId, ProcId};

/// Fields, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Entry(Vec<u8>);

/// What the entries of one stream of a proc have in common.
#[derive(Debug)]
pub(super) struct Origin<'a> {
    pub(super) identifier: &'a str,
    /// What systemd calls it; journalctl's `--user-unit` finds it by that, if the same user sent it.
    pub(super) unit: Option<&'a str>,
    pub(super) id: &'a ProcId,
    pub(super) stream: StdStream,
}

impl Entry {
    /// What every line of a stream begins with.
    pub(super) fn of(origin: &Origin<'_>) -> Self {
        let mut entry = Self::default();
        entry.named(origin.identifier, origin.stream.priority(), origin.id);
        entry.text(mark::STREAM_FIELD, origin.stream.as_str());
        if let Some(unit) = origin.unit {
            entry.text("USER_UNIT", unit);
        }
        entry
    }

    /// What tells whose it is.
    pub(super) fn named(&mut self, identifier: &str, priority: u8, id: &ProcId) {
        self.text("SYSLOG_IDENTIFIER", identifier);
        self.text("PRIORITY", &priority.to_string());
        self.text(mark::ID_FIELD, id.as_str());
    }

    /// A line of this run.
    pub(super) fn line(&mut self, run: Option<InvocationId>, message: &[u8], continues: bool) {
        if let Some(run) = run {
            self.text(mark::RUN_FIELD, &run.to_string());
        }
        if continues {
            self.text(mark::CONTINUES_FIELD, "1");
        }
        self.bytes("MESSAGE", message);
    }

    /// What journald is sent.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How long it is, for [`Self::cut_back`].
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes off what was put behind this length.
    pub(super) fn cut_back(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// A value without an end of line.
    fn text(&mut self, name: &str, value: &str) {
        debug_assert!(!value.contains('\n'), "{value:?}");
        for part in [name, "=", value, "\n"] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    /// Any value.
    fn bytes(&mut self, name: &str, value: &[u8]) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'\n');
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }
}

/// Reads entries as journald does.
#[cfg(test)]
pub(super) fn fields(mut entry: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut fields = Vec::new();
    while !entry.is_empty() {
        let end = entry.iter().position(|byte| *byte == b'\n').unwrap();
        let (line, rest) = (&entry[..end], &entry[end + 1..]);
        if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
            let name = String::from_utf8(line[..equals].to_vec()).unwrap();
            fields.push((name, line[equals + 1..].to_vec()));
            entry = rest;
            continue;
        }
        let (len, rest) = rest.split_first_chunk().unwrap();
        let (value, rest) = rest.split_at(usize::try_from(u64::from_le_bytes(*len)).unwrap());
        fields.push((String::from_utf8(line.to_vec()).unwrap(), value.to_vec()));
        entry = rest.strip_prefix(b"\n").unwrap();
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_whose_it_is_and_any_bytes_are_kept() {
        let id = ProcId::new("web/0").unwrap();
        let unit = Some("procunit-web:0.service");
        let origin = Origin { identifier: "web/0", unit, id: &id, stream: StdStream::Stderr };
        let mut entry = Entry::of(&origin);
        let common = entry.len();
        let run = "0123456789abcdef0123456789abcdef";
        entry.line(Some(run.parse().unwrap()), b"a=b\n\0\xff", true);
        let told: Vec<_> = fields(entry.as_bytes());
        let expected = [
            ("SYSLOG_IDENTIFIER", b"web/0".as_slice()),
            ("PRIORITY", b"3"),
            ("PROCUNIT_ID", b"web/0"),
            ("PROCUNIT_STREAM", b"stderr"),
            ("USER_UNIT", b"procunit-web:0.service"),
            ("PROCUNIT_INVOCATION", run.as_bytes()),
            ("PROCUNIT_CONTINUES", b"1"),
            ("MESSAGE", b"a=b\n\0\xff"),
        ];
        assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), value.to_vec())));
        entry.cut_back(common);
        entry.line(None, b"", false);
        assert_eq!(fields(entry.as_bytes()).split_off(5), [("MESSAGE".to_owned(), Vec::new())]);
    }
}
