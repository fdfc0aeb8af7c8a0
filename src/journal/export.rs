//! The export form of the journal: where a record ends in what is read, and the fields of one.
//!
//! A field is `NAME=value` on a line, or, where the value is no text or has line ends, `NAME` on a line, its length in
//! eight bytes, the lowest first, the value and a line end. An empty line ends a record
//! (<https://systemd.io/JOURNAL_EXPORT_FORMATS>, "Journal Export Format"). What fields mean is not known here.

use memchr::memchr;

use super::record::BadRecord;

/// The longest record held. A stream's are below 50 KiB; only a program that writes records itself can make longer ones.
const LONGEST_RECORD: usize = 16 * 1024 * 1024;
/// How much is held of a field that is thrown away: more than any name and any cursor has.
const HEAD: usize = 1024;
/// Each record begins with it.
const BEGINNING: &[u8] = b"__CURSOR=";
const LENGTH: usize = size_of::<u64>();

/// Puts a record together from what is read piece by piece.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// What has been read of the record; of one that is too long, the head of a field.
    record: Vec<u8>,
    /// Where in it the field begins.
    field: usize,
    within: Within,
    /// The record is too long and is thrown away.
    overlong: bool,
    is_whole: bool,
    skipped: u64,
}

#[derive(Debug, Clone, Copy, Default)]
enum Within {
    #[default]
    Line,
    /// So many bytes of a length were read.
    Length(usize, u64),
    /// So many bytes of a value, and the line end after it, are to come.
    Value(u64),
}

impl Gathering {
    /// Reads on, at most to the end of the record: how many bytes that were, and whether the record is whole.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(usize, bool), BadRecord> {
        if std::mem::take(&mut self.is_whole) {
            self.clear();
        }
        let mut read = 0;
        while read < bytes.len() && !self.is_whole {
            let rest = &bytes[read..];
            read += match self.within {
                Within::Line => self.line(rest)?,
                Within::Length(count, length) => self.length(count, length, rest[0]),
                Within::Value(left) => self.value(left, rest),
            };
        }
        Ok((read, self.is_whole))
    }

    /// The record, once it is whole and until more is read.
    pub(super) fn record(&self) -> &[u8] {
        &self.record
    }

    /// Whether a record has begun and not ended.
    pub(super) fn is_within(&self) -> bool {
        !self.is_whole && (self.overlong || !self.record.is_empty())
    }

    /// How many records were thrown away.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    fn line(&mut self, bytes: &[u8]) -> Result<usize, BadRecord> {
        let end = memchr(b'\n', bytes);
        let part = &bytes[..end.map_or(bytes.len(), |end| end + 1)];
        self.hold(part);
        if end.is_some() {
            self.end_line()?;
        }
        Ok(part.len())
    }

    fn end_line(&mut self) -> Result<(), BadRecord> {
        let line = &self.record[self.field..];
        if line == b"\n" {
            self.end_record();
        } else if memchr(b'=', line).is_some() {
            if line.starts_with(BEGINNING) {
                self.begin_record();
            }
            self.end_field();
        } else if is_name(line.strip_suffix(b"\n").unwrap_or(line)) {
            self.within = Within::Length(0, 0);
        } else {
            return Err(BadRecord("a line without a field"));
        }
        Ok(())
    }

    fn length(&mut self, count: usize, length: u64, byte: u8) -> usize {
        self.hold(&[byte]);
        let length = length | u64::from(byte) << (8 * count);
        self.within = if count + 1 < LENGTH {
            Within::Length(count + 1, length)
        } else {
            self.make_room(usize::try_from(length).unwrap_or(usize::MAX));
            Within::Value(length.saturating_add(1))
        };
        1
    }

    fn value(&mut self, left: u64, bytes: &[u8]) -> usize {
        let part = &bytes[..usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()))];
        self.hold(part);
        match left - part.len() as u64 {
            0 => self.end_field(),
            left => self.within = Within::Value(left),
        }
        part.len()
    }

    fn hold(&mut self, part: &[u8]) {
        self.make_room(part.len());
        let room = if self.overlong { HEAD.saturating_sub(self.record.len()) } else { part.len() };
        self.record.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn make_room(&mut self, length: usize) {
        if !self.overlong && length > LONGEST_RECORD.saturating_sub(self.record.len()) {
            self.overlong = true;
            self.record.drain(..self.field);
            self.record.truncate(HEAD);
            self.field = 0;
        }
    }

    fn end_field(&mut self) {
        self.within = Within::Line;
        if self.overlong {
            self.record.clear();
        }
        self.field = self.record.len();
    }

    /// journalctl leaves a record that it cannot read to its end, without an empty line, and goes on with the next one
    /// (`output_export`, logs-show.c, 252 to 257).
    fn begin_record(&mut self) {
        if self.overlong || self.field > 0 {
            self.skipped += 1;
            self.overlong = false;
            self.record.drain(..self.field);
        }
    }

    fn end_record(&mut self) {
        if self.overlong {
            self.skipped += 1;
            self.clear();
        } else if self.field == 0 {
            self.clear();
        } else {
            self.record.truncate(self.field);
            self.is_whole = true;
        }
    }

    fn clear(&mut self) {
        self.record.clear();
        self.field = 0;
        self.within = Within::Line;
        self.overlong = false;
    }
}

fn is_name(line: &[u8]) -> bool {
    !line.is_empty() && line.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
}

/// The fields of a record, in its order.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), BadRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(BadRecord("a field without a value")))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let (line, rest) = self.0.split_at_checked(memchr(b'\n', self.0)?)?;
        let rest = &rest[1..];
        let (field, rest) = if let Some(at) = memchr(b'=', line) {
            ((&line[..at], &line[at + 1..]), rest)
        } else {
            let (length, rest) = rest.split_first_chunk::<LENGTH>()?;
            let (value, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            ((line, value), rest.strip_prefix(b"\n")?)
        };
        self.0 = rest;
        Some(field)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// As journalctl writes it.
    pub(in crate::journal) fn exported(fields: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in fields {
            out.extend_from_slice(name.as_bytes());
            if std::str::from_utf8(value).is_ok_and(|text| !text.contains(char::is_control)) {
                out.push(b'=');
            } else {
                out.push(b'\n');
                out.extend_from_slice(&(value.len() as u64).to_le_bytes());
            }
            out.extend_from_slice(value);
            out.push(b'\n');
        }
        out
    }

    /// Reads it in pieces of that length: the records, and how many were thrown away.
    fn gathered(bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, u64) {
        let mut gathering = Gathering::default();
        let mut records = Vec::new();
        for mut bytes in bytes.chunks(piece) {
            while !bytes.is_empty() {
                let (read, is_whole) = gathering.read(bytes).unwrap();
                bytes = &bytes[read..];
                records.extend(is_whole.then(|| gathering.record().to_vec()));
            }
        }
        assert!(!gathering.is_within());
        (records, gathering.skipped())
    }

    fn record(cursor: &str, message: &[u8]) -> Vec<u8> {
        exported(&[("__CURSOR", cursor.as_bytes()), ("MESSAGE", message)])
    }

    #[test]
    fn a_record_too_long_is_counted_and_the_next_one_is_read() {
        for byte in [b'x', 0xff] {
            let long = vec![byte; LONGEST_RECORD];
            let bytes = [record("1", b"one"), record("2", &long), record("3", b"three")].join(&b'\n');
            let bytes = [bytes, b"\n".to_vec()].concat();
            assert_eq!(gathered(&bytes, 64 * 1024), (vec![record("1", b"one"), record("3", b"three")], 1));
        }
    }

    #[test]
    fn of_a_value_too_long_a_head_is_held() {
        let mut gathering = Gathering::default();
        gathering.read(b"__CURSOR=1\nMESSAGE\n").unwrap();
        gathering.read(&u64::MAX.to_le_bytes()).unwrap();
        for _ in 0..100 {
            assert_eq!(gathering.read(&[0; 4096]).unwrap(), (4096, false));
        }
        assert!(gathering.is_within());
        assert!(gathering.record().len() <= HEAD);
    }

    #[test]
    fn a_record_that_was_broken_off_is_counted_and_not_mixed_with_the_next_one() {
        let bytes = [record("1", b"one"), record("2", b"two"), b"\n".to_vec()].concat();
        assert_eq!(gathered(&bytes, 7), (vec![record("2", b"two")], 1));
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for bytes in ["-- No entries --\n", "{\"MESSAGE\":\"x\"}\n", "message\n"] {
            assert!(Gathering::default().read(bytes.as_bytes()).is_err(), "{bytes}");
        }
        for bytes in ["A", "A\nshort", "A\n\u{4}\0\0\0\0\0\0\0abc\n", "A\n\u{1}\0\0\0\0\0\0\0abc\n"] {
            assert!(Fields(bytes.as_bytes()).any(|field| field.is_err()), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn records_read_in_any_pieces_have_the_fields_that_were_written(
            written in vec(vec(("[A-Z][A-Z0-9_]{0,9}", vec(any::<u8>(), 0..40)), 1..6), 0..6),
            empty in 1..3_usize,
            piece in 1..50_usize,
        ) {
            let mut bytes = Vec::new();
            for fields in &written {
                let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
                bytes.extend(exported(&fields));
                bytes.extend(vec![b'\n'; empty]);
            }
            let (records, skipped) = gathered(&bytes, piece);
            let read: Vec<Vec<_>> = records
                .iter()
                .map(|record| Fields(record).map(|field| field.unwrap()).map(owned).collect())
                .collect();
            prop_assert_eq!(read, written);
            prop_assert_eq!(skipped, 0);
        }
    }

    fn owned((name, value): (&[u8], &[u8])) -> (String, Vec<u8>) {
        (String::from_utf8(name.to_vec()).unwrap(), value.to_vec())
    }
}
