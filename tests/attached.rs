//! An attached proc ends with whoever runs it: signals to `procunit run`, a terminal, a panic, a tie that is gone.

#![cfg(all(feature = "systemd", feature = "cli"))]

mod live;

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Output, Stdio};
use std::time::Duration;

use live::chance::Chance;
use live::outside::{Traces, alive, all_gone, nothing_left, signal, systemctl, unit_of};
use live::record::Record;
use live::{BOUND, fresh, manager, within, within_for};
use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal::{self, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM};
use nix::sys::stat::Mode;
use procunit::ProcSpec;
use procunit::id::ProcId;
use procunit::report::EndedBy;
use procunit::spec::Lifetime;
use procunit::status::StatusKind;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// What obeying takes at most, on a machine with other things to do.
const SOON: Duration = Duration::from_secs(2);
/// How much later than its deadline something may be on an idle machine.
const LATE: Duration = Duration::from_millis(500);

/// A tree of three processes that obey TERM.
const OBEYS: &str = r#"echo pid $$ >>"$1"
    sh -c 'echo pid $$ >>"$1"; exec sleep 60' sh "$1" &
    sh -c 'echo pid $$ >>"$1"; exec sleep 60' sh "$1" & wait"#;
/// A tree of three processes of which none minds TERM.
const IGNORES: &str = r#"trap "" TERM; echo pid $$ >>"$1"
    sh -c 'echo pid $$ >>"$1"; exec sleep 60' sh "$1" &
    sh -c 'echo pid $$ >>"$1"; exec sleep 60' sh "$1" & wait"#;
/// A main process that obeys TERM, and two children that do not mind it.
const CHILDREN_IGNORE: &str = r#"echo pid $$ >>"$1"
    sh -c 'trap "" TERM; echo pid $$ >>"$1"; exec sleep 60' sh "$1" &
    sh -c 'trap "" TERM; echo pid $$ >>"$1"; exec sleep 60' sh "$1" & wait"#;
const TREE: usize = 3;

/// `procunit run` of a script that gets the record's path as `$1`.
struct Run {
    procunit: Child,
    pid: u32,
    id: ProcId,
    record: Record,
}

impl Run {
    fn command(label: &str, options: &[&str], script: &str) -> (Vec<String>, ProcId, Record) {
        let (id, record) = (fresh(label), Record::new());
        let path = record.path().to_string_lossy().into_owned();
        let mut words = vec![env!("CARGO_BIN_EXE_procunit"), "run", "-n", id.as_str()];
        words.extend(options);
        words.extend(["--", "/bin/sh", "-c", script, "sh", &path]);
        (words.into_iter().map(str::to_owned).collect(), id, record)
    }

    fn start_by(mut command: Command, id: ProcId, record: Record) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let procunit = command.spawn().expect("procunit");
        let pid = procunit.id().expect("a pid");
        Self { procunit, pid, id, record }
    }

    fn start(label: &str, options: &[&str], script: &str) -> Self {
        let (words, id, record) = Self::command(label, options, script);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        Self::start_by(command, id, record)
    }

    /// Until the whole tree is there: its processes, and what there is of it beside them.
    async fn running(&self) -> (Vec<u32>, Traces) {
        let pids = self.record.processes(TREE).await;
        (pids, Traces::of(&self.id).await)
    }

    fn send(&self, what: Signal) {
        signal(self.pid, what);
    }

    /// What `procunit` ended with, and said on stderr.
    async fn end(self, label: &str) -> (Option<i32>, String) {
        let Output { status, stderr, .. } =
            within(label, self.procunit.wait_with_output()).await.expect(label);
        (status.code(), String::from_utf8_lossy(&stderr).into_owned())
    }
}

/// Nothing may be left once `procunit` has said how it ended.
async fn left_nothing(pids: &[u32], traces: &Traces) {
    let left: Vec<_> = pids.iter().filter(|pid| alive(**pid)).collect();
    assert_eq!(left, Vec::<&u32>::new(), "processes left");
    traces.gone(SOON).await;
}

#[tokio::test]
async fn a_killed_run_leaves_no_process_of_a_tree_that_obeys() {
    let run = Run::start("killed", &[], OBEYS);
    let (pids, traces) = run.running().await;
    run.send(SIGKILL);
    all_gone(SOON, "procunit was killed", &pids).await;
    traces.gone(SOON).await;
}

#[tokio::test]
async fn a_killed_run_leaves_no_process_although_it_has_other_children() {
    let (words, id, record) = Run::command("parent", &[], OBEYS);
    let mut command = Command::new("/bin/sh");
    // What the shell started is a child of procunit once the shell has become procunit.
    command.args(["-c", r#"sleep 60 & echo "child $!" >&2; exec "$@""#, "sh"]).args(words);
    let mut run = Run::start_by(command, id, record);
    let (pids, traces) = run.running().await;
    let mut stderr = run.procunit.stderr.take().expect("a pipe");
    let mut said = vec![0; 64];
    let read = tokio::io::AsyncReadExt::read(&mut stderr, &mut said);
    let count = within("the child's pid", read).await.expect("a line");
    let said = String::from_utf8_lossy(&said[..count]).into_owned();
    let child = said.strip_prefix("child ").and_then(|pid| pid.trim().parse().ok()).expect("a pid");
    run.send(SIGKILL);
    all_gone(SOON, "procunit was killed", &pids).await;
    assert!(alive(child), "the other child has nothing to do with it");
    signal(child, SIGKILL);
    traces.gone(SOON).await;
}

#[tokio::test]
async fn a_killed_run_leaves_no_process_after_the_backstop_where_none_obeys() {
    let run = Run::start("backstop", &["--stop-timeout", "1"], IGNORES);
    let (pids, traces) = run.running().await;
    let killed = Instant::now();
    run.send(SIGKILL);
    // The stop timeout, and the margin that `run` adds to it.
    let backstop = Duration::from_secs(6);
    all_gone(backstop + SOON, "procunit was killed", &pids).await;
    assert!(
        killed.elapsed() >= backstop.checked_sub(LATE).unwrap(),
        "before the backstop: {:?}",
        killed.elapsed()
    );
    traces.gone(SOON).await;
}

#[tokio::test]
async fn a_signal_to_the_run_stops_the_proc_and_the_report_says_who_asked() {
    for (what, reason) in [
        (SIGINT, "interrupted (Ctrl-C)"),
        (SIGTERM, "procunit was terminated"),
        (SIGHUP, "the terminal was closed"),
    ] {
        let run = Run::start("signal", &[], OBEYS);
        let (pids, traces) = run.running().await;
        run.send(what);
        let (code, said) = within_for(SOON, "the end", run.end("the end")).await;
        assert_eq!(code, Some(143), "{what}: {said}");
        assert!(
            said.contains("SIGTERM") && said.contains(&format!("by procunit: {reason}")),
            "{what}: {said}"
        );
        left_nothing(&pids, &traces).await;
    }
}

#[tokio::test]
async fn a_second_interrupt_kills_at_once() {
    let run = Run::start("twice", &[], IGNORES);
    let (pids, traces) = run.running().await;
    run.send(SIGINT);
    // Two that come at once are one to the kernel.
    sleep(Duration::from_millis(100)).await;
    run.send(SIGINT);
    let (code, said) = within_for(SOON, "the end", run.end("the end")).await;
    assert_eq!(code, Some(137), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    left_nothing(&pids, &traces).await;
}

#[tokio::test]
async fn a_tree_that_ignores_term_is_killed_at_the_deadline() {
    let deadline = Duration::from_secs(1);
    let run = Run::start("deadline", &["--stop-timeout", "1"], IGNORES);
    let (pids, traces) = run.running().await;
    let asked = Instant::now();
    run.send(SIGINT);
    all_gone(BOUND, "the deadline", &pids).await;
    let took = asked.elapsed();
    assert!(took >= deadline && took < deadline + LATE, "killed after {took:?}");
    let (code, said) = run.end("the end").await;
    assert_eq!(code, Some(137), "{said}");
    left_nothing(&pids, &traces).await;
}

#[tokio::test]
async fn children_that_ignore_term_are_not_left_by_a_main_process_that_obeys() {
    let run = Run::start("children", &["--stop-timeout", "1"], CHILDREN_IGNORE);
    let (pids, traces) = run.running().await;
    run.send(SIGINT);
    let (code, said) = run.end("the end").await;
    assert_eq!(code, Some(143), "{said}");
    left_nothing(&pids, &traces).await;
}

#[tokio::test]
async fn a_stopped_process_sees_the_stop_signal_too() {
    let run = Run::start("asleep", &[], OBEYS);
    let (pids, traces) = run.running().await;
    for &pid in &pids {
        signal(pid, SIGSTOP);
    }
    run.send(SIGINT);
    let (code, said) = within_for(SOON, "the end", run.end("the end")).await;
    assert_eq!(code, Some(143), "{said}");
    left_nothing(&pids, &traces).await;
}

#[tokio::test]
async fn a_run_that_is_interrupted_during_its_launch_leaves_nothing() {
    let mut chance = Chance::new("during the launch");
    let launches =
        (0..20).map(|index| (chance.before(Duration::from_millis(60)), [SIGINT, SIGTERM][index % 2]));
    let all = launches.map(|(after, what)| async move {
        let run = Run::start("early", &[], OBEYS);
        sleep(after).await;
        run.send(what);
        let (unit, label) = (unit_of(&run.id), format!("{what} after {after:?}"));
        let Run { procunit, record, .. } = run;
        let output = within(&label, procunit.wait_with_output()).await.expect(&label);
        let pids = record.pids();
        let left: Vec<_> = pids.iter().filter(|pid| alive(**pid)).collect();
        assert!(left.is_empty(), "{label}: {unit} left {left:?}: {output:?}");
        // It came before it was listened for, in the middle, or while it ran.
        let code = output.status.code();
        assert!(matches!(code, None | Some(130 | 143)), "{label}: {output:?}");
    });
    futures_util::future::join_all(all).await;
    nothing_left("early").await;
}

/// What a shell makes of a line with `procunit` in it: the exit code and stdout.
async fn shell(line: &str) -> (Option<i32>, String) {
    let mut command = Command::new("bash");
    command.args(["-c", line]).env("P", env!("CARGO_BIN_EXE_procunit")).kill_on_drop(true);
    let output = within_for(SOON * 2, line, command.output()).await.expect("bash");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn a_pipe_that_is_closed_early_ends_it_as_it_ends_a_plain_child() {
    let id = fresh("pipe");
    for (line, code, said) in [
        ("set -o pipefail; $P run -q -n ID -- yes | head -1", 141, "y\n"),
        ("$P run -q -n ID -- yes 2>/dev/null | head -1; exit ${PIPESTATUS[0]}", 141, "y\n"),
        ("true | $P run -n ID -- cat", 0, ""),
        ("yes | $P run -n ID -- head -1", 0, "y\n"),
        ("$P run -n ID -- cat <&-", 0, ""),
        ("$P run -n ID -- true >&- 2>&-", 0, ""),
        ("$P run -n ID -- sh -c 'exit 3' 2>&-", 3, ""),
        ("$P run -n ID -- sh -c 'exit 3' 2> >(exec true); exit $?", 3, ""),
    ] {
        let ended = shell(&line.replace("ID", id.as_str())).await;
        assert_eq!(ended, (Some(code), said.to_owned()), "{line}");
    }
    nothing_left("pipe").await;
}

/// A terminal of its own for `procunit run`, as a terminal emulator would make it.
struct Terminal {
    ours: std::fs::File,
    theirs: OwnedFd,
}

impl Terminal {
    /// Not by openpty(3), whose descriptors every process would inherit that another test starts: the terminal
    /// would never be closed.
    fn open() -> Self {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let ours = posix_openpt(flags).expect("a terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("its other side");
        let name = ptsname_r(&ours).expect("its name");
        let theirs = nix::fcntl::open(name.as_str(), flags, Mode::empty()).expect("its other side");
        Self { ours: OwnedFd::from(ours).into(), theirs }
    }

    fn stdio(&self) -> Stdio {
        self.theirs.try_clone().expect("a descriptor").into()
    }

    /// What was written to it, when nobody has it open any more. Linux tells that end as an error (EIO).
    fn said(mut self) -> String {
        drop(self.theirs);
        let mut said = Vec::new();
        let _ = self.ours.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    }
}

#[tokio::test]
async fn ctrl_c_on_a_terminal_stops_it() {
    let terminal = Terminal::open();
    let (words, id, record) = Run::command("terminal", &[], OBEYS);
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).args(words);
    command.stdin(terminal.stdio()).stdout(terminal.stdio()).stderr(terminal.stdio()).kill_on_drop(true);
    let mut procunit = command.spawn().expect("setsid");
    let pids = record.processes(TREE).await;
    let traces = Traces::of(&id).await;
    (&terminal.ours).write_all(b"\x03").expect("a key");
    let status = within_for(SOON, "the end", procunit.wait()).await.expect("setsid");
    drop(command);
    let said = terminal.said();
    assert_eq!(status.code(), Some(143), "{said}");
    assert!(said.contains("Ctrl-C"), "{said}");
    left_nothing(&pids, &traces).await;
}

#[tokio::test]
async fn a_terminal_that_is_closed_stops_it() {
    let terminal = Terminal::open();
    let (words, id, record) = Run::command("closed", &[], OBEYS);
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).args(words);
    command.stdin(terminal.stdio()).stdout(terminal.stdio()).stderr(terminal.stdio()).kill_on_drop(true);
    let mut procunit = command.spawn().expect("setsid");
    let pids = record.processes(TREE).await;
    let traces = Traces::of(&id).await;
    drop((command, terminal));
    let status = within_for(SOON, "the end", procunit.wait()).await.expect("setsid");
    assert_eq!(status.code(), Some(143));
    left_nothing(&pids, &traces).await;
}

/// An interactive shell gives a job started with `&` a process group of its own, which is not the terminal's.
#[tokio::test]
async fn a_job_in_the_background_of_a_terminal_comes_to_its_end() {
    let terminal = Terminal::open();
    let (words, _, _record) = Run::command("background", &[], "sleep 0.2; exit 4");
    let mut command = Command::new("setsid");
    let script = r#"set -m; "$@" & wait $!; echo "code=$?""#;
    command.args(["--ctty", "--wait", "bash", "-c", script, "bash"]).args(words);
    command.stdin(terminal.stdio()).stdout(terminal.stdio()).stderr(terminal.stdio()).kill_on_drop(true);
    let mut shell = command.spawn().expect("setsid");
    let ended = within_for(SOON * 2, "the end", shell.wait()).await;
    ended.expect("setsid");
    drop(command);
    let said = terminal.said();
    assert!(said.contains("code=4"), "{said}");
    assert!(!said.contains("Stopped"), "{said}");
    nothing_left("background").await;
}

#[tokio::test]
async fn a_signal_that_was_ignored_before_it_started_does_not_stop_it() {
    for (name, what) in [("HUP", SIGHUP), ("INT", SIGINT)] {
        let (words, id, record) = Run::command("ignored", &[], r#"echo pid $$ >>"$1"; sleep 0.5; exit 4"#);
        let mut command = Command::new("sh");
        command.args(["-c", &format!(r#"trap '' {name}; exec "$@""#), "sh"]).args(words);
        let run = Run::start_by(command, id, record);
        run.record.processes(1).await;
        run.send(what);
        let (code, said) = within_for(SOON, "the end", run.end("the end")).await;
        assert_eq!(code, Some(4), "{name}: {said}");
    }
    nothing_left("ignored").await;
}

fn sleeper(label: &str, lifetime: Lifetime) -> ProcSpec {
    ProcSpec::builder(fresh(label), "/bin/sleep").arg("60").lifetime(lifetime).build().expect("a spec")
}

#[tokio::test]
async fn a_tie_that_someone_stops_ends_its_procs_and_the_next_launch_works() {
    let manager = manager().await;
    let mut chance = Chance::new("the tie");
    let start = || async { within("a start", manager.spawn(sleeper("tied", Lifetime::Attached))).await };
    for _ in 0..20 {
        let tied = [start().await.expect("started"), start().await.expect("started")];
        let tie = Traces::of(tied[0].id()).await.tie().to_owned();
        let (ok, said) = systemctl(&["stop", "--no-block", &tie]).await;
        assert!(ok, "{said}");
        // In the middle of it all, where it may be stopped with the others, and once they are over.
        sleep(chance.before(Duration::from_millis(20))).await;
        let meanwhile = start().await.expect("a launch in the middle");
        for handle in &tied {
            let status = within("the end of what was tied", handle.wait()).await.expect("an end");
            assert_eq!(status.to_string(), "Killed(sig=15)");
            let report = within("a report", handle.report()).await.expect("a record");
            assert_eq!(report.ended_by, Some(EndedBy::SomeoneElse));
        }
        let afterwards = start().await.expect("a launch afterwards");
        // A tie that ends later would take it along within moments.
        sleep(Duration::from_millis(50)).await;
        assert_eq!(afterwards.status().kind(), StatusKind::Running);
        for handle in [meanwhile, afterwards] {
            let _ = within("its end", handle.kill()).await;
        }
    }
    nothing_left("tied").await;
}
