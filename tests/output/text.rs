//! What programs write here, and what it comes to.

use procunit::manager::{LogEvent, LogLine, LogLines};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::live::within;

pub(crate) const LINES: usize = 100_000;

/// Writes [`much`] to standard output, and then other lines to standard error.
pub(crate) const MUCH: &str = r"seq -f 'line %.0f of many' 100000; seq 100000 | head -c 300000; printf '\000\377\r\n\n no end';
    seq -f 'err %.0f' 1000 >&2; printf 'no end either' >&2";

pub(crate) fn much() -> Vec<u8> {
    let mut all: Vec<u8> = (1..=LINES).flat_map(|n| format!("line {n} of many\n").into_bytes()).collect();
    let numbers: Vec<u8> = (1..=LINES).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    all.extend_from_slice(&numbers[..300_000]);
    all.extend_from_slice(b"\0\xff\r\n\n no end");
    all
}

pub(crate) fn much_on_stderr() -> Vec<u8> {
    let mut all: Vec<u8> = (1..=1_000).flat_map(|n| format!("err {n}\n").into_bytes()).collect();
    all.extend_from_slice(b"no end either");
    all
}

/// Fails in a few words: these are long.
#[track_caller]
pub(crate) fn assert_same(got: &[u8], expected: &[u8]) {
    assert_eq!(got.len(), expected.len(), "bytes");
    assert_eq!(Sha256::digest(got), Sha256::digest(expected));
}

/// Everything up to the end of the stream.
pub(crate) async fn all_of(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut all = Vec::new();
    within("the end of the stream", stream.read_to_end(&mut all)).await.expect("output");
    all
}

/// All lines up to the end, of which none may be lost.
pub(crate) async fn rest_of(lines: &mut LogLines) -> Vec<LogLine> {
    let mut all = Vec::new();
    while let Some(event) = within("a line or the end", lines.next()).await.expect("a line") {
        match event {
            LogEvent::Line(line) => all.push(line),
            LogEvent::Lost(count) => panic!("{count} lines lost after {}", all.len()),
        }
    }
    all
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}
