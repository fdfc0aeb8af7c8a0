//! A process that owns procs is killed, in every phase of their lives: what is attached ends, what is detached is found
//! again with its exact end.
//!
//! The owner is this test binary, run again: it does what [`owner_in_a_process_of_its_own`] does, and tells by lines of
//! a record how far it has come.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use procunit::id::ProcId;
use procunit::report::EndedBy;
use procunit::signal::Signal;
use procunit::spec::Lifetime;
use procunit::status::StatusKind;
use procunit::{ProcHandle, ProcManager, ProcStatus};
use tokio::process::{Child, Command};

use crate::bed::{
    Backend, Bed, Idle, clear, end_of, killed, ms, processes_of, sh_as, spawn, stopped, systemctl_on,
};
use crate::live::chance::Chance;
use crate::live::outside::{alive, all_gone};
use crate::live::record::Record;
use crate::live::{BOUND, eventually, within};

each_backend![
    an_owner_that_is_killed_while_its_procs_run,
    an_owner_that_is_killed_while_it_launches,
    an_owner_that_is_killed_while_it_stops_them,
    an_owner_that_is_killed_once_they_are_over,
    an_owner_that_panics,
    what_ends_while_nobody_looks_is_adopted_with_its_exact_end,
];

const COUNT: usize = 10;
/// What the end of those takes at most that obey, half a second after they were asked, on an idle machine.
const SOON: Duration = Duration::from_secs(2);
/// What ends when it is told to by a file of this name, beside the record.
const GATE: &str = "gate";
/// The stop that the owner is killed in the middle of is one that its procs obey late.
const RUNS: &str = r#"trap 'sleep 0.5; exit 3' TERM; echo pid $$ >>"$1"; while [ ! -e "$2" ]; do sleep 0.03; done; exit "$3""#;

/// What the owner does, besides launching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Launching,
    Running,
    Stopping,
    Over,
    Panicking,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Launching, Self::Running, Self::Stopping, Self::Over, Self::Panicking];
}

const PLAYS: &str = "PROCUNIT_TEST_OWNER";

fn exit_code(number: usize) -> u8 {
    u8::try_from(number).expect("a small number")
}

/// Not a test of its own: what the others run as a process. Its part is `BACKEND GROUP PHASE DIRECTORY`.
#[test]
fn owner_in_a_process_of_its_own() {
    let Ok(part) = std::env::var(PLAYS) else { return };
    let words: Vec<_> = part.split(' ').collect();
    let [backend, group, phase, directory] = words[..] else { panic!("{part}") };
    let backend = if backend == "systemd" { Backend::Systemd } else { Backend::Native };
    let phase = Phase::ALL.into_iter().find(|known| format!("{known:?}") == phase).expect("a phase");
    let bed = Bed::of_group(backend, group.to_owned());
    crate::bed::two_threads().block_on(own(&bed, phase, std::path::Path::new(directory)));
}

async fn own(bed: &Bed, phase: Phase, directory: &std::path::Path) {
    let tell = |line: &str| {
        use std::io::Write as _;
        let file = std::fs::OpenOptions::new().create(true).append(true).open(directory.join("owner"));
        writeln!(file.expect("a file"), "{line}").expect("a line");
    };
    let manager = bed.manager().await;
    tell("launching");
    let launches = bed.lifetimes().iter().flat_map(|lifetime| (0..COUNT).map(|number| (*lifetime, number)));
    let manager = &manager;
    let handles = join_all(launches.map(|(lifetime, number)| async move {
        let id = ProcId::new(format!("{}/{}-{number}", bed.group(), word(lifetime))).expect("an id");
        let spec = sh_as(id, RUNS).arg(directory.join("record")).arg(directory.join(GATE));
        spawn(manager, spec.arg(exit_code(number).to_string()).lifetime(lifetime)).await
    }))
    .await;
    tell("running");
    match phase {
        Phase::Launching | Phase::Running => {}
        Phase::Panicking => panic!("as the test wants it"),
        Phase::Stopping => {
            let stops = handles.iter().map(|handle| handle.request_stop(None, "the test"));
            stops.for_each(|asked| asked.expect("it is there"));
            let all = || async {
                let is_stopping = |handle: &ProcHandle| handle.status().kind() != StatusKind::Running;
                handles.iter().all(is_stopping).then_some(())
            };
            eventually(BOUND, "all are being stopped", all).await;
            tell("stopping");
        }
        Phase::Over => {
            std::fs::write(directory.join(GATE), "").expect("the gate");
            join_all(handles.iter().map(end_of)).await;
            tell("over");
        }
    }
    std::future::pending::<()>().await;
}

fn word(lifetime: Lifetime) -> &'static str {
    match lifetime {
        Lifetime::Attached => "attached",
        Lifetime::Detached => "detached",
    }
}

/// An owner in its own process. What it and its procs write stands beside the record.
struct Owner {
    process: Child,
    record: Record,
}

impl Owner {
    fn start(bed: &Bed, phase: Phase) -> Self {
        let record = Record::new();
        let backend = if bed.is_systemd() { "systemd" } else { "native" };
        let directory = record.path().parent().expect("a directory").display().to_string();
        let part = format!("{backend} {} {phase:?} {directory}", bed.group());
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command.args(["--exact", "owner::owner_in_a_process_of_its_own"]).env(PLAYS, part);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        Self { process: command.spawn().expect("this binary again"), record }
    }

    async fn comes_to(&self, line: &str) {
        let path = beside(&self.record, "owner");
        let said = || async {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            text.lines().any(|said| said == line).then_some(())
        };
        eventually(BOUND, &format!("the owner is {line}"), said).await;
    }

    async fn is_killed(&mut self) {
        within("its end", self.process.kill()).await.expect("it is killed");
    }

    fn open_gate(&self) {
        std::fs::write(beside(&self.record, GATE), "").expect("the gate");
    }
}

fn beside(record: &Record, name: &str) -> PathBuf {
    record.path().with_file_name(name)
}

/// The main processes of that group, by the name of the proc: what it has in its environment is held by its children
/// too, and the parent of those is one of them.
fn of_lifetime(bed: &Bed, lifetime: Lifetime) -> Vec<u32> {
    (0..COUNT).flat_map(|number| processes_of(&id_of(bed, lifetime, number))).collect()
}

fn id_of(bed: &Bed, lifetime: Lifetime, number: usize) -> ProcId {
    ProcId::new(format!("{}/{}-{number}", bed.group(), word(lifetime))).expect("an id")
}

/// Attached ones obey TERM: they, and all they forked, are over soon after their owner.
async fn attached_are_over(bed: &Bed) {
    let (idle, began) = (Idle::watch(), Instant::now());
    let over = || async { of_lifetime(bed, Lifetime::Attached).is_empty().then_some(()) };
    eventually(BOUND, "the attached ones are over", over).await;
    assert!(began.elapsed() < SOON || !idle.was(), "over after {:?}", began.elapsed());
}

async fn adopted(bed: &Bed, manager: &ProcManager) -> BTreeMap<ProcId, ProcHandle> {
    let prefix = format!("{}/", bed.group());
    let adopting = manager.adopt_where(|found| found.id.as_str().starts_with(&prefix));
    let summary = within("the adoption", adopting).await.expect("a list");
    assert!(summary.failed.is_empty(), "{:?}", summary.failed);
    summary.adopted.into_iter().map(|handle| (handle.id().clone(), handle)).collect()
}

fn has_detached(bed: &Bed) -> bool {
    bed.lifetimes().contains(&Lifetime::Detached)
}

/// All ten are found, and end as what they are asked for.
async fn detached_are_found_running(bed: &Bed, owner: &Owner) {
    if !has_detached(bed) {
        return;
    }
    let manager = bed.manager().await;
    let found = adopted(bed, &manager).await;
    assert_eq!(found.len(), COUNT, "{:?}", found.keys());
    for handle in found.values() {
        assert_eq!(handle.status().kind(), StatusKind::Running);
        assert!(alive(handle.pid().expect("a pid")));
    }
    owner.open_gate();
    for number in 0..COUNT {
        let handle = &found[&id_of(bed, Lifetime::Detached, number)];
        assert_eq!(end_of(handle).await, stopped(exit_code(number)));
        clear(handle).await;
    }
}

async fn an_owner_that_is_killed_while_its_procs_run(bed: &Bed) {
    let mut owner = Owner::start(bed, Phase::Running);
    owner.comes_to("running").await;
    owner.record.processes(COUNT * bed.lifetimes().len()).await;
    let attached = of_lifetime(bed, Lifetime::Attached);
    owner.is_killed().await;
    all_gone(BOUND, "their owner was killed", &attached).await;
    attached_are_over(bed).await;
    detached_are_found_running(bed, &owner).await;
}

async fn an_owner_that_panics(bed: &Bed) {
    let mut owner = Owner::start(bed, Phase::Panicking);
    let status = within("its end", owner.process.wait()).await.expect("its end");
    assert!(!status.success());
    attached_are_over(bed).await;
    detached_are_found_running(bed, &owner).await;
}

/// At random moments of its launches: what had been started by then is one or the other, and nothing is in between.
async fn an_owner_that_is_killed_while_it_launches(bed: &Bed) {
    let mut chance = Chance::new("while it launches");
    for _ in 0..4 {
        let mut owner = Owner::start(bed, Phase::Launching);
        owner.comes_to("launching").await;
        tokio::time::sleep(chance.before(ms(if bed.is_systemd() { 150 } else { 15 }))).await;
        owner.is_killed().await;
        attached_are_over(bed).await;
        if !has_detached(bed) {
            continue;
        }
        owner.open_gate();
        let manager = bed.manager().await;
        // A start that systemd had taken may still be on its way.
        let settled = || async {
            let found = adopted(bed, &manager).await;
            let over = of_lifetime(bed, Lifetime::Detached).is_empty();
            for (id, handle) in found {
                let number: usize = id.as_str().rsplit_once('-').expect("a number").1.parse().expect("one");
                assert_eq!(end_of(&handle).await, stopped(exit_code(number)), "{id}");
                clear(&handle).await;
            }
            (over && bed.units().await.is_empty()).then_some(())
        };
        eventually(BOUND, "all that was launched is found", settled).await;
    }
}

/// The stop was delivered: they end by it, and nobody but systemd saw it.
async fn an_owner_that_is_killed_while_it_stops_them(bed: &Bed) {
    let mut owner = Owner::start(bed, Phase::Stopping);
    owner.comes_to("stopping").await;
    owner.is_killed().await;
    attached_are_over(bed).await;
    if !has_detached(bed) {
        return;
    }
    let over = || async { of_lifetime(bed, Lifetime::Detached).is_empty().then_some(()) };
    eventually(BOUND, "they obey although their owner is gone", over).await;
    let manager = bed.manager().await;
    for (id, handle) in adopted(bed, &manager).await {
        let end = end_of(&handle).await;
        let exact = end == stopped(3) || end == killed(Signal::TERM);
        assert!(exact || matches!(end, ProcStatus::Failed { .. }), "{id}: {end}");
        clear(&handle).await;
    }
}

async fn an_owner_that_is_killed_once_they_are_over(bed: &Bed) {
    let mut owner = Owner::start(bed, Phase::Over);
    owner.comes_to("over").await;
    owner.is_killed().await;
    attached_are_over(bed).await;
    ends_are_exact(bed).await;
}

async fn ends_are_exact(bed: &Bed) {
    if !has_detached(bed) {
        return;
    }
    let manager = bed.manager().await;
    let found = adopted(bed, &manager).await;
    assert_eq!(found.len(), COUNT, "{:?}", found.keys());
    for number in 0..COUNT {
        let handle = &found[&id_of(bed, Lifetime::Detached, number)];
        assert_eq!(end_of(handle).await, stopped(exit_code(number)));
        let report = within("a report", handle.report()).await.expect("a record");
        assert_eq!(report.ended_by, Some(EndedBy::Program));
        clear(handle).await;
    }
}

/// Some end by themselves, some are killed, and some are stopped by somebody else, who has systemd do it.
async fn what_ends_while_nobody_looks_is_adopted_with_its_exact_end(bed: &Bed) {
    let mut owner = Owner::start(bed, Phase::Running);
    owner.comes_to("running").await;
    owner.record.processes(COUNT * bed.lifetimes().len()).await;
    owner.is_killed().await;
    attached_are_over(bed).await;
    if !has_detached(bed) {
        return;
    }
    let mains = mains_of(bed).await;
    for &main in &mains[..3] {
        crate::live::outside::signal(main, nix::sys::signal::Signal::SIGKILL);
    }
    for number in 3..6 {
        systemctl_on(&["stop"], &id_of(bed, Lifetime::Detached, number)).await;
    }
    owner.open_gate();
    all_gone(BOUND, "they end", &mains).await;
    let manager = bed.manager().await;
    let found = adopted(bed, &manager).await;
    for number in 0..COUNT {
        let handle = found.get(&id_of(bed, Lifetime::Detached, number));
        let Some(handle) = handle else {
            assert!((3..6).contains(&number), "{number} is not there");
            continue;
        };
        let end = end_of(handle).await;
        match number {
            0..3 => assert_eq!(end, killed(Signal::KILL)),
            // A stop that systemd has forgotten is lost.
            3..6 => assert!(end == stopped(3) || matches!(end, ProcStatus::Failed { .. }), "{end}"),
            _ => assert_eq!(end, stopped(exit_code(number))),
        }
        clear(handle).await;
    }
}

/// By a look that takes no hold.
async fn mains_of(bed: &Bed) -> Vec<u32> {
    let survey = within("a survey", bed.manager().await.survey()).await.expect("a survey");
    let pid = |number| {
        let id = id_of(bed, Lifetime::Detached, number);
        survey.iter().find(|report| report.id == id).and_then(|report| report.pid).expect("a pid")
    };
    (0..COUNT).map(pid).collect()
}
