//! The one thread that sees children end, ends what they leave, and waits for them: all of them.
//!
//! As nobody else waits for them, their numbers are theirs for as long as this thread says so.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::census::Census;
use super::ends::Ends;
use super::follow::{Aftermath, Sweep};
use super::leader::Leader;
use super::maker::{Born, Call, Terms};
use super::spawner::{Request, Spawner, Started};
use super::tree::Tree;
use crate::signal::Signal;
use crate::status::Found;
use crate::status::machine::Event;
use crate::sys::poll::Bell;
use crate::sys::processes::{self, Listed, Seen};
use crate::sys::signals;

/// How often children are looked at that are to be over and of whose ends nothing may tell. They have been killed, so
/// it is a matter of a few times.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What the thread has.
pub(super) struct Keeper {
    requests: Receiver<Request>,
    /// To the thread that makes them, which ends before this one.
    calls: Sender<Call>,
    /// Children that have not been waited for.
    kept: HashMap<Pid, Kept>,
    /// Those of them that are over.
    over: HashMap<Pid, Aftermath>,
    /// How many ends were told.
    ended: u64,
    ends: Ends,
    census: Census,
    closed: bool,
    /// Whether no more are made.
    no_more: bool,
    /// When doomed children are looked at that SIGCHLD alone tells of.
    impatient_at: Option<Instant>,
}

struct Kept {
    tree: Arc<Tree>,
    sweep: Sweep,
}

/// It goes when nothing is kept, or by a panic: then nobody will see any more how what is kept ends.
impl Drop for Keeper {
    fn drop(&mut self) {
        // No more are made, and the kernel kills what the thread made that is told.
        let _ = self.calls.send(Call::End);
        for kept in self.kept.values() {
            // Where its end was told, that stands.
            kept.tree.tell(Event::Lost(Found::NoLauncher));
        }
    }
}

impl Keeper {
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub(super) fn new(
        (requests, calls): (Receiver<Request>, Sender<Call>),
        watched_max: usize,
    ) -> Result<Self, Errno> {
        Ok(Self {
            requests,
            calls,
            kept: HashMap::new(),
            over: HashMap::new(),
            ended: 0,
            ends: Ends::new(watched_max)?,
            census: Census::default(),
            closed: false,
            no_more: false,
            impatient_at: None,
        })
    }

    pub(super) fn bell(&self) -> Arc<Bell> {
        self.ends.bell()
    }

    /// What the thread does.
    pub(super) fn run(mut self, spawner: &Spawner) {
        if let Err(errno) = signals::block_all() {
            tracing::debug!(%errno, "this process's signals may be handled by the thread that keeps children");
        }
        while !self.is_done() {
            let patience = self.patience(spawner);
            for leader in self.ends.wait(patience) {
                self.on_end(leader);
            }
            self.take_requests(spawner);
            self.look_out();
            self.look_if_due();
        }
    }

    fn is_done(&self) -> bool {
        self.no_more && self.kept.is_empty()
    }

    /// How long there is nothing to do unless somebody calls. What was asked before that can be told is taken first.
    fn patience(&mut self, spawner: &Spawner) -> Option<Duration> {
        self.ends.arm();
        self.take_requests(spawner);
        if self.is_done() {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let due = [self.look_at(now), self.ends.due_at(now), self.impatient_at.map(|at| at.max(now))];
        due.into_iter().flatten().min().map(|due| due.saturating_duration_since(now))
    }

    /// When a look at all processes is to be made.
    fn look_at(&self, now: Instant) -> Option<Instant> {
        let asked = self.census.is_asked().then(|| self.census.due_at(now, true));
        let due = |(leader, aftermath): (&Pid, &Aftermath)| {
            let is_awaited = self.kept.get(leader).is_some_and(|kept| kept.tree.is_awaited());
            self.census.due_at(aftermath.look_at(), is_awaited)
        };
        self.over.iter().map(due).chain(asked).min()
    }

    /// Who has abandoned a child or closed the launcher may have taken with it what passes SIGCHLD on.
    fn look_out(&mut self) {
        let now = Instant::now();
        if self.impatient_at.is_none_or(|at| at <= now) {
            let doomed = || self.kept.values().any(|kept| kept.tree.is_doomed());
            let impatient = self.ends.relies_on_sigchld() && doomed();
            self.impatient_at = impatient.then(|| now + LOOK_EVERY);
            if impatient {
                self.ends.on_sigchld();
            }
        }
    }

    fn take_requests(&mut self, spawner: &Spawner) {
        while let Ok(request) = self.requests.try_recv() {
            self.take(request, spawner);
        }
    }

    fn take(&mut self, request: Request, spawner: &Spawner) {
        match request {
            Request::Born(born) => self.keep(*born, spawner),
            Request::NoMore => self.no_more = true,
            Request::Look(reply) => self.census.ask(reply),
            Request::LookBehind(leader) => self.look_by_now(leader),
            Request::Abandoned(leader) => self.abandon(leader),
            Request::Sigchld => self.ends.on_sigchld(),
            Request::Close => self.close(),
        }
    }

    fn close(&mut self) {
        self.closed = true;
        // Where the thread is gone, no more are made either.
        self.no_more |= self.calls.send(Call::End).is_err();
        let leaders: Vec<_> = self.kept.keys().copied().collect();
        for leader in leaders {
            self.abandon(leader);
        }
    }

    fn look_by_now(&mut self, leader: Pid) {
        if let Some(aftermath) = self.over.get_mut(&leader) {
            aftermath.look_by(Instant::now());
        }
    }

    /// Kills it, and what it leaves.
    fn abandon(&mut self, leader: Pid) {
        let Some(kept) = self.kept.get(&leader) else { return };
        kept.tree.doom();
        if !self.over.contains_key(&leader) {
            // What goes wrong with that shows in what is left, and that is looked at.
            let _ = kept.tree.leader().signal_group(Signal::KILL);
        }
        self.look_by_now(leader);
    }

    /// A leader may be over, or what one left.
    fn on_end(&mut self, leader: Pid) {
        let Some(kept) = self.kept.get(&leader) else { return };
        let now = Instant::now();
        if let Some(aftermath) = self.over.get_mut(&leader) {
            self.ends.forget(leader);
            return aftermath.look_by(now);
        }
        match kept.tree.leader().end() {
            Ok(Some(_)) => {
                self.ends.forget(leader);
                self.over.insert(leader, Aftermath::new(kept.sweep, self.ended, now));
                self.ended += 1;
                kept.tree.tell_end();
            }
            Ok(None) => self.ends.on_still_there(leader, now),
            Err(errno) => {
                // Its number may be another's by now: nothing that goes by it is done any more.
                tracing::warn!(pid = kept.tree.leader().number(), %errno, "somebody else has waited for this child");
                kept.tree.tell(Event::Lost(Found::NoExitStatus));
                self.ends.forget(leader);
                self.kept.remove(&leader);
            }
        }
    }

    fn look_if_due(&mut self) {
        let now = Instant::now();
        if self.look_at(now).is_none_or(|due| due > now) {
            return;
        }
        match self.census.look() {
            Ok(listed) => self.look_behind(&listed, now),
            Err(error) => {
                tracing::warn!(%error, "cannot look at what main processes left; trying again");
                self.over.values_mut().for_each(|aftermath| aftermath.look_again(now));
            }
        }
    }

    /// Looks at what all those left that are over, by a list that was begun after their ends were told.
    fn look_behind(&mut self, listed: &[Listed], now: Instant) {
        let mut left: HashMap<Pid, Vec<Pid>> = HashMap::new();
        for listed in listed.iter().filter(|listed| self.over.contains_key(&listed.session)) {
            if listed.pid != listed.session {
                left.entry(listed.session).or_default().push(listed.pid);
            }
        }
        let mut over: Vec<_> =
            self.over.iter().map(|(leader, aftermath)| (aftermath.place(), *leader)).collect();
        over.sort_unstable();
        for (_, leader) in over {
            let left = left.remove(&leader).unwrap_or_default();
            match processes::look_again(leader, &left) {
                Ok(seen) => self.on_look(leader, &seen, now),
                Err(error) => {
                    tracing::warn!(%error, "cannot look at what a main process left; trying again");
                    self.over.entry(leader).and_modify(|aftermath| aftermath.look_again(now));
                }
            }
        }
    }

    /// Nothing is left of it.
    fn let_go(&mut self, leader: Pid, now: Instant) {
        let Some(kept) = self.kept.get(&leader) else { return };
        if kept.tree.reap() {
            kept.tree.tell(Event::TreeGone);
            self.ends.forget(leader);
            self.over.remove(&leader);
            self.kept.remove(&leader);
        } else if let Some(aftermath) = self.over.get_mut(&leader) {
            // Its number is being used, which calls for a look when that is over: whenever its user is polled again.
            aftermath.look_again(now);
        }
    }

    fn on_look(&mut self, leader: Pid, seen: &[Seen], now: Instant) {
        let (Some(kept), Some(aftermath)) = (self.kept.get(&leader), self.over.get_mut(&leader)) else {
            return;
        };
        let Some(sent) = aftermath.on_look(seen, kept.tree.is_doomed(), now) else {
            return self.let_go(leader, now);
        };
        let left: Vec<_> = seen.iter().filter_map(Seen::alive).collect();
        for &signal in sent {
            // What cannot be signalled stays, and is seen to stay.
            let _ = kept.tree.leader().signal_group(signal);
        }
        kept.tree.signal_outside(&left, sent);
        if let Some(first) = left.first() {
            self.ends.watch_left(leader, first.pid);
        }
    }

    fn keep(&mut self, Born { made, at, own_max_resident, terms }: Born, spawner: &Spawner) {
        let Terms { run, facts, sweep, reply } = terms;
        let leader = Leader::new(made.pid, own_max_resident);
        facts.send(Event::Started { pid: leader.number(), at: at.into(), run });
        let tree = Arc::new(Tree::new(leader, facts, spawner.clone()));
        let is_watched = self.ends.watch(made.pid, made.pidfd);
        self.kept.insert(made.pid, Kept { tree: Arc::clone(&tree), sweep });
        if self.closed {
            self.abandon(made.pid);
        }
        // Who asked may go away now: the child then goes with the answer.
        let _ = reply.send(Ok(Started::new(tree, !is_watched)));
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::SystemTime;

    use tokio::sync::{mpsc as tokio_mpsc, oneshot};

    use super::*;
    use crate::launcher::{Facts, RunKey};
    use crate::sys::child::Made;

    #[test]
    fn a_panic_of_the_thread_ends_the_one_that_makes_children_and_tells_that_those_kept_are_lost() {
        let spawner = Spawner::start(usize::MAX).unwrap();
        let ((_, requested), (calls, called)) = (mpsc::channel(), mpsc::channel());
        let mut keeper = Keeper::new((requested, calls), usize::MAX).unwrap();
        let (to, mut told) = tokio_mpsc::unbounded_channel();
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        keeper.keep(born(child.id(), Facts { key: RunKey(0), to }), &spawner);
        let thread = std::thread::spawn(move || {
            let _keeper = keeper;
            panic!("as one in its run would be");
        });
        assert!(thread.join().is_err());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(told.try_recv().unwrap().event, Event::Started { .. }));
        assert_eq!(told.try_recv().unwrap().event, Event::Lost(Found::NoLauncher));
        assert!(matches!(called.try_recv(), Ok(Call::End)));
        spawner.close();
    }

    fn born(pid: u32, facts: Facts) -> Born {
        let made = Made { pid: Pid::from_raw(pid.cast_signed()), pidfd: None };
        let sweep = Sweep { signal: Signal::TERM, backstop: LOOK_EVERY };
        let terms = Terms { run: None, facts, sweep, reply: oneshot::channel().0 };
        Born { made, at: SystemTime::now(), own_max_resident: 0, terms }
    }
}
