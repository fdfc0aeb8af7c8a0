//! Statuses and what decides them. Pure: no IO, no clock, no tokio, no zbus.
//!
//! [`snapshot`] holds what was read, [`observe`] says what it means, [`machine`] decides what that does to the
//! one status, [`exit`] knows how processes end, [`history`] keeps what happened, [`details`] holds what
//! reports show beside it.

pub mod details;
pub mod exit;
pub mod history;
pub mod machine;
pub mod observe;
mod proc_status;
mod run;
pub mod snapshot;
#[cfg(test)]
mod tests;

pub use proc_status::{FailReason, Found, ProcStatus, StatusAt, StatusKind};
pub use run::RunRecord;
