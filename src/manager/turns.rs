//! Whose launch is next: as many are under way as help the launcher, and who asks for more waits in order.
//!
//! Who launches a proc waits in the caller's own future: nothing of it is in the manager, and dropping it takes it out
//! of the row. A further run waits in the same row, and a wish to end its proc takes it out.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The longest that a launch under way keeps others waiting. A program whose exec takes long, on a file system that
/// does not answer say, must not hold up the rest.
const AT_MOST: Duration = Duration::from_secs(5);

/// The launches of one manager.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Semaphore>);

/// The right to have a launch under way; given on when it is dropped.
pub(super) struct Turn(#[expect(dead_code, reason = "held to be dropped")] OwnedSemaphorePermit);

/// No launch has a turn any more.
#[derive(Debug)]
pub(super) struct Closed;

impl Turns {
    /// For so many at a time; as many as anybody wants without a number.
    pub(super) fn new(at_once: Option<NonZeroUsize>) -> Self {
        let permits = at_once.map_or(Semaphore::MAX_PERMITS, |count| count.get().min(Semaphore::MAX_PERMITS));
        Self(Arc::new(Semaphore::new(permits)))
    }

    /// Waits in order. Cancel safe: who stops waiting loses its place, and nothing else.
    ///
    /// # Errors
    /// [`Closed`].
    pub(super) async fn next(&self) -> Result<Turn, Closed> {
        Arc::clone(&self.0).acquire_owned().await.map(Turn).map_err(|_| Closed)
    }

    /// Refuses all who wait, and all who come.
    pub(super) fn close(&self) {
        self.0.close();
    }
}

impl Turn {
    /// Waits for `launch` to its end, and gives the turn on by then, or earlier where it takes long.
    pub(super) async fn spend_on<T>(self, launch: impl Future<Output = T>) -> T {
        let mut launch = std::pin::pin!(launch);
        if let Ok(launched) = timeout(AT_MOST, &mut launch).await {
            return launched;
        }
        drop(self);
        launch.await
    }
}
