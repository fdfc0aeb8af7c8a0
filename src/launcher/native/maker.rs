//! The thread that makes the children, and does nothing else.
//!
//! The parent-death signal comes when the *thread* that made the child ends (prctl(2)), and a runtime's threads come
//! and go. It stands still while a child is on its way to exec, which may wait for a file server: everything that the
//! other children need is done by another thread (`keeper`).

use std::sync::mpsc::Receiver;
use std::time::SystemTime;

use tokio::sync::oneshot;

use super::follow::Sweep;
use super::spawner::{Request, Spawner, Started};
use crate::id::InvocationId;
use crate::launcher::Facts;
use crate::sys::child::{self, Image, Made, Stack, StartError};
use crate::sys::{signals, wait};

/// What the thread is asked.
pub(super) enum Call {
    /// Make a child.
    Make(Box<Order>),
    /// Make no more, and end.
    End,
}

/// A child to be made.
pub(super) struct Order {
    pub(super) image: Image,
    pub(super) terms: Terms,
}

/// What a child is to those who asked for it.
pub(super) struct Terms {
    /// The run that it is.
    pub(super) run: Option<InvocationId>,
    pub(super) facts: Facts,
    pub(super) sweep: Sweep,
    pub(super) reply: oneshot::Sender<Result<Started, StartError>>,
}

/// A child that has reached exec.
pub(super) struct Born {
    pub(super) made: Made,
    /// When it was begun.
    pub(super) at: SystemTime,
    /// What this process had resident at the most when it was made.
    pub(super) own_max_resident: u64,
    pub(super) terms: Terms,
}

/// What the thread does. When it ends, the kernel kills what it made.
pub(super) fn run(calls: &Receiver<Call>, spawner: &Spawner) {
    if let Err(errno) = signals::block_all() {
        // Without calls to take, every launch is refused.
        tracing::error!(%errno, "the thread that starts children cannot block signals");
    } else {
        let mut stack = Stack::new();
        while let Ok(Call::Make(order)) = calls.recv()
            && make(*order, &mut stack, spawner)
        {}
    }
    spawner.ask(Request::NoMore);
}

/// False where nobody keeps children any more.
fn make(Order { image, terms }: Order, stack: &mut Stack, spawner: &Spawner) -> bool {
    // Who asked has gone away, or is about to hear that it is too late.
    if terms.reply.is_closed() || spawner.is_closed() {
        return true;
    }
    let at = SystemTime::now();
    let made = child::start(&image, stack, true);
    // Who reads its output waits for the end of that: no copy stays here.
    drop(image);
    match made {
        Ok(made) => {
            let born = Born { made, at, own_max_resident: wait::own_max_resident(), terms };
            spawner.ask(Request::Born(Box::new(born)))
        }
        Err(error) => {
            let _ = terms.reply.send(Err(error));
            true
        }
    }
}
