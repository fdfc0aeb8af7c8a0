//! What the program sees is what a plain child of the caller sees, but for what the contract lists.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::process::Command;

use procunit::spec::{Input, Output, PER_SERVICE};

use crate::bed::{Bed, output_of};

each_backend![
    its_environment_is_the_callers_and_what_says_which_proc_it_is,
    a_clean_environment_starts_from_the_listed_names,
    its_arguments_arrive_byte_for_byte,
    its_directory_umask_and_limit_of_open_files_are_the_callers_or_the_specs,
    it_has_three_descriptors_and_an_empty_standard_input,
    what_is_passed_as_standard_input_is_read,
    no_signal_is_blocked_or_ignored_in_it,
    standard_error_is_told_apart_from_standard_output,
];

fn entries(environment: &str) -> BTreeMap<String, String> {
    let entries = environment.split('\0').filter(|entry| !entry.is_empty());
    let pairs = entries.map(|entry| entry.split_once('=').expect("an entry"));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn plain(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("a plain child");
    String::from_utf8(output.stdout).expect("text")
}

async fn its_environment_is_the_callers_and_what_says_which_proc_it_is(bed: &Bed) {
    let manager = bed.manager().await;
    let spec = bed.spec("env").arg("-0").env("OWN", "a=b\nc ").rank(3).label("The label");
    let mut seen = entries(&output_of(&manager, spec).await);
    assert_eq!(seen.remove("OWN").as_deref(), Some("a=b\nc "));
    assert_eq!(seen.remove("PROCUNIT_RANK").as_deref(), Some("3"));
    assert!(seen.remove("PROCUNIT_ID").is_some_and(|id| id.starts_with(bed.group())));
    assert!(seen.remove("PROCUNIT_PROCESS_NAME").is_some_and(|name| name.starts_with("The label @ ")));
    seen.retain(|name, _| !PER_SERVICE.contains(&name.as_str()));
    let mut expected = entries(&plain("env", &["-0"]));
    expected.retain(|name, _| !PER_SERVICE.contains(&name.as_str()) && !name.starts_with("BASH_FUNC_"));
    assert_eq!(seen, expected);
}

async fn a_clean_environment_starts_from_the_listed_names(bed: &Bed) {
    let manager = bed.manager().await;
    let seen = entries(&output_of(&manager, bed.spec("env").arg("-0").clean_env(true)).await);
    let listed = ["PATH", "HOME", "USER", "LANG", "XDG_RUNTIME_DIR", "PROCUNIT_ID", "PROCUNIT_PROCESS_NAME"];
    let is_listed = |name: &String| listed.contains(&name.as_str()) || PER_SERVICE.contains(&name.as_str());
    assert!(seen.keys().all(is_listed), "{:?}", seen.keys());
    assert_eq!(seen.get("PATH").cloned(), std::env::var("PATH").ok());
}

async fn its_arguments_arrive_byte_for_byte(bed: &Bed) {
    let manager = bed.manager().await;
    let long = "x".repeat(100 * 1024);
    let args =
        ["$HOME", "${X}", "$$", "%n", "%%", ";", "\\", "\\x41", "\"", "'", "a\nb", "", " ", "☕", "-", &long];
    let script = "cat /proc/$$/cmdline; :";
    let spec = crate::bed::quiet(bed.id(), "/bin/sh").arg0("-odd name").args(["-c", script]).args(args);
    let seen = output_of(&manager, spec).await;
    let mut expected = vec!["-odd name", "-c", script];
    expected.extend(args);
    assert_eq!(seen.strip_suffix('\0').expect("a last one").split('\0').collect::<Vec<_>>(), expected);
}

async fn its_directory_umask_and_limit_of_open_files_are_the_callers_or_the_specs(bed: &Bed) {
    let manager = bed.manager().await;
    let script = "pwd -P; umask; ulimit -Sn; ulimit -Hn";
    assert_eq!(output_of(&manager, bed.sh(script)).await, plain("/bin/sh", &["-c", script]));
    let dir = tempfile::tempdir().expect("a directory");
    let canonical = dir.path().canonicalize().expect("its path");
    let spec = bed.sh("pwd -P; umask").cwd(dir.path()).umask(0o057);
    assert_eq!(output_of(&manager, spec).await, format!("{}\n0057\n", canonical.display()));
}

async fn it_has_three_descriptors_and_an_empty_standard_input(bed: &Bed) {
    let manager = bed.manager().await;
    let left_open = std::fs::File::open("/dev/zero").expect("a file");
    let flags = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
    nix::fcntl::fcntl(&left_open, flags).expect("it would be inherited");
    // The last is ls's own, on the directory.
    assert_eq!(output_of(&manager, bed.spec("ls").arg("/proc/self/fd")).await, "0\n1\n2\n3\n");
    assert_eq!(output_of(&manager, bed.sh("readlink /proc/self/fd/0")).await, "/dev/null\n");
}

async fn what_is_passed_as_standard_input_is_read(bed: &Bed) {
    let manager = bed.manager().await;
    let (read, mut write) = std::io::pipe().expect("a pipe");
    std::io::Write::write_all(&mut write, b"words").expect("written");
    drop(write);
    let spec = bed.spec("cat").stdin(Input::from(OwnedFd::from(read)));
    assert_eq!(output_of(&manager, spec).await, "words");
}

async fn no_signal_is_blocked_or_ignored_in_it(bed: &Bed) {
    let manager = bed.manager().await;
    nix::sys::signal::SigSet::all().thread_block().expect("blocked here");
    let status = output_of(&manager, bed.spec("cat").arg("/proc/self/status")).await;
    nix::sys::signal::SigSet::all().thread_unblock().expect("as before");
    for mask in ["SigBlk", "SigIgn", "SigCgt"] {
        let line = status.lines().find(|line| line.starts_with(mask)).expect("a line of the status");
        assert!(line.ends_with("\t0000000000000000"), "{line}");
    }
}

async fn standard_error_is_told_apart_from_standard_output(bed: &Bed) {
    let manager = bed.manager().await;
    let (read, write) = std::io::pipe().expect("a pipe");
    let spec = bed.sh("echo out; echo err >&2").stderr(Output::from(OwnedFd::from(write)));
    assert_eq!(output_of(&manager, spec).await, "out\n");
    let said = tokio::task::spawn_blocking(|| std::io::read_to_string(read));
    assert_eq!(crate::live::within("its words", said).await.expect("read").expect("text"), "err\n");
}
