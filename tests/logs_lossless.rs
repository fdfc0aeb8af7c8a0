//! Of what short-lived and crashing programs write, the journal has every line: in its stream, once, and as its run's.

#![cfg(feature = "systemd")]

mod live;

use std::fmt::Write as _;
use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use live::journald::{Kept, elsewhere, held_up_for, kept, told_dropped};
use live::outside::nothing_left;
use live::{eventually, fresh, manager, within, within_for};
use procunit::id::ProcId;
use procunit::journal::{Journalctl, Lines, LoggedRun, Window};
use procunit::manager::logged_run;
use procunit::signal::Signal;
use procunit::spec::{Input, ProcSpecBuilder};
use procunit::{ProcHandle, ProcManager, ProcSpec, ProcStatus};
use tokio::sync::{Mutex, MutexGuard, Semaphore};
use tokio::time::timeout;

const RUNS_OF_EACH: usize = 1_000;
const AT_ONCE: usize = 100;
/// So many have streams of their own at once (1,024 for a manager, two a proc).
const GATED_AT_ONCE: usize = 500;
/// Of so many, one is asked whether the journal has all of it.
const ASKED_OF: usize = 20;
const BOUND: Duration = Duration::from_secs(90);
/// How many runs the journal is asked for at once.
const READ_AT_ONCE: usize = 16;

/// Each has journald to itself.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// What a run does.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// `echo`.
    Echo,
    /// A line to each stream, and its end by SEGV.
    Crash,
}

/// A run that is over, and what the journal has to have of it: priority and message.
struct Over {
    id: ProcId,
    run: LoggedRun,
    expected: Vec<(String, String)>,
}

impl Does {
    fn spec(self, id: &ProcId, gate: Option<Arc<OwnedFd>>) -> ProcSpec {
        let wait = if gate.is_some() { "read _; " } else { "" };
        let spec = match (self, &gate) {
            (Self::Echo, None) => ProcSpec::builder(id.clone(), "/bin/echo").arg(said(id, "out")),
            (Self::Echo, Some(_)) => sh(id, &format!("{wait} exec /bin/echo {}", said(id, "out"))),
            (Self::Crash, _) => {
                let script =
                    format!("{wait}echo {}; echo {} >&2; kill -SEGV $$", said(id, "out"), said(id, "err"));
                // Else a core file is left in the directory that all procs share.
                sh(id, &script).property("LimitCORE", "0")
            }
        };
        let spec = gate.into_iter().fold(spec, |spec, gate| spec.stdin(Input::Fd(gate)));
        spec.build().expect("a spec")
    }

    fn end(self) -> ProcStatus {
        match self {
            Self::Echo => ProcStatus::Stopped { exit_code: 0, stderr_tail: Vec::new() },
            Self::Crash => ProcStatus::Killed { signal: Signal::SEGV, core_dumped: false },
        }
    }

    fn expected(self, id: &ProcId) -> Vec<(String, String)> {
        let out = ("6".to_owned(), said(id, "out"));
        match self {
            Self::Echo => vec![out],
            Self::Crash => vec![("3".to_owned(), said(id, "err")), out],
        }
    }
}

fn sh(id: &ProcId, script: &str) -> ProcSpecBuilder {
    ProcSpec::builder(id.clone(), "/bin/sh").args(["-c", script])
}

fn said(id: &ProcId, stream: &str) -> String {
    format!("{id}-{stream}")
}

async fn run(manager: &ProcManager, label: &str, number: usize, does: Does) -> Over {
    let id = fresh(label);
    let handle = manager.spawn(does.spec(&id, None)).await.expect("launched");
    over(&handle, number, does).await
}

async fn over(handle: &ProcHandle, number: usize, does: Does) -> Over {
    assert_eq!(handle.gone().await.expect("an end"), does.end());
    let report = if number.is_multiple_of(ASKED_OF) {
        let report = handle.report_with_logs(20).await.expect("a report");
        assert_ne!(report.logs_complete, Some(false), "{}: {:?}", report.id, report.logs_complete_why);
        report
    } else {
        handle.report().await.expect("a report")
    };
    let id = handle.id().clone();
    Over { run: logged_run(&report), expected: does.expected(&id), id }
}

/// All of them, as many at a time as a busy user has.
async fn run_all(label: &str) -> Vec<Over> {
    let manager = manager().await;
    let places = Semaphore::new(AT_ONCE);
    let each = (0..RUNS_OF_EACH).flat_map(|_| [Does::Echo, Does::Crash]).enumerate();
    let runs = each.map(|(number, does)| {
        let (manager, places) = (&manager, &places);
        async move {
            let _place = places.acquire().await.expect("a place");
            run(manager, label, number, does).await
        }
    });
    within_for(BOUND, "all ends", join_all(runs)).await
}

/// Some that begin when the returned end of a pipe is closed.
async fn gated(manager: &ProcManager, label: &str) -> (Vec<(ProcHandle, Does)>, PipeWriter) {
    let (gate, opens) = io::pipe().expect("a pipe");
    let gate: Arc<OwnedFd> = Arc::new(gate.into());
    let each = (0..GATED_AT_ONCE / 2).flat_map(|_| [Does::Echo, Does::Crash]);
    let launches = each.map(|does| {
        let spec = does.spec(&fresh(label), Some(Arc::clone(&gate)));
        async move { (manager.spawn(spec).await.expect("launched"), does) }
    });
    (within_for(BOUND, "launches", join_all(launches)).await, opens)
}

/// Waits until the journal has as much as it has to have, and holds all it has against that.
async fn all_is_there(runs: &[Over]) {
    let ids: Vec<_> = runs.iter().map(|over| over.id.clone()).collect();
    let expected: usize = runs.iter().map(|over| over.expected.len()).sum();
    let all = eventually(live::BOUND, "as many lines as were written", || async {
        let found = kept(&ids).await;
        (found.values().map(Vec::len).sum::<usize>() >= expected).then_some(())
    });
    // What is missing then, is told below.
    let _ = timeout(live::BOUND / 2, all).await;
    let found = kept(&ids).await;
    let mut wrong = String::new();
    for over in runs {
        let mut has: Vec<_> = found.get(over.id.as_str()).into_iter().flatten().map(shown).collect();
        has.sort();
        if has != over.expected {
            let _ = writeln!(wrong, "{}: {has:?}", over.id);
        }
    }
    let dropped = told_dropped().await;
    assert!(wrong.is_empty(), "journald's rate limit dropped {dropped}; not as written:\n{wrong}");
    all_is_attributed(runs).await;
}

fn shown(record: &Kept) -> (String, String) {
    (record.priority.clone(), record.message.clone())
}

/// The library's own reader gives each run its lines and no more.
async fn all_is_attributed(runs: &[Over]) {
    for some in runs.chunks(READ_AT_ONCE) {
        let wanted: Vec<_> = some.iter().map(|over| over.run.clone()).collect();
        let mut lines = Lines::open(&Journalctl::default(), &wanted, Window::default()).expect("a journal");
        let mut read = Vec::new();
        while let Some(line) = within("a line", lines.next()).await.expect("a line") {
            let message = String::from_utf8(line.record.message).expect("text");
            let priority = line.record.priority.expect("a priority").to_string();
            read.push((line.id.to_string(), priority, message));
        }
        // A sentinel, which readers hide, is no word of the program's.
        read.retain(|(_, _, message)| !message.starts_with("procunit: end of log "));
        let of = |over: &Over| {
            let id = over.id.to_string();
            over.expected.clone().into_iter().map(move |(priority, message)| (id.clone(), priority, message))
        };
        let mut expected: Vec<_> = some.iter().flat_map(of).collect();
        read.sort();
        expected.sort();
        assert_eq!(read, expected);
    }
}

#[tokio::test]
#[ignore = "writes more than journald's rate limit lets through: wants a bed with RateLimitIntervalSec=0"]
async fn every_line_of_short_lived_and_crashing_programs_is_kept() {
    let _alone = alone().await;
    let runs = run_all("kept").await;
    all_is_there(&runs).await;
    nothing_left("kept").await;
}

#[tokio::test]
#[ignore = "writes more than journald's rate limit lets through: wants a bed with RateLimitIntervalSec=0"]
async fn every_line_is_kept_while_another_program_floods_journald() {
    let _alone = alone().await;
    let flood = elsewhere("flood", "yes", &["as much as journald takes"]);
    let runs = run_all("beside").await;
    drop(flood);
    all_is_there(&runs).await;
    nothing_left("beside").await;
}

#[tokio::test]
#[ignore = "stops journald: wants a bed with RateLimitIntervalSec=0"]
async fn every_line_is_kept_while_journald_stands_still_around_the_ends() {
    let _alone = alone().await;
    let manager = manager().await;
    let mut runs = Vec::new();
    while runs.len() < 2 * RUNS_OF_EACH {
        let (procs, gate) = gated(&manager, "still").await;
        held_up_for(Duration::from_secs(1), || drop(gate)).await;
        let first = runs.len();
        let ends =
            procs.iter().enumerate().map(|(number, (handle, does))| over(handle, first + number, *does));
        runs.extend(within_for(BOUND, "all ends", join_all(ends)).await);
    }
    all_is_there(&runs).await;
    nothing_left("still").await;
}
