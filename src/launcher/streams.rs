//! The standard streams of a proc as its launcher gets them: opened.

use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What becomes descriptors 0, 1 and 2 of a proc. A launcher keeps none of it once it has launched.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    /// Standard input; `/dev/null` where there is none.
    pub stdin: Option<Arc<OwnedFd>>,
    /// Standard output.
    pub stdout: Stream,
    /// Standard error.
    pub stderr: Stream,
    /// What `JOURNAL_STREAM` has to say of those that are streams of the journal's (systemd.exec(5)).
    pub journal_stream: Option<String>,
    /// A terminal, by its path, in place of all three.
    pub terminal: Option<String>,
}

/// Standard output or standard error.
#[derive(Debug, Clone, Default)]
pub enum Stream {
    /// `/dev/null`.
    #[default]
    Null,
    /// A stream to the journal that the launcher opens by itself; only for one that has such
    /// ([`StreamKinds::DescriptorsOrJournal`]).
    Journal,
    /// A duplicate of this one.
    Fd(Arc<OwnedFd>),
    /// This file, which is there, opened at its path to be appended to.
    File(String),
}

/// What a launcher does with the streams it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKinds {
    /// Nothing: what its procs write goes where it sends it. None is opened for it.
    None,
    /// It hands descriptors over.
    Descriptors,
    /// It hands over what can be opened again by its path (pipes, files, terminals; `/proc/PID/fd`), as it opens that for
    /// each further run, and can open a stream to the journal by itself.
    PathsOrJournal,
    /// It hands descriptors over, and can open a stream to the journal by itself, in which standard output and standard
    /// error cannot be told apart.
    DescriptorsOrJournal,
}
