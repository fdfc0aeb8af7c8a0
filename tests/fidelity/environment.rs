//! The environment: the caller's, and but for the listed few nothing of the user manager's.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use crate::alone::{alone, beside_others};
use crate::caller::{Caller, assert_same, output};
use crate::recorded::{Recorded, Restarted};
use crate::support::systemctl;

/// What the contract lists: of systemd's, those that a plain service of a user gets, and ours.
const ALWAYS: [&str; 5] =
    ["INVOCATION_ID", "MANAGERPID", "PROCUNIT_ID", "PROCUNIT_PROCESS_NAME", "SYSTEMD_EXEC_PID"];
const SINCE_254: [&str; 2] = ["MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE"];
const SINCE_258: [&str; 1] = ["MANAGERPIDFDID"];

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// What `env -0` wrote.
#[track_caller]
fn entries(written: &[u8]) -> Entries {
    let lines: Vec<_> = written.split(|&byte| byte == 0).filter(|line| !line.is_empty()).collect();
    let split = |line: &&[u8]| {
        let at = line.iter().position(|&byte| byte == b'=').expect("an entry");
        (line[..at].to_vec(), line[at + 1..].to_vec())
    };
    let entries: Entries = lines.iter().map(split).collect();
    assert_eq!(entries.len(), lines.len(), "no name twice");
    entries
}

/// Takes out what every proc has besides, which must be there.
#[track_caller]
fn without_listed(mut entries: Entries) -> Entries {
    for name in ALWAYS {
        assert!(entries.remove(name.as_bytes()).is_some(), "{name}");
    }
    for name in SINCE_254.iter().chain(&SINCE_258) {
        entries.remove(name.as_bytes());
    }
    entries
}

#[track_caller]
fn assert_same_entries(plain: &Entries, unit: &Entries) {
    let names = |entries: &Entries| -> Vec<String> {
        entries.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    };
    assert_eq!(names(plain), names(unit));
    for (name, value) in plain {
        assert_same(&String::from_utf8_lossy(name), value, &unit[name]);
    }
}

/// Values that a unit file, a shell or D-Bus might read something into.
fn hard() -> Vec<(String, String)> {
    let values = [
        ("EMPTY", ""),
        ("BLANK", " "),
        ("BLANKS", "  two  blanks  "),
        ("TAB", "\ta\tb\t"),
        ("NEWLINES", "\nfirst\n\nthird\n"),
        ("CR", "a\r\nb\r"),
        ("CONTROLS", "\u{1}\u{2}\u{7}\u{8}\u{b}\u{c}\u{1b}[31m\u{7f}"),
        ("DOUBLE", "\"quoted\" \"unbalanced"),
        ("SINGLE", "'quoted' 'unbalanced"),
        ("DOLLARS", "$HOME ${HOME} $$ $ ${"),
        ("PERCENTS", "%n %% % %h"),
        ("BACKSLASHES", "\\ \\\\ \\n \\x41 \\"),
        ("EQUALS", "a=b=c=="),
        ("EMOJI", "é€🦀\u{202e}\u{feff}"),
        ("SPECIAL", "; # [Service] ` ! * ? & | < > ( )"),
        ("_underscore", "1"),
        ("lower_case", "1"),
        ("D1G1TS", "1"),
    ];
    let long = ("LONG", "0123456789$;%\\\"' \n".repeat(100 * 1024 / 18));
    values.map(|(name, value)| (name, value.to_owned())).into_iter().chain([long]).map(own).collect()
}

fn own((name, value): (&str, String)) -> (String, String) {
    (format!("FIDELITY_{name}"), value)
}

fn caller() -> Caller {
    hard().into_iter().fold(Caller::new(), |caller, (name, value)| caller.env(name, value))
}

#[test]
fn every_value_arrives_byte_for_byte_and_nothing_else_does() {
    let _manager = beside_others();
    let (plain, unit) = caller().both(&["env", "-0"]);
    assert_same_entries(&entries(&plain), &without_listed(entries(&unit)));
}

#[test]
fn explicit_values_come_before_the_callers_and_can_be_removed() {
    let _manager = beside_others();
    let caller = Caller::new().env("FIDELITY_A", "caller's").env("FIDELITY_B", "caller's");
    let values: Vec<_> = hard().into_iter().filter(|(name, _)| name != "FIDELITY_LONG").collect();
    let mut flags: Vec<_> =
        values.iter().flat_map(|(name, value)| ["-e".to_owned(), format!("{name}={value}")]).collect();
    flags.extend(["-q", "-e", "FIDELITY_A=ours", "-e", "FIDELITY_GONE"].map(str::to_owned));
    let unit = entries(&output(&mut caller.unit(&flags, &["env", "-0"])).stdout);
    for (name, value) in values {
        assert_same(&name, value.as_bytes(), &unit[name.as_bytes()]);
    }
    assert_eq!(unit[&b"FIDELITY_A"[..]], b"ours");
    assert_eq!(unit[&b"FIDELITY_B"[..]], b"caller's");
    assert!(!unit.contains_key(&b"FIDELITY_GONE"[..]));
}

#[test]
fn values_stay_what_they_are_over_a_reload_and_a_restart() {
    let _manager = alone();
    let recorded = Recorded::start(&caller(), &[]);
    assert_eq!(recorded.restart(), Restarted::Ran);
    systemctl(&["daemon-reload"]);
    assert_eq!(recorded.restart(), Restarted::Ran);
    let (plain, _) = caller().both(&["env", "-0"]);
    for run in 0..3 {
        let mut seen = without_listed(entries(&recorded.env(run)));
        assert!(seen.remove(&b"JOURNAL_STREAM"[..]).is_some(), "its standard error is the journal");
        // The shell's own.
        seen.remove(&b"PWD"[..]);
        assert_same_entries(&entries(&plain), &seen);
    }
}

/// A variable in the user manager, as long as this lives.
struct InManager(&'static str);

impl InManager {
    fn set(name: &'static str, value: &str) -> Self {
        systemctl(&["set-environment", &format!("{name}={value}")]);
        let shown = systemctl(&["show-environment"]);
        assert!(shown.contains(name), "{shown}");
        Self(name)
    }
}

impl Drop for InManager {
    fn drop(&mut self) {
        systemctl(&["unset-environment", self.0]);
    }
}

#[test]
fn what_only_the_user_manager_has_is_not_seen() {
    let _manager = alone();
    let _foreign = InManager::set("FIDELITY_FOREIGN", "manager's");
    let _shared = InManager::set("FIDELITY_SHARED", "manager's");
    let caller = Caller::new().env("FIDELITY_SHARED", "caller's");
    let (plain, unit) = caller.both(&["env", "-0"]);
    assert_same_entries(&entries(&plain), &without_listed(entries(&unit)));
    let explicit = output(&mut caller.unit(&["-q", "-e", "FIDELITY_FOREIGN=ours"], &["env", "-0"]));
    assert_eq!(entries(&explicit.stdout)[&b"FIDELITY_FOREIGN"[..]], b"ours");
}

#[test]
fn what_cannot_be_passed_is_left_out_with_one_line() {
    let _manager = beside_others();
    let odd = OsString::from_vec(b"caf\xe9".to_vec());
    let caller = Caller::new()
        .env("BASH_FUNC_greet%%", "() {  echo hello\n}")
        .env("FIDELITY.DOT", "x")
        .env("FIDELITY_LATIN1", odd)
        .env("FIDELITY_GOOD", "good");
    let ran = output(
        &mut caller.unit(&["-n", &crate::support::Cleanup::group("dropped").id("it")], &["env", "-0"]),
    );
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    assert_eq!(said.lines().count(), 1, "{said:?}");
    for name in ["BASH_FUNC_greet%%", "FIDELITY.DOT", "FIDELITY_LATIN1"] {
        assert!(said.contains(name), "{name}: {said:?}");
    }
    assert!(!said.contains("hello"), "no value is shown: {said:?}");
    let (plain, _) = Caller::new().env("FIDELITY_GOOD", "good").both(&["env", "-0"]);
    assert_same_entries(&entries(&plain), &without_listed(entries(&ran.stdout)));
}

#[test]
fn a_clean_environment_has_five_of_the_callers_and_what_was_asked_for() {
    let _manager = beside_others();
    let caller = Caller::new().env("USER", "somebody").env("LANG", "C.UTF-8").env("FIDELITY_CALLERS", "x");
    let flags = ["-q", "--clean-env", "-e", "FIDELITY_ASKED=y", "-e", "FIDELITY_CALLERS"];
    for (flags, more) in [(&flags[..2], &[][..]), (&flags, &["FIDELITY_ASKED", "FIDELITY_CALLERS"])] {
        let unit = output(&mut caller.unit(flags, &["env", "-0"]));
        let seen = without_listed(entries(&unit.stdout));
        let mut wanted: Vec<_> = ["HOME", "LANG", "PATH", "USER", "XDG_RUNTIME_DIR"].into();
        wanted.extend(more);
        wanted.sort_unstable();
        let seen: Vec<_> = seen.keys().map(|name| String::from_utf8_lossy(name)).collect();
        assert_eq!(seen, wanted);
    }
}

#[test]
fn what_says_which_proc_it_is_is_there() {
    let _manager = beside_others();
    let group = crate::support::Cleanup::group("own");
    let id = group.id("it");
    let flags = ["-q", "-n", &id, "--label", "a label", "--rank", "3"];
    let seen = entries(&output(&mut Caller::new().unit(&flags, &["env", "-0"])).stdout);
    let text = |name: &str| String::from_utf8_lossy(&seen[name.as_bytes()]).into_owned();
    assert_eq!(text("PROCUNIT_ID"), id);
    assert_eq!(text("PROCUNIT_RANK"), "3");
    let host = nix::unistd::gethostname().expect("a host name");
    assert_eq!(text("PROCUNIT_PROCESS_NAME"), format!("a label @ {}", host.to_string_lossy()));
}
