//! The caller's end of a stream that it asked to read.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, DuplexStream, ReadBuf};
use tokio::net::unix::pipe;

/// What a proc writes to a stream that is captured ([`Output::Capture`](crate::spec::Output::Capture)), byte for byte.
///
/// It ends when nobody has the stream open any more: the proc, and whatever it left that has it still. Who does not read it
/// makes the proc wait; dropped, the proc finds its stream closed (SIGPIPE), unless it is read for others as well: the journal,
/// a manager's channel or files.
#[derive(Debug)]
pub struct Captured(Kind);

#[derive(Debug)]
enum Kind {
    Pipe(pipe::Receiver),
    /// It is read for others, too.
    Shared(DuplexStream),
}

impl Captured {
    pub(super) fn pipe(read: io::PipeReader) -> io::Result<Self> {
        pipe::Receiver::from_owned_fd(OwnedFd::from(read)).map(Kind::Pipe).map(Self)
    }

    pub(super) fn shared(read: DuplexStream) -> Self {
        Self(Kind::Shared(read))
    }
}

impl AsyncRead for Captured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Pipe(pipe) => Pin::new(pipe).poll_read(context, buffer),
            Kind::Shared(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}
