//! A spec and a systemd version become a plan of own property values. No IO, no D-Bus types.

pub mod property;
