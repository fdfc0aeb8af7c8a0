//! Where no journald is reached, output goes to files of the user's, and that is said once.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{getgid, getuid};
use procunit::id::{ProcId, UnitName};
use tokio::process::Command;

use crate::bed::Bed;
use crate::command::{ran, run};
use crate::text::text;

each_backend![
    output_goes_to_files_and_one_line_says_so,
    what_is_read_here_for_the_journal_goes_to_the_files_as_well,
    files_are_appended_to,
    without_a_place_for_files_nothing_is_started,
    a_place_for_files_that_is_no_text_is_refused,
    what_is_shown_is_shown_and_one_line_says_that_it_is_not_kept,
];

/// The same command where there is no journald: in mounts of its own, without rights of its own.
fn without_journald(command: &Command, state: Option<&Path>) -> Command {
    let hidden = "mount -t tmpfs none /run/systemd/journal && exec \"$@\"";
    let mut unshare = Command::new("unshare");
    let (uid, gid) = (getuid(), getgid());
    // Only root may mount, and what it looks like to others must not change.
    unshare.args(["--map-root-user", "--mount", "sh", "-c", hidden, "sh", "unshare"]);
    unshare.arg(format!("--map-user={uid}")).arg(format!("--map-group={gid}"));
    let command = command.as_std();
    unshare.arg(command.get_program()).args(command.get_args()).kill_on_drop(true);
    unshare.stdin(std::process::Stdio::null()).env_remove("XDG_STATE_HOME").env_remove("HOME");
    unshare.envs(state.map(|state| ("XDG_STATE_HOME", state)));
    unshare
}

const JOURNAL: [&str; 4] = ["--stdout", "journal", "--stderr", "journal"];

/// The id of what a command runs.
fn id_of(command: &Command) -> ProcId {
    let mut words = command.as_std().get_args().skip_while(|word| *word != "--name");
    ProcId::new(words.nth(1).and_then(|id| id.to_str()).expect("a name")).expect("an id")
}

fn stem(id: &ProcId) -> String {
    UnitName::for_proc(id).to_string().trim_end_matches(".service").to_owned()
}

async fn output_goes_to_files_and_one_line_says_so(bed: &Bed) {
    let state = tempfile::tempdir().expect("a directory");
    let command = run(bed, &JOURNAL, "echo out; echo err >&2; exit 3");
    let (code, out, err) = ran(without_journald(&command, Some(state.path()))).await;
    let said = text(&err);
    assert_eq!((code, text(&out)), (3, String::new()), "{said}");
    let logs = state.path().join("procunit/logs");
    let stem = stem(&id_of(&command));
    for (stream, expected) in [("stdout", "out\n"), ("stderr", "err\n")] {
        let path = logs.join(format!("{stem}.{stream}"));
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), expected);
        assert_eq!(std::fs::metadata(&path).expect("a file").mode() & 0o7777, 0o600);
        assert!(said.contains(path.to_str().expect("text")), "{said}");
    }
    assert_eq!(std::fs::metadata(&logs).expect("a directory").mode() & 0o7777, 0o700);
    let told = said.lines().filter(|line| line.contains("the journal cannot be reached")).count();
    assert_eq!(told, 1, "{said}");
}

/// Of a proc with a restart policy the streams are read by its manager, natively and on 252; 257 has it from the files.
async fn what_is_read_here_for_the_journal_goes_to_the_files_as_well(bed: &Bed) {
    let state = tempfile::tempdir().expect("a directory");
    let restarting = ["--restart", "on-failure:1", "--restart-delay", "10ms", "-o", "json"];
    let command = run(bed, &[&JOURNAL[..], &restarting].concat(), "echo out; echo err >&2; exit 3");
    let (code, out, err) = ran(without_journald(&command, Some(state.path()))).await;
    let said = text(&err);
    assert_eq!((code, text(&out)), (3, String::new()), "{said}");
    let last = said.lines().last().expect("a report");
    let report: serde_json::Value = serde_json::from_str(last).expect("JSON");
    let stem = stem(&id_of(&command));
    for (stream, expected) in [("stdout", "out\nout\n"), ("stderr", "err\nerr\n")] {
        let path = state.path().join("procunit/logs").join(format!("{stem}.{stream}"));
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), expected, "{said}");
        assert_eq!(std::fs::metadata(&path).expect("a file").mode() & 0o7777, 0o600);
        assert_eq!(report["output"][stream], format!("file:{}", path.display()), "{report}");
    }
    assert_eq!(report["output"]["apart"], serde_json::Value::Null, "{report}");
    assert_ne!(report["logs_complete"], true, "{report}");
    let told = said.lines().filter(|line| line.starts_with("procunit: the journal cannot be reached"));
    assert_eq!(told.count(), 1, "{said}");
}

async fn files_are_appended_to(bed: &Bed) {
    let state = tempfile::tempdir().expect("a directory");
    let command = run(bed, &["--stdout", "journal", "--stderr", "null"], "echo line");
    for _ in 0..2 {
        let (code, _, err) = ran(without_journald(&command, Some(state.path()))).await;
        assert_eq!(code, 0, "{}", text(&err));
    }
    let path = state.path().join("procunit/logs").join(format!("{}.stdout", stem(&id_of(&command))));
    assert_eq!(std::fs::read_to_string(path).expect("a file"), "line\nline\n");
}

async fn without_a_place_for_files_nothing_is_started(bed: &Bed) {
    let directory = tempfile::tempdir().expect("a directory");
    let mark = directory.path().join("mark");
    let command = run(bed, &JOURNAL, &format!("touch {}", mark.display()));
    let (code, _, err) = ran(without_journald(&command, None)).await;
    let said = text(&err);
    assert_eq!((code, said.lines().count()), (125, 1), "{said}");
    for word in ["the journal cannot be reached", "XDG_STATE_HOME"] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    assert!(!mark.exists(), "it ran");
}

async fn a_place_for_files_that_is_no_text_is_refused(bed: &Bed) {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join(OsStr::from_bytes(b"odd-\xff"));
    let mark = directory.path().join("mark");
    let command = run(bed, &JOURNAL, &format!("touch {}", mark.display()));
    let (code, _, err) = ran(without_journald(&command, Some(&state))).await;
    let said = text(&err);
    assert_eq!((code, said.lines().count()), (125, 1), "{said}");
    for word in ["the journal cannot be reached", "not UTF-8", "XDG_STATE_HOME"] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    assert!(!mark.exists() && !state.exists(), "it ran, or a directory was made");
}

async fn what_is_shown_is_shown_and_one_line_says_that_it_is_not_kept(bed: &Bed) {
    let said = |what: &str| format!("procunit: there is no journal here; {what} is shown and not kept\n");
    for (flags, out, err, told) in [
        (&[][..], "out\n", "err\n", said("what it writes")),
        (&["--stderr", "null"], "out\n", "", said("its standard output")),
        (&["--stdout", "null"], "", "err\n", said("its standard error")),
        (&["-q"], "out\n", "err\n", String::new()),
        (&["--no-journal"], "out\n", "err\n", String::new()),
    ] {
        let (code, shown, words) =
            ran(without_journald(&run(bed, flags, "echo out; echo err >&2"), None)).await;
        // Its manager and the program write to the same place at once.
        let words = text(&words);
        let (ours, its): (Vec<_>, Vec<_>) =
            words.split_inclusive('\n').partition(|line| line.starts_with("procunit: "));
        assert_eq!((code, text(&shown), its.concat()), (0, out.to_owned(), err.to_owned()), "{flags:?}");
        // That plain children have no journal is known.
        let told = if bed.is_systemd() { told } else { String::new() };
        assert_eq!(ours.concat(), told, "{flags:?}");
    }
}
