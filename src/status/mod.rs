//! Statuses and what decides them. Pure: no IO, no clock, no tokio, no zbus.

pub mod details;
pub mod snapshot;
