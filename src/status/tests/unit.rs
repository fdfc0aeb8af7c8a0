//! A service unit as systemd moves it and shows it: every step emits the pictures that the recorded traces of
//! `tests/traces` have at that step, on 252 and on 257.

use crate::id::InvocationId;
use crate::status::exit::Exit;
use crate::status::snapshot::{ServiceSide, Snapshot, UnitSide};
use crate::time::Timestamp;

/// 2023-11-14T22:13:20Z.
const EPOCH: u64 = 1_700_000_000_000_000;

/// A moment, in milliseconds of these tests' own time.
pub(super) const fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(EPOCH + millis * 1000)
}

/// The invocation id with this number.
pub(super) fn run(number: u8) -> InvocationId {
    InvocationId::from_bytes(&[number; 16]).expect("a run's number is not 0")
}

/// What differs between releases in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    V252,
    V257,
}

/// A transient service of `Type=exec`, with every picture it has shown.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    release: Release,
    kept: bool,
    millis: u64,
    runs: u8,
    now: Snapshot,
    pub(super) shown: Vec<Snapshot>,
}

impl Unit {
    /// One that is collected with its last reference: an attached proc.
    pub(super) fn new(release: Release) -> Self {
        let handoff_monotonic = (release == Release::V257).then_some(0);
        let service = ServiceSide {
            main_pid: Some(0),
            exec_main_pid: Some(0),
            exec_main_code: Some(0),
            exec_main_status: Some(0),
            handoff_monotonic,
            result: Some("success".into()),
            n_restarts: Some(0),
            ..ServiceSide::default()
        };
        let unit = UnitSide { job: Some(0), ..UnitSide::default() };
        let now = Snapshot { unit, service };
        let mut unit = Self { release, kept: false, millis: 0, runs: 0, now, shown: Vec::new() };
        unit.state("inactive", "dead");
        unit
    }

    /// With `RemainAfterExit`: a detached proc.
    pub(super) fn kept(release: Release) -> Self {
        Self { kept: true, ..Self::new(release) }
    }

    /// As a look shows it now.
    pub(super) fn look(&self) -> Snapshot {
        let mut look = self.now.clone();
        look.unit.load_state = Some("loaded".into());
        look
    }

    /// As a look shows a unit that does not exist: every value that of a clean success (measured, 252 and 257).
    pub(super) fn missing(release: Release) -> Snapshot {
        let mut look = Self::new(release).look();
        look.unit.load_state = Some("not-found".into());
        look
    }

    /// As the newest signal showed it.
    pub(super) fn newest(&self) -> Snapshot {
        self.shown.last().expect("a picture").clone()
    }

    fn tick(&mut self) -> Timestamp {
        self.millis += 10;
        at(self.millis)
    }

    fn emit(&mut self) -> &mut Self {
        self.shown.push(self.now.clone());
        self
    }

    fn state(&mut self, active: &str, sub: &str) -> &mut Self {
        self.now.unit.active_state = Some(active.to_owned().into());
        self.now.unit.sub_state = Some(sub.to_owned().into());
        self
    }

    fn job(&mut self, job: u32) -> &mut Self {
        self.now.unit.job = Some(job);
        self
    }

    /// A start job is queued: the first picture of all.
    pub(super) fn queue(&mut self) -> &mut Self {
        self.job(1).emit()
    }

    /// The main process is forked.
    pub(super) fn fork(&mut self) -> &mut Self {
        self.runs += 1;
        let (pid, started) = (100 + u32::from(self.runs), self.tick());
        self.now.unit.invocation = Some(run(self.runs));
        let service = &mut self.now.service;
        service.main_pid = Some(pid);
        service.exec_main_pid = Some(pid);
        (service.exec_main_code, service.exec_main_status) = (Some(0), Some(0));
        (service.exec_main_start, service.exec_main_exit) = (Some(started), None);
        service.handoff_monotonic = (self.release == Release::V257).then_some(0);
        service.result = Some("success".into());
        self.emit().state("activating", "start").emit()
    }

    /// Exec succeeds, without the manager having noticed more than the handoff, which 252 does not have.
    pub(super) fn handoff(&mut self) -> &mut Self {
        if self.release == Release::V257 {
            self.now.service.handoff_monotonic = Some(1_000 + self.millis);
            self.emit();
        }
        self
    }

    /// The manager notices that exec has succeeded, and the start job is done.
    pub(super) fn up(&mut self) -> &mut Self {
        self.now.unit.active_enter = Some(self.tick());
        self.state("active", "running").emit().job(0).emit()
    }

    /// A program that is up.
    pub(super) fn started(&mut self) -> &mut Self {
        self.queue().fork().handoff().up()
    }

    /// A stop job takes the unit out of `active`; what is in it has been sent TERM.
    pub(super) fn stop(&mut self) -> &mut Self {
        self.job(2).emit().leave().state("deactivating", "stop-sigterm").emit()
    }

    /// systemd begins to end it for a limit: no job.
    pub(super) fn limit(&mut self, result: &str) -> &mut Self {
        self.result(result).leave().state("deactivating", "stop-sigterm").emit()
    }

    fn leave(&mut self) -> &mut Self {
        if self.now.unit.active_state.as_deref() == Some("active") {
            self.now.unit.active_exit = Some(self.tick());
        }
        self
    }

    /// The first result that is not success stays.
    fn result(&mut self, result: &str) -> &mut Self {
        if self.now.service.result.as_deref() == Some("success") {
            self.now.service.result = Some(result.to_owned().into());
        }
        self
    }

    /// The main process is reaped and the policy says that another follows: the unit waits for its restart.
    pub(super) fn run_ends(&mut self, exit: Exit, children: bool) -> &mut Self {
        self.reap(exit);
        if children {
            self.leave().state("deactivating", "stop-sigterm").emit();
        }
        // In passing, and before 254 in the words of a unit that is down for good.
        let failed = if self.release == Release::V257 { "failed-before-auto-restart" } else { "failed" };
        self.leave().state("failed", failed).emit().state("activating", "auto-restart").emit()
    }

    /// The restart is counted when its job is queued.
    fn count_restart(&mut self) -> &mut Self {
        let counted = self.now.service.n_restarts.map_or(1, |count| count + 1);
        self.now.service.n_restarts = Some(counted);
        let queued = if self.release == Release::V257 { "auto-restart-queued" } else { "auto-restart" };
        self.job(4).emit().state("activating", queued).emit()
    }

    /// The policy's next run, up.
    pub(super) fn start_by_policy(&mut self) -> &mut Self {
        self.count_restart();
        if self.release == Release::V252 {
            self.state("inactive", "dead");
        }
        self.fork().handoff().up()
    }

    /// The restart is refused.
    pub(super) fn hit_start_limit(&mut self) -> &mut Self {
        self.count_restart().state("failed", "failed").emit().job(0).emit()
    }

    /// A stop while it waits for its restart.
    pub(super) fn stop_between(&mut self) -> &mut Self {
        self.job(2).emit().emit().state("inactive", "dead").emit().job(0).emit()
    }

    /// The main process is reaped. What that does to the unit depends on what else is in it.
    pub(super) fn main_ends(&mut self, exit: Exit, children: bool) -> &mut Self {
        let ended = self.reap(exit);
        let stays = self.kept && self.now.service.result.as_deref() == Some("success");
        match self.now.unit.active_state.as_deref() {
            Some("deactivating") if children => self.emit(),
            Some("deactivating") => self.down(),
            _ if stays => {
                if self.now.unit.active_state.as_deref() != Some("active") {
                    self.now.unit.active_enter = Some(ended);
                }
                self.state("active", "exited").emit().job(0).emit()
            }
            _ if children => self.leave().state("deactivating", "stop-sigterm").emit(),
            _ => self.leave().down(),
        }
    }

    /// Its exit status is read. Says when it ended.
    fn reap(&mut self, exit: Exit) -> Timestamp {
        let ended = self.tick();
        let (code, status, result) = match exit {
            Exit::Code(0) => (1, 0, "success"),
            Exit::Code(code) => (1, i32::from(code), "exit-code"),
            Exit::Signal { signal, core_dumped: true } => (3, signal.number(), "core-dump"),
            Exit::Signal { signal, core_dumped: false } => {
                // systemd-facts 6: death by one of these counts as clean.
                let clean = matches!(signal.number(), 1 | 2 | 13 | 15);
                (2, signal.number(), if clean { "success" } else { "signal" })
            }
        };
        let service = &mut self.now.service;
        (service.main_pid, service.exec_main_exit) = (Some(0), Some(ended));
        (service.exec_main_code, service.exec_main_status) = (Some(code), Some(status));
        self.result(result);
        ended
    }

    /// The last process is gone, by SIGKILL at the stop timeout where `refused`.
    pub(super) fn children_end(&mut self, refused: bool) -> &mut Self {
        if self.now.unit.active_state.as_deref() == Some("active") {
            return self;
        }
        if refused {
            self.result("timeout").state("deactivating", "stop-sigkill").emit();
        }
        self.down()
    }

    fn down(&mut self) -> &mut Self {
        let failed = self.now.service.result.as_deref() != Some("success");
        let (active, sub) = if failed { ("failed", "failed") } else { ("inactive", "dead") };
        self.state(active, sub).emit().job(0).emit()
    }

    /// systemd could not start a main process at all.
    pub(super) fn not_forked(&mut self, result: &str) -> &mut Self {
        self.runs += 1;
        self.now.unit.invocation = Some(run(self.runs));
        self.result(result).down()
    }

    /// Its start job is cancelled before it was run.
    pub(super) fn cancel(&mut self) -> &mut Self {
        self.job(2).emit().job(0).emit()
    }

    /// Somebody says `systemctl reset-failed`.
    pub(super) fn reset_failed(&mut self) -> &mut Self {
        self.now.service.result = Some("success".into());
        if self.now.unit.active_state.as_deref() == Some("failed") {
            self.state("inactive", "dead").emit();
        }
        self
    }

    /// Somebody starts it again: another run. The unit keeps the times of the one before.
    pub(super) fn start_again(&mut self) -> &mut Self {
        self.job(3).emit().fork().handoff()
    }
}
