//! Many procs of systemd ended at once: a slice is stopped as one job, each proc has its own exact end, and what else lies
//! in the slice stays.

#![cfg(feature = "systemd")]

mod live;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use live::outside::{loaded, nothing_left, properties, signal, systemctl, unit_of};
use live::record::Record;
use live::{BOUND, eventually, fresh, launcher, manager, within};
use nix::sys::signal::Signal::SIGSTOP;
use procunit::manager::{Concurrency, TerminateSummary};
use procunit::spec::{Lifetime, Output, ProcSpecBuilder, RestartPolicy};
use procunit::status::StatusKind;
use procunit::{ProcHandle, ProcManager, ProcSpec, ProcStatus};

/// As many as lie in `app.slice` before there are others.
const IN_APP: usize = 50;
/// Longer than any test takes.
const FOR_EVER: Duration = Duration::from_secs(600);

fn quiet(label: &str, program: &str) -> ProcSpecBuilder {
    ProcSpec::builder(fresh(label), program).stdout(Output::Null).stderr(Output::Null)
}

fn sleeper(label: &str) -> ProcSpecBuilder {
    quiet(label, "/bin/sleep").arg("600")
}

async fn spawn(manager: &ProcManager, spec: ProcSpecBuilder) -> ProcHandle {
    let spec = spec.build().expect("a spec");
    within("a launch", manager.spawn(spec)).await.expect("launched")
}

async fn spawn_all(manager: &ProcManager, specs: impl Iterator<Item = ProcSpecBuilder>) -> Vec<ProcHandle> {
    join_all(specs.map(|spec| spawn(manager, spec))).await
}

/// Takes every seat in `app.slice`.
async fn fill_app(manager: &ProcManager, label: &str) {
    spawn_all(manager, (0..IN_APP).map(|_| sleeper(label))).await;
}

async fn slice_of(handle: &ProcHandle) -> String {
    properties(&unit_of(handle.id()), "Slice").await.remove("Slice").expect("a slice")
}

async fn end_all(manager: &ProcManager, grace: Option<Duration>) -> TerminateSummary {
    within("the end of all", manager.terminate_all(grace, Concurrency::All, "the test")).await
}

fn assert_all(summary: &TerminateSummary, attempted: usize) {
    assert_eq!(
        (summary.attempted, summary.ok, summary.failed.len()),
        (attempted, attempted, 0),
        "{summary:?}"
    );
}

/// Gives up what is kept of detached ones.
async fn clear(handles: &[ProcHandle]) {
    join_all(handles.iter().map(|handle| within("reaping", handle.reap()))).await;
}

/// A unit of somebody else's, as long as this lives.
struct Foreign(String);

impl Foreign {
    /// In this slice, and with this relation to another.
    fn start(slice: &str, relation: Option<(&str, &str)>) -> Self {
        let kind = relation.map_or("beside", |(kind, _)| kind);
        let name = format!("innocent-{}-{kind}.service", std::process::id());
        let relation = relation.map(|(kind, other)| format!("--property={kind}={other}"));
        let run = Command::new("systemd-run")
            .args(["--user", "--quiet", "--collect", "--slice", slice, "--unit", &name])
            .args(relation)
            .args(["sleep", "600"])
            .status();
        assert!(run.expect("systemd-run").success());
        Self(name)
    }

    /// Fails where it was stopped or is to be.
    async fn assert_untouched(&self) {
        let shown = properties(&self.0, "ActiveState,Job").await;
        let (state, job) = (shown["ActiveState"].as_str(), shown["Job"].as_str());
        assert_eq!((state, job), ("active", ""), "{}", self.0);
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // It may have ended.
        let _ = Command::new("systemctl").args(["--user", "stop", &self.0]).stderr(Stdio::null()).status();
    }
}

/// What is done about TERM.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Obeys,
    Exits,
    Ignores,
    IsStopped,
    IsRestarted,
    IsBetweenRuns,
}

const KINDS: [Kind; 6] =
    [Kind::Obeys, Kind::Exits, Kind::Ignores, Kind::IsStopped, Kind::IsRestarted, Kind::IsBetweenRuns];

impl Kind {
    fn spec(self, label: &str, record: &Record) -> ProcSpecBuilder {
        let script = match self {
            Self::Obeys | Self::IsStopped | Self::IsRestarted => r#"echo pid $$ >>"$1"; exec sleep 600"#,
            Self::Exits => r#"trap 'exit 3' TERM; echo pid $$ >>"$1"; while :; do sleep 1 & wait; done"#,
            Self::Ignores => r#"trap '' TERM; echo pid $$ >>"$1"; exec sleep 600"#,
            Self::IsBetweenRuns => r#"echo pid $$ >>"$1"; exit 5"#,
        };
        let spec = quiet(label, "/bin/sh").args(["-c", script, "sh"]).arg(record.path());
        match self {
            Self::IsRestarted => spec.restart(RestartPolicy::always()),
            Self::IsBetweenRuns => spec.restart(RestartPolicy::on_failure().delay(FOR_EVER)),
            _ => spec,
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Obeys | Self::IsStopped | Self::IsRestarted => "Killed(sig=15)",
            Self::Exits => "Stopped(exit=3)",
            Self::Ignores => "Killed(sig=9)",
            Self::IsBetweenRuns => "Stopped(exit=5)",
        }
    }

    /// Waits until it is what it is to be.
    async fn set_up(self, handle: &ProcHandle) {
        match self {
            Self::IsStopped => signal(handle.pid().expect("a pid"), SIGSTOP),
            Self::IsBetweenRuns => {
                let waits = || async { (handle.status() == ProcStatus::Starting).then_some(()) };
                eventually(BOUND, "the delay", waits).await;
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_slices_each_proc_has_its_own_end_and_each_slice_is_one_job() {
    const MANY: usize = 120;
    const GRACE: Duration = Duration::from_secs(4);
    let (manager, record) = (manager().await, Record::new());
    let kinds = || KINDS.into_iter().cycle().take(MANY);
    let lifetimes = [Lifetime::Attached, Lifetime::Detached];
    let specs = kinds().enumerate().map(|(number, kind)| {
        // Each kind in both lifetimes.
        kind.spec("mixed", &record).lifetime(lifetimes[number / KINDS.len() % 2])
    });
    let handles = spawn_all(&manager, specs).await;
    record.processes(MANY).await;
    join_all(kinds().zip(&handles).map(|(kind, handle)| kind.set_up(handle))).await;
    let slices: BTreeSet<_> = join_all(handles.iter().map(slice_of)).await.into_iter().collect();
    assert!(slices.contains("app.slice") && slices.len() == 3, "{slices:?}");

    let ending = end_all(&manager, Some(GRACE));
    // What ignores TERM keeps the jobs until the deadline.
    let seen = eventually(BOUND, "each slice's job", || async {
        let (_, jobs) = systemctl(&["list-jobs", "--no-legend", "--full"]).await;
        let stopped = |slice: &&String| jobs.lines().any(|job| job.contains(*slice) && job.contains("stop"));
        (slices.iter().filter(stopped).count() == 2).then_some(())
    });
    let (summary, ()) = tokio::join!(ending, seen);
    assert_all(&summary, MANY);
    for (kind, handle) in kinds().zip(&handles) {
        assert_eq!(handle.status().to_string(), kind.end(), "{kind:?} of {}", handle.id());
    }
    assert_eq!(record.pids().len(), MANY, "nothing was started again");
    clear(&handles).await;
    nothing_left("mixed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_unit_in_a_slice_stays_and_the_procs_there_are_ended() {
    let manager = manager().await;
    fill_app(&manager, "beside").await;
    let handles = spawn_all(&manager, (0..10).map(|_| sleeper("beside"))).await;
    let slice = slice_of(&handles[0]).await;
    let innocent = Foreign::start(&slice, None);

    assert_all(&end_all(&manager, None).await, IN_APP + 10);
    assert!(handles.iter().all(|handle| handle.status().to_string() == "Killed(sig=15)"));
    innocent.assert_untouched().await;
    assert_eq!(properties(&innocent.0, "Slice").await["Slice"], slice);
    nothing_left("beside").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_unit_that_depends_on_a_slice_is_not_stopped_with_the_procs_in_it() {
    const NEEDS: [&str; 3] = ["Requires", "Requisite", "BindsTo"];
    // These do not keep the slice: it takes them along when it is empty.
    const FOLLOWS: [&str; 2] = ["PartOf", "StopPropagatedFrom"];
    // One slice for each.
    let manager = ProcManager::new(launcher().await.procs_per_slice(NonZeroUsize::MIN));
    let (mut handles, mut innocents, record) = (Vec::new(), Vec::new(), Record::new());
    spawn(&manager, sleeper("depended")).await;
    for relation in NEEDS.into_iter().chain(FOLLOWS) {
        let handle = spawn(&manager, Kind::Ignores.spec("depended", &record)).await;
        let slice = slice_of(&handle).await;
        assert!(slice.starts_with("app-procunit_"), "{slice}");
        innocents.push(Foreign::start("app.slice", Some((relation, &slice))));
        handles.push(handle);
    }
    record.processes(handles.len()).await;

    let ending = end_all(&manager, Some(Duration::from_secs(60)));
    // What ignores TERM keeps the slices until it is killed.
    let seen = async {
        for (handle, innocent) in handles.iter().zip(&innocents) {
            eventually(BOUND, "its stop", || async {
                let shown = properties(&unit_of(handle.id()), "ActiveState").await;
                (shown["ActiveState"] == "deactivating").then_some(())
            })
            .await;
            innocent.assert_untouched().await;
        }
        let killed = join_all(handles.iter().map(ProcHandle::kill));
        assert!(within("the kills", killed).await.iter().all(Result::is_ok));
    };
    let (summary, ()) = tokio::join!(ending, seen);
    assert_all(&summary, 1 + handles.len());
    for innocent in &innocents[..NEEDS.len()] {
        innocent.assert_untouched().await;
    }
    nothing_left("depended").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_of_an_ended_proc_in_a_slice_stays() {
    let manager = manager().await;
    fill_app(&manager, "kept").await;
    let kept = spawn(&manager, quiet("kept", "/bin/true").lifetime(Lifetime::Detached)).await;
    let handles = spawn_all(&manager, (0..10).map(|_| sleeper("kept"))).await;
    assert_eq!(slice_of(&kept).await, slice_of(&handles[0]).await);
    within("its end", kept.wait()).await.expect("over");
    // Until the manager has let go of it, its seat alone would tell.
    within("its last figures", kept.report()).await.expect("a record");

    assert_all(&end_all(&manager, None).await, IN_APP + 10);
    let left = properties(&unit_of(kept.id()), "LoadState,ActiveState,SubState").await;
    assert_eq!(left["SubState"], "exited", "{left:?}");
    clear(&[kept]).await;
    nothing_left("kept").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn procs_launched_during_the_call_are_none_of_it() {
    let manager = manager().await;
    fill_app(&manager, "during").await;
    // The slice that is being filled has room.
    let handles = spawn_all(&manager, (0..5).map(|_| sleeper("during"))).await;
    let slice = slice_of(&handles[0]).await;
    let launching = async { spawn_all(&manager, (0..40).map(|_| sleeper("during"))).await };
    let (summary, later) = tokio::join!(biased; end_all(&manager, None), launching);
    assert_all(&summary, IN_APP + 5);
    let running = |handle: &&ProcHandle| handle.status().kind() == StatusKind::Running;
    assert_eq!(later.iter().filter(running).count(), 40);
    for handle in &later {
        let shown = properties(&unit_of(handle.id()), "ActiveState,Job").await;
        assert_eq!((shown["ActiveState"].as_str(), shown["Job"].as_str()), ("active", ""), "{shown:?}");
    }
    assert_all(&end_all(&manager, None).await, 40);
    nothing_left("during").await;
    within("the end of the manager", manager.shutdown()).await;
    drop(manager);
    let gone = || async { loaded(&[&slice]).await.is_empty().then_some(()) };
    eventually(BOUND, "the end of the slice", gone).await;
}
