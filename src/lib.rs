//! Launch programs as transient `systemd --user` services and keep hold of them to their exact end.
//!
//! The pure rooms ([`id`], [`spec`], [`unit`], [`status`], [`report`] and the leaf values [`signal`],
//! [`time`] and [`size`]) do no IO, read no clock and know neither tokio nor zbus; they build with
//! `--no-default-features`.

#[cfg(feature = "systemd")]
#[doc(hidden)] // Reachable for this repository's own tests and bench; no part of the stable interface.
pub mod bus;
pub mod id;
pub mod signal;
pub mod size;
pub mod spec;
pub mod status;
pub mod time;
pub mod unit;
