//! The command where no user manager answers: it says so in one line with the remedy, falls back where it may, and
//! fails where it may not. These tests need no user manager, and make each kind of its absence themselves.

#![cfg(feature = "cli")]

use std::fs::{Permissions, set_permissions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

/// What is there instead of a user manager.
struct Absence {
    directory: tempfile::TempDir,
    env: Vec<(&'static str, String)>,
    /// A user of its own, where only that shows it, and a copy of the command that it can execute.
    as_another: Option<(u32, tempfile::TempDir)>,
    /// What plays the bus.
    bus: Option<Bus>,
    /// What the one line must name.
    names: &'static str,
    /// What `doctor` must advise.
    advice: &'static str,
}

enum Bus {
    /// Ends with the process.
    Thread,
    Unserved {
        _listener: UnixListener,
    },
    Daemon(Child),
}

impl Drop for Absence {
    fn drop(&mut self) {
        if let Some(Bus::Daemon(daemon)) = &mut self.bus {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        // So that it can be removed.
        let _ = set_permissions(self.directory.path(), Permissions::from_mode(0o700));
    }
}

impl Absence {
    fn new(names: &'static str, advice: &'static str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory, env: Vec::new(), as_another: None, bus: None, names, advice }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("bus")
    }

    /// With this test's directory as the runtime directory.
    fn with_runtime_dir(mut self) -> Self {
        let directory = self.directory.path().to_string_lossy().into_owned();
        self.env.push(("XDG_RUNTIME_DIR", directory));
        self
    }

    fn unset() -> Self {
        Self::new("XDG_RUNTIME_DIR", "XDG_RUNTIME_DIR=/run/user/")
    }

    fn no_socket() -> Self {
        Self::new("No such file", "loginctl enable-linger").with_runtime_dir()
    }

    fn wrong_address() -> Self {
        let mut absence = Self::new("No such file", "unset it");
        let path = absence.directory.path().join("nope/x");
        absence.env.push(("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", path.display())));
        absence
    }

    fn dead_socket() -> Self {
        let absence = Self::new("refused", "loginctl enable-linger").with_runtime_dir();
        drop(UnixListener::bind(absence.socket()).expect("a socket"));
        absence
    }

    /// It accepts, for the kernel does, and never answers.
    fn silent() -> Self {
        let mut absence = Self::new("does not answer", "systemctl restart user@").with_runtime_dir();
        let listener = UnixListener::bind(absence.socket()).expect("a socket");
        absence.bus = Some(Bus::Thread);
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for client in listener.incoming() {
                kept.push(client);
            }
        });
        absence
    }

    /// What the bus of another user says (dbus-daemon and dbus-broker alike).
    fn anothers() -> Self {
        let mut absence = Self::new("belongs to another user", "run as that user").with_runtime_dir();
        let listener = UnixListener::bind(absence.socket()).expect("a socket");
        absence.bus = Some(Bus::Thread);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.expect("a client");
                let mut asked = [0; 512];
                while client.read(&mut asked).is_ok_and(|count| count > 0) {
                    if client.write_all(b"REJECTED EXTERNAL\r\n").is_err() {
                        break;
                    }
                }
            }
        });
        absence
    }

    /// A directory that this user may not enter.
    fn closed() -> Self {
        let mut absence = Self::new("belongs to another user", "as that user").with_runtime_dir();
        let listener = UnixListener::bind(absence.socket()).expect("a socket");
        absence.bus = Some(Bus::Unserved { _listener: listener });
        set_permissions(absence.directory.path(), Permissions::from_mode(0o000)).expect("its mode");
        // Nothing is closed to root; "nobody" is 65534 on every distribution with systemd.
        absence.as_another = Uid::effective().is_root().then(|| (65_534, executable_by_all()));
        absence
    }

    fn daemon(config: &str) -> Self {
        let mut absence = Self::new("no systemd user manager on the bus", "unset DBUS_SESSION_BUS_ADDRESS");
        let path = absence.directory.path().join("bus.conf");
        let listen = format!("unix:path={}", absence.socket().display());
        std::fs::write(&path, config.replace("ADDRESS", &listen)).expect("a file");
        let mut command = Command::new("dbus-daemon");
        command.arg("--nofork").arg("--print-address").arg("--config-file").arg(&path);
        let mut daemon = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon, of the package dbus");
        let mut address = String::new();
        let stdout = daemon.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut address).expect("its address");
        assert!(address.starts_with("unix:"), "dbus-daemon has no address: {address:?}");
        absence.bus = Some(Bus::Daemon(daemon));
        absence.env.push(("DBUS_SESSION_BUS_ADDRESS", listen));
        absence
    }

    fn bare_bus() -> Self {
        Self::daemon(
            r#"<busconfig><type>session</type><listen>ADDRESS</listen><auth>EXTERNAL</auth>
               <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
               <allow own="*"/></policy></busconfig>"#,
        )
    }

    /// As of `dbus-run-session`: it knows a file that says how systemd would be started, and that cannot work.
    fn session_bus() -> Self {
        Self::daemon(
            "<busconfig><include>/usr/share/dbus-1/session.conf</include><listen>ADDRESS</listen></busconfig>",
        )
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_procunit"));
        if let Some((uid, copy)) = &self.as_another {
            command = Command::new(copy.path().join("procunit"));
            command.uid(*uid).gid(*uid).current_dir("/");
        }
        command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/").env("NO_COLOR", "1");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().expect("procunit"))
    }

    /// The whole of what is promised of it.
    fn keeps_the_promises(&self) {
        let fallen_back = self.run(&["run", "-q", "--", "sh", "-c", "echo out; exit 7"]);
        assert_eq!((fallen_back.code, fallen_back.out.as_str()), (Some(7), "out\n"), "{fallen_back:?}");
        self.says_one_line(&fallen_back, "plain child");
        for refused in [
            self.run(&["run", "-d", "--", "true"]),
            self.run(&["--launcher", "systemd", "run", "--", "true"]),
            self.run(&["ps"]),
        ] {
            assert_eq!((refused.code, refused.out.as_str()), (Some(125), ""), "{refused:?}");
            self.says_one_line(&refused, "user manager");
        }
        let doctor = self.run(&["doctor"]);
        assert_eq!(doctor.code, Some(125), "{doctor:?}");
        for word in ["FAIL", self.names, "->", self.advice, "launching does not work"] {
            assert!(doctor.out.contains(word), "no {word:?} in what doctor says: {}", doctor.out);
        }
    }

    fn says_one_line(&self, ran: &Ran, what: &str) {
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        for word in ["procunit: ", what, self.names, "`procunit doctor`"] {
            assert!(ran.err.contains(word), "no {word:?} in {}", ran.err);
        }
    }
}

/// A directory with a copy of the command, for the one that was built may lie where only its owner gets.
fn executable_by_all() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("its mode");
    std::fs::copy(env!("CARGO_BIN_EXE_procunit"), directory.path().join("procunit")).expect("a copy");
    directory
}

#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

#[test]
fn without_an_address() {
    Absence::unset().keeps_the_promises();
}

#[test]
fn without_a_socket() {
    Absence::no_socket().keeps_the_promises();
}

#[test]
fn with_an_address_where_nothing_is() {
    let absence = Absence::wrong_address();
    absence.keeps_the_promises();
    let said = absence.run(&["doctor"]).out;
    let bus = said.lines().find(|line| line.contains("user bus")).expect("a check");
    assert!(bus.starts_with("FAIL"), "{said}");
    assert!(!said.contains("start the user manager"), "{said}");
}

#[test]
fn with_a_socket_that_nobody_listens_on() {
    Absence::dead_socket().keeps_the_promises();
}

#[test]
fn with_a_bus_of_another_user() {
    Absence::anothers().keeps_the_promises();
}

#[test]
fn with_a_bus_in_a_closed_directory() {
    Absence::closed().keeps_the_promises();
}

#[test]
fn with_a_bus_that_has_no_systemd() {
    Absence::bare_bus().keeps_the_promises();
}

#[test]
fn with_a_session_bus_of_its_own() {
    Absence::session_bus().keeps_the_promises();
}

#[test]
fn with_a_bus_that_never_answers_within_a_bound() {
    let silent = Absence::silent();
    std::thread::scope(|scope| {
        for args in [&["run", "-d", "--", "true"][..], &["--launcher", "systemd", "run", "true"], &["ps"]] {
            scope.spawn(|| {
                let begun = Instant::now();
                let refused = silent.run(args);
                assert_eq!(refused.code, Some(125), "{refused:?}");
                silent.says_one_line(&refused, "user manager");
                assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
            });
        }
        scope.spawn(|| {
            let begun = Instant::now();
            let fallen_back = silent.run(&["run", "-q", "--", "sh", "-c", "exit 7"]);
            assert_eq!(fallen_back.code, Some(7), "{fallen_back:?}");
            silent.says_one_line(&fallen_back, "plain child");
            assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
        });
        scope.spawn(|| {
            let doctor = silent.run(&["doctor"]);
            assert_eq!(doctor.code, Some(125), "{doctor:?}");
            assert!(doctor.out.contains(silent.names) && doctor.out.contains(silent.advice), "{doctor:?}");
        });
    });
}

/// A command that has been started, with its stderr.
fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("procunit")
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), signal).expect("it is there");
}

#[test]
fn an_interrupt_does_not_wait_for_a_bus_that_never_answers() {
    let silent = Absence::silent();
    let child = start(silent.command(&["run", "--", "true"]));
    // It listens for signals before it connects, and then waits for five seconds.
    std::thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    send(&child, Signal::SIGINT);
    let ran = Ran::from(child.wait_with_output().expect("procunit"));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(ran.err.contains("nothing was started"), "{ran:?}");
}

#[test]
fn a_plain_child_ends_with_the_same_exit_codes() {
    let absence = Absence::unset();
    let rows: [(&[&str], i32); 14] = [
        (&["--", "true"], 0),
        (&["--", "false"], 1),
        (&["--", "sh", "-c", "exit 255"], 255),
        (&["--", "sh", "-c", "exit 203"], 203),
        (&["--", "sh", "-c", "kill -TERM $$"], 143),
        (&["--", "sh", "-c", "kill -KILL $$"], 137),
        (&["--", "sh", "-c", "kill -INT $$"], 130),
        (&["--", "sh", "-c", "ulimit -c 0; kill -SEGV $$"], 139),
        (&["--timeout", "200ms", "--", "sleep", "60"], 124),
        (&["-C", "/no/such/directory", "--", "true"], 125),
        (&["--", "no-such-program"], 127),
        (&["--", "/no/such/program"], 127),
        (&["--", "/etc/passwd"], 126),
        (&["--", "/"], 126),
    ];
    for (args, code) in rows {
        let ran = absence.run(&[&["run"], args].concat());
        assert_eq!(ran.code, Some(code), "{args:?}: {ran:?}");
    }
}

/// The kernel alone can tell.
#[test]
fn a_file_that_the_kernel_refuses_is_not_executable() {
    let absence = Absence::unset();
    let file = absence.directory.path().join("junk");
    std::fs::write(&file, b"\x7fELF\x02\x01 and garbage").expect("a file");
    set_permissions(&file, Permissions::from_mode(0o755)).expect("its mode");
    let ran = absence.run(&["run", "--", file.to_str().expect("UTF-8")]);
    assert_eq!(ran.code, Some(126), "{ran:?}");
}

#[test]
fn an_interrupt_stops_a_plain_child_and_a_kill_of_the_command_ends_it() {
    let absence = Absence::unset();
    let begin = || {
        let mut child = start(absence.command(&["run", "--", "sh", "-c", "echo $$; exec sleep 60"]));
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        (child, line.trim().parse::<i32>().expect("a pid"))
    };
    let (child, _) = begin();
    send(&child, Signal::SIGINT);
    let ran = Ran::from(child.wait_with_output().expect("procunit"));
    assert_eq!(ran.code, Some(143), "{ran:?}");
    assert!(ran.err.contains("interrupted"), "{ran:?}");

    let (mut child, pid) = begin();
    send(&child, Signal::SIGKILL);
    child.wait().expect("procunit");
    let begun = Instant::now();
    while Path::new(&format!("/proc/{pid}")).exists() {
        assert!(begun.elapsed() < Duration::from_secs(5), "the child lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}
