//! The ladder of a stop, whole, through the manager: to the instant, on tokio's paused clock.
//!
//! The rungs by themselves are tested where they are (`manager/ladder.rs`); on real processes, in `native` and `attached`.

#![cfg(feature = "test-util")]

use std::future::Future;
use std::num::NonZeroUsize;
use std::time::Duration;

use procunit::id::ProcId;
use procunit::launcher::fake::{FakeLauncher, FakeProc, Reaction, Record, Script, What, When};
use procunit::launcher::{DeliverError, Target};
use procunit::manager::{Concurrency, TerminateError};
use procunit::signal::Signal;
use procunit::spec::Lifetime;
use procunit::status::StatusKind;
use procunit::{ProcHandle, ProcManager, ProcSpec, ProcStatus};
use tokio::time::{Instant, sleep, sleep_until, timeout};

const WAIT: Duration = Duration::from_secs(10);
/// What the contract gives SIGKILL.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// More than lies between two looks at what a main process left.
const LOOKS: Duration = Duration::from_millis(100);
/// On the paused clock no wait takes any time; one that lasts this long never ends.
const BOUND: Duration = Duration::from_secs(3600);

struct Bed {
    fake: FakeLauncher,
    manager: ProcManager,
}

/// One proc that was launched, and the moment.
struct Life {
    handle: ProcHandle,
    proc: FakeProc,
    begun: Instant,
}

fn id() -> ProcId {
    ProcId::new("web").expect("an id")
}

fn spec() -> ProcSpec {
    ProcSpec::builder(id(), "web").build().expect("a spec")
}

impl Bed {
    fn new(fake: FakeLauncher) -> Self {
        Self { manager: ProcManager::new(fake.clone()), fake }
    }

    async fn launch(&self, script: Script) -> Life {
        self.launch_as(spec(), script).await
    }

    async fn launch_as(&self, spec: ProcSpec, script: Script) -> Life {
        self.fake.script(script);
        let handle = within("a launch", self.manager.spawn(spec)).await.expect("launched");
        let proc = self.fake.proc(&id()).expect("it is there");
        Life { handle, proc, begun: Instant::now() }
    }

    /// When, from `since`, this was asked of the run.
    fn times(&self, life: &Life, what: What) -> Vec<Duration> {
        let records = self.fake.records().into_iter();
        let of_run = records.filter(|record: &Record| record.run == life.proc.run() && record.what == what);
        of_run.map(|record| record.at - life.begun).collect()
    }
}

/// One proc on a launcher with units.
async fn launched(script: Script) -> (Bed, Life) {
    let bed = Bed::new(FakeLauncher::new());
    let life = bed.launch(script).await;
    (bed, life)
}

async fn within<T>(label: &str, future: impl Future<Output = T>) -> T {
    timeout(BOUND, future).await.unwrap_or_else(|_| panic!("{label}: not within {BOUND:?}"))
}

impl Life {
    async fn terminate(&self, grace: Duration) -> Result<ProcStatus, TerminateError> {
        within("a stop", self.handle.terminate(Some(grace), "a test")).await
    }

    /// The same, by another caller.
    fn terminate_beside(
        &self,
        grace: Duration,
    ) -> tokio::task::JoinHandle<Result<ProcStatus, TerminateError>> {
        let handle = self.handle.clone();
        tokio::spawn(async move { handle.terminate(Some(grace), "another").await })
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

fn ended(result: Result<ProcStatus, TerminateError>) -> String {
    result.expect("an end").to_string()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_program_that_exits_on_the_stop_signal_is_stopped_with_its_code() {
    for fake in [FakeLauncher::new(), FakeLauncher::without_units()] {
        let bed = Bed::new(fake);
        let life = bed.launch(Script::new().on_stop(Reaction::exit(3).after(secs(2)))).await;
        assert_eq!(ended(life.terminate(WAIT).await), "Stopped(exit=3)");
        assert_eq!(life.elapsed(), secs(2));
        assert_eq!(bed.times(&life, What::Kill), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_does_nothing_about_the_stop_signal_is_killed_by_it() {
    for fake in [FakeLauncher::new(), FakeLauncher::without_units()] {
        let bed = Bed::new(fake);
        let life = bed.launch(Script::new()).await;
        assert_eq!(ended(life.terminate(WAIT).await), "Killed(sig=15)");
        assert_eq!((bed.times(&life, What::Stop), bed.times(&life, What::Kill)), (vec![secs(0)], vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_ignores_the_stop_signal_is_killed_at_the_timeout_and_never_before() {
    for fake in [FakeLauncher::new(), FakeLauncher::without_units()] {
        let bed = Bed::new(fake);
        let life = bed.launch(Script::new().on_stop(Reaction::ignore())).await;
        assert_eq!(ended(life.terminate(WAIT).await), "Killed(sig=9)");
        assert_eq!((bed.times(&life, What::Stop), bed.times(&life, What::Kill)), (vec![secs(0)], vec![WAIT]));
        assert_eq!(life.elapsed(), WAIT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_never_answered_puts_off_no_kill() {
    let (bed, life) = launched(Script::new().on_stop(Reaction::ignore().answers(When::Told))).await;
    assert_eq!(ended(life.terminate(WAIT).await), "Killed(sig=9)");
    assert_eq!(bed.times(&life, What::Kill), [WAIT]);
}

#[tokio::test(start_paused = true)]
async fn what_outlives_sigkill_is_named_after_the_kill_wait_and_stays_stopping() {
    let deaf = Script::new().on_stop(Reaction::ignore()).on_kill(Reaction::ignore());
    let (bed, life) = launched(deaf).await;
    let refused = life.terminate(WAIT).await.expect_err("it is still there");
    assert_eq!(life.elapsed(), WAIT + KILL_WAIT);
    assert!(
        matches!(&refused, TerminateError::TimedOut { pids, .. } if *pids == [life.proc.pid()]),
        "{refused}"
    );
    assert_eq!(life.handle.status().kind(), StatusKind::Stopping);
    assert_eq!(bed.times(&life, What::Kill), [WAIT]);
    life.proc.end(procunit::status::exit::Exit::Code(0));
    assert_eq!(within("its end", life.handle.wait()).await.expect("an end").to_string(), "Stopped(exit=0)");
}

#[tokio::test(start_paused = true)]
async fn what_outlived_one_kill_is_killed_again_when_somebody_asks_again() {
    let at_the_second = Reaction::ignore().then(Reaction::obey());
    let (bed, life) = launched(Script::new().on_kill(at_the_second)).await;
    let refused = within("a kill", life.handle.kill()).await.expect_err("it is still there");
    assert!(matches!(refused, TerminateError::TimedOut { .. }), "{refused}");
    assert_eq!(ended(within("a kill", life.handle.kill()).await), "Killed(sig=9)");
    assert_eq!(bed.times(&life, What::Kill), [secs(0), KILL_WAIT]);
}

#[tokio::test(start_paused = true)]
async fn of_two_callers_the_earlier_deadline_counts_for_both_and_the_stop_signal_goes_out_once() {
    for (first, second) in [(secs(10), secs(3)), (secs(4), secs(60))] {
        let (bed, life) = launched(Script::new().on_stop(Reaction::ignore())).await;
        let other = life.terminate_beside(first);
        sleep(secs(1)).await;
        assert_eq!(ended(life.terminate(second).await), "Killed(sig=9)");
        assert_eq!(ended(within("the other", other).await.expect("no panic")), "Killed(sig=9)");
        let killed = first.min(secs(1) + second);
        assert_eq!(
            (bed.times(&life, What::Stop), bed.times(&life, What::Kill)),
            (vec![secs(0)], vec![killed])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_in_the_middle_of_a_stop_escalates_at_once_and_both_callers_have_the_end() {
    let (bed, life) = launched(Script::new().on_stop(Reaction::ignore())).await;
    let stop = life.terminate_beside(WAIT);
    sleep(secs(2)).await;
    assert_eq!(ended(within("a kill", life.handle.kill()).await), "Killed(sig=9)");
    assert_eq!(ended(within("the stop", stop).await.expect("no panic")), "Killed(sig=9)");
    assert_eq!((bed.times(&life, What::Stop), bed.times(&life, What::Kill)), (vec![secs(0)], vec![secs(2)]));
    assert_eq!(life.elapsed(), secs(2));
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_not_ended_again_and_its_end_is_told() {
    let (bed, life) = launched(Script::new()).await;
    life.proc.exit(7);
    for refused in [life.terminate(WAIT).await, within("a kill", life.handle.kill()).await] {
        let refused = refused.expect_err("it is over");
        assert!(
            matches!(&refused, TerminateError::AlreadyTerminated(ProcStatus::Stopped { exit_code: 7, .. })),
            "{refused}"
        );
    }
    sleep(WAIT * 2).await;
    assert_eq!((bed.times(&life, What::Stop), bed.times(&life, What::Kill)), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_wish_alone_is_no_stopping_and_a_stop_that_was_not_delivered_goes_out_again() {
    let unreachable = || DeliverError::Failed("no way".into());
    let twice = Reaction::fail(unreachable).then(Reaction::fail(unreachable)).then(Reaction::ignore());
    let (bed, life) = launched(Script::new().on_stop(twice)).await;
    let stop = life.terminate_beside(WAIT);
    sleep(Duration::from_millis(150)).await;
    assert_eq!(life.handle.status().kind(), StatusKind::Running, "nothing was delivered");
    sleep(secs(1)).await;
    assert_eq!(life.handle.status().kind(), StatusKind::Stopping);
    assert_eq!(bed.times(&life, What::Stop), [0, 100, 200].map(Duration::from_millis));
    assert_eq!(ended(within("the stop", stop).await.expect("no panic")), "Killed(sig=9)");
    assert_eq!(bed.times(&life, What::Kill), [WAIT], "the deadline counts from the call");
}

#[tokio::test(start_paused = true)]
async fn a_launcher_out_of_reach_is_tried_until_it_is_back_and_then_the_deadline_still_holds() {
    let (bed, life) = launched(Script::new().on_stop(Reaction::ignore())).await;
    bed.fake.disconnect();
    let stop = life.terminate_beside(WAIT);
    sleep_until(life.begun + secs(12)).await;
    assert_eq!(life.handle.status().kind(), StatusKind::Running);
    bed.fake.reconnect();
    assert_eq!(ended(within("the stop", stop).await.expect("no panic")), "Killed(sig=9)");
    assert!(life.elapsed() <= secs(12) + Duration::from_millis(100), "{:?}", life.elapsed());
    assert!(bed.times(&life, What::Kill).into_iter().all(|at| at >= WAIT), "never before the deadline");
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_what_went_unseen_is_answered_with_lost_and_never_with_an_exit() {
    for fake in [FakeLauncher::new(), FakeLauncher::without_units()] {
        let bed = Bed::new(fake);
        let life = bed.launch(Script::new()).await;
        bed.fake.disconnect();
        life.proc.vanish();
        let stop = life.terminate_beside(WAIT);
        sleep(secs(1)).await;
        assert_eq!(life.handle.status().kind(), StatusKind::Running, "nobody was told");
        bed.fake.reconnect();
        let end = ended(within("the stop", stop).await.expect("no panic"));
        assert_eq!(end, "Failed(lost: its unit is gone and nobody saw the end)");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_beyond_the_backstop_is_cut_to_it_and_the_report_says_so() {
    let (bed, life) = launched(Script::new().on_stop(Reaction::ignore())).await;
    assert_eq!(ended(life.terminate(secs(600)).await), "Killed(sig=9)");
    assert_eq!(bed.times(&life, What::Kill), [secs(90)]);
    let report = within("a report", life.handle.report()).await.expect("a report");
    assert!(report.notes.iter().any(|note| note.contains("cut to the backstop")), "{:?}", report.notes);
}

#[tokio::test(start_paused = true)]
async fn an_escalation_belongs_to_its_run_and_reaches_no_later_one_of_the_id() {
    let bed = Bed::new(FakeLauncher::new());
    let first = bed.launch(Script::new().on_stop(Reaction::exit(0).after(secs(1)))).await;
    let stop = first.terminate_beside(WAIT);
    assert_eq!(within("its end", first.handle.wait()).await.expect("an end").to_string(), "Stopped(exit=0)");
    let second = bed.launch(Script::new()).await;
    assert_eq!(ended(within("the stop", stop).await.expect("no panic")), "Stopped(exit=0)");
    sleep(secs(120)).await;
    assert_ne!(first.proc.run(), second.proc.run());
    let of_second = bed.fake.records().into_iter().filter(|record| record.run == second.proc.run());
    assert_eq!(of_second.map(|record| record.what).collect::<Vec<_>>(), [What::Launch]);
    assert_eq!(second.handle.status().kind(), StatusKind::Running);
    let late = first.terminate(WAIT).await.expect_err("over");
    assert!(
        matches!(late, TerminateError::AlreadyTerminated(ProcStatus::Stopped { exit_code: 0, .. })),
        "{late}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_end_is_answered_only_when_what_the_main_process_left_is_gone_as_well() {
    let stubborn = Script::new().leaves(2).on_stop(Reaction::exit(0));
    let (bed, life) = launched(stubborn).await;
    let stop = life.terminate_beside(WAIT);
    let end = within("its end", life.handle.wait()).await.expect("an end");
    assert_eq!((end.to_string().as_str(), life.elapsed()), ("Stopped(exit=0)", secs(0)));
    assert_eq!(ended(within("the stop", stop).await.expect("no panic")), "Stopped(exit=0)");
    assert_eq!(bed.times(&life, What::Kill), [WAIT]);
    assert_eq!(life.elapsed(), WAIT);
}

#[tokio::test(start_paused = true)]
async fn what_a_detached_main_process_left_is_asked_at_once_and_killed_at_the_stop_timeout() {
    let bed = Bed::new(FakeLauncher::new());
    let detached = ProcSpec::builder(id(), "web").lifetime(Lifetime::Detached).stop_timeout(WAIT).build();
    let deaf = Script::new().leaves(2).on_signal(Reaction::ignore());
    let life = bed.launch_as(detached.expect("a spec"), deaf).await;
    sleep(secs(1)).await;
    life.proc.exit(0);
    assert_eq!(ended(within("nothing left", life.handle.gone()).await), "Stopped(exit=0)");
    assert_eq!(bed.times(&life, What::Signal(Signal::TERM, Target::Tree)), [secs(1)]);
    let killed = bed.times(&life, What::Kill);
    let looked_in_time = |at: &Duration| (secs(1) + WAIT..secs(1) + WAIT + LOOKS).contains(at);
    assert!(killed.len() == 1 && killed.iter().all(looked_in_time), "{killed:?}");
}

/// How many procs were at most between the delivery of their stop and their end.
fn most_at_once(records: &[Record]) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for record in records {
        match record.what {
            What::Stop => now += 1,
            What::Ended(_) => now -= 1,
            _ => {}
        }
        most = most.max(now);
    }
    most
}

/// A hundred procs, each of which takes a second of its own to end, and what came of ending all.
async fn ended_in_bulk(concurrency: Concurrency) -> (usize, Duration) {
    let bed = Bed::new(FakeLauncher::new());
    for number in 0..100 {
        bed.fake.script(Script::new().on_stop(Reaction::exit(0).after(Duration::from_millis(1000 + number))));
        let spec = ProcSpec::builder(format!("web-{number}").parse().expect("an id"), "web").build();
        within("a launch", bed.manager.spawn(spec.expect("a spec"))).await.expect("launched");
    }
    let begun = Instant::now();
    let summary =
        within("the end of all", bed.manager.terminate_all(Some(WAIT), concurrency, "a test")).await;
    assert_eq!((summary.attempted, summary.ok, summary.failed.len()), (100, 100, 0));
    (most_at_once(&bed.fake.records()), begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_no_more_than_the_limit_are_between_delivery_and_end() {
    let (most, _) = ended_in_bulk(Concurrency::default()).await;
    assert_eq!(most, 16);
    let (most, _) = ended_in_bulk(Concurrency::Limit(NonZeroUsize::MIN)).await;
    assert_eq!(most, 1);
}

#[tokio::test(start_paused = true)]
async fn all_of_a_hundred_are_asked_to_end_at_once_where_that_is_wanted() {
    let (most, took) = ended_in_bulk(Concurrency::All).await;
    assert_eq!((most, took), (100, Duration::from_millis(1099)));
}
