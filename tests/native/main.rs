//! The native launcher on real processes, by the public API alone. No user manager is needed.

#![expect(clippy::unwrap_used, reason = "a test's helper fails as the test does")]

mod child;
mod common;
mod ending;
mod exits;
mod journal;
mod leaks;
mod many;
mod owner;
mod refusals;
mod restart;
