//! Why a spec is refused: which field, and what is wrong with it.

use std::fmt;

/// A spec that cannot be launched as it stands.
///
/// It never holds an environment value: those may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {flaw}")]
pub struct SpecError {
    field: Field,
    flaw: Flaw,
}

impl SpecError {
    /// That flaw of that field.
    pub fn new(field: Field, flaw: Flaw) -> Self {
        Self { field, flaw }
    }

    /// What is wrong where.
    pub fn field(&self) -> &Field {
        &self.field
    }

    /// What is wrong with it.
    pub fn flaw(&self) -> &Flaw {
        &self.flaw
    }
}

/// A field of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// The program.
    Program,
    /// One argument, counted as the program counts them: 0 is `argv[0]`.
    Arg(usize),
    /// All arguments together.
    Argv,
    /// The name of an environment entry.
    EnvName(String),
    /// The value of the environment entry of that name.
    EnvValue(String),
    /// All of the environment together.
    Environment,
    /// All that exec gets: the arguments and the environment together.
    ExecTotal,
    /// The working directory.
    Cwd,
    /// The file mode creation mask.
    Umask,
    /// Where standard output goes.
    Stdout,
    /// Where standard error goes.
    Stderr,
    /// The terminal.
    Terminal,
    /// The label.
    Label,
    /// The stop policy's backstop.
    Backstop,
    /// The time limit of the run.
    RuntimeMax,
    /// The most restarts.
    RestartMax,
    /// From an end to a restart.
    RestartDelay,
    /// What the delay of restarts grows to.
    RestartMaxDelay,
    /// A property given by name.
    Property(String),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program => f.write_str("the program's name"),
            Self::Arg(0) => f.write_str("argument 0 (argv[0])"),
            Self::Arg(index) => write!(f, "argument {index}"),
            Self::Argv => f.write_str("the command line"),
            Self::EnvName(name) => write!(f, "environment name {name:?}"),
            Self::EnvValue(name) => write!(f, "the value of environment variable {name:?}"),
            Self::Environment => f.write_str("the environment"),
            Self::ExecTotal => f.write_str("the command line together with the environment"),
            Self::Cwd => f.write_str("the working directory"),
            Self::Umask => f.write_str("the umask"),
            Self::Stdout => f.write_str("standard output"),
            Self::Stderr => f.write_str("standard error"),
            Self::Terminal => f.write_str("the terminal"),
            Self::Label => f.write_str("the label"),
            Self::Backstop => f.write_str("the backstop"),
            Self::RuntimeMax => f.write_str("the time limit"),
            Self::RestartMax => f.write_str("the number of restarts"),
            Self::RestartDelay => f.write_str("the delay of restarts"),
            Self::RestartMaxDelay => f.write_str("the longest delay of restarts"),
            Self::Property(name) => write!(f, "property {name:?}"),
        }
    }
}

/// What is wrong with a field; reads on from the field's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Nothing at all.
    #[error("is empty")]
    Empty,
    /// A NUL byte.
    #[error("has a NUL byte, which no argument, variable or path can carry")]
    Nul,
    /// Not UTF-8.
    #[error("is not UTF-8, which D-Bus cannot carry")]
    NotUtf8,
    /// Not a name for an environment variable.
    #[error("is not one that systemd takes (letters, digits and '_', not starting with a digit)")]
    BadName,
    /// A name whose value is not the caller's to choose.
    #[error("is set for every proc and cannot be chosen")]
    Reserved,
    /// Not an absolute path.
    #[error("is not an absolute path")]
    NotAbsolute,
    /// More bytes than can be.
    #[error("has {len} bytes; {max} are the most")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The most it can have.
        max: usize,
    },
    /// A unit-file line that systemd would not read back.
    #[error(
        "makes a unit-file line of {len} bytes; systemd reads back {max} at the most, and a reload would break \
         the unit"
    )]
    LongLine {
        /// The line's length in bytes, escaped.
        len: usize,
        /// The most it can have.
        max: usize,
    },
    /// More entries than can be.
    #[error("has {count} entries; {max} are the most")]
    TooMany {
        /// How many there are.
        count: usize,
        /// The most there can be.
        max: usize,
    },
    /// A control character.
    #[error("has the control character {0:?}")]
    Control(char),
    /// A last character that a unit file does not keep.
    #[error("ends in a blank or a backslash, which systemd would lose")]
    LostEnd,
    /// Bits outside 0777.
    #[error("is {0:#o}; 0777 is the most")]
    BadMode(u32),
    /// A span of no length.
    #[error("is zero, which systemd reads as no limit at all")]
    Zero,
    /// A number or a span that is 0 where something must be.
    #[error("is zero")]
    None,
    /// Shorter than what it is to grow from.
    #[error("is shorter than the delay that grows to it")]
    BelowDelay,
    /// A span without an end.
    #[error("is not finite")]
    NotFinite,
    /// Output that takes its manager to read it, of what outlives its manager.
    #[error(
        "cannot be read here of a detached proc, which outlives this process; send it to the journal or a file"
    )]
    ReadHere,
}
