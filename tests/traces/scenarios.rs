//! The lives that are recorded: what runs, what is done to it, and what therefore is its end.

use procunit::report::EndedBy;
use procunit::signal::Signal;
use procunit::status::exit::SetupStep;
use procunit::status::machine::Restarts;
use procunit::status::{FailReason, Found, ProcStatus};
use procunit::unit::property::Property;

/// One life to be recorded.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) argv: Vec<&'static str>,
    pub(crate) kept: bool,
    pub(crate) extra: Vec<Property>,
    pub(crate) hold: Hold,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: ProcStatus,
    pub(crate) ended_by: Option<EndedBy>,
    pub(crate) runtime_max: Option<f64>,
    /// What its unit starts it again by.
    pub(crate) restarts: Option<Restarts>,
    /// How the runs before the last one ended.
    pub(crate) earlier: Vec<ProcStatus>,
}

/// How the recorder holds the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// By a reference that is taken with the start.
    Referenced,
    /// By one, and a stop follows the start before its answer is there.
    StoppedAtOnce,
    /// Not at all: it only looks.
    None,
}

/// What is done, or waited for, next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Exec has succeeded.
    Up,
    /// The main process is over.
    Over,
    /// Its newest picture has this `SubState` and no job.
    Sub(&'static str),
    /// It shows another run than the first.
    OtherRun,
    /// Exec has succeeded after this many restarts.
    UpAgain(u32),
    /// It has failed for good, after this many restarts were tried.
    GivenUp(u32),
    /// Somebody runs `systemctl --user` with these words; `{}` is the unit.
    Someone(&'static [&'static str]),
    /// We stop it.
    Stop,
    /// We kill it and keep it from being started again.
    Kill,
    Look,
    /// Nothing was told for a while.
    Quiet,
    /// What was recorded up to here is thrown away: the watcher comes only now.
    ComeLate,
}

use Step::{ComeLate, GivenUp, Kill, Look, OtherRun, Over, Quiet, Someone, Stop, Sub, Up, UpAgain};

const SLEEP: &[&str] = &["/bin/sleep", "60"];

fn stopped(exit_code: u8) -> ProcStatus {
    ProcStatus::Stopped { exit_code, stderr_tail: Vec::new() }
}

fn killed(signal: Signal) -> ProcStatus {
    ProcStatus::Killed { signal, core_dumped: false }
}

/// A life of a program that ends by itself.
fn life(name: &'static str, argv: &[&'static str], steps: &[Step], end: ProcStatus) -> Scenario {
    Scenario {
        name,
        argv: argv.to_vec(),
        kept: false,
        extra: Vec::new(),
        hold: Hold::Referenced,
        steps: steps.to_vec(),
        end,
        ended_by: Some(EndedBy::Program),
        runtime_max: None,
        restarts: None,
        earlier: Vec::new(),
    }
}

fn shell(name: &'static str, script: &'static str, steps: &[Step], end: ProcStatus) -> Scenario {
    life(name, &["/bin/sh", "-c", script], steps, end)
}

impl Scenario {
    /// As a detached proc: the unit stays when it is over.
    fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    fn by(self, ended_by: EndedBy) -> Self {
        Self { ended_by: Some(ended_by), ..self }
    }

    fn with(mut self, name: &'static str, value: impl Into<procunit::unit::property::Value>) -> Self {
        self.extra.push(Property::new(name, value));
        self
    }

    fn held(self, hold: Hold) -> Self {
        Self { hold, ..self }
    }

    /// Started again by its unit, `max` times at the most, after runs that end like this.
    fn restarted(self, policy: &'static str, max: Option<u32>, earlier: &[ProcStatus]) -> Self {
        let interval = if max.is_some() { u64::MAX } else { 0 };
        let restarts = Some(Restarts::ByUnit { max });
        Self { restarts, earlier: earlier.to_vec(), ..self }
            .with("Restart", policy)
            .with("RestartUSec", 200_000_u64)
            .with("StartLimitIntervalUSec", interval)
            .with("StartLimitBurst", max.map_or(u32::MAX, |max| max + 1))
    }
}

fn setup_failed(status: u8, version: u32) -> ProcStatus {
    // systemd-facts 6: only from 256 on the manager says that exec was not reached.
    match SetupStep::from_status(status).filter(|_| version >= 256) {
        Some(step) => ProcStatus::Failed { reason: FailReason::Setup { step } },
        None => stopped(status),
    }
}

/// Every life, for a manager of this version.
pub(crate) fn all(version: u32) -> Vec<Scenario> {
    [
        by_themselves(),
        by_signals(),
        by_stops(),
        by_others(),
        with_children(),
        by_systemd(version),
        restarted(version),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn by_themselves() -> Vec<Scenario> {
    vec![
        life("true", &["/bin/true"], &[Over], stopped(0)),
        shell("exit_7", "exit 7", &[Over], stopped(7)),
        shell("exit_203_at_once", "exit 203", &[Over], stopped(203)),
        shell("exit_203_later", "sleep 0.3; exit 203", &[Up, Look, Over], stopped(203)),
        life("detached_true", &["/bin/true"], &[Sub("exited")], stopped(0)).kept(),
        shell("detached_exit_3", "exit 3", &[Sub("failed")], stopped(3)).kept(),
        shell("detached_exit_3_later", "sleep 0.3; exit 3", &[Up, Sub("failed")], stopped(3)).kept(),
    ]
}

fn by_signals() -> Vec<Scenario> {
    let kill = |signal| -> &'static [Step] {
        match signal {
            Signal::TERM => &[Up, Look, Someone(&["kill", "-s", "TERM", "{}"]), Over],
            Signal::SEGV => &[Up, Someone(&["kill", "-s", "SEGV", "{}"]), Over],
            _ => &[Up, Someone(&["kill", "-s", "KILL", "{}"]), Over],
        }
    };
    let unknown = || EndedBy::UnknownSender;
    let core = ProcStatus::Killed { signal: Signal::SEGV, core_dumped: true };
    vec![
        life("kill_term", SLEEP, kill(Signal::TERM), killed(Signal::TERM)).by(unknown()),
        life("kill_kill", SLEEP, kill(Signal::KILL), killed(Signal::KILL)).by(unknown()),
        life("kill_segv", SLEEP, kill(Signal::SEGV), killed(Signal::SEGV))
            .by(unknown())
            .with("LimitCORE", 0_u64),
        life("kill_segv_with_core", SLEEP, kill(Signal::SEGV), core)
            .by(unknown())
            .with("LimitCORE", u64::MAX),
        shell("kill_itself", "kill -KILL $$$$", &[Over], killed(Signal::KILL)).by(unknown()),
        life("detached_kill_term", SLEEP, kill(Signal::TERM), killed(Signal::TERM)).by(unknown()).kept(),
        life("detached_kill_kill", SLEEP, kill(Signal::KILL), killed(Signal::KILL)).by(unknown()).kept(),
    ]
}

fn by_stops() -> Vec<Scenario> {
    const TERM_IS_WELL: &str = "trap 'exit 0' TERM; while :; do sleep 0.05; done";
    const TERM_IS_NOTHING: &str = "trap '' TERM; while :; do sleep 0.05; done";
    const STOP: Step = Someone(&["stop", "{}"]);
    let limit = "it did not end within its stop timeout".to_owned();
    let ours = || EndedBy::Procunit { reason: "the recorder".to_owned() };
    vec![
        life("stop_by_us", SLEEP, &[Up, Stop, Over], killed(Signal::TERM)).by(ours()),
        shell("stop_by_us_exits_0", TERM_IS_WELL, &[Up, Quiet, Stop, Over], stopped(0)).by(ours()),
        life("stop_by_someone", SLEEP, &[Up, STOP, Over], killed(Signal::TERM)).by(EndedBy::SomeoneElse),
        life("detached_stop_by_someone", SLEEP, &[Up, STOP, Over], killed(Signal::TERM))
            .by(EndedBy::SomeoneElse)
            .kept(),
        shell("stop_by_someone_exits_0", TERM_IS_WELL, &[Up, Quiet, STOP, Over], stopped(0))
            .by(EndedBy::SomeoneElse),
        shell("stop_by_someone_is_refused", TERM_IS_NOTHING, &[Up, Quiet, STOP, Over], killed(Signal::KILL))
            .by(EndedBy::Systemd { limit })
            .with("TimeoutStopUSec", 500_000_u64),
        life("stop_during_start", SLEEP, &[Sub("start"), Look, STOP, Over], killed(Signal::TERM))
            .by(EndedBy::SomeoneElse)
            .with("Type", "notify"),
        Scenario { ended_by: None, ..life("stop_at_once", SLEEP, &[Quiet], ProcStatus::Starting) }
            .held(Hold::StoppedAtOnce),
        life("detached_true_stopped_after", &["/bin/true"], &[Sub("exited"), STOP, Quiet], stopped(0)).kept(),
    ]
}

fn by_others() -> Vec<Scenario> {
    const RESET: Step = Someone(&["reset-failed", "{}"]);
    const RESTART: Step = Someone(&["restart", "{}"]);
    let lost = |found| ProcStatus::Failed { reason: FailReason::Lost { found } };
    let gone = life("gone_while_nobody_held_it", SLEEP, &[], lost(Found::NoUnit));
    vec![
        shell("exit_7_then_reset_failed", "exit 7", &[Sub("failed"), RESET, Quiet], stopped(7)),
        shell("detached_exit_3_then_reset_failed", "exit 3", &[Sub("failed"), RESET, Quiet], stopped(3))
            .kept(),
        shell("reset_failed_while_running", "sleep 0.5; exit 4", &[Up, RESET, Over], stopped(4)),
        shell(
            "reload_while_running",
            "sleep 1; exit 4",
            &[Up, Someone(&["daemon-reload"]), Over],
            stopped(4),
        ),
        shell(
            "reexec_while_running",
            "sleep 2; exit 4",
            &[Up, Someone(&["daemon-reexec"]), Over],
            stopped(4),
        ),
        life("restart_by_someone", SLEEP, &[Up, RESTART, OtherRun, Look], killed(Signal::TERM))
            .by(EndedBy::SomeoneElse),
        life(
            "detached_true_restarted_after",
            &["/bin/true"],
            &[Sub("exited"), RESTART, Quiet, Look],
            stopped(0),
        )
        .kept(),
        life(
            "seen_after_a_restart",
            &["/bin/sleep", "0.3"],
            &[Sub("exited"), RESTART, Over, Sub("exited"), Quiet, ComeLate, Look],
            stopped(0),
        )
        .kept(),
        Scenario { ended_by: None, steps: vec![Look, Someone(&["stop", "{}"]), Look], ..gone }
            .held(Hold::None)
            .kept(),
    ]
}

fn with_children() -> Vec<Scenario> {
    const KILL_ALL: Step = Someone(&["kill", "-s", "KILL", "{}"]);
    const LEAVES: &str = "sleep 60 & exit 0";
    const REFUSES: &str = "(trap '' TERM; exec sleep 60) & sleep 0.2; exit 0";
    vec![
        shell("children_left", "sleep 60 & exit 5", &[Over], stopped(5)),
        shell("children_left_after_exit_0", LEAVES, &[Over, Sub("dead")], stopped(0)),
        shell("children_left_refuse", REFUSES, &[Over, Look, Sub("failed")], stopped(0))
            .with("TimeoutStopUSec", 500_000_u64),
        shell("detached_children_left", LEAVES, &[Sub("exited"), Look, KILL_ALL, Quiet], stopped(0)).kept(),
        shell(
            "detached_children_left_stopped_after",
            LEAVES,
            &[Sub("exited"), Someone(&["stop", "{}"]), Quiet],
            stopped(0),
        )
        .kept(),
        shell("detached_children_left_after_exit_5", "sleep 60 & exit 5", &[Over], stopped(5)).kept(),
        shell(
            "detached_children_left_refuse",
            REFUSES,
            &[Over, Look, Someone(&["stop", "{}"]), Sub("failed")],
            stopped(0),
        )
        .with("TimeoutStopUSec", 500_000_u64)
        .kept(),
    ]
}

fn by_systemd(version: u32) -> Vec<Scenario> {
    let setup = |name, argv: &[&'static str], status| {
        let end = setup_failed(status, version);
        let life = life(name, argv, &[Over], end.clone());
        let ended_by = life.ended_by.clone().filter(|_| end == stopped(status));
        Scenario { ended_by, ..life }
    };
    let runtime_max = 0.4;
    let limited = life("runtime_max", SLEEP, &[Up, Over], killed(Signal::TERM))
        .by(EndedBy::TimeLimit)
        .with("RuntimeMaxUSec", 400_000_u64)
        .kept();
    vec![
        setup("missing_cwd", SLEEP, 200).with("WorkingDirectory", "/nonexistent"),
        setup("missing_program", &["/nonexistent/program"], 203),
        setup("detached_missing_cwd", SLEEP, 200).with("WorkingDirectory", "/nonexistent").kept(),
        Scenario { runtime_max: Some(runtime_max), ..limited },
    ]
}

/// Started again by their units' own policies.
fn restarted(version: u32) -> Vec<Scenario> {
    const FAILS_TWICE: &str = "echo >>$$0; test $$(wc -l <$$0) -gt 2";
    const KILL_IT: Step = Someone(&["kill", "-s", "KILL", "{}"]);
    const STOP: Step = Someone(&["stop", "{}"]);
    let thrice = |name: &'static str, file| {
        let argv: &[&'static str] = &["/bin/sh", "-c", FAILS_TWICE, file];
        life(name, argv, &[], stopped(0)).restarted("on-failure", None, &[stopped(1), stopped(1)])
    };
    let steps = |scenario: Scenario, steps: &[Step]| Scenario { steps: steps.to_vec(), ..scenario };
    let ours = || EndedBy::Procunit { reason: "the recorder".to_owned() };
    let long = |scenario: Scenario| scenario.with("RestartUSec", 60_000_000_u64);
    let setup = setup_failed(203, version);
    let no_program = life("restart_missing_program", &["/nonexistent/program"], &[GivenUp(2)], setup.clone());
    vec![
        steps(thrice("restart_until_exit_0", "until"), &[Sub("dead")]),
        steps(thrice("detached_restart_until_exit_0", "detached"), &[Sub("exited")]).kept(),
        shell("restart_max_2", "exit 1", &[GivenUp(3)], stopped(1)).restarted(
            "on-failure",
            Some(2),
            &[stopped(1), stopped(1)],
        ),
        shell("detached_restart_max_1", "sleep 0.2; exit 1", &[GivenUp(2)], stopped(1))
            .restarted("on-failure", Some(1), &[stopped(1)])
            .kept(),
        long(
            shell("restart_stopped_between", "exit 4", &[Sub("auto-restart"), Look, Stop], stopped(4))
                .restarted("always", None, &[])
                .by(ours()),
        ),
        long(
            shell("restart_stopped_between_by_someone", "exit 4", &[Sub("auto-restart"), STOP], stopped(4))
                .restarted("on-failure", None, &[])
                .by(EndedBy::SomeoneElse)
                .kept(),
        ),
        life("restart_stopped", SLEEP, &[Up, Stop, Sub("dead")], killed(Signal::TERM))
            .restarted("always", None, &[])
            .by(ours()),
        life("restart_killed_by_us", SLEEP, &[Up, Kill], killed(Signal::KILL))
            .restarted("always", None, &[])
            .by(ours()),
        life(
            "restart_killed_by_someone",
            SLEEP,
            &[Up, KILL_IT, Sub("auto-restart"), UpAgain(1), Look, STOP],
            killed(Signal::TERM),
        )
        .restarted("on-failure", None, &[killed(Signal::KILL)])
        .by(EndedBy::SomeoneElse),
        shell("restart_always_after_exit_0", "sleep 0.2; exit 0", &[UpAgain(1), STOP], killed(Signal::TERM))
            .restarted("always", None, &[stopped(0)])
            .by(EndedBy::SomeoneElse),
        shell("restart_children_left", "sleep 60 & exit 5", &[GivenUp(2)], stopped(5)).restarted(
            "on-failure",
            Some(1),
            &[stopped(5)],
        ),
        life(
            "restart_by_someone_of_a_policy",
            SLEEP,
            &[Up, Someone(&["restart", "{}"]), OtherRun, Look],
            killed(Signal::TERM),
        )
        .restarted("always", None, &[])
        .by(EndedBy::SomeoneElse),
        life(
            "restart_reload_between",
            SLEEP,
            &[Up, KILL_IT, Sub("auto-restart"), Someone(&["daemon-reload"]), UpAgain(1), STOP],
            killed(Signal::TERM),
        )
        .restarted("on-failure", Some(3), &[killed(Signal::KILL)])
        .with("RestartUSec", 1_000_000_u64)
        .by(EndedBy::SomeoneElse),
        Scenario { ended_by: Some(EndedBy::Program).filter(|_| version < 256), ..no_program }.restarted(
            "on-failure",
            Some(1),
            &[setup],
        ),
    ]
}
