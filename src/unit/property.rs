//! Properties of a transient unit as own values: no D-Bus type appears here, so that a new major
//! version of the bus library does not break this one's users.

use std::borrow::Cow;

/// One property of a transient unit.
#[derive(Clone, PartialEq)]
pub struct Property {
    /// The D-Bus name, such as `TimeoutStopUSec`.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: Value,
}

impl Property {
    /// A property of that name and value.
    pub fn new(name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// A property's value, one variant per D-Bus signature in use.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `d`
    F64(f64),
    /// `s`
    Str(String),
    /// `as`
    StrList(Vec<String>),
    /// `a(sasb)`: `ExecStart` and its kin.
    Exec(Vec<ExecCommand>),
    /// `a(sasas)`: `ExecStartEx` and its kin.
    ExecEx(Vec<ExecCommandEx>),
    /// `h`: a descriptor that the caller of the bus hands over.
    Fd(FdSlot),
}

/// One command line of `ExecStart`.
#[derive(Clone, PartialEq, Eq)]
pub struct ExecCommand {
    /// Absolute path of the program.
    pub path: String,
    /// The whole argv, argv\[0\] included.
    pub argv: Vec<String>,
    /// Whether a failure counts as success.
    pub ignore_failure: bool,
}

/// One command line of `ExecStartEx`.
#[derive(Clone, PartialEq, Eq)]
pub struct ExecCommandEx {
    /// Absolute path of the program.
    pub path: String,
    /// The whole argv, argv\[0\] included.
    pub argv: Vec<String>,
    /// Flags such as `no-env-expand`.
    pub flags: Vec<String>,
}

/// Which of the descriptors handed over with a plan stands here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FdSlot {
    /// The proc's standard input.
    Stdin,
    /// The proc's standard output.
    Stdout,
    /// The proc's standard error.
    Stderr,
    /// The read end of the pipe whose closing ends what is tied to it.
    Tie,
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value)
            }
        })*
    };
}

value_from!(
    bool => Bool, i32 => I32, u32 => U32, i64 => I64, u64 => U64, f64 => F64, String => Str,
    Vec<String> => StrList, Vec<ExecCommand> => Exec, Vec<ExecCommandEx> => ExecEx, FdSlot => Fd,
);

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(value.to_owned())
    }
}
