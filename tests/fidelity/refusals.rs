//! What systemd could not carry or the kernel would not take is refused by name, and leaves nothing behind.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use procunit::ProcManager;
use procunit::id::ProcId;
use procunit::launcher::LaunchError;
use procunit::launcher::systemd::SystemdLauncher;
use procunit::spec::{Output, ProcSpec};

use crate::alone::alone;
use crate::caller::{Caller, assert_same, output};

/// Not UTF-8.
fn latin1() -> OsString {
    OsString::from_vec(b"caf\xe9".to_vec())
}

fn joined(start: &str, end: &OsStr) -> OsString {
    OsString::from_vec([start.as_bytes(), end.as_bytes()].concat())
}

/// Runs what must be refused with 125, in one line that has these words; nothing runs.
#[track_caller]
fn refused(words: &str, caller: &Caller, flags: &[OsString], argv: &[OsString]) {
    let ran = output(&mut caller.unit(flags, argv));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(125), "{words}: {said}");
    assert!(said.contains(words), "{words:?} in {said:?}");
    assert_eq!(said.lines().count(), 1, "{said:?}");
    assert!(said.len() < 600, "{} bytes of {words}", said.len());
    assert!(ran.stdout.is_empty(), "nothing ran: {words}");
}

fn os(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

#[test]
fn what_is_not_utf8_is_refused_by_name() {
    let _manager = alone();
    let directory = tempfile::tempdir().expect("a directory");
    let odd = directory.path().join(latin1());
    std::fs::create_dir(&odd).expect("a directory");
    std::os::unix::fs::symlink("/bin/echo", odd.join("echo")).expect("a link");
    let (caller, none, echo) = (Caller::new(), &os(&[]), os(&["echo", "it ran"]));

    refused("argument 2", &caller, none, &[&os(&["echo", "x"])[..], &[latin1()]].concat());
    refused("the program's name", &caller, none, &[latin1()]);
    refused("argument 0", &caller, &[joined("--arg0=", &latin1())], &echo);
    refused("environment variable \"V\"", &caller, &["-e".into(), joined("V=", &latin1())], &echo);
    refused("environment name", &caller, &["-e".into(), joined("", &joined("N", &latin1()))], &echo);
    let inherited = Caller::new().env("V", latin1());
    refused("environment variable \"V\"", &inherited, &os(&["-e", "V"]), &echo);
    refused("working directory", &caller, &["-C".into(), odd.clone().into_os_string()], &echo);
    refused("working directory", &Caller::new().cwd(&odd), none, &echo);
}

#[test]
fn a_bad_environment_name_is_refused_by_name() {
    let _manager = alone();
    for name in ["1ST", "WITH-DASH", "WITH BLANK", "WITH.DOT", "", "É", "BASH_FUNC_x%%"] {
        let flags = os(&["-e", &format!("{name}=value")]);
        refused(&format!("environment name {name:?}"), &Caller::new(), &flags, &os(&["echo", "it ran"]));
    }
    for name in ["INVOCATION_ID", "NOTIFY_SOCKET", "PROCUNIT_ID", "PROCUNIT_RANK"] {
        let flags = os(&["-e", &format!("{name}=value")]);
        refused(&format!("environment name {name:?}"), &Caller::new(), &flags, &os(&["echo", "it ran"]));
    }
}

#[test]
fn a_nul_in_a_file_of_variables_is_refused_by_name() {
    let _manager = alone();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "GOOD=1\nBAD=a\0b\n").expect("written");
    let flags = ["--env-file".into(), file.path().as_os_str().to_owned()];
    refused("environment variable \"BAD\"", &Caller::new(), &flags, &os(&["echo", "it ran"]));
}

#[test]
fn what_a_unit_file_cannot_hold_is_refused_by_name() {
    let _manager = alone();
    let echo = os(&["echo", "it ran"]);
    let much: Vec<_> =
        std::iter::once("echo".into()).chain(vec![OsString::from("x".repeat(100_000)); 11]).collect();
    refused("the command line", &Caller::new(), &[], &much);
    // What has to be escaped counts with its escapes.
    let escaped: Vec<_> =
        std::iter::once("echo".into()).chain(vec![OsString::from("\u{1}".repeat(100_000)); 3]).collect();
    refused("the command line", &Caller::new(), &[], &escaped);
    let caller =
        (0..11).fold(Caller::new(), |caller, number| caller.env(format!("V{number}"), "x".repeat(100_000)));
    refused("the environment", &caller, &[], &echo);

    let mut many = String::new();
    (0..17_000).for_each(|number| writeln!(many, "V{number}=").expect("written"));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), many).expect("written");
    let flags = ["--env-file".into(), file.path().as_os_str().to_owned()];
    refused("the environment", &Caller::new(), &flags, &echo);
}

/// execve(2) would say E2BIG where nobody can hear it (`MAX_ARG_STRLEN`, linux/binfmts.h).
#[test]
fn what_the_kernel_would_not_take_is_refused_by_name() {
    let _manager = alone();
    let long = |len: usize| "x".repeat(len);
    // No caller can be given more than that in one argument itself.
    let (plain, unit) = Caller::new().both(&["echo".to_owned(), long(131_071)]);
    assert_same("the longest argument", &plain, &unit);

    let file = tempfile::NamedTempFile::new().expect("a file");
    let flags = ["--env-file".into(), file.path().as_os_str().to_owned()];
    std::fs::write(file.path(), format!("LONG={}\n", long(131_066))).expect("written");
    let ran = output(&mut Caller::new().unit(&flags, &["sh", "-c", "echo ${#LONG}"]));
    assert_eq!(ran.stdout, b"131066\n", "the longest entry: {}", String::from_utf8_lossy(&ran.stderr));
    std::fs::write(file.path(), format!("LONG={}\n", long(131_067))).expect("written");
    refused("environment variable \"LONG\" has", &Caller::new(), &flags, &os(&["echo", "it ran"]));
}

/// The strings and the pointers to them together (execve(2), "Limits on size of arguments and environment"). No
/// command line can be that long where the caller has the usual limit, too.
#[test]
fn more_arguments_than_the_kernel_takes_are_refused_by_name() {
    let _manager = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let refused = runtime.block_on(async {
        let launcher = SystemdLauncher::connect().await.expect("a user manager to test with");
        let id = ProcId::new("many").expect("an id");
        let spec = ProcSpec::builder(id, "echo").args(vec!["x"; 250_000]).stdout(Output::Null).build();
        ProcManager::new(launcher).spawn(spec.expect("a spec")).await.map(drop)
    });
    let refused = refused.expect_err("more than the kernel takes");
    assert!(matches!(refused, LaunchError::InvalidSpec(_)), "{refused:?}");
    assert!(refused.to_string().contains("together with the environment has"), "{refused}");
}
