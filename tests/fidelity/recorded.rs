//! A detached proc that writes down what each of its runs was given.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use procunit::id::{ProcId, UnitName};
use tempfile::TempDir;

use crate::caller::{Caller, output};
use crate::support::{Cleanup, systemctl, until};

/// It has no `$` in its own command line, which some systemd versions cannot keep.
const SCRIPT: &str = r#"#!/bin/sh
mkdir "$0.new"
printf '%s\0' "$@" >"$0.new/argv"
env -0 >"$0.new/env"
find /proc/self/fd -mindepth 1 ! -lname '/proc*' -printf '%f %l\n' >"$0.new/fds"
number=0
while [ -e "$0.$number" ]; do number=$((number + 1)); done
mv "$0.new" "$0.$number"
"#;

pub(crate) struct Recorded {
    directory: TempDir,
    unit: String,
    _cleanup: Cleanup,
}

/// What became of a restart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Restarted {
    /// The program ran once more.
    Ran,
    /// systemd said no.
    Refused,
}

impl Recorded {
    /// Starts one, and waits until its first run is over.
    #[track_caller]
    pub(crate) fn start(caller: &Caller, args: &[String]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let program = directory.path().join("record");
        fs::write(&program, SCRIPT).expect("a script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
        let cleanup = Cleanup::group("recorded");
        let id = cleanup.id("proc");
        let words: Vec<_> =
            std::iter::once(program.into_os_string()).chain(args.iter().map(Into::into)).collect();
        let started = output(&mut caller.unit(&["-q", "-d", "-n", &id], &words));
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let unit = UnitName::for_proc(&ProcId::new(&id).expect("an id")).to_string();
        let recorded = Self { directory, unit, _cleanup: cleanup };
        recorded.until_over();
        recorded
    }

    /// Has systemd start it again, and waits until that run is over.
    pub(crate) fn restart(&self) -> Restarted {
        let before = self.runs();
        // More than five starts in ten seconds would be refused for another reason.
        systemctl(&["reset-failed", &self.unit]);
        systemctl(&["restart", &self.unit]);
        self.until_over();
        match (self.runs() - before, self.property("ExecMainStatus").as_str()) {
            (1, "0") => Restarted::Ran,
            (0, "203") => Restarted::Refused,
            (runs, status) => panic!("{runs} more runs, exit status {status}"),
        }
    }

    fn until_over(&self) {
        let settled = || {
            let state = self.property("SubState");
            state == "exited" || state == "failed" || state == "dead"
        };
        until("its end", settled);
    }

    fn property(&self, name: &str) -> String {
        systemctl(&["show", "--value", &format!("--property={name}"), &self.unit]).trim().to_owned()
    }

    /// How often it ran.
    pub(crate) fn runs(&self) -> usize {
        (0..usize::MAX).take_while(|number| self.of_run(*number).exists()).count()
    }

    fn of_run(&self, number: usize) -> PathBuf {
        self.directory.path().join(format!("record.{number}"))
    }

    fn read(&self, number: usize, what: &str) -> Vec<u8> {
        let path = self.of_run(number).join(what);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The arguments of a run, each with a NUL after it.
    pub(crate) fn argv(&self, number: usize) -> Vec<u8> {
        self.read(number, "argv")
    }

    /// The environment of a run, as env(1) writes it with `-0`.
    pub(crate) fn env(&self, number: usize) -> Vec<u8> {
        self.read(number, "env")
    }

    /// The descriptors of a run, a line each: its number and what it leads to.
    pub(crate) fn fds(&self, number: usize) -> String {
        String::from_utf8(self.read(number, "fds")).expect("text")
    }
}

/// Whether the user manager reads `$` and `;` in a command back from its file otherwise than it wrote them.
pub(crate) fn rewrites_dollars() -> bool {
    let version = systemctl(&["show", "--value", "--property=Version"]);
    let version: procunit::unit::SystemdVersion = version.parse().expect("a version");
    !version.has(procunit::unit::Feature::ExecStartEx)
}
