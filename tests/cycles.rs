//! Thousands of procs that come and go leave nothing in the process of their manager: descriptors, tasks, threads and
//! memory are back where they were.
//!
//! The first tenth warms up: allocators, caches and the manager's exit records have then what they keep.

#![cfg(all(feature = "test-util", feature = "native"))]

use std::fmt;
use std::future::Future;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use procunit::ProcManager;
use procunit::id::ProcId;
use procunit::launcher::ProcLauncher;
use procunit::launcher::fake::{FakeLauncher, Script};
use procunit::launcher::native::NativeLauncher;
use procunit::spec::{Output, ProcSpec};
use procunit::status::exit::Exit;
use tokio::runtime::Handle;

/// What no wait exceeds.
const BOUND: Duration = Duration::from_secs(30);
/// Fewer than the warm-up has cycles.
const EXIT_RECORDS: usize = 100;
/// What an allocator may keep for itself. 1 KiB left behind by each of 9,000 cycles is more.
const MEMORY_BOUND: usize = 8 * 1024;

/// What a process has at one moment.
#[derive(Clone, Copy)]
struct Figures {
    descriptors: usize,
    tasks: usize,
    threads: usize,
    /// Resident memory, KiB.
    memory: usize,
}

impl Figures {
    fn now() -> Self {
        let entries = |directory| std::fs::read_dir(directory).expect("proc(5)").count();
        Self {
            descriptors: entries("/proc/self/fd"),
            tasks: Handle::current().metrics().num_alive_tasks(),
            threads: entries("/proc/self/task"),
            memory: resident(),
        }
    }

    fn has_no_more_than(&self, before: &Self) -> bool {
        self.descriptors <= before.descriptors && self.tasks <= before.tasks && self.threads <= before.threads
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { descriptors, tasks, threads, memory } = self;
        write!(f, "{descriptors} descriptors, {tasks} tasks, {threads} threads, {memory} KiB")
    }
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc(5)");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}

/// Measured again until it is no more than before: what the last cycle began may still be on its way out.
async fn settled(before: Option<&Figures>) -> Figures {
    let start = Instant::now();
    loop {
        let now = Figures::now();
        if before.is_some_and(|before| now.has_no_more_than(before)) || start.elapsed() > BOUND {
            return now;
        }
        // Threads that ran callbacks go when they have had nothing to do for a second.
        if before.is_none() && start.elapsed() > Duration::from_secs(2) {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One life: launched, watched, and over with nothing left.
async fn cycle(manager: &ProcManager, number: usize, told: &Arc<AtomicUsize>) {
    let id = ProcId::new(format!("cycle-{number}")).expect("an id");
    let spec = ProcSpec::builder(id.clone(), "true").stdout(Output::Null).stderr(Output::Null);
    let handle = manager.spawn(spec.build().expect("a spec")).await.expect("a launch");
    let heard = Arc::clone(told);
    let monitor = manager
        .on_exit(&id, move |_| {
            heard.fetch_add(1, Ordering::Relaxed);
        })
        .await;
    monitor.expect("a monitor");
    let end = handle.gone().await.expect("an end");
    assert_eq!(end.to_string(), "Stopped(exit=0)");
}

/// So many cycles on this launcher, the first tenth to warm up. `after` follows each of them.
async fn cycles(name: &str, launcher: impl ProcLauncher, count: usize, after: impl Fn()) {
    let manager = ProcManager::builder(launcher).exit_records(EXIT_RECORDS).build();
    let told = Arc::new(AtomicUsize::new(0));
    let run = async |numbers: std::ops::Range<usize>| {
        for number in numbers {
            within("a cycle", cycle(&manager, number, &told)).await;
            after();
        }
    };
    run(0..count / 10).await;
    let before = settled(None).await;
    run(count / 10..count).await;
    let end = settled(Some(&before)).await;
    println!("{name}: {count} cycles, from {before} to {end}");
    assert!(end.has_no_more_than(&before), "{name}: from {before} to {end}");
    let grown = end.memory.saturating_sub(before.memory);
    assert!(grown <= MEMORY_BOUND, "{name}: {grown} KiB more than after the warm-up");
    assert_eq!(told.load(Ordering::Relaxed), count, "{name}: callbacks");
}

async fn within<T>(label: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.unwrap_or_else(|_| panic!("{label}: not within {BOUND:?}"))
}

/// Runs a test of this file in a process of its own, where it alone is counted. True in that process.
fn alone(test: &str) -> bool {
    const ROLE: &str = "PROCUNIT_TEST_ROLE";
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if std::env::var_os(ROLE).is_some_and(|role| role == test) {
        return true;
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut again = Command::new(std::env::current_exe().expect("this binary"));
    again.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ROLE, test).stdin(Stdio::null());
    let output = again.output().expect("this binary again");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(
        output.status.success(),
        "{test}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

#[tokio::test]
async fn ten_thousand_cycles_on_the_fake_leave_nothing() {
    if alone("ten_thousand_cycles_on_the_fake_leave_nothing") {
        let fake = FakeLauncher::new();
        fake.script(Script::new().ends(Duration::ZERO, Exit::Code(0)));
        let records = fake.clone();
        cycles("fake", fake, 10_000, || drop(records.take_records())).await;
    }
}

#[tokio::test]
async fn two_thousand_cycles_on_native_leave_nothing() {
    if alone("two_thousand_cycles_on_native_leave_nothing") {
        let native = NativeLauncher::new().expect("a native launcher");
        cycles("native", native, 2_000, || {}).await;
    }
}
