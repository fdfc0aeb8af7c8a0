//! A stop that is due, and where its answer goes.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{DeliverError, ProcRun};

type Answer = Box<dyn FnOnce(Result<(), DeliverError>) + Send>;

/// A run whose stop signal is due. It is answered once: by [`Self::deliver`], or by whoever delivers it otherwise.
///
/// Dropped without an answer, it tells its manager that it was not delivered, and the manager tries again.
pub struct Stop {
    run: Arc<dyn ProcRun>,
    answer: Option<Answer>,
}

impl Stop {
    /// A stop of `run`; `answer` gets what [`ProcRun::stop`] would have said.
    pub fn new(
        run: Arc<dyn ProcRun>,
        answer: impl FnOnce(Result<(), DeliverError>) + Send + 'static,
    ) -> Self {
        Self { run, answer: Some(Box::new(answer)) }
    }

    /// The run that is to end.
    pub fn run(&self) -> &Arc<dyn ProcRun> {
        &self.run
    }

    /// Delivers it by [`ProcRun::stop`], and answers.
    pub async fn deliver(self) {
        let result = self.run.stop().await;
        self.answer(result);
    }

    /// It was delivered, or was not.
    pub fn answer(mut self, result: Result<(), DeliverError>) {
        self.tell(result);
    }

    /// Delivers each by itself, all at once.
    pub async fn deliver_each(stops: impl IntoIterator<Item = Self>) {
        stops.into_iter().map(Self::deliver).collect::<JoinSet<_>>().join_all().await;
    }

    fn tell(&mut self, result: Result<(), DeliverError>) {
        if let Some(answer) = self.answer.take() {
            answer(result);
        }
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.tell(Err(DeliverError::Failed("the launcher gave no answer".into())));
    }
}
