//! Output to the journal goes there, or the launch is refused: it is never thrown away in silence.

use std::os::unix::net::UnixStream;

use procunit::launcher::LaunchError;
use procunit::spec::Output;

use crate::common::{manager, output_of, sh, within};

#[tokio::test]
async fn output_reaches_the_journal_or_the_launch_is_refused() {
    let manager = manager();
    let spec = sh("stat -L -c %d:%i /proc/$$/fd/2; echo $JOURNAL_STREAM").stderr(Output::Journal);
    if UnixStream::connect("/run/systemd/journal/stdout").is_ok() {
        let seen = String::from_utf8(output_of(&manager, spec).await).unwrap();
        let lines: Vec<_> = seen.lines().collect();
        assert_eq!(lines[0], lines[1], "JOURNAL_STREAM names standard error");
        return;
    }
    let refused = within("a launch", manager.spawn(spec.build().unwrap())).await.unwrap_err();
    assert!(matches!(refused, LaunchError::Unreachable { .. }), "{refused}");
}
