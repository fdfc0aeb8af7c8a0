//! The kernel: what this process is, which programs there are. The only place where `unsafe` may stand.

pub mod caller;
pub mod program;
pub mod token;
