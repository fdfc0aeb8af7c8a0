//! What a proc sees is what a plain child of the caller sees, but for the exceptions that the contract lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use procunit::spec::{Input, PER_SERVICE};

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
async fn its_environment_is_the_callers_and_what_says_which_proc_it_is() {
    let manager = manager();
    let spec = spec("env").arg("-0").env("OWN", "a=b\nc ").rank(3).label("The label");
    let mut seen = entries(&output_of(&manager, spec).await);
    assert_eq!(seen.remove("OWN").as_deref(), Some("a=b\nc "));
    assert_eq!(seen.remove("PROCUNIT_RANK").as_deref(), Some("3"));
    assert!(seen.remove("PROCUNIT_ID").is_some_and(|id| id.starts_with("test-")));
    assert!(seen.remove("PROCUNIT_PROCESS_NAME").is_some_and(|name| name.starts_with("The label @ ")));
    assert_eq!(seen.remove("INVOCATION_ID").map(|id| id.len()), Some(32));
    let mut plain = entries(&Command::new("env").arg("-0").output().unwrap().stdout);
    plain.retain(|name, _| !PER_SERVICE.contains(&name.as_str()));
    assert_eq!(seen, plain);
}

#[tokio::test]
async fn a_clean_environment_has_the_listed_names_alone() {
    let manager = manager();
    let seen = entries(&output_of(&manager, spec("env").arg("-0").clean_env(true)).await);
    let kept = ["PATH", "HOME", "USER", "LANG", "XDG_RUNTIME_DIR"];
    let listed = [&kept[..], &["PROCUNIT_ID", "PROCUNIT_PROCESS_NAME", "INVOCATION_ID"]].concat();
    assert!(seen.keys().all(|name| listed.contains(&name.as_str())), "{:?}", seen.keys());
    assert!(seen.contains_key("PATH"));
}

#[tokio::test]
async fn its_arguments_arrive_byte_for_byte_argv0_included() {
    let manager = manager();
    let long = "x".repeat(100 * 1024);
    let args = ["$HOME", "${X}", "$$", "%n", "\\", "\"", "'", "a\nb", "", " ", "☕", &long];
    let spec = sh("cat /proc/$$/cmdline; :").arg0("-odd name").args(args);
    let seen = String::from_utf8(output_of(&manager, spec).await).unwrap();
    let mut expected = vec!["-odd name", "-c", "cat /proc/$$/cmdline; :"];
    expected.extend(args);
    assert_eq!(seen.strip_suffix('\0').unwrap().split('\0').collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn its_directory_and_umask_are_the_callers_or_the_specs() {
    let manager = manager();
    let plain = Command::new("sh").args(["-c", "pwd -P; umask"]).output().unwrap().stdout;
    assert_eq!(output_of(&manager, sh("pwd -P; umask")).await, plain);
    let dir = tempfile::tempdir().unwrap();
    let canonical = dir.path().canonicalize().unwrap();
    let seen = output_of(&manager, sh("pwd -P; umask").cwd(dir.path()).umask(0o057)).await;
    assert_eq!(String::from_utf8(seen).unwrap(), format!("{}\n0057\n", canonical.display()));
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
async fn its_standard_input_is_empty_unless_it_is_passed() {
    let manager = manager();
    assert_eq!(output_of(&manager, sh("readlink /proc/self/fd/0")).await, b"/dev/null\n");
    let (read, mut write) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut write, b"words").unwrap();
    drop(write);
    let spec = spec("cat").stdin(Input::from(std::os::fd::OwnedFd::from(read)));
    assert_eq!(output_of(&manager, spec).await, b"words");
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
async fn its_limit_of_open_files_is_the_callers() {
    let manager = manager();
    let script = "ulimit -Sn; ulimit -Hn";
    let plain = Command::new("sh").args(["-c", script]).output().unwrap().stdout;
    assert_eq!(output_of(&manager, sh(script)).await, plain);
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
