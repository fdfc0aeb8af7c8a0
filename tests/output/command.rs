//! `procunit run`, which shows what a program writes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use procunit::id::ProcId;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use crate::bed::Bed;
use crate::live::within;

each_backend![
    a_reader_that_has_enough_ends_it_quietly,
    a_reader_that_has_enough_is_no_failure_of_a_program_that_goes_on,
    a_reader_that_has_enough_takes_nothing_from_the_journal,
    what_cannot_be_shown_is_told_and_is_a_failure,
    streams_go_where_the_flags_say,
    the_file_that_is_named_from_here_is_found,
    a_file_below_a_directory_that_is_no_text_is_refused,
];

/// `procunit run` of a proc of this bed.
pub(crate) fn run(bed: &Bed, flags: &[&str], script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procunit"));
    command.args(["--launcher", bed.name(), "run", "--name", bed.id().as_str()]).args(flags);
    command.args(["--", "/bin/sh", "-c", script]).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// What came of one that ran to its end.
pub(crate) async fn ran(mut command: Command) -> (i32, Vec<u8>, Vec<u8>) {
    let output = within("procunit run", command.output()).await.expect("procunit");
    (output.status.code().expect("an exit code"), output.stdout, output.stderr)
}

/// In long lines: journald, which has them as well, has a limit for many short ones. What yes(1) says of a closed stream is
/// its own.
const FOR_EVER: &str = "exec yes $(head -c 4000 /dev/zero | tr '\\0' y) 2>/dev/null";

async fn first_bytes(child: &mut Child) -> String {
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut first = [0; 2];
    within("a line", stdout.read_exact(&mut first)).await.expect("a line");
    String::from_utf8_lossy(&first).into_owned()
}

async fn a_reader_that_has_enough_ends_it_quietly(bed: &Bed) {
    for flags in [&[][..], &["--no-journal"]] {
        let mut command = run(bed, flags, FOR_EVER);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("procunit");
        assert_eq!(first_bytes(&mut child).await, "yy");
        let ended = within("its end", child.wait_with_output()).await.expect("procunit");
        assert_eq!((ended.status.code(), ended.stderr), (Some(141), Vec::new()), "{flags:?}");
    }
}

async fn a_reader_that_has_enough_is_no_failure_of_a_program_that_goes_on(bed: &Bed) {
    let mut command = run(bed, &[], "yes $(head -c 4000 /dev/zero | tr '\\0' y) 2>/dev/null; exit 0");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("procunit");
    first_bytes(&mut child).await;
    let ended = within("its end", child.wait_with_output()).await.expect("procunit");
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()));
}

async fn a_reader_that_has_enough_takes_nothing_from_the_journal(bed: &Bed) {
    let (read, write) = std::io::pipe().expect("a pipe");
    drop(read);
    // In one write, of no more than a pipe holds: all of it is taken before anybody can find out that nothing can be shown.
    let mut command = run(bed, &["-o", "json"], "seq 3000 | dd bs=64k iflag=fullblock status=none");
    let child = command.stdout(write).stderr(Stdio::piped()).spawn().expect("procunit");
    drop(command);
    let ended = within("its end", child.wait_with_output()).await.expect("procunit");
    let last = ended.stderr.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).expect("a line");
    let report: serde_json::Value = serde_json::from_slice(last).expect("JSON");
    let id: ProcId = report["id"].as_str().expect("an id").parse().expect("an id");
    let lines = crate::live::journald::kept(&[id]).await;
    let is_number = |line: &&crate::live::journald::Kept| line.message.parse::<u32>().is_ok();
    let kept = lines.values().flatten().filter(is_number).count();
    assert!(kept == 3000 || report["logs_complete"] != true, "{kept}: {report}");
}

async fn what_cannot_be_shown_is_told_and_is_a_failure(bed: &Bed) {
    for (script, code) in [("echo words", 125), ("echo words; exit 3", 3)] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let mut command = run(bed, &["-q"], script);
        let child = command.stdout(full).stderr(Stdio::piped()).spawn().expect("procunit");
        let ended = within("its end", child.wait_with_output()).await.expect("procunit");
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{told}");
        assert_eq!(told, "procunit: cannot write to standard output: no storage space\n");
    }
}

async fn streams_go_where_the_flags_say(bed: &Bed) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("err");
    let to_file = format!("file:{}", path.display());
    let script = "echo out; echo err >&2";
    for (flags, out, err) in [
        (&["--stderr", "null"][..], "out\n", ""),
        (&["--stdout", "null"], "", "err\n"),
        (&["--stdout", "journal", "--stderr", "inherit"], "", "err\n"),
        (&["--no-journal", "--stdout", "null"], "", "err\n"),
        (&["--stderr", &to_file], "out\n", ""),
    ] {
        let (code, stdout, stderr) = ran(run(bed, flags, script)).await;
        let told = (code, String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert_eq!(told, (0, out.into(), err.into()), "{flags:?}");
    }
    assert_eq!(std::fs::read_to_string(path).expect("a file"), "err\n");
}

async fn the_file_that_is_named_from_here_is_found(bed: &Bed) {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("below")).expect("a directory");
    for target in ["file:out", "file:below/../out"] {
        let mut command = run(bed, &["--stdout", target], "echo line");
        command.current_dir(directory.path());
        assert_eq!(ran(command).await, (0, Vec::new(), Vec::new()));
    }
    let written = std::fs::read_to_string(directory.path().join("out")).expect("a file");
    assert_eq!(written, "line\nline\n");
}

async fn a_file_below_a_directory_that_is_no_text_is_refused(bed: &Bed) {
    let directory = tempfile::tempdir().expect("a directory");
    let odd = directory.path().join(OsStr::from_bytes(b"odd-\xff"));
    std::fs::create_dir(&odd).expect("a directory");
    let mut command = run(bed, &["--stdout", "file:out"], "touch mark");
    command.current_dir(&odd);
    let (code, _, err) = ran(command).await;
    let said = String::from_utf8_lossy(&err);
    assert!(code == 125 && said.starts_with("procunit: file:out: ") && said.contains("not UTF-8"), "{said}");
    assert_eq!(std::fs::read_dir(&odd).expect("a directory").count(), 0, "nothing was made");
}
