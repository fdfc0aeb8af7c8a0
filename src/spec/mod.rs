//! What a caller wants: one proc, checked and then fixed. No IO, no clock, no unit strings.
//!
//! A [`ProcSpec`] says *what* is to run, never *how* a launcher does it: it knows no D-Bus, no systemd version and
//! no handle. What only the machine can tell (is the program there, is the directory) is the launcher's check; all
//! else is refused here, naming the field ([`SpecError`]).
//!
//! The one exception to "no IO" is [`ProcSpec::current`], which reads this process's own path and arguments.

mod builder;
mod child_env;
mod current;
pub mod defaults;
mod environment;
mod error;
mod proc_spec;
mod restart;
mod stdio;
mod stop;

pub use builder::ProcSpecBuilder;
pub use child_env::ChildEnv;
#[cfg(feature = "native")]
pub(crate) use child_env::Inheritance;
pub use current::CurrentError;
pub use environment::{EnvBase, Environment, OWN, PER_SERVICE, name_flaw, value_flaw};
pub use error::{Field, Flaw, SpecError};
pub use proc_spec::{Lifetime, ProcSpec};
pub use restart::{BadRestartPolicy, RestartPolicy, RestartWhen};
pub use stdio::{BadOutput, Input, Output, Stdio};
pub use stop::StopPolicy;

#[cfg(test)]
mod tests;
