//! What a fake proc will do: values, put together before it is launched.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::trace::Trace;
use crate::id::ProcId;
use crate::launcher::{AdoptError, DeliverError, LaunchError};
use crate::status::details::UnitDetails;
use crate::status::exit::Exit;

/// Makes an error anew each time, as errors with a source have no copies.
type Make<A, E> = Arc<dyn Fn(A) -> E + Send + Sync>;

/// When something that was asked for is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum When {
    /// At once.
    #[default]
    Now,
    /// So much later, by tokio's clock.
    After(Duration),
    /// When [`super::FakeProc::answer`] says so, or nothing is kept of the proc any more; never, if neither comes.
    Told,
}

/// What a fake proc does. The default runs until it is told to end, and obeys every signal.
#[derive(Clone, Default)]
pub struct Script {
    pub(super) answers: When,
    pub(super) refusal: Option<Make<ProcId, LaunchError>>,
    adoption: Option<Make<ProcId, AdoptError>>,
    pub(super) ends: Option<(Duration, Exit)>,
    pub(super) replays: Option<Trace>,
    pub(super) on_stop: Reaction,
    pub(super) on_kill: Reaction,
    pub(super) on_signal: Reaction,
    pub(super) leaves: usize,
    pub(super) details: Option<UnitDetails>,
    pub(super) notes: Vec<String>,
    pub(super) tells_ready: bool,
}

impl Script {
    /// The default one.
    pub fn new() -> Self {
        Self::default()
    }

    /// When the launch is answered. It is started, or refused, just before.
    #[must_use]
    pub fn answers(mut self, when: When) -> Self {
        self.answers = when;
        self
    }

    /// The launch fails with what this makes.
    #[must_use]
    pub fn refuses(mut self, error: impl Fn(ProcId) -> LaunchError + Send + Sync + 'static) -> Self {
        self.refusal = Some(Arc::new(error));
        self
    }

    /// An adoption fails with what this makes.
    #[must_use]
    pub fn refuses_adoption(mut self, error: impl Fn(ProcId) -> AdoptError + Send + Sync + 'static) -> Self {
        self.adoption = Some(Arc::new(error));
        self
    }

    /// It declares that it will say when it is ready; [`super::FakeProc::ready`] does.
    #[must_use]
    pub fn tells_ready(mut self) -> Self {
        self.tells_ready = true;
        self
    }

    /// It ends by itself so long after its start; with no time at all, before the launch is answered.
    #[must_use]
    pub fn ends(mut self, after: Duration, exit: Exit) -> Self {
        self.ends = Some((after, exit));
        self
    }

    /// Once its launch is answered it lives through recorded facts, at their own pace, instead of telling its own. What
    /// is asked of it is written down and answered, and the trace goes on as it was recorded.
    #[must_use]
    pub fn replays(mut self, trace: Trace) -> Self {
        self.replays = Some(trace);
        self
    }

    /// What its stop does.
    #[must_use]
    pub fn on_stop(mut self, reaction: Reaction) -> Self {
        self.on_stop = reaction;
        self
    }

    /// What SIGKILL to the tree does.
    #[must_use]
    pub fn on_kill(mut self, reaction: Reaction) -> Self {
        self.on_kill = reaction;
        self
    }

    /// What any other signal does.
    #[must_use]
    pub fn on_signal(mut self, reaction: Reaction) -> Self {
        self.on_signal = reaction;
        self
    }

    /// So many processes outlive its main process, unless that ends by SIGKILL to the tree. They react to signals as it
    /// would, and end together; at the latest, where the launcher ends them by itself, at the backstop.
    #[must_use]
    pub fn leaves(mut self, processes: usize) -> Self {
        self.leaves = processes;
        self
    }

    /// What is read of its accounting. Without it nothing can be.
    #[must_use]
    pub fn details(mut self, details: UnitDetails) -> Self {
        self.details = Some(details);
        self
    }

    /// What the launch says is worth telling.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(super) fn adoption(&self, id: &ProcId) -> Option<AdoptError> {
        self.adoption.as_ref().map(|make| make(id.clone()))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("answers", &self.answers)
            .field("refuses", &self.refusal.is_some())
            .field("ends", &self.ends)
            .field("on_stop", &self.on_stop)
            .field("on_kill", &self.on_kill)
            .field("on_signal", &self.on_signal)
            .field("leaves", &self.leaves)
            .finish_non_exhaustive()
    }
}

/// What a delivered signal, or one that cannot be delivered, does.
///
/// The default obeys: it dies by the signal, at once, where the signal's default action is to end a process
/// (signal(7)). With no time between, the end is known before the answer to the delivery, as it may be in life.
#[derive(Debug, Clone, Default)]
pub struct Reaction {
    pub(super) effect: Effect,
    pub(super) after: Duration,
    pub(super) answers: When,
    next: Option<Box<Reaction>>,
}

#[derive(Clone, Default)]
pub(super) enum Effect {
    /// Dies by the signal, if that is its default action.
    #[default]
    Obeys,
    /// Ends like this.
    Ends(Exit),
    /// Is still there.
    None,
    /// The signal never gets there.
    Undelivered(Make<(), DeliverError>),
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Obeys => f.write_str("Obeys"),
            Self::Ends(exit) => f.debug_tuple("Ends").field(exit).finish(),
            Self::None => f.write_str("None"),
            Self::Undelivered(_) => f.write_str("Undelivered"),
        }
    }
}

impl Reaction {
    fn of(effect: Effect) -> Self {
        Self { effect, ..Self::default() }
    }

    /// Dies by the signal: the default.
    pub fn obey() -> Self {
        Self::default()
    }

    /// Exits with this code.
    pub fn exit(code: u8) -> Self {
        Self::end(Exit::Code(code))
    }

    /// Ends like this, whatever the signal.
    pub fn end(exit: Exit) -> Self {
        Self::of(Effect::Ends(exit))
    }

    /// Takes the signal and stays.
    pub fn ignore() -> Self {
        Self::of(Effect::None)
    }

    /// The signal is not delivered; the answer is what this makes.
    pub fn fail(error: impl Fn() -> DeliverError + Send + Sync + 'static) -> Self {
        Self::of(Effect::Undelivered(Arc::new(move |()| error())))
    }

    /// It ends so long after the delivery.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }

    /// The delivery is answered then; what it does, it does all the same.
    #[must_use]
    pub fn answers(mut self, when: When) -> Self {
        self.answers = when;
        self
    }

    /// The next delivery does this instead. The last of such a chain stays.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.next = Some(Box::new(match self.next.take() {
            Some(before) => before.then(next),
            None => next,
        }));
        self
    }

    /// What the delivery at hand does; the one after it does the next.
    pub(super) fn take(&mut self) -> Self {
        match self.next.take() {
            Some(next) => std::mem::replace(self, *next),
            None => self.clone(),
        }
    }
}
