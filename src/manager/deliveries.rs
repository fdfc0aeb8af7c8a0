//! Which of the signals that a ladder asked for are not answered yet.
//!
//! The answer to one and the end that it brought come two ways. Who is told of the end for good waits for the answer, so
//! that it says whose the end was.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How long an end waits for those answers. They follow within milliseconds, unless a launcher never gives one.
const AT_MOST: Duration = Duration::from_secs(1);

/// The deliveries under way of one run. Most runs never have one.
#[derive(Debug, Clone, Default)]
pub(super) struct Deliveries(Option<watch::Sender<()>>);

/// One of them: over when it is dropped, which is after its answer was passed on.
pub(super) struct Delivery(#[expect(dead_code, reason = "held to be dropped")] watch::Receiver<()>);

impl Deliveries {
    pub(super) fn begin(&mut self) -> Delivery {
        Delivery(self.0.get_or_insert_with(|| watch::Sender::new(())).subscribe())
    }

    /// Resolves when none is under way, or after a bound.
    pub(super) async fn ended(self) {
        if let Some(under_way) = self.0
            && timeout(AT_MOST, under_way.closed()).await.is_err()
        {
            tracing::debug!("the answer to a signal is late");
        }
    }
}
