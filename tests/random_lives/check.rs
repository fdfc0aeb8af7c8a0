//! Holds what was told against the truth.

use std::time::Duration;

use procunit::ProcHandle;
use procunit::ProcStatus;
use procunit::id::ProcId;
use procunit::manager::ProcEvent;
use procunit::status::StatusKind;
use procunit::status::machine::allowed;
use tokio::time::timeout;

use crate::truth::{End, Truth};

/// What is over has nothing to wait for.
const BOUND: Duration = Duration::from_secs(60);

/// Some run of this id ended so.
pub(crate) fn assert_possible(truth: &Truth, id: &ProcId, status: &ProcStatus) {
    let ends = truth.ends_of(id);
    assert!(ends.iter().any(|end| end.fits(status)), "{id}: told {status}, and its runs ended {ends:?}");
}

/// Its one end is the true one, and its events are legal and have no gap.
pub(crate) async fn check_run(truth: &Truth, handle: &ProcHandle) {
    let (id, status) = (handle.id(), handle.status());
    let end = match handle.pid() {
        Some(pid) => truth.end_of(pid).unwrap_or_else(|| panic!("{id}: {status}, and pid {pid} is not over")),
        // Nobody ever saw anything of it.
        None => End::Lost,
    };
    assert!(end.fits(&status), "{id}: {status}, and it ended {end:?}");
    assert_eq!(handle.wait().await.as_ref(), Ok(&status), "{id}");
    let mut events = handle.events();
    let (mut kind, mut seq, mut last) = (StatusKind::Starting, 0, None);
    while let Some(event) = timeout(BOUND, events.next()).await.expect("events were left hanging") {
        let ProcEvent::Transition(moved) = event else { panic!("{id}: {event:?}") };
        assert_eq!((moved.seq, moved.from), (seq, kind), "{id}: no gap");
        assert_eq!(allowed(kind, moved.to.kind(), false), Ok(()), "{id}");
        (kind, seq, last) = (moved.to.kind(), seq + 1, Some(moved.to));
    }
    assert_eq!(last.as_ref(), Some(&status), "{id}: the last event is the end");
}
