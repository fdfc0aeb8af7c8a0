//! The kernel: what this process is, which programs there are. The only place where `unsafe` may stand.

pub mod caller;
#[cfg(feature = "native")]
pub(crate) mod child;
#[cfg(feature = "native")]
pub(crate) mod descriptors;
mod format;
pub(crate) mod open_files;
#[cfg(feature = "native")]
mod parent_death;
#[cfg(feature = "native")]
pub(crate) mod pidfd;
#[cfg(feature = "native")]
pub(crate) mod poll;
#[cfg(feature = "native")]
pub(crate) mod processes;
pub mod program;
pub(crate) mod queue;
#[cfg(feature = "native")]
pub(crate) mod signals;
#[cfg(feature = "native")]
pub(crate) mod strings;
pub mod terminal;
pub mod token;
#[cfg(feature = "native")]
pub(crate) mod wait;
