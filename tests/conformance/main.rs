//! The contract (docs/contract.md), sentence by sentence, on every backend: each test is written once, against a
//! [`bed::Bed`], and runs as `systemd::NAME` and as `native::NAME`. docs/conformance.md says which sentence has which
//! tests.
//!
//! What the tests hold a status against is never the library: programs write down what happens to them, and /proc and
//! `systemctl` tell what is left. The systemd half fails where no user manager answers (see contrib/testbed); which
//! systemd it is, is the bed's to choose. What one backend alone promises is tested beside, in `tests/native` and in
//! the tests that are named after what they are about.

#![cfg(all(feature = "systemd", feature = "native"))]

#[macro_use]
mod bed;
mod child;
mod defaults;
mod ending;
mod exits;
mod foreign;
mod lifetimes;
#[path = "../live/mod.rs"]
mod live;
mod managing;
mod many;
mod monitors;
mod owner;
#[cfg(feature = "test-util")]
mod readiness;
mod relaunch;
mod restarts;
mod starting;
mod watching;
