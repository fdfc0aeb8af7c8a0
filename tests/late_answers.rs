//! A launcher's answer to a stop or a kill may come after the end that it led to: they travel on two connections.

#![cfg(feature = "runtime")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use procunit::id::{InvocationId, ProcId, UnitName};
use procunit::launcher::{
    AdoptError, Adopted, BoxFuture, DeliverError, Facts, LaunchError, Launched, ProcLauncher, ProcRun,
    Sighting, Streams, SurveyError, Target,
};
use procunit::report::EndedBy;
use procunit::signal::Signal;
use procunit::spec::ProcSpec;
use procunit::status::details::UnitDetails;
use procunit::status::machine::Event;
use procunit::status::snapshot::{ServiceSide, Snapshot, UnitSide};
use procunit::time::Timestamp;
use procunit::{ProcHandle, ProcManager};

/// Until the manager has surely taken what was sent before.
const LATE: Duration = Duration::from_millis(50);

/// One proc, whose every end is told before the answer to what brought it.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Option<Facts>>>);

impl Scripted {
    fn tell(&self, snapshot: Snapshot) {
        let facts = self.0.lock().expect("no panic holds it");
        facts.as_ref().expect("it was launched").send(Event::Snapshot(snapshot));
    }
}

/// The unit as systemd would show it: running, or ended by this signal.
fn unit(ended: Option<Signal>, stopped_first: bool) -> Snapshot {
    let at = |second: u64| Some(Timestamp::from_micros(second * 1_000_000));
    let run: InvocationId = "f82bc701683a4d1d84894610857aeabe".parse().expect("an id");
    Snapshot {
        unit: UnitSide {
            load_state: Some("loaded".into()),
            active_state: Some(if ended.is_some() { "failed" } else { "active" }.to_owned().into()),
            job: Some(0),
            invocation: Some(run),
            active_enter: at(1),
            active_exit: ended.and_then(|_| at(if stopped_first { 2 } else { 4 })),
            ..UnitSide::default()
        },
        service: ServiceSide {
            main_pid: Some(if ended.is_some() { 0 } else { 7 }),
            exec_main_pid: Some(7),
            exec_main_code: Some(if ended.is_some() { 2 } else { 0 }),
            exec_main_status: Some(ended.map_or(0, Signal::number)),
            exec_main_start: at(1),
            exec_main_exit: ended.and_then(|_| at(3)),
            ..ServiceSide::default()
        },
    }
}

impl ProcLauncher for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn launch(&self, _: ProcSpec, _: Streams, facts: Facts) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        *self.0.lock().expect("no panic holds it") = Some(facts);
        self.tell(unit(None, false));
        Box::pin(async { Ok(Launched::new(self.clone())) })
    }

    fn adopt(&self, id: ProcId, _: Facts) -> BoxFuture<'_, Result<Adopted, AdoptError>> {
        Box::pin(async { Err(AdoptError::NotFound { id }) })
    }

    fn survey(&self) -> BoxFuture<'_, Result<Vec<Sighting>, SurveyError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl ProcRun for Scripted {
    fn unit(&self) -> Option<&UnitName> {
        None
    }

    fn stop(&self) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(async {
            self.tell(unit(Some(Signal::TERM), true));
            tokio::time::sleep(LATE).await;
            Ok(())
        })
    }

    fn kill(&self) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(async {
            self.tell(unit(Some(Signal::KILL), false));
            tokio::time::sleep(LATE).await;
            Ok(())
        })
    }

    fn signal(&self, _: Signal, _: Target) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(async { Ok(()) })
    }

    fn processes(&self) -> BoxFuture<'_, Option<Vec<u32>>> {
        Box::pin(async { Some(Vec::new()) })
    }

    fn details(&self) -> BoxFuture<'_, Option<UnitDetails>> {
        // Asked after the stop, and so answered after it.
        Box::pin(async {
            tokio::time::sleep(LATE * 2).await;
            None
        })
    }

    fn discard(&self, _: Option<InvocationId>) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn release(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

async fn launched(manager: &ProcManager) -> ProcHandle {
    let spec = ProcSpec::builder(ProcId::new("web").expect("an id"), "true").build().expect("a spec");
    manager.spawn(spec).await.expect("launched")
}

#[tokio::test]
async fn a_stop_that_is_answered_after_the_end_was_still_ours() {
    let manager = ProcManager::new(Scripted::default());
    let handle = launched(&manager).await;
    let end = handle.terminate(None, "enough").await.expect("an end");
    assert_eq!(end.to_string(), "Killed(sig=15)");
    let report = handle.report().await.expect("a report");
    assert_eq!(report.ended_by, Some(EndedBy::Procunit { reason: "enough".to_owned() }));
}

#[tokio::test]
async fn a_kill_that_is_answered_after_the_end_was_still_ours() {
    let manager = ProcManager::new(Scripted::default());
    let handle = launched(&manager).await;
    let end = handle.kill().await.expect("an end");
    assert_eq!(end.to_string(), "Killed(sig=9)");
    let report = handle.report().await.expect("a report");
    assert_eq!(report.ended_by, Some(EndedBy::Procunit { reason: "kill".to_owned() }));
    assert!(report.escalated);
}
