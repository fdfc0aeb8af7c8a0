//! Which processes there are, asked by many at once and looked up once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::unistd::Pid;
use tokio::sync::Mutex;

use crate::sys::processes::{self, Listed, Process};

/// Looks at all processes for everybody who asks while a look is under way: a thousand procs that end together
/// cost two looks or three, not a thousand.
#[derive(Default)]
pub(super) struct Census {
    begun: AtomicU64,
    newest: Mutex<Look>,
}

#[derive(Default)]
struct Look {
    number: u64,
    found: Arc<[Listed]>,
}

impl Census {
    /// The processes in the session of `leader`, which need not live itself, as of a moment after the call.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub(super) async fn of_session(&self, leader: Pid) -> io::Result<Vec<Process>> {
        let all = self.all().await?;
        let mut found = Vec::new();
        for listed in all.iter().filter(|listed| listed.session == leader) {
            // By now its number may be that of a process in another session.
            found.extend(processes::look(listed.pid)?.filter(|process| process.session == leader));
        }
        Ok(found)
    }

    async fn all(&self) -> io::Result<Arc<[Listed]>> {
        let begun = self.begun.load(Ordering::SeqCst);
        let mut newest = self.newest.lock().await;
        // One that was under way when this was asked for may have passed by what it is asked for.
        if newest.number <= begun {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let found = tokio::task::spawn_blocking(processes::list).await.map_err(io::Error::other)??;
            *newest = Look { number, found: found.into() };
        }
        Ok(Arc::clone(&newest.found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_ask_during_a_look_share_the_next_one() {
        let census = Arc::new(Census::default());
        let mut asked = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let census = Arc::clone(&census);
            asked.spawn(async move { census.all().await.is_ok() });
        }
        assert_eq!(asked.join_all().await, [true; 50]);
        assert!(census.begun.load(Ordering::SeqCst) <= 2, "{:?}", census.begun);
    }

    #[tokio::test]
    async fn who_asks_after_a_look_gets_a_new_one() {
        let census = Census::default();
        census.all().await.unwrap();
        census.all().await.unwrap();
        assert_eq!(census.begun.load(Ordering::SeqCst), 2);
    }
}
