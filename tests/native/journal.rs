//! Output to the journal goes there or, where there is none, to a file that is told: it is never thrown away in silence.

use std::os::unix::net::UnixStream;

use procunit::spec::Output;

use crate::common::{again, manager, output_of, plays, sh, spawn, within};

const TEST: &str = "journal::output_reaches_the_journal_or_a_file_that_is_told";

#[tokio::test]
async fn output_reaches_the_journal_or_a_file_that_is_told() {
    let manager = manager();
    let spec = sh("stat -L -c %d:%i /proc/$$/fd/2; echo $JOURNAL_STREAM").stderr(Output::Journal);
    if UnixStream::connect("/run/systemd/journal/stdout").is_ok() {
        let seen = String::from_utf8(output_of(&manager, spec).await).unwrap();
        let lines: Vec<_> = seen.lines().collect();
        assert_eq!(lines[0], lines[1], "JOURNAL_STREAM names standard error");
        return;
    }
    if !plays(TEST) {
        let state = tempfile::tempdir().unwrap();
        let status = again(TEST).env("XDG_STATE_HOME", state.path()).status().unwrap();
        return assert!(status.success(), "{TEST} as another process: {status}");
    }
    let handle = spawn(&manager, sh("echo words >&2").stderr(Output::Journal)).await;
    within("the end", handle.wait()).await.unwrap();
    assert_eq!(handle.notes().len(), 1, "{:?}", handle.notes());
    let path = handle.notes()[0].split(" goes to ").last().unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "words\n");
}
