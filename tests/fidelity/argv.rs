//! argv, byte for byte: at the start, after a reload, and after a reload and a restart.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::alone::{alone, beside_others};
use crate::caller::{Caller, assert_same, output};
use crate::recorded::{Recorded, Restarted, rewrites_dollars};
use crate::support::systemctl;

/// What systemd, a shell or a unit file might read something into.
const HARD: [&str; 40] = [
    "",
    " ",
    "  two  blanks  ",
    "\t",
    "\n",
    "line\nbreak\n",
    "\r\n",
    "\u{1}\u{7}\u{8}\u{b}\u{c}\u{1b}[0m\u{7f}",
    "$HOME",
    "${HOME}",
    "${X}",
    "$X",
    "$",
    "$$",
    "$$$$",
    "$$HOME",
    "\\$HOME",
    "%n",
    "%%",
    "%",
    "%h/%t",
    "\\",
    "\\\\",
    "\\n\\t\\x41\\101\\u00e9",
    "a\\",
    "\"",
    "'",
    "\"quoted\" and 'quoted'",
    "\"unbalanced",
    ";",
    "\\;",
    "a;b",
    "#comment",
    "[Service]",
    "ExecStart=/bin/false",
    "@-:+!|",
    "--",
    "-n",
    "é€🦀 \u{202e}\u{200b}\u{feff}",
    "*?[a-z]~{a,b}`id`!&|<>()",
];

/// Those, and a long one.
fn hard() -> Vec<String> {
    let long = "0123456789$;%\\\"' \n".repeat(100 * 1024 / 18);
    HARD.map(str::to_owned).into_iter().chain([long, String::new()]).collect()
}

fn with_nuls(words: &[String]) -> Vec<u8> {
    words.iter().flat_map(|word| word.bytes().chain([0])).collect()
}

#[test]
fn every_argument_arrives_byte_for_byte() {
    let _manager = beside_others();
    let args = hard();
    let argv = [vec!["printf".to_owned(), "%s\\0".to_owned()], args.clone()].concat();
    let (plain, unit) = Caller::new().both(&argv);
    assert_same("a plain child's arguments", &plain, &with_nuls(&args));
    assert_same("arguments", &plain, &unit);
    for arg in HARD {
        let (plain, unit) = Caller::new().both(&["printf", "%s\\0", arg]);
        assert_same("one argument alone", &plain, &unit);
    }
}

#[test]
fn many_arguments_arrive() {
    let _manager = beside_others();
    let numbers: Vec<_> = (0..20_000).map(|number: u32| number.to_string()).collect();
    let argv = [vec!["printf".to_owned(), "%s\\0".to_owned()], numbers].concat();
    let (plain, unit) = Caller::new().both(&argv);
    assert_same("20,000 arguments", &plain, &unit);
}

#[test]
fn argv0_is_the_program_as_it_was_written_or_what_was_asked_for() {
    let _manager = beside_others();
    let read = "/proc/self/cmdline";
    let (plain, unit) = Caller::new().both(&["cat", read]);
    assert_same("a bare name", &plain, &unit);
    for arg0 in HARD {
        let plain = output(Caller::new().plain(&["cat", read]).arg0(arg0));
        let unit =
            output(&mut Caller::new().unit(&["-q".to_owned(), format!("--arg0={arg0}")], &["cat", read]));
        assert_same(arg0, &plain.stdout, &unit.stdout);
    }
}

/// A program of that name in a directory of that name: a link to cat(1).
fn named(directory: &Path, name: &str) -> PathBuf {
    let cat = output(&mut Caller::new().plain(&["sh", "-c", "command -v cat"]));
    let program = directory.join(name).join(name);
    std::fs::create_dir(directory.join(name)).expect("a directory");
    symlink(String::from_utf8_lossy(&cat.stdout).trim(), &program).expect("a link");
    program
}

#[test]
fn a_program_is_found_where_a_plain_child_finds_it_whatever_its_name() {
    let _manager = beside_others();
    let directory = tempfile::tempdir().expect("a directory");
    let odd =
        ["$HOME", "a;b", "%n", "a\\b", "\"'", "é🦀", "@-+!:|", " x", "a\t\u{1}\u{7f}x", "end\\", "-n", "~"];
    for name in ["plain", "with blank"].into_iter().chain(odd) {
        let absolute = named(directory.path(), name).into_os_string();
        for program in [absolute, OsString::from(format!("./{name}/{name}"))] {
            let argv = [program, "/proc/self/cmdline".into()];
            let (plain, unit) = Caller::new().cwd(directory.path()).both(&argv);
            assert_same(name, &plain, &unit);
        }
    }
}

/// From 255 on systemd would not keep these paths whole.
#[test]
fn a_program_of_a_name_that_systemd_cuts_is_refused() {
    let _manager = alone();
    let directory = tempfile::tempdir().expect("a directory");
    for (name, flaw) in [("line\nbreak", "has the control character '\\n'"), ("blank ", "ends in a blank")] {
        let program = named(directory.path(), name).into_os_string();
        let refused = output(&mut Caller::new().unit(&["-q"], &[program]));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(125), "{said}");
        assert!(said.contains(&format!("the program's name {flaw}")), "{said:?}");
    }
}

#[test]
fn a_running_program_keeps_its_arguments_and_its_end_over_a_reload() {
    let _manager = alone();
    let script = "cat /proc/$$/cmdline; echo; read -r _; cat /proc/$$/cmdline; exit 42";
    let argv = [vec!["sh".to_owned(), "-c".to_owned(), script.to_owned(), "sh".to_owned()], hard()].concat();
    let expected = with_nuls(&argv);
    let mut command = Caller::new().unit(&["-q"], &argv);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("procunit");
    let mut written = BufReader::new(child.stdout.take().expect("its output"));
    let mut before = vec![0; expected.len()];
    written.read_exact(&mut before).expect("what it has before the reload");
    assert_same("before the reload", &expected, &before);
    for verb in ["daemon-reload", "daemon-reexec"] {
        systemctl(&[verb]);
    }
    child.stdin.take().expect("its input").write_all(b"\n").expect("written");
    let mut after = Vec::new();
    written.skip_until(b'\n').and_then(|_| written.read_to_end(&mut after)).expect("what it has after");
    assert_same("after the reload", &expected, &after);
    assert_eq!(crate::caller::finish(child).status.code(), Some(42));
}

#[test]
fn a_restart_after_a_reload_gives_the_same_arguments_or_runs_nothing() {
    let _manager = alone();
    let harmless: Vec<_> = hard().into_iter().filter(|arg| !arg.contains(['$', ';'])).collect();
    let long = vec!["x y\\z\n".repeat(100 * 1024 / 6)];
    for (args, dollars) in
        [(harmless, false), (long, false), (hard(), true), (vec!["$HOME".to_owned()], true)]
    {
        let recorded = Recorded::start(&Caller::new(), &args);
        assert_same("at the first start", &with_nuls(&args), &recorded.argv(0));
        assert_eq!(recorded.restart(), Restarted::Ran, "before the reload");
        assert_same("after a restart alone", &with_nuls(&args), &recorded.argv(1));
        systemctl(&["daemon-reload"]);
        if dollars && rewrites_dollars() {
            assert_eq!(recorded.restart(), Restarted::Refused);
            assert_eq!(recorded.runs(), 2, "nothing wrong ran");
        } else {
            assert_eq!(recorded.restart(), Restarted::Ran, "after the reload");
            assert_same("after the reload", &with_nuls(&args), &recorded.argv(2));
        }
    }
}
