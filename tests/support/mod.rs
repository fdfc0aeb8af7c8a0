//! What the tests of the command share: running it, unique names, and leaving nothing behind.

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Far beyond what anything here takes.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// Fails where no user manager answers: nothing here can be tested without one (see contrib/testbed).
pub(crate) fn manager() {
    let version = systemctl(&["show", "--property=Version"]);
    assert!(version.starts_with("Version="), "no systemd user manager answers; see contrib/testbed");
}

/// What `systemctl --user` says.
pub(crate) fn systemctl(args: &[&str]) -> String {
    let output = Command::new("systemctl").arg("--user").args(args).output().expect("systemctl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs the command to its end.
pub(crate) fn procunit(args: &[&str]) -> Ran {
    run(Command::new(env!("CARGO_BIN_EXE_procunit")).args(args))
}

/// Runs any command to its end, which must come within the bound.
pub(crate) fn run(command: &mut Command) -> Ran {
    run_with(command.stdin(Stdio::null()))
}

/// The same, with the standard input that it has.
pub(crate) fn run_with(command: &mut Command) -> Ran {
    run_for(BOUND, command)
}

/// The same of one that may have much to do.
pub(crate) fn run_for(bound: Duration, command: &mut Command) -> Ran {
    let label = format!("{command:?}");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{label}: {error}"));
    let pid = child.id();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    if let Ok(output) = told.recv_timeout(bound) {
        return Ran(output.unwrap_or_else(|error| panic!("{label}: {error}")));
    }
    let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    panic!("{label} took more than {bound:?}");
}

/// A command that was run.
#[derive(Debug)]
pub(crate) struct Ran(pub(crate) Output);

impl Ran {
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// The exit code, stdout and stderr, for one comparison that shows all three.
    pub(crate) fn all(&self) -> (i32, String, String) {
        (self.code(), self.out(), self.err())
    }

    /// Standard output, of a command that must have gone well.
    #[track_caller]
    pub(crate) fn ok(&self) -> String {
        assert_eq!(self.code(), 0, "{self:?}");
        self.out()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A group of its own for the procs of one test; when it goes, they do.
pub(crate) struct Cleanup {
    group: String,
}

impl Cleanup {
    /// Fails where no user manager answers.
    pub(crate) fn group(label: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        manager();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { group: format!("t-{label}-{}-{number}", std::process::id()) }
    }

    /// The selection of the whole group.
    pub(crate) fn all(&self) -> String {
        format!("{}/", self.group)
    }

    pub(crate) fn id(&self, name: &str) -> String {
        format!("{}/{name}", self.group)
    }

    /// `procunit-GROUP:NAME.service`; `name` must need no escape.
    pub(crate) fn unit(&self, name: &str) -> String {
        format!("procunit-{}:{name}.service", self.group)
    }

    /// Starts a detached `sh -c SCRIPT`.
    #[track_caller]
    pub(crate) fn start(&self, name: &str, script: &str) -> String {
        self.start_with(name, &[], script)
    }

    #[track_caller]
    pub(crate) fn start_with(&self, name: &str, flags: &[&str], script: &str) -> String {
        let id = self.id(name);
        let args = [&["run", "-d", "-n", &id], flags, &["--", "sh", "-c", script]].concat();
        assert_eq!(procunit(&args).all(), (0, format!("{id}\n"), String::new()));
        id
    }

    /// Starts one that ends by itself, and waits until that is seen.
    #[track_caller]
    pub(crate) fn start_to_end(&self, name: &str, script: &str) -> String {
        let id = self.start(name, script);
        until("its end", || self.report(name)["ended_at"].is_string());
        id
    }

    /// Starts one whose main process ends and leaves what `children` starts. It ends after `run -d` has gone, which
    /// would otherwise have seen to it.
    #[track_caller]
    pub(crate) fn start_to_leave(&self, name: &str, flags: &[&str], children: &str) -> String {
        let dir = tempfile::tempdir().expect("a directory");
        let gate = dir.path().join("open");
        let wait = format!("while [ ! -e '{}' ]; do sleep 0.02; done", gate.display());
        let id = self.start_with(name, flags, &format!("{wait}; {children}\nexit 0"));
        std::fs::write(gate, "").expect("the gate");
        until("what it left is seen", || self.report(name)["leftovers"].is_number());
        id
    }

    /// What `ps` knows of it; null where there is no such proc.
    pub(crate) fn report(&self, name: &str) -> serde_json::Value {
        let ran = procunit(&["ps", "-o", "jsonl", &self.id(name)]);
        if ran.code() == 4 { serde_json::Value::Null } else { ran.json() }
    }

    /// Fails where a unit of the group is left, whatever its state.
    #[track_caller]
    pub(crate) fn assert_no_unit(&self) {
        let pattern = format!("procunit-{}*", self.group);
        let list = || systemctl(&["list-units", "--all", "--plain", "--no-legend", &pattern]);
        until(&format!("no unit is left: {}", list()), || list().is_empty());
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        procunit(&["rm", "--force", "--quiet", &self.all()]);
    }
}

/// Waits until it holds.
#[track_caller]
pub(crate) fn until(label: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {label}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether there is such a process, a zombie apart.
pub(crate) fn is_alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    !state.is_empty() && !state.starts_with('Z')
}
