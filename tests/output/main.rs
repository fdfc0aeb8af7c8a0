//! Where output goes, and that all of it gets there: each test is written once, against a [`bed::Bed`], and runs as
//! `systemd::NAME` and as `native::NAME`.
//!
//! What arrives is held against what the programs are known to write. Tests that write more than journald's rate limit
//! lets through are ignored unless asked for:
//! `contrib/testbed --journald RateLimitIntervalSec=0 -- cargo test --all-features --test output -- --ignored`.

#![cfg(all(feature = "systemd", feature = "native", feature = "cli"))]

#[macro_use]
mod floods;
#[expect(dead_code, unused_imports, unused_macros, reason = "it needs a part of it")]
#[macro_use]
#[path = "../conformance/bed/mod.rs"]
mod bed;
mod aggregate;
mod bytes;
mod capture;
mod command;
mod file;
mod forward;
mod last_words;
mod lines;
#[path = "../live/mod.rs"]
mod live;
mod no_journal;
mod shared;
mod text;
