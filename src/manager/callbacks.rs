//! Threads on which callers' callbacks run: off the manager's task and off the runtime, so that one that is slow or
//! panics is nobody else's concern.
//!
//! A thread is made where none is free, and goes when it has had nothing to do for a while: there are as many as
//! callbacks that run at one time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;

/// How long a thread waits for another callback.
const IDLE: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce() + Send>;

/// See the module. Dropped, it leaves what is queued and what runs to end by itself.
#[derive(Clone)]
pub(super) struct Callbacks {
    runtime: Handle,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    free: usize,
}

impl Callbacks {
    /// Callbacks run within this runtime, so that they may spawn on it.
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime, shared: Arc::default() }
    }

    /// Runs one, soon.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        let mut queue = self.shared.lock();
        queue.jobs.push_back(Box::new(job));
        if queue.free >= queue.jobs.len() {
            return self.shared.more.notify_one();
        }
        drop(queue);
        let (runtime, shared) = (self.runtime.clone(), Arc::clone(&self.shared));
        let thread = thread::Builder::new().name("procunit-callback".to_owned());
        if let Err(error) = thread.spawn(move || {
            let _within = runtime.enter();
            shared.work();
        }) {
            tracing::warn!(%error, "no thread for a callback: it runs on the runtime");
            let shared = Arc::clone(&self.shared);
            self.runtime.spawn(async move { shared.run_one() });
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            run(job);
        }
    }

    fn run_one(&self) {
        let job = self.lock().jobs.pop_front();
        job.into_iter().for_each(run);
    }

    /// The next, which is waited for.
    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        if queue.jobs.is_empty() {
            queue.free += 1;
            let waited = self.more.wait_timeout_while(queue, IDLE, |queue| queue.jobs.is_empty());
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            queue.free -= 1;
        }
        queue.jobs.pop_front()
    }
}

fn run(job: Job) {
    // The panic hook has told of it.
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        tracing::error!("a callback panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const BOUND: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_slow_and_a_panicking_one_keep_no_other_from_running() {
        let callbacks = Callbacks::new(Handle::current());
        let (release, held) = channel::<()>();
        callbacks.run(move || assert!(held.recv_timeout(BOUND).is_err(), "nobody sends"));
        callbacks.run(|| panic!("on purpose"));
        let (told, heard) = channel();
        for number in 0..100 {
            let told = told.clone();
            callbacks.run(move || told.send(number).expect("somebody listens"));
        }
        let mut all: Vec<_> = (0..100).map(|_| heard.recv_timeout(BOUND).expect("a callback")).collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        drop(release);
    }

    #[tokio::test]
    async fn one_may_spawn_on_the_runtime() {
        let callbacks = Callbacks::new(Handle::current());
        let (told, heard) = tokio::sync::oneshot::channel();
        callbacks.run(move || drop(tokio::spawn(async move { told.send(7) })));
        assert_eq!(heard.await, Ok(7));
    }
}
