//! Launches and adoptions, up to the handle that their caller gets.

use std::sync::Arc;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::restart::restarts;
use super::{AdoptReply, Task};
use crate::id::ProcId;
use crate::launcher::{AdoptError, Adopted, Facts, LaunchError, ProcRun, RunKey, Streams};
use crate::manager::entry::{Entry, Hold, Terms};
use crate::manager::ladder::Ladder;
use crate::manager::message::{Begun, Outcome, SpawnReply, Spawned};
use crate::manager::opening;
use crate::manager::turns::Turn;
use crate::report::{Asked, OutputReport, label_of};
use crate::spec::{Lifetime, ProcSpec, defaults};
use crate::status::machine::{Machine, Restarts};

fn refuse(reply: SpawnReply, error: LaunchError) {
    // Who asked may have gone away.
    let _ = reply.send(Spawned::Done(Err(error)));
}

impl Task {
    pub(super) fn spawn(&mut self, spec: Box<ProcSpec>, turn: Turn, reply: SpawnReply) {
        // Its caller went away while it waited its turn.
        if reply.is_closed() {
            return;
        }
        if self.closed {
            return refuse(reply, LaunchError::Closed);
        }
        let id = spec.id().clone();
        if let Some((&key, entry)) = self.newest.get(&id).and_then(|key| self.entries.get_key_value(key)) {
            match (&entry.hold, entry.is_over()) {
                (Hold::Settled { .. }, _) => {}
                // Its id is free as soon as it is over; its unit's name only once the hold is given up.
                (_, true) if entry.terms.lifetime == Lifetime::Attached => {
                    let (settled, free) = oneshot::channel();
                    self.queued.entry(key).or_default().push(settled);
                    let _ = reply.send(Spawned::NotYet { spec, free });
                    return self.settle_now(key);
                }
                _ => return refuse(reply, LaunchError::AlreadyExists { id }),
            }
        }
        let terms = Terms {
            label: spec.label().map(str::to_owned),
            lifetime: spec.lifetime(),
            stop: spec.stop().clone(),
            runtime_max: spec.runtime_max(),
            output: OutputReport::default(),
        };
        if let Some(earlier) = self.newest.get(&id).and_then(|key| self.entries.get(key))
            && let Some(output) = earlier.output.get()
        {
            output.end_before_next();
        }
        let (key, facts) = self.new_entry(id, terms);
        let restarts = restarts(spec.restart(), self.launcher.restarts_by_itself());
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.machine = Machine::restarting(restarts);
            entry.next.spec = matches!(restarts, Restarts::ByManager { .. }).then(|| spec.clone());
        }
        self.make_room();
        self.launching.insert(key, reply);
        self.ask_for_launch((spec, None), facts, turn, move |result| Outcome::Launched { key, result });
    }

    /// Has the launcher start a run, with the streams of an earlier one or with new ones. Where this manager is gone when it
    /// has, nobody will ask for it, and it is undone.
    pub(super) fn ask_for_launch(
        &self,
        (spec, streams): (Box<ProcSpec>, Option<Streams>),
        facts: Facts,
        turn: Turn,
        outcome: impl FnOnce(Result<Begun, LaunchError>) -> Outcome + Send + 'static,
    ) {
        let (launcher, outcomes) = (Arc::clone(&self.launcher), self.outcomes.0.clone());
        let outlets = Arc::clone(&self.outlets);
        let output = self.entries.get(&facts.key).map(|entry| Arc::clone(&entry.output)).unwrap_or_default();
        let span = tracing::info_span!("launch", id = %spec.id(), launcher = launcher.name());
        let launching = async move {
            let launch = async {
                let streams = if let Some(streams) = streams {
                    streams
                } else {
                    let kinds = launcher.stream_kinds(&spec);
                    let (streams, opened) = opening::open(&outlets, kinds, &spec).await?;
                    // Before any fact of it.
                    let _ = output.set(opened);
                    streams
                };
                let launched = launcher.launch(*spec, streams.clone(), facts).await?;
                Ok(Begun { launched, streams })
            };
            let result = turn.spend_on(launch).await;
            if let Err(SendError(
                Outcome::Launched { result: Ok(begun), .. } | Outcome::Relaunched { result: Ok(begun), .. },
            )) = outcomes.send(outcome(result))
            {
                undo(&*begun.launched.run).await;
            }
        };
        tokio::spawn(launching.instrument(span));
    }

    pub(super) fn on_launched(&mut self, key: RunKey, result: Result<Begun, LaunchError>) {
        let Some(reply) = self.launching.remove(&key) else { return };
        let Begun { launched, streams } = match result {
            Ok(begun) => begun,
            Err(error) => {
                self.withdraw(key);
                return refuse(reply, error);
            }
        };
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.hold = Hold::Held(Arc::from(launched.run));
        entry.notes = launched.notes;
        if let Some(output) = entry.output.get() {
            entry.notes.extend_from_slice(output.notes());
            output.name_run(entry.machine.run());
        }
        // What is started again by a path opens them again.
        entry.next.streams = (entry.machine.restarts_by() != Restarts::Never).then_some(streams);
        if launched.tells_ready {
            entry.expect_ready();
        }
        entry.abandoned = reply.is_closed();
        let ours = entry.terms.runtime_max.filter(|_| entry.terms.lifetime == Lifetime::Attached);
        entry.limit_at = ours.map(|limit| Instant::now() + limit);
        // Its end may have come before this answer; what follows from one needs the hold.
        self.after_fact(key);
        // A wish that came during the launch is due now.
        self.climb(key, Instant::now());
        let handle = self.handle(key);
        if handle.is_none_or(|handle| reply.send(Spawned::Done(Ok(handle))).is_err()) {
            // The caller went away before the answer: what was started for it is ended.
            self.end_abandoned(key);
        }
    }

    /// Ends what nobody will ever ask for, and leaves nothing of it.
    fn end_abandoned(&mut self, key: RunKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.abandoned = true;
        if entry.is_over() {
            return self.discard(key, None);
        }
        let now = Instant::now();
        entry.asked = Some(Asked::Reason("its caller went away during the launch".to_owned()));
        entry.ladder = Some(Ladder::kill(now, defaults::KILL_WAIT));
        self.climb(key, now);
    }

    pub(super) fn adopt(&mut self, id: ProcId, reply: AdoptReply) {
        if self.closed {
            return drop(reply.send(Err(AdoptError::Closed)));
        }
        if let Some(key) = self.newest.get(&id).copied()
            && let Some(entry) = self.entries.get(&key)
            && !matches!(entry.hold, Hold::Settled { .. })
        {
            return drop(reply.send(Err(AdoptError::AlreadyHeld { id })));
        }
        let terms = Terms {
            label: None,
            lifetime: Lifetime::Detached,
            stop: crate::spec::StopPolicy::default(),
            runtime_max: None,
            output: OutputReport::default(),
        };
        let (key, facts) = self.new_entry(id.clone(), terms);
        self.adopting.insert(key, reply);
        let (launcher, outcomes) = (Arc::clone(&self.launcher), self.outcomes.0.clone());
        let span = tracing::info_span!("adopt", %id, launcher = launcher.name());
        let adopting = async move {
            let result = launcher.adopt(id, facts).await;
            let _ = outcomes.send(Outcome::Adopted { key, result });
        };
        tokio::spawn(adopting.instrument(span));
    }

    pub(super) fn on_adopted(&mut self, key: RunKey, result: Result<Adopted, AdoptError>) {
        let Some(reply) = self.adopting.remove(&key) else { return };
        let adopted = match result {
            Ok(adopted) => adopted,
            Err(error) => {
                self.withdraw(key);
                return drop(reply.send(Err(error)));
            }
        };
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let sighting = adopted.sighting;
        entry.hold = Hold::Held(Arc::from(adopted.run));
        entry.terms = Terms {
            label: label_of(&sighting.id, &sighting.details),
            lifetime: sighting.lifetime,
            stop: sighting.stop,
            runtime_max: sighting.runtime_max,
            output: OutputReport { apart: sighting.details.streams_apart(), ..OutputReport::default() },
        };
        entry.machine = Machine::restarting(sighting.restarts);
        for fact in std::mem::take(&mut entry.early) {
            let step = entry.machine.step(fact.event, fact.at);
            entry.take(step);
        }
        entry.adopted = true;
        if self.handle(key).is_none_or(|handle| reply.send(Ok(handle)).is_err()) {
            return self.let_go(key);
        }
        self.after_fact(key);
        // A wish that came during the adoption is due now.
        self.climb(key, Instant::now());
    }

    /// Gives up the hold on what its caller, who went away during the adoption, will never ask for.
    pub(super) fn let_go(&mut self, key: RunKey) {
        let run = self.entries.get(&key).and_then(Entry::held);
        self.withdraw(key);
        tokio::spawn(async move {
            if let Some(run) = run {
                run.release().await;
            }
        });
    }
}

/// Ends what was started for a manager that is gone by now: nobody will ask for it.
async fn undo(run: &dyn ProcRun) {
    if let Err(error) = run.kill().await {
        tracing::debug!(%error, "not killed");
    }
    run.discard(None).await;
    run.release().await;
}
