//! What is launched, the same for every peer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::{Stream, StreamExt, TryStreamExt};

/// A set of programs that are all alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) program: &'static str,
    pub(crate) args: &'static [&'static str],
    pub(crate) count: usize,
    pub(crate) to: To,
}

/// Where the output of its programs goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// `/dev/null`, as it is nothing that others have.
    Null,
    /// The journal, as it does by default.
    Journal,
}

impl Work {
    /// Over before anybody looks.
    pub(crate) const fn short(count: usize) -> Self {
        Self { program: "/bin/true", args: &[], count, to: To::Null }
    }

    /// There until it is ended.
    pub(crate) const fn long(count: usize) -> Self {
        Self { program: "/bin/sleep", args: &["3600"], count, to: To::Null }
    }

    /// The same with its output elsewhere.
    pub(crate) const fn to(self, to: To) -> Self {
        Self { to, ..self }
    }

    /// Whether its programs end by themselves.
    pub(crate) fn is_short(&self) -> bool {
        self.args.is_empty()
    }

    /// A number that no other set of this process has, for names.
    pub(crate) fn set() -> usize {
        static SETS: AtomicUsize = AtomicUsize::new(0);
        SETS.fetch_add(1, Ordering::Relaxed)
    }
}

/// How many launches a second: `depth` of them under way at a time, from the first wish to the last answer.
pub(crate) async fn per_second<T>(
    launches: impl Stream<Item = impl Future<Output = anyhow::Result<T>>>,
    depth: usize,
) -> anyhow::Result<(f64, Vec<T>)> {
    let began = Instant::now();
    let launched: Vec<T> = launches.buffer_unordered(depth).try_collect().await?;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    Ok((launched.len() as f64 / began.elapsed().as_secs_f64(), launched))
}
