//! From the end of a main process to the end of everything it forked.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Pid;
use tokio::time::{Instant, sleep, sleep_until};

use super::exit_watch::ExitWatch;
use super::tree::Tree;
use crate::launcher::Facts;
use crate::signal::Signal;
use crate::status::Found;
use crate::status::machine::Event;
use crate::sys::pidfd;
use crate::sys::processes::Process;

/// How long a look at what is left may lie back, should nothing else call for one.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How what a main process leaves behind is ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sweep {
    /// What asks it to end, as it would have asked the main process.
    pub(super) signal: Signal,
    /// From that to SIGKILL.
    pub(super) backstop: Duration,
}

/// Tells the end of the main process as soon as it is known, ends what that left, and waits for the main process
/// last.
pub(super) async fn follow(tree: Arc<Tree>, mut exit: ExitWatch, sweep: Sweep, facts: Facts) {
    let leader = tree.leader();
    let end = tokio::select! {
        biased;
        end = exit.end(leader) => end,
        () = abandoned(&tree) => exit.end(leader).await,
    };
    if let Err(errno) = end {
        // Its number may be another's by now: nothing that goes by it is done any more.
        tracing::warn!(pid = leader.number(), %errno, "somebody else has waited for this child");
        return facts.send(Event::Lost(Found::NoExitStatus));
    }
    tree.tell_end();
    drop(exit);
    leave_nothing(&tree, sweep).await;
    tree.reap().await;
    facts.send(Event::TreeGone);
}

/// Kills it when nobody wants it any more.
async fn abandoned(tree: &Tree) {
    tree.doomed().await;
    // What goes wrong with that shows in what is left, and that is looked at.
    let _ = tree.kill().await;
}

/// The stop signal, then CONT, so that a stopped process sees it; SIGKILL at the backstop, or once it is wanted.
/// As systemd does with what the main process of a service leaves (service.c, `SERVICE_FINAL_SIGTERM`).
async fn leave_nothing(tree: &Tree, sweep: Sweep) {
    let kill_at = Instant::now() + sweep.backstop;
    let mut doomed = false;
    let mut asked = false;
    loop {
        let left = match tree.others().await {
            Ok(left) => left,
            Err(error) => {
                tracing::warn!(%error, "cannot look at what a main process left; trying again");
                sleep(LOOK_EVERY).await;
                continue;
            }
        };
        let Some(first) = left.first() else { return };
        doomed |= Instant::now() >= kill_at;
        if doomed {
            signal(tree, &left, &[Signal::KILL]);
        } else if !asked {
            asked = true;
            signal(tree, &left, &[sweep.signal, Signal::CONT]);
        }
        tokio::select! {
            () = over(first.pid) => {}
            () = sleep(LOOK_EVERY) => {}
            () = sleep_until(kill_at), if !doomed => {}
            () = tree.doomed(), if !doomed => doomed = true,
        }
    }
}

fn signal(tree: &Tree, left: &[Process], sent: &[Signal]) {
    for &signal in sent {
        // What cannot be signalled stays, and is seen to stay.
        let _ = tree.leader().signal_group(signal);
    }
    tree.signal_outside(left, sent);
}

/// Resolves when this process is over, or was before; never where that cannot be told. It is a hint to look again.
async fn over(pid: Pid) {
    match pidfd::watch(pid) {
        Ok(fd) => drop(fd.readable().await),
        Err(_) => pending().await,
    }
}
