//! Proxies generated from `dbus-interfaces/`; `tests/proxies.rs` regenerates them and compares.

#[expect(clippy::allow_attributes, reason = "as generated")]
pub(super) mod manager;
