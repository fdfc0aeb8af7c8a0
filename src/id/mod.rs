//! Names: what a caller calls a proc, and what systemd calls it. No IO.
//!
//! Escaping is reversible and safe to paste into a shell: systemd's own `\x2d` is neither.

mod escape;
mod invocation;
mod proc_id;
mod tie;
mod unit_name;

pub use invocation::{BadInvocationId, InvocationId};
pub use proc_id::{BadProcId, ProcId};
pub use tie::TieName;
pub use unit_name::{BadUnitName, SliceName, UnitName};
