//! A stream to journald that is opened here and passed on, so that what it carries is kept also where its writer is
//! over before journald comes to it, and standard output and standard error differ.

use std::fmt;
use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::mark;
use crate::sys::queue::unread;

/// Where journald takes streams (systemd-journald.service(8)).
pub(crate) const STREAM_SOCKET: &str = "/run/systemd/journal/stdout";

/// The priority of lines that may be of either stream: `notice`, which is that of neither.
const OF_BOTH: u8 = 5;

/// One of the two streams of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StdStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl StdStream {
    /// `stdout` or `stderr`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// The priority of its lines in the journal (syslog(3)): `info` or `err`.
    pub const fn priority(self) -> u8 {
        match self {
            Self::Stdout => 6,
            Self::Stderr => 3,
        }
    }

    /// The stream whose lines have this priority, where only this crate gives it.
    pub const fn of_priority(priority: u8) -> Option<Self> {
        match priority {
            6 => Some(Self::Stdout),
            3 => Some(Self::Stderr),
            _ => None,
        }
    }
}

impl fmt::Display for StdStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A stream to journald.
#[derive(Debug, Clone)]
pub(crate) struct OwnedStream {
    fd: Arc<OwnedFd>,
}

impl OwnedStream {
    /// Opens one at journald's socket, for one of the two or, without a name, for both.
    ///
    /// # Errors
    /// Where nobody takes it, or where it is not taken now ([`io::ErrorKind::WouldBlock`]).
    pub(crate) async fn open(socket: &Path, identifier: &str, stream: Option<StdStream>) -> io::Result<Self> {
        let mut connected = UnixStream::connect(socket).await?;
        let priority = stream.map_or(OF_BOTH, StdStream::priority);
        connected.write_all(head(identifier, priority).as_bytes()).await?;
        let connected = connected.into_std()?;
        connected.shutdown(Shutdown::Read)?;
        // The proc gets this very stream, and expects to wait where it is full.
        connected.set_nonblocking(false)?;
        Ok(Self { fd: Arc::new(connected.into()) })
    }

    /// The descriptor that the proc gets.
    pub(crate) fn fd(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.fd)
    }

    /// Writes a sentinel behind everything that was written before, if there is room for it. Of what its writer left
    /// without an end of line it makes a line; an empty line is none to journald.
    ///
    /// # Errors
    /// Where journald has closed it.
    pub(crate) fn mark(&self, word: &str) -> io::Result<bool> {
        let sentinel = format!("\n{}\n", mark::sentinel(word));
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match send(self.fd.as_raw_fd(), sentinel.as_bytes(), flags) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether journald has read all of it.
    pub(crate) fn is_read(&self) -> bool {
        unread(self.fd.as_fd()).is_ok_and(|unread| unread == 0)
    }

    /// `DEVICE:INODE` (systemd.exec(5), `$JOURNAL_STREAM`).
    ///
    /// # Errors
    /// Where the kernel does not say.
    pub(crate) fn inode(&self) -> io::Result<String> {
        let meta = File::from(self.fd.try_clone()?).metadata()?;
        Ok(format!("{}:{}", meta.dev(), meta.ino()))
    }
}

/// The head of a stream: identifier, unit (which journald takes from root alone), priority of a line, whether a line can
/// begin with a priority of its own, and three kinds of forwarding (`stdout_stream_line`, journald-stream.c).
///
/// Lines cannot begin with a priority: it is the priority that tells the streams apart, and what is written is kept as it
/// was written.
fn head(identifier: &str, priority: u8) -> String {
    format!("{identifier}\n\n{priority}\n0\n0\n0\n0\n")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_stream_begins_with_its_head_and_then_carries_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        let journald = UnixListener::bind(&path).unwrap();
        let stream = OwnedStream::open(&path, "web/0", Some(StdStream::Stderr)).await.unwrap();
        File::from(stream.fd.try_clone().unwrap()).write_all(b"words\n").unwrap();
        drop(stream);
        let mut told = String::new();
        journald.accept().unwrap().0.read_to_string(&mut told).unwrap();
        assert_eq!(told, "web/0\n\n3\n0\n0\n0\n0\nwords\n");
    }
}
