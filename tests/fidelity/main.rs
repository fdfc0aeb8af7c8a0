//! What a program sees when procunit runs it, compared with what it sees as a plain child of the same caller, on a
//! real user manager; each test fails where none answers (see contrib/testbed).
//!
//! The programs are small tools that say what they were given: printf(1), env(1), cat(1) and find(1) on /proc/self.

#![cfg(feature = "cli")]

#[path = "../support/alone.rs"]
mod alone;
mod argv;
mod caller;
mod environment;
mod process;
mod recorded;
mod refusals;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "it needs a part of it")]
mod support;
