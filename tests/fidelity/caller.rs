//! Whoever launches something, and the two ways it can: as a plain child, and by `procunit run`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::BOUND;

/// What a child can take over.
pub(crate) struct Caller {
    env: BTreeMap<OsString, OsString>,
    cwd: PathBuf,
    /// Words of a command that runs its arguments, such as `env --ignore-signal=PIPE`.
    wrapper: Vec<OsString>,
}

impl Caller {
    /// One with a small environment, in the root directory.
    pub(crate) fn new() -> Self {
        let known = |name: &str| Some((OsString::from(name), std::env::var_os(name)?));
        let kept = ["PATH", "HOME", "USER", "LANG", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
        Self { env: kept.into_iter().filter_map(known).collect(), cwd: "/".into(), wrapper: Vec::new() }
    }

    pub(crate) fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    pub(crate) fn cwd(mut self, cwd: &Path) -> Self {
        self.cwd = cwd.into();
        self
    }

    /// A line of sh that the caller has run before.
    pub(crate) fn after(mut self, line: &str) -> Self {
        self.wrapper = ["sh", "-c", &format!("{line} && exec \"$@\""), "sh"].map(Into::into).into();
        self
    }

    /// Flags of env(1) that the caller was started with.
    pub(crate) fn with(mut self, flags: &[&str]) -> Self {
        self.wrapper = std::iter::once(&"env").chain(flags).map(Into::into).collect();
        self
    }

    fn command(&self, words: Vec<OsString>) -> Command {
        let words: Vec<_> = self.wrapper.iter().cloned().chain(words).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().envs(&self.env).current_dir(&self.cwd).stdin(Stdio::null());
        command
    }

    /// The program as a plain child.
    pub(crate) fn plain(&self, argv: &[impl AsRef<OsStr>]) -> Command {
        self.command(owned(argv))
    }

    /// The program in a unit of its own.
    pub(crate) fn unit(&self, flags: &[impl AsRef<OsStr>], argv: &[impl AsRef<OsStr>]) -> Command {
        let run = [env!("CARGO_BIN_EXE_procunit"), "--launcher", "systemd", "run"].map(OsString::from);
        self.command([run.to_vec(), owned(flags), vec!["--".into()], owned(argv)].concat())
    }

    /// What the program writes as a plain child and in a unit, of which both must go well.
    #[track_caller]
    pub(crate) fn both(&self, argv: &[impl AsRef<OsStr>]) -> (Vec<u8>, Vec<u8>) {
        let (plain, unit) = (output(&mut self.plain(argv)), output(&mut self.unit(&["-q"], argv)));
        for output in [&plain, &unit] {
            assert!(output.status.success() && output.stderr.is_empty(), "{}", Shown(output));
        }
        (plain.stdout, unit.stdout)
    }
}

fn owned(words: &[impl AsRef<OsStr>]) -> Vec<OsString> {
    words.iter().map(|word| word.as_ref().to_owned()).collect()
}

/// Runs it to its end, which must come within the bound, and takes what it writes.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    finish(child.expect("a child"))
}

/// Waits for a child's end, which must come within the bound, and takes what it writes.
#[track_caller]
pub(crate) fn finish(child: Child) -> Output {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    let output = told.recv_timeout(BOUND).inspect_err(|_| {
        let _ = kill(pid, Signal::SIGKILL);
    });
    output.expect("a child ends within the bound").expect("a child's output")
}

/// The beginning of an output, for people.
struct Shown<'a>(&'a Output);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Output { status, stdout, stderr } = self.0;
        write!(f, "{status}; stdout: {}; stderr: {}", begin(stdout), begin(stderr))
    }
}

/// The beginning of some bytes, for people.
fn begin(bytes: &[u8]) -> String {
    let more = if bytes.len() > 2000 { "..." } else { "" };
    bytes[..bytes.len().min(2000)].escape_ascii().to_string() + more
}

/// Fails where two outputs differ, and shows no more of them than people can read.
#[track_caller]
pub(crate) fn assert_same(what: &str, one: &[u8], other: &[u8]) {
    let differ = one.iter().zip(other).position(|(a, b)| a != b);
    let at = differ.unwrap_or(one.len().min(other.len()));
    let from = at.saturating_sub(40);
    assert!(
        one == other,
        "{what}: {} and {} bytes, which differ from byte {at} on: {} / {}",
        one.len(),
        other.len(),
        begin(&one[from..]),
        begin(&other[from..])
    );
}
