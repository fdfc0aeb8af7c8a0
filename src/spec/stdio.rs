//! Where a proc's standard streams go.

use std::os::fd::OwnedFd;
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
    /// The caller's own.
    Inherit,
    /// The journal.
    #[default]
    Journal,
    /// This descriptor. It is handed over at the launch and stays open here too: a reader on the other end sees
    /// the end of the stream only after the last clone of the spec is gone.
    Fd(Arc<OwnedFd>),
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
}

impl Stdio {
    /// Whether a stream of it goes to the journal.
    pub fn reaches_journal(&self) -> bool {
        matches!(self.stdout, Output::Journal) || matches!(self.stderr, Output::Journal)
    }
}
