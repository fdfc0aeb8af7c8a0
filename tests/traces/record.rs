//! Makes the traces anew: runs each scenario on the user manager that answers, through this crate's own bus room,
//! and writes down what that tells.
//!
//! `cargo test --test traces -- --ignored record` (with `PROCUNIT_TRACE` set, only those with that in their names) overwrites `tests/traces/VERSION/`, or `VERSION/` in the directory
//! that `PROCUNIT_TRACES` names. Out of a test bed whose files are gone at its end, tar brings them:
//!
//! ```sh
//! test=$(cargo test --test traces --no-run --message-format json | jq -r 'select(.target.name == "traces").executable')
//! PROCUNIT_TRACES=/tmp/traces contrib/testbed --release trixie -- \
//!     sh -c "$test --ignored record >&2 && tar -C /tmp/traces -c ." | tar -C tests/traces -x
//! ```

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use procunit::bus::{Bus, BusAddress, BusEvent, Connected, Events, FdSlots, Whom};
use procunit::id::{InvocationId, ProcId, UnitName};
use procunit::signal::Signal;
use procunit::status::snapshot::Snapshot;
use procunit::unit::property::{ExecCommand, Property};
use tokio::process::Command;
use tokio::time::timeout;

use super::scenarios::{self, Hold, Scenario, Step};
use super::trace::{Line, Trace, Truth, What};

/// Far beyond what any step takes.
const BOUND: Duration = Duration::from_secs(20);
/// systemd tells of a change at once; after this there is nothing more to come.
const QUIET: Duration = Duration::from_millis(250);

#[tokio::test]
#[ignore = "overwrites the recorded traces"]
async fn record() {
    let address = BusAddress::from_env().expect("a user manager");
    let scratch = tempfile::tempdir().expect("a directory for core dumps");
    let Connected { bus, mut events, info } = Bus::connect(address).await.expect("a user manager");
    let release: String = info.version.chars().take_while(char::is_ascii_digit).collect();
    let directory =
        std::env::var_os("PROCUNIT_TRACES").map_or_else(Trace::directory, PathBuf::from).join(&release);
    fs::create_dir_all(&directory).expect("the traces' directory");
    for scenario in scenarios::all(release.parse().expect("a version")) {
        let name = scenario.name;
        if std::env::var("PROCUNIT_TRACE").is_ok_and(|only| !name.contains(&only)) {
            continue;
        }
        eprintln!("recording {name}");
        let mut take = Take::new(&bus, &mut events, name);
        take.start(&scenario, scratch.path().to_str().expect("UTF-8")).await;
        for step in &scenario.steps {
            take.step(*step).await;
        }
        take.finish(scenario.hold).await;
        let truth = Truth {
            what: scenario.argv.join(" "),
            systemd: info.version.clone(),
            end: scenario.end,
            ended_by: scenario.ended_by,
            runtime_max: scenario.runtime_max,
            restarts: scenario.restarts,
            earlier: scenario.earlier,
        };
        let trace = Trace { name: name.to_owned(), truth, lines: take.lines };
        fs::write(directory.join(name).with_extension("jsonl"), trace.to_text()).expect("written");
    }
}

/// One scenario being recorded.
struct Take<'a> {
    bus: &'a Bus,
    events: &'a mut Events,
    unit: UnitName,
    newest: Snapshot,
    first_run: Option<InvocationId>,
    lines: Vec<Line>,
}

impl<'a> Take<'a> {
    fn new(bus: &'a Bus, events: &'a mut Events, name: &str) -> Self {
        let id = ProcId::new(format!("trace/{name}/{}", std::process::id())).expect("an id");
        let unit = UnitName::for_proc(&id);
        Self { bus, events, unit, newest: Snapshot::default(), first_run: None, lines: Vec::new() }
    }

    fn write(&mut self, what: What) {
        self.lines.push(Line { at: SystemTime::now().into(), what });
    }

    async fn start(&mut self, scenario: &Scenario, scratch: &str) {
        let properties = properties(scenario, scratch);
        let unit = self.unit.clone();
        self.bus.track(&unit);
        let start = self.bus.start_transient(unit.as_str(), &properties, &[], FdSlots::default());
        if scenario.hold == Hold::StoppedAtOnce {
            // Polled in this order, both calls leave in this order before an answer comes.
            let (started, stopped) = tokio::join!(biased; start, self.bus.stop(unit.as_str()));
            drop((started.expect("started"), stopped.expect("stopped")));
            self.write(What::Did("start, and systemctl --user stop at once".to_owned()));
        } else {
            drop(start.await.expect("started"));
            self.write(What::Did("start".to_owned()));
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Up => self.until("exec", |seen, _| sub(seen) == Some("running")).await,
            Step::Over => self.until("the end", |seen, _| seen.service.exec_main_code > Some(0)).await,
            Step::Sub(state) => {
                // A job that led there goes with or after the last change; that of a start is there throughout.
                let settled = |seen: &Snapshot| state == "start" || seen.unit.job == Some(0);
                self.until(state, |seen, _| sub(seen) == Some(state) && settled(seen)).await;
            }
            Step::OtherRun => {
                let other = |seen: &Snapshot, first: Option<InvocationId>| {
                    first.is_some() && seen.unit.invocation.is_some() && seen.unit.invocation != first
                };
                self.until("another run", other).await;
            }
            Step::Someone(words) => self.someone(words).await,
            Step::Stop => {
                drop(self.bus.stop(self.unit.as_str()).await.expect("stopped"));
                self.write(What::StopDelivered("the recorder".to_owned()));
            }
            Step::UpAgain(restarts) => {
                let again = |seen: &Snapshot| seen.service.n_restarts == Some(restarts);
                self.until("exec again", |seen, _| again(seen) && sub(seen) == Some("running")).await;
            }
            Step::GivenUp(restarts) => {
                let tried = |seen: &Snapshot| seen.service.n_restarts == Some(restarts);
                self.until("the end", |seen, _| tried(seen) && sub(seen) == Some("failed")).await;
            }
            Step::Kill => {
                // Polled in this order, both calls leave in this order before an answer comes.
                let (kill, stop) = (
                    self.bus.kill(self.unit.as_str(), Whom::All, Signal::KILL),
                    self.bus.stop(self.unit.as_str()),
                );
                let (killed, stopped) = tokio::join!(biased; kill, stop);
                drop((killed.expect("killed"), stopped.expect("stopped")));
                self.write(What::StopDelivered("the recorder".to_owned()));
            }
            Step::Look => self.look().await,
            Step::Quiet => while self.listen(QUIET).await {},
            Step::ComeLate => self.lines.clear(),
        }
    }

    /// Writes down what comes until `seen` holds of the newest picture and the first run.
    async fn until(&mut self, label: &str, seen: impl Fn(&Snapshot, Option<InvocationId>) -> bool) {
        while !seen(&self.newest, self.first_run) {
            assert!(self.listen(BOUND).await, "timed out: {label}: {:#?}", self.lines);
        }
    }

    /// Takes one event; false where none comes in time.
    async fn listen(&mut self, bound: Duration) -> bool {
        let Ok(event) = timeout(bound, self.events.recv()).await else { return false };
        match event.expect("events while there is a bus") {
            BusEvent::Changed(unit, snapshot) if unit == self.unit => {
                self.first_run = self.first_run.or(snapshot.unit.invocation);
                self.newest = snapshot.clone();
                self.write(What::Signal(snapshot));
            }
            BusEvent::JobRemoved { unit, result, .. } if unit == self.unit => self.write(What::Job(result)),
            _ => {}
        }
        true
    }

    async fn someone(&mut self, words: &[&str]) {
        let shown = words.join(" ").replace("{}", "UNIT");
        self.write(What::Did(format!("systemctl --user {shown}")));
        let words = words.iter().map(|word| if *word == "{}" { self.unit.as_str() } else { word });
        let run = Command::new("systemctl").arg("--user").args(words).status();
        let status = timeout(BOUND, run).await.expect("systemctl answers").expect("systemctl");
        assert!(status.success(), "systemctl {shown}: {status}");
    }

    async fn look(&mut self) {
        // What was told before it, first.
        while self.listen(Duration::from_millis(50)).await {}
        let seen = self.bus.look(self.unit.as_str()).await.expect("a look");
        self.write(What::Look(seen));
    }

    /// Records what is left to tell, the last look while the unit is held, and one when it is gone.
    async fn finish(&mut self, held: Hold) {
        self.step(Step::Quiet).await;
        self.look().await;
        self.bus.untrack(&self.unit);
        let unit = self.unit.as_str();
        // Whatever is left of it goes; each of these may find nothing to do.
        let _ = self.bus.kill(unit, Whom::All, Signal::KILL).await;
        if let Ok(mut stop) = self.bus.stop(unit).await {
            let _ = timeout(BOUND, stop.ended()).await;
        }
        let _ = self.bus.reset_failed(unit).await;
        if held != Hold::None {
            self.bus.unref(unit).await.expect("the reference given back");
        }
        while self.bus.look(unit).await.expect("a look").unit.load_state.as_deref() != Some("not-found") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.write(What::Did("the unit is let go".to_owned()));
        let missing = self.bus.look(self.unit.as_str()).await.expect("a look");
        self.write(What::Look(missing));
    }
}

fn sub(seen: &Snapshot) -> Option<&str> {
    seen.unit.sub_state.as_deref()
}

/// As the unit room plans a proc, without what no trace shows.
fn properties(scenario: &Scenario, scratch: &str) -> Vec<Property> {
    let argv: Vec<_> = scenario.argv.iter().map(|&word| word.to_owned()).collect();
    let exec = ExecCommand { path: argv[0].clone(), argv, ignore_failure: false };
    let collect = if scenario.kept { "inactive" } else { "inactive-or-failed" };
    let mut properties = vec![
        Property::new("Type", "exec"),
        Property::new("ExecStart", vec![exec]),
        Property::new("WorkingDirectory", scratch),
        Property::new("RemainAfterExit", scenario.kept),
        Property::new("CollectMode", collect),
        Property::new("KillMode", "control-group"),
        Property::new("TimeoutStopUSec", 10_000_000_u64),
    ];
    if scenario.hold != Hold::None {
        properties.push(Property::new("AddRef", true));
    }
    for given in &scenario.extra {
        properties.retain(|property| property.name != given.name);
        properties.push(given.clone());
    }
    properties
}
