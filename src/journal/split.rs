//! A stream's bytes, cut into lines. It knows neither where they come from nor where they go.

use std::borrow::Cow;
use std::mem;

use memchr::memchr;

/// Bytes after which a line without an end is cut: where journald cuts those of its own streams (`LineMax=`).
pub(super) const LINE_MAX: usize = 48 * 1024;

/// What has begun of a line that has not ended, [`LINE_MAX`] bytes at most.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    begun: Vec<u8>,
}

/// A line or, where that is too long, a part of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// Without its end of line.
    pub(super) bytes: Cow<'a, [u8]>,
    /// Whether the line goes on in the next piece.
    pub(super) continues: bool,
}

impl Splitter {
    /// Takes the next piece off `rest`; where none ends there, all of it is kept and nothing is left.
    pub(super) fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Option<Piece<'a>> {
        let room = LINE_MAX - self.begun.len();
        // One byte more than there is room for: a line that is just as long as one may be ends there.
        let looked_at = &rest[..rest.len().min(room + 1)];
        let (len, continues) = match memchr(b'\n', looked_at) {
            Some(len) => (len, false),
            None if looked_at.len() > room => (room, true),
            None => {
                self.begun.extend_from_slice(mem::take(rest));
                return None;
            }
        };
        let (line, after) = rest.split_at(len);
        *rest = if continues { after } else { &after[1..] };
        Some(Piece { bytes: self.complete(line), continues })
    }

    /// What has begun, and may go on.
    pub(super) fn begun(&self) -> Option<Piece<'_>> {
        let bytes = Cow::Borrowed(self.begun.as_slice());
        (!bytes.is_empty()).then_some(Piece { bytes, continues: false })
    }

    /// What has begun, as a line: no more of it will come.
    pub(super) fn rest(&mut self) -> Option<Piece<'static>> {
        let bytes = mem::take(&mut self.begun);
        (!bytes.is_empty()).then_some(Piece { bytes: Cow::Owned(bytes), continues: false })
    }

    fn complete<'a>(&mut self, line: &'a [u8]) -> Cow<'a, [u8]> {
        if self.begun.is_empty() {
            return Cow::Borrowed(line);
        }
        self.begun.extend_from_slice(line);
        Cow::Owned(mem::take(&mut self.begun))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every piece of these chunks, and whether it goes on; what has no end is left in the splitter.
    fn split(splitter: &mut Splitter, chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut pieces = Vec::new();
        for mut rest in chunks.iter().copied() {
            while let Some(piece) = splitter.next(&mut rest) {
                pieces.push((piece.bytes.into_owned(), piece.continues));
            }
        }
        pieces
    }

    fn whole(text: &[u8]) -> (Vec<u8>, bool) {
        (text.to_vec(), false)
    }

    #[test]
    fn lines_end_where_they_end_and_not_where_a_read_does() {
        let mut splitter = Splitter::default();
        let pieces = split(&mut splitter, &[b"one\ntw", b"o\n\nth", b"re", b"e"]);
        assert_eq!(pieces, [whole(b"one"), whole(b"two"), whole(b"")]);
        assert_eq!(splitter.rest().unwrap().bytes, b"three".as_slice());
        assert_eq!(splitter.rest(), None);
    }

    #[test]
    fn a_line_that_is_as_long_as_one_may_be_is_whole_and_one_byte_more_goes_on() {
        let longest = vec![b'x'; LINE_MAX];
        let mut splitter = Splitter::default();
        assert_eq!(split(&mut splitter, &[&longest, b"\nnext\n"]), [whole(&longest), whole(b"next")]);
        let pieces = split(&mut splitter, &[&longest, b"x\n"]);
        assert_eq!(pieces, [(longest.clone(), true), whole(b"x")]);
        assert_eq!(splitter.rest(), None);
    }

    #[test]
    fn what_has_no_end_is_given_in_pieces_and_not_piled_up() {
        let mut splitter = Splitter::default();
        let binary = vec![0_u8; 5 * LINE_MAX + 7];
        let pieces = split(&mut splitter, &binary.chunks(4099).collect::<Vec<_>>());
        assert_eq!(pieces.len(), 5);
        assert!(pieces.iter().all(|(bytes, continues)| bytes.len() == LINE_MAX && *continues));
        assert_eq!(splitter.rest().unwrap().bytes.len(), 7);
    }

    /// Bytes with ends of lines near and far from each other.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(b'\n'), any::<u8>()];
        let run = prop_oneof![
            prop::collection::vec(byte, 0..40),
            (LINE_MAX - 2..LINE_MAX * 2 + 3).prop_map(|len| vec![b'x'; len]),
        ];
        prop::collection::vec(run, 0..6).prop_map(|runs| runs.concat())
    }

    proptest! {
        #[test]
        fn the_pieces_give_the_stream_back_however_it_was_read(
            stream in stream(),
            sizes in prop::collection::vec(prop_oneof![1..9_usize, 1000..200_000_usize], 1..20),
        ) {
            let (mut splitter, mut again, mut unread) = (Splitter::default(), Vec::new(), stream.as_slice());
            for size in sizes.iter().cycle() {
                let (chunk, later) = unread.split_at(unread.len().min(*size));
                unread = later;
                for (bytes, continues) in split(&mut splitter, &[chunk]) {
                    prop_assert!(bytes.len() <= LINE_MAX && !bytes.contains(&b'\n'));
                    again.extend(bytes);
                    again.extend((!continues).then_some(b'\n'));
                }
                if unread.is_empty() {
                    break;
                }
            }
            again.extend(splitter.rest().map(|piece| piece.bytes.into_owned()).unwrap_or_default());
            prop_assert!(again == stream, "{} bytes came back from {}", again.len(), stream.len());
        }
    }
}
