//! Launch programs as transient `systemd --user` services and keep hold of them to their exact end.
//!
//! The pure rooms ([`id`], [`spec`], [`unit`](mod@unit), [`status`], [`report`] and the leaf values [`signal`], [`size`]
//! and [`time`]) do no IO, read no clock and know neither tokio nor zbus; they build with
//! `--no-default-features`.

#[cfg(feature = "systemd")]
#[doc(hidden)] // Reachable for this repository's own tests and bench; no part of the stable interface.
pub mod bus;
pub mod id;
#[cfg(feature = "runtime")]
pub mod journal;
#[cfg(feature = "runtime")]
pub mod launcher;
#[cfg(feature = "runtime")]
pub mod manager;
pub mod report;
pub mod signal;
pub mod size;
pub mod spec;
pub mod status;
#[cfg(feature = "runtime")]
pub mod sys;
pub mod time;
pub mod unit;

#[cfg(feature = "runtime")]
pub use manager::{ProcHandle, ProcManager};
pub use spec::ProcSpec;
pub use status::ProcStatus;

/// README's example, compiled as a doctest.
#[cfg(all(doctest, feature = "systemd"))]
#[doc = include_str!("../README.md")]
struct Readme;
