//! What a manager tells `tracing`: each transition is an event, each launch, stop and adoption a span.

#![cfg(feature = "native")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use procunit::ProcManager;
use procunit::id::ProcId;
use procunit::launcher::native::NativeLauncher;
use procunit::spec::{Output, ProcSpec};
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Far beyond what anything here takes.
const BOUND: Duration = Duration::from_secs(30);

/// What was told: the name of a span, or the message of an event, and the fields.
#[derive(Debug, Clone, Default)]
struct Told(BTreeMap<String, String>);

impl Told {
    fn of(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

#[derive(Clone, Default)]
struct Recorder {
    spans: Arc<Mutex<Vec<(&'static str, Told)>>>,
    events: Arc<Mutex<Vec<Told>>>,
    ids: Arc<AtomicU64>,
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("procunit") && *metadata.level() <= Level::INFO
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut told = Told::default();
        span.record(&mut told);
        self.spans.lock().expect("no panic").push((span.metadata().name(), told));
        Id::from_u64(self.ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut told = Told::default();
        event.record(&mut told);
        self.events.lock().expect("no panic").push(told);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn spec(id: &ProcId, script: &str) -> ProcSpec {
    let spec = ProcSpec::builder(id.clone(), "sh").args(["-c", script]);
    spec.stdout(Output::Null).stderr(Output::Null).build().expect("a spec")
}

/// The fields of the events of `id` that tell of a transition.
fn transitions(recorder: &Recorder, id: &ProcId) -> Vec<[Option<String>; 4]> {
    let events = recorder.events.lock().expect("no panic");
    let of_it = events.iter().filter(|told| told.of("id") == Some(id.as_str()));
    let moved = of_it.filter(|told| told.of("status").is_some());
    moved
        .map(|told| ["from", "code", "signal", "cause"].map(|name| told.of(name).map(str::to_owned)))
        .collect()
}

fn fields(of: [Option<&str>; 4]) -> [Option<String>; 4] {
    of.map(|value| value.map(str::to_owned))
}

#[tokio::test]
async fn each_transition_is_an_event_and_each_launch_stop_and_adoption_a_span() {
    let recorder = Recorder::default();
    let _default = tracing::subscriber::set_default(recorder.clone());
    let manager = ProcManager::new(NativeLauncher::new().expect("a native launcher"));
    let (exits, killed) = (ProcId::new("exits").expect("an id"), ProcId::new("killed").expect("an id"));

    let proc = manager.spawn(spec(&exits, "exit 3")).await.expect("a launch");
    timeout(BOUND, proc.wait()).await.expect("in time").expect("an end");
    let proc = manager.spawn(spec(&killed, "exec sleep 600")).await.expect("a launch");
    timeout(BOUND, proc.terminate(None, "because")).await.expect("in time").expect("an end");
    manager.adopt(&ProcId::new("nobodys").expect("an id")).await.expect_err("none has that id");

    let exec = fields([Some("starting"), None, None, Some("exec succeeded")]);
    assert_eq!(
        transitions(&recorder, &exits),
        [exec.clone(), fields([Some("running"), Some("3"), None, Some("main process over")])]
    );
    assert_eq!(
        transitions(&recorder, &killed),
        [
            exec,
            fields([Some("running"), None, None, Some("stop delivered")]),
            fields([Some("stopping"), None, Some("SIGTERM"), Some("main process over")]),
        ]
    );
    let spans = recorder.spans.lock().expect("no panic");
    let told = |name: &str, id: &str| {
        let found = spans.iter().find(|(span, told)| *span == name && told.of("id") == Some(id));
        found.map(|(_, told)| told.clone())
    };
    assert!(told("launch", "exits").is_some() && told("launch", "killed").is_some(), "{spans:?}");
    assert_eq!(told("terminate", "killed").expect("a span").of("reason"), Some("because"));
    assert!(told("adopt", "nobodys").is_some(), "{spans:?}");
}
