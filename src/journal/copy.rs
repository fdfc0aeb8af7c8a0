//! A descriptor of this process's that gets the very bytes of a stream.
//!
//! It may be a file or a terminal, which other programs have as well: it stays as it is, and whoever writes to it may have
//! to wait for ever. So that is a thread's, and a bounded queue is before it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use tokio::sync::{mpsc, oneshot};

/// How many chunks wait at the most.
const QUEUE: usize = 16;

/// The way to the thread. Dropped, it lets the thread write what waits.
#[derive(Debug)]
pub(super) struct Copier {
    queue: mpsc::Sender<Order>,
    end: Arc<OnceLock<io::ErrorKind>>,
}

#[derive(Debug)]
enum Order {
    Write(Vec<u8>),
    /// Answered when everything before it is written.
    Answer(oneshot::Sender<()>),
}

impl Copier {
    /// # Errors
    /// Where there can be no thread.
    pub(super) fn start(to: OwnedFd) -> io::Result<Self> {
        let (queue, mut orders) = mpsc::channel(QUEUE);
        let end = Arc::new(OnceLock::new());
        let told = Arc::clone(&end);
        let work = move || {
            // Who closed the other end shall be an error here, and not the end of this program.
            let _ = SigSet::all().thread_block();
            // Word of the end is there before `orders` is dropped, and the queue seen to be closed.
            if let Err(error) = write_all(&File::from(to), &mut orders) {
                let _ = told.set(error.kind());
            }
        };
        thread::Builder::new().name("procunit-copy".to_owned()).spawn(work)?;
        Ok(Self { queue, end })
    }

    /// Has this written; waits where the writer is behind. Where it has given up, nothing happens.
    pub(super) async fn write(&self, chunk: Vec<u8>) {
        let _ = self.queue.send(Order::Write(chunk)).await;
    }

    /// Ends when everything is written, or nothing more can be; asked for in order.
    pub(super) async fn flushed(&self) -> oneshot::Receiver<()> {
        let (answer, answered) = oneshot::channel();
        let _ = self.queue.send(Order::Answer(answer)).await;
        answered
    }

    /// Ends when nothing more can be written.
    pub(super) fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let queue = self.queue.clone();
        async move { queue.closed().await }
    }

    /// Why nothing more can be written, once that is so.
    pub(super) fn end(&self) -> Arc<OnceLock<io::ErrorKind>> {
        Arc::clone(&self.end)
    }

    /// Waits until nothing more can be written, and says why.
    pub(super) async fn gave_up(&self) -> io::ErrorKind {
        self.queue.closed().await;
        // Without word of it the thread has panicked.
        self.end.get().copied().unwrap_or(io::ErrorKind::Other)
    }
}

fn write_all(to: &File, orders: &mut mpsc::Receiver<Order>) -> io::Result<()> {
    while let Some(order) = orders.blocking_recv() {
        match order {
            Order::Write(chunk) => write(to, &chunk)?,
            Order::Answer(answer) => drop(answer.send(())),
        }
    }
    Ok(())
}

fn write(mut to: &File, mut chunk: &[u8]) -> io::Result<()> {
    while !chunk.is_empty() {
        match to.write(chunk) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => chunk = &chunk[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another program that has it made it so.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(to.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn bytes_are_written_in_order_also_where_the_descriptor_is_made_not_to_wait() {
        let (mut read, write) = io::pipe().unwrap();
        fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let copier = Copier::start(write.into()).unwrap();
        let reader = thread::spawn(move || {
            let mut got = Vec::new();
            read.read_to_end(&mut got).unwrap();
            got
        });
        let chunks: Vec<_> = (0..64_u8).map(|byte| vec![byte; 30_000]).collect();
        for chunk in &chunks {
            copier.write(chunk.clone()).await;
        }
        timeout(SOON, copier.flushed().await).await.expect("written").unwrap();
        drop(copier);
        assert!(reader.join().unwrap() == chunks.concat());
    }

    #[tokio::test]
    async fn where_nobody_reads_any_more_it_gives_up_and_says_so() {
        let (read, write) = io::pipe().unwrap();
        let copier = Copier::start(write.into()).unwrap();
        drop(read);
        copier.write(b"words".to_vec()).await;
        let end = timeout(SOON, copier.gave_up()).await.expect("an end");
        assert_eq!(end, io::ErrorKind::BrokenPipe);
        assert!(timeout(SOON, copier.flushed().await).await.expect("an answer").is_err());
    }
}
