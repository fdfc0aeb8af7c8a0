//! What README.md shows is what the command prints, against a real user manager.

#![cfg(feature = "cli")]

#[expect(dead_code, reason = "it needs a part of it")]
mod support;
#[path = "support/transcript.rs"]
mod transcript;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use support::{BOUND, Ran, manager, procunit, run, systemctl, until};
use transcript::{Step, essence, names, steps};

const README: &str = include_str!("../README.md");

/// The procs that README names, for as long as its sessions take: its names are such as somebody may use.
struct Borrowed {
    names: Vec<String>,
}

impl Borrowed {
    /// Fails where no user manager answers, and where one of the names is taken.
    fn new(names: Vec<String>) -> Self {
        manager();
        let taken = units(&names);
        assert!(
            taken.is_empty(),
            "README's names must be free here; `procunit rm -f` what has them:\n{taken}"
        );
        Self { names }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let names = self.names.iter().map(String::as_str);
        procunit(&["rm", "--force", "--quiet"].into_iter().chain(names).collect::<Vec<_>>());
    }
}

/// What systemd has of them, whatever its state.
fn units(names: &[String]) -> String {
    let units = names.iter().map(|name| format!("procunit-{name}.service"));
    let list = ["list-units", "--all", "--full", "--plain", "--no-legend"].map(str::to_owned);
    systemctl(
        &list.into_iter().chain(units).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>(),
    )
}

#[test]
fn what_readme_shows_is_what_the_command_prints() {
    let steps = steps(README);
    assert!(steps.iter().any(|step| step.command == "procunit doctor"), "README's sessions are not found");
    let borrowed = Borrowed::new(names(&steps));
    let mut status = 0;
    for step in &steps {
        status = prints_what_is_shown(step, status, &borrowed.names);
    }
    let names = borrowed.names.clone();
    drop(borrowed);
    until("nothing of README's procs is left", || units(&names).is_empty());
}

/// Gives back its exit code.
fn prints_what_is_shown(step: &Step, status: i32, names: &[String]) -> i32 {
    let expected = essence(&step.command, &step.shown, names);
    let deadline = Instant::now() + BOUND;
    loop {
        let ran = typed(&step.command, status);
        let printed = essence(&step.command, &ran.out(), names);
        if printed == expected {
            return ran.code();
        }
        let may_come = only_looks(&step.command) && Instant::now() < deadline;
        assert!(
            may_come,
            "README.md shows of `{}`\n{}\nand it prints\n{}\nCompared were {expected:#?} and {printed:#?}",
            step.command,
            step.shown,
            ran.out()
        );
    }
}

/// Such a command may come too early here: nobody types so fast that a program has not ended yet, or that its lines are
/// on their way to the journal.
fn only_looks(command: &str) -> bool {
    ["ps", "logs", "status", "doctor"].iter().any(|verb| command.starts_with(&format!("procunit {verb}")))
}

/// What a terminal shows of a command that comes after one with that exit code. Nothing else of the shell lasts.
fn typed(command: &str, status: i32) -> Ran {
    let built = Path::new(env!("CARGO_BIN_EXE_procunit")).parent().expect("a directory");
    let path = std::env::var("PATH").unwrap_or_default();
    let script = format!("exec 2>&1\n(exit {status})\n{command}");
    let mut shell = Command::new("sh");
    run(shell.args(["-c", &script]).env("PATH", format!("{}:{path}", built.display())))
}

#[test]
fn exit_codes_signals_words_and_names_are_compared() {
    let differ = [
        ("procunit status web", "batch: exited with 3", "batch: exited with 4"),
        (
            "procunit stop web",
            "web: stopped (killed by SIGTERM after 1s)",
            "web: stopped (killed by SIGKILL after 1s)",
        ),
        ("echo $?", "3", "139"),
        ("procunit ps", "NAME  STATUS\nweb  Running", "NAME  STATUS\nweb  Stopping"),
        ("procunit ps", "NAME  STATUS\nweb  Running", "NAME  STATUS"),
        (
            "procunit doctor",
            "ok    user bus      there\nlaunching works",
            "ok    journal       there\nlaunching works",
        ),
    ];
    let names = ["web".to_owned()];
    for (command, one, other) in differ {
        assert_ne!(essence(command, one, &names), essence(command, other, &names), "{command}");
    }
}
