//! Where a proc's standard streams go.

use std::fmt;
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::sync::Arc;

/// A proc's standard input.
#[derive(Debug, Clone, Default)]
pub enum Input {
    /// `/dev/null`.
    #[default]
    Null,
    /// The caller's own.
    Inherit,
    /// This descriptor. It is handed over at the launch and stays open here too.
    Fd(Arc<OwnedFd>),
}

/// A proc's standard output or standard error.
#[derive(Debug, Clone, Default)]
pub enum Output {
    /// `/dev/null`.
    Null,
    /// The caller's own, passed straight through: nobody else sees what is written.
    Inherit,
    /// The journal.
    #[default]
    Journal,
    /// Read here, by [`ProcHandle::take_stdout`](crate::ProcHandle::take_stdout) and its like; who does not read it makes
    /// the proc wait. Attached procs only.
    Capture {
        /// Whether it reaches the journal as well.
        journal: bool,
    },
    /// The caller's own, byte for byte, and the journal as well. Attached procs only.
    Tee,
    /// This file, by an absolute path; it is made if need be, and appended to.
    File(String),
    /// This descriptor. It is handed over at the launch and stays open here too: a reader on the other end sees
    /// the end of the stream only after the last clone of the spec is gone.
    Fd(Arc<OwnedFd>),
}

impl Output {
    /// Whether the journal gets it.
    pub fn reaches_journal(&self) -> bool {
        matches!(self, Self::Journal | Self::Tee | Self::Capture { journal: true })
    }

    /// Whether it takes this process to read it, so that it cannot outlive this process.
    pub fn is_read_here(&self) -> bool {
        matches!(self, Self::Tee | Self::Capture { .. })
    }
}

/// A word that names no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no place for output: there are journal, inherit, tee, null and file:PATH")]
pub struct BadOutput {
    given: String,
}

/// `journal`, `inherit`, `tee`, `null` or `file:PATH`, as settings and flags name it.
impl FromStr for Output {
    type Err = BadOutput;

    fn from_str(text: &str) -> Result<Self, BadOutput> {
        Ok(match text.trim() {
            "journal" => Self::Journal,
            "inherit" => Self::Inherit,
            "tee" => Self::Tee,
            "null" => Self::Null,
            other => match other.strip_prefix("file:") {
                Some(path) if !path.is_empty() => Self::File(path.to_owned()),
                _ => return Err(BadOutput { given: text.to_owned() }),
            },
        })
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Inherit => f.write_str("inherit"),
            Self::Journal => f.write_str("journal"),
            Self::Capture { journal: false } => f.write_str("capture"),
            Self::Capture { journal: true } => f.write_str("capture and journal"),
            Self::Tee => f.write_str("tee"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Fd(_) => f.write_str("a descriptor"),
        }
    }
}

impl From<OwnedFd> for Input {
    fn from(fd: OwnedFd) -> Self {
        Self::Fd(Arc::new(fd))
    }
}

impl From<OwnedFd> for Output {
    fn from(fd: OwnedFd) -> Self {
        Self::Fd(Arc::new(fd))
    }
}

/// The three standard streams of a proc. It gets no other descriptor.
#[derive(Debug, Clone, Default)]
pub struct Stdio {
    /// Descriptor 0.
    pub stdin: Input,
    /// Descriptor 1.
    pub stdout: Output,
    /// Descriptor 2; it never follows standard output by itself.
    pub stderr: Output,
    /// A terminal, by its path (`/dev/pts/7`), in place of all three: the proc's controlling one.
    pub terminal: Option<String>,
}

impl Stdio {
    /// Whether a stream of the proc is the journal's own.
    pub fn connects_journal(&self) -> bool {
        let connects = |output: &Output| matches!(output, Output::Journal);
        self.terminal.is_none() && (connects(&self.stdout) || connects(&self.stderr))
    }
}
