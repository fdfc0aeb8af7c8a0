//! The defaults are those that the contract lists.

use std::time::Duration;

use procunit::id::ProcId;
use procunit::signal::Signal;
use procunit::spec::{Lifetime, ProcSpec, defaults};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn every_default_is_the_contracts() {
    assert_eq!(defaults::STOP_SIGNAL, Signal::TERM);
    assert_eq!(defaults::STOP_TIMEOUT, seconds(10));
    assert_eq!(defaults::KILL_WAIT, seconds(5));
    assert_eq!(defaults::BACKSTOP, seconds(90));
    assert_eq!(defaults::RUN_BACKSTOP_MARGIN, seconds(5));
    assert_eq!(defaults::STOP_CONCURRENCY.get(), 16);
    assert_eq!(defaults::READY_TIMEOUT, seconds(30));
    assert_eq!(defaults::TAIL_LINES, 20);
    assert_eq!(defaults::TAIL_DRAIN, Duration::from_millis(50));
    assert_eq!(defaults::EXIT_RECORDS, 10_000);
    assert_eq!(defaults::ENDED_DETACHED_UNITS, 1_000);
    assert_eq!(defaults::TRANSITIONS_KEPT, 64);
    assert_eq!(defaults::PROCS_PER_SLICE.get(), 50);
    assert_eq!(defaults::LAUNCHES_AT_ONCE.get(), 8);
    assert_eq!(defaults::NATIVE_LAUNCHES_AT_ONCE.get(), 32);
    assert_eq!(defaults::TRY_AGAIN_FOR, Duration::from_secs(10));
    assert_eq!(defaults::OWNED_JOURNAL_STREAMS, 1_024);
}

#[test]
fn a_spec_without_a_word_on_it_has_the_defaults() {
    let spec = ProcSpec::builder(ProcId::new("web").expect("an id"), "true").build().expect("a spec");
    assert_eq!(spec.lifetime(), Lifetime::Attached);
    assert_eq!(spec.stop().signal, defaults::STOP_SIGNAL);
    assert_eq!((spec.stop().timeout, spec.stop().backstop), (defaults::STOP_TIMEOUT, defaults::BACKSTOP));
    assert_eq!((spec.runtime_max(), spec.rank(), spec.umask()), (None, None, None));
}
