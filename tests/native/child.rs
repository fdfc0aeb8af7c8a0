//! What a proc sees is what a plain child of the caller sees, but for the exceptions that the contract lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::AsRawFd;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use procunit::spec::Input;

use crate::common::{Talking, inode_of, manager, output_of, sh, spec};

fn entries(env: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8(env.to_vec()).expect("text");
    let lines = text.split('\0').filter(|line| !line.is_empty());
    lines.map(|line| line.split_once('=').expect("an entry")).map(|(k, v)| (k.into(), v.into())).collect()
}

/// The line of /proc/PID/status that starts with this.
fn status_line(status: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(status);
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line of the status");
    line.trim_start_matches(':').trim().to_owned()
}

#[tokio::test]
async fn a_program_with_a_relative_path_is_found_from_its_directory() {
    let manager = manager();
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/echo", dir.path().join("tool")).unwrap();
    let seen = output_of(&manager, spec("./tool").arg("words").cwd(dir.path())).await;
    assert_eq!(seen, b"words\n");
}

#[tokio::test]
async fn it_has_three_descriptors_whatever_the_caller_leaves_open() {
    let manager = manager();
    let left_open = File::open("/dev/zero").unwrap();
    fcntl(&left_open, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let far = fcntl(&left_open, FcntlArg::F_DUPFD(900)).unwrap();
    let seen = String::from_utf8(output_of(&manager, spec("ls").arg("/proc/self/fd")).await).unwrap();
    // The last is ls's own, on the directory.
    assert_eq!(
        seen.lines().collect::<Vec<_>>(),
        ["0", "1", "2", "3"],
        "{} and {far} were left open",
        left_open.as_raw_fd()
    );
    nix::unistd::close(far).unwrap();
}

#[tokio::test]
async fn inherited_streams_are_the_callers_own() {
    let manager = manager();
    let spec = sh("stat -L -c '%d %i' /proc/self/fd/0; stat -L -c '%d %i' /proc/$$/fd/2")
        .stdin(Input::Inherit)
        .stderr(procunit::spec::Output::Inherit);
    let seen = String::from_utf8(output_of(&manager, spec).await).unwrap();
    let expected = [inode_of(&std::io::stdin()), inode_of(&std::io::stderr())];
    let expected: Vec<_> = expected.iter().map(|(dev, ino)| format!("{dev} {ino}")).collect();
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn no_signal_is_blocked_or_ignored_in_it_whatever_the_caller_does() {
    let manager = manager();
    SigSet::all().thread_block().unwrap();
    for ignored in [Signal::SIGUSR2, Signal::SIGTTOU, Signal::SIGPIPE] {
        ignore(ignored);
    }
    let status = output_of(&manager, spec("cat").arg("/proc/self/status")).await;
    SigSet::all().thread_unblock().unwrap();
    for mask in ["SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(status_line(&status, mask), "0000000000000000", "{mask}");
    }
}

#[expect(unsafe_code, reason = "signal(2)")]
fn ignore(ignored: Signal) {
    // SAFETY: no handler of ours is installed.
    unsafe { signal(ignored, SigHandler::SigIgn) }.unwrap();
}

#[tokio::test]
async fn it_leads_a_session_and_a_group_of_its_own() {
    let manager = manager();
    let mut proc = Talking::spawn(&manager, sh("cat /proc/$$/stat; :")).await;
    let stat = proc.line().await;
    let pid = proc.handle.pid().unwrap().to_string();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!([fields[2], fields[3]], [&pid, &pid], "{stat}");
}

#[tokio::test]
async fn entries_that_cannot_be_passed_are_dropped_with_one_line() {
    if !crate::common::plays("child::entries_that_cannot_be_passed_are_dropped_with_one_line") {
        let test = "child::entries_that_cannot_be_passed_are_dropped_with_one_line";
        let status = crate::common::again(test).env("BASH_FUNC_x%%", "() { :; }").status().unwrap();
        return assert!(status.success());
    }
    let manager = manager();
    let proc = Talking::spawn(&manager, spec("env").arg("-0")).await;
    assert_eq!(proc.handle.notes().len(), 1, "{:?}", proc.handle.notes());
    assert!(proc.handle.notes()[0].contains("BASH_FUNC_x%%"));
    let names: BTreeSet<_> = entries(&proc.rest().await).into_keys().collect();
    assert!(!names.contains("BASH_FUNC_x%%"));
}
