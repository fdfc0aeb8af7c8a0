//! What a test runs on: a backend behind the public API, names that nobody else has, and a look from the outside.

mod idle;
mod talking;

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use procunit::id::ProcId;
use procunit::launcher::ProcLauncher;
use procunit::launcher::native::NativeLauncher;
use procunit::launcher::systemd::SystemdLauncher;
use procunit::signal::Signal;
use procunit::spec::{Lifetime, Output, ProcSpecBuilder};
use procunit::time::Timestamp;
use procunit::{ProcHandle, ProcManager, ProcSpec, ProcStatus};
use tokio::runtime::{Builder, Runtime};

pub(crate) use self::idle::Idle;
pub(crate) use self::talking::{Talking, output_of};
use crate::live::outside::{signal as signal_to, systemctl, unit_of};
use crate::live::{BOUND, eventually, within};

/// Makes each named function of the module a test on every backend, on a runtime with one thread.
///
/// One that is written and not named is dead code, which the compiler tells.
macro_rules! each_backend {
    ($($test:ident,)+) => {
        mod systemd {
            $(#[test] fn $test() {
                $crate::bed::run($crate::bed::Backend::Systemd, &$crate::bed::one_thread(), super::$test);
            })+
        }
        mod native {
            $(#[test] fn $test() {
                $crate::bed::run($crate::bed::Backend::Native, &$crate::bed::one_thread(), super::$test);
            })+
        }
    };
}

/// The same on a runtime with two threads, for what happens at once.
macro_rules! each_backend_on_two_threads {
    ($($test:ident,)+) => {
        mod systemd_on_two_threads {
            $(#[test] fn $test() {
                $crate::bed::run($crate::bed::Backend::Systemd, &$crate::bed::two_threads(), super::$test);
            })+
        }
        mod native_on_two_threads {
            $(#[test] fn $test() {
                $crate::bed::run($crate::bed::Backend::Native, &$crate::bed::two_threads(), super::$test);
            })+
        }
    };
}

pub(crate) fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub(crate) fn two_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Runs a test to its end; then nothing may be left of it.
pub(crate) fn run(backend: Backend, runtime: &Runtime, test: impl AsyncFnOnce(&Bed)) {
    runtime.block_on(async {
        let bed = Bed::new(backend);
        let _clearing = Clearing(&bed);
        test(&bed).await;
        bed.nothing_left().await;
    });
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Systemd,
    Native,
}

/// One test's own part of a backend.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) backend: Backend,
    group: String,
}

impl Bed {
    fn new(backend: Backend) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self::of_group(backend, format!("conf-{}-{number}", std::process::id()))
    }

    /// That of another process, whose names it shares.
    pub(crate) fn of_group(backend: Backend, group: String) -> Self {
        Self { backend, group }
    }

    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    pub(crate) fn is_systemd(&self) -> bool {
        self.backend == Backend::Systemd
    }

    /// What a proc can be there: native has no detached ones.
    pub(crate) fn lifetimes(&self) -> &'static [Lifetime] {
        match self.backend {
            Backend::Systemd => &[Lifetime::Attached, Lifetime::Detached],
            Backend::Native => &[Lifetime::Attached],
        }
    }

    /// What `--launcher` calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self.backend {
            Backend::Systemd => "systemd",
            Backend::Native => "native",
        }
    }

    pub(crate) async fn launcher(&self) -> Box<dyn ProcLauncher> {
        match self.backend {
            Backend::Systemd => {
                let launcher = within("connecting", SystemdLauncher::connect()).await;
                Box::new(launcher.expect("a user manager to test with; see contrib/testbed"))
            }
            Backend::Native => Box::new(NativeLauncher::new().expect("a native launcher")),
        }
    }

    pub(crate) async fn manager(&self) -> ProcManager {
        ProcManager::new(self.launcher().await)
    }

    /// A name that no other test has.
    pub(crate) fn id(&self) -> ProcId {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        ProcId::new(format!("{}/{number}", self.group)).expect("an id")
    }

    /// A spec under a name of its own, whose output is thrown away.
    pub(crate) fn spec(&self, program: &str) -> ProcSpecBuilder {
        quiet(self.id(), program)
    }

    /// The same of a script; `$1` is the first argument that is added.
    pub(crate) fn sh(&self, script: &str) -> ProcSpecBuilder {
        sh_as(self.id(), script)
    }

    /// One that does nothing until it is ended.
    pub(crate) fn sleeper(&self) -> ProcSpecBuilder {
        self.spec("/bin/sleep").arg("600")
    }

    /// All processes of this test's procs.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let prefix = format!("{}/", self.group);
        processes(|of| of.starts_with(&prefix))
    }

    /// Fails where a process or a unit of this test stays.
    async fn nothing_left(&self) {
        let processes = || async { self.processes().is_empty().then_some(()) };
        eventually(BOUND, &format!("no process of {}", self.group), processes).await;
        if self.is_systemd() {
            let units = || async { self.units().await.is_empty().then_some(()) };
            eventually(BOUND, &format!("no unit of {}", self.group), units).await;
        }
    }

    /// The units of this test that are in memory.
    pub(crate) async fn units(&self) -> Vec<String> {
        let list = ["list-units", "--all", "--full", "--plain", "--no-legend"];
        let (ok, said) = systemctl(&[&list[..], &[&self.unit_pattern()]].concat()).await;
        assert!(ok, "list-units: {said}");
        said.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }

    fn unit_pattern(&self) -> String {
        format!("procunit-{}:*", self.group)
    }
}

/// What a test that failed left is ended here; one that passed left nothing.
struct Clearing<'a>(&'a Bed);

impl Drop for Clearing<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        if self.0.is_systemd() {
            for act in ["kill --signal=KILL", "stop", "reset-failed"] {
                let mut systemctl = std::process::Command::new("systemctl");
                let words = act.split(' ').chain(std::iter::once("--user"));
                let _ = systemctl.args(words).arg(self.0.unit_pattern()).output();
            }
        }
        for pid in self.0.processes() {
            signal_to(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// The processes there are of this proc, wherever they went: who is one has its id in the environment.
pub(crate) fn processes_of(id: &ProcId) -> Vec<u32> {
    processes(|of| of == id.as_str())
}

/// The processes whose environment names such a proc. One that is over and not waited for has none.
fn processes(is_one: impl Fn(&str) -> bool) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| proc_of(*pid).is_some_and(|id| is_one(&id))).collect()
}

fn proc_of(pid: u32) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let id = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"PROCUNIT_ID="))?;
    String::from_utf8(id.to_vec()).ok()
}

pub(crate) fn quiet(id: ProcId, program: &str) -> ProcSpecBuilder {
    ProcSpec::builder(id, program).stdout(Output::Null).stderr(Output::Null)
}

pub(crate) fn sh_as(id: ProcId, script: &str) -> ProcSpecBuilder {
    quiet(id, "/bin/sh").args(["-c", script, "sh"])
}

pub(crate) async fn spawn(manager: &ProcManager, spec: ProcSpecBuilder) -> ProcHandle {
    within("a launch", manager.spawn(spec.build().expect("a spec"))).await.expect("a launch")
}

pub(crate) async fn end_of(handle: &ProcHandle) -> ProcStatus {
    within("the end", handle.wait()).await.expect("the manager is there")
}

pub(crate) fn stopped(exit_code: u8) -> ProcStatus {
    ProcStatus::Stopped { exit_code, stderr_tail: Vec::new() }
}

pub(crate) fn killed(signal: Signal) -> ProcStatus {
    ProcStatus::Killed { signal, core_dumped: false }
}

/// Has it begin, which says by itself whether it waits for anything.
pub(crate) fn begin(future: Pin<&mut impl Future>) {
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending(), "it waits for nothing");
}

pub(crate) fn signal(number: i32) -> Signal {
    Signal::new(number).expect("a signal")
}

pub(crate) fn now() -> Timestamp {
    std::time::SystemTime::now().into()
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Ends a detached proc that a test has done with, and frees its name.
pub(crate) async fn clear(handle: &ProcHandle) {
    // It may be over.
    let _ = within("its end", handle.kill()).await;
    within("nothing of it", handle.gone()).await.expect("it goes");
    within("its removal", handle.reap()).await;
}

/// The unit of a proc, for those who go to systemd directly.
pub(crate) async fn systemctl_on(act: &[&str], id: &ProcId) -> String {
    let unit = unit_of(id);
    systemctl(&[act, &[&unit]].concat()).await.1
}
