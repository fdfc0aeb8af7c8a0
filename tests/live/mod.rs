//! What the tests on a real user manager share: bounds with labels, names that nobody else has, programs that
//! write down what happens to them, and a look from the outside.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod chance;
pub(crate) mod journald;
pub(crate) mod outside;
pub(crate) mod record;
pub(crate) mod relay;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use procunit::ProcManager;
use procunit::id::ProcId;
use procunit::launcher::systemd::SystemdLauncher;
use tokio::time::{Instant, sleep, timeout};

/// Far beyond what anything here takes.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// How often something that nothing tells of is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// `what`, which takes no longer than [`BOUND`].
pub(crate) async fn within<T>(label: &str, what: impl Future<Output = T>) -> T {
    within_for(BOUND, label, what).await
}

/// `what`, which takes no longer than `bound`.
pub(crate) async fn within_for<T>(bound: Duration, label: &str, what: impl Future<Output = T>) -> T {
    timeout(bound, what).await.unwrap_or_else(|_| panic!("timed out after {bound:?}: {label}"))
}

/// Looks until `found` gives something, for no longer than `bound`.
pub(crate) async fn eventually<T, Looking: Future<Output = Option<T>>>(
    bound: Duration,
    label: &str,
    mut found: impl FnMut() -> Looking,
) -> T {
    let until = Instant::now() + bound;
    loop {
        if let Some(it) = found().await {
            return it;
        }
        assert!(Instant::now() < until, "not there after {bound:?}: {label}");
        sleep(LOOK_EVERY).await;
    }
}

/// A launcher on this user's manager.
pub(crate) async fn launcher() -> SystemdLauncher {
    within("connecting", SystemdLauncher::connect()).await.expect("a user manager to test with")
}

/// A manager on this user's manager.
pub(crate) async fn manager() -> ProcManager {
    ProcManager::new(launcher().await)
}

/// A name that no other test has.
pub(crate) fn fresh(label: &str) -> ProcId {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    ProcId::new(format!("{}/{label}-{number}", prefix())).expect("an id")
}

/// What the names of this test binary begin with.
pub(crate) fn prefix() -> String {
    format!("test-{}", std::process::id())
}
