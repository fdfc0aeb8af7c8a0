//! Two files that the lines of all procs of a manager go to, each line behind its rank or id.
//!
//! One thread writes them, behind a bounded queue. A disk that is slow makes who writes wait, as a proc that writes to a
//! file of its own has to. A disk that is full does not: those lines are lost, counted, and the file says how many as
//! soon as it takes more.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::output::OutputLine;
use super::rotate::{Limits, Rotated};
use super::stream::StdStream;

/// How many batches of lines wait at the most.
const QUEUE: usize = 16;

/// The way to the files. Cheap to clone; the last one dropped, what waits is written and the files are closed.
#[derive(Debug, Clone)]
pub(crate) struct Aggregate {
    queue: mpsc::Sender<Order>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Order {
    Write(Batch),
    /// Answered when everything before it is written or lost.
    Answer(oneshot::Sender<()>),
}

/// Lines of one stream, as they stand in the file.
#[derive(Debug)]
struct Batch {
    stream: StdStream,
    text: Vec<u8>,
    lines: u64,
}

impl Aggregate {
    /// Opens `stdout.log` and `stderr.log` in this directory, which must be there.
    ///
    /// # Errors
    /// The file system's; [`io::ErrorKind::WouldBlock`] where another manager has them.
    pub(crate) fn open(dir: &Path, limits: Limits) -> io::Result<Self> {
        // Two that rename the files under each other would lose lines.
        let lock = File::open(dir)?;
        lock.try_lock().map_err(|refused| match refused {
            TryLockError::WouldBlock => taken(dir),
            TryLockError::Error(error) => error,
        })?;
        let open = |stream: StdStream| Rotated::open(&dir.join(format!("{stream}.log")), limits);
        let files = [Kept::new(open(StdStream::Stdout)?), Kept::new(open(StdStream::Stderr)?)];
        let (queue, orders) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer { files, lost: Arc::clone(&lost), _lock: lock };
        thread::Builder::new().name("procunit-aggregate".to_owned()).spawn(move || writer.run(orders))?;
        Ok(Self { queue, lost })
    }

    /// Writes lines of one stream, which stay together; waits where the disk is behind.
    pub(super) async fn write(&self, stream: StdStream, lines: &[OutputLine]) {
        let mut text = Vec::with_capacity(lines.iter().map(|line| line.bytes.len() + 32).sum());
        for line in lines {
            prefixed(&mut text, line);
        }
        let batch = Batch { stream, text, lines: lines.len() as u64 };
        if let Err(mpsc::error::SendError(Order::Write(batch))) = self.queue.send(Order::Write(batch)).await {
            // Its thread has panicked.
            self.lost.fetch_add(batch.lines, Ordering::Relaxed);
        }
    }

    /// Ends when everything that was written before the call is in the files, or lost.
    pub(crate) async fn flushed(&self) -> oneshot::Receiver<()> {
        let (answer, answered) = oneshot::channel();
        let _ = self.queue.send(Order::Answer(answer)).await;
        answered
    }

    /// How many lines, of all procs, could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

fn taken(dir: &Path) -> io::Error {
    let why = format!("another manager writes its files in {}", dir.display());
    io::Error::new(io::ErrorKind::WouldBlock, why)
}

/// The line as it stands in the file. One that was cut is two: another proc's may come between them.
fn prefixed(text: &mut Vec<u8>, line: &OutputLine) {
    let who: &dyn std::fmt::Display = match &line.rank {
        Some(rank) => rank,
        None => &line.id,
    };
    // Memory takes whatever is written.
    let _ = write!(text, "[{who}] ");
    text.extend_from_slice(&line.bytes);
    text.push(b'\n');
}

/// What the thread has.
struct Writer {
    files: [Kept; 2],
    lost: Arc<AtomicU64>,
    /// Held to be dropped.
    _lock: File,
}

/// A file, and what it does not know yet.
struct Kept {
    file: Rotated,
    untold: u64,
}

impl Writer {
    fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.blocking_recv() {
            match order {
                Order::Write(batch) => self.write(&batch),
                Order::Answer(answer) => drop(answer.send(())),
            }
        }
    }

    fn write(&mut self, batch: &Batch) {
        let [stdout, stderr] = &mut self.files;
        let kept = match batch.stream {
            StdStream::Stdout => stdout,
            StdStream::Stderr => stderr,
        };
        if let Err(error) = kept.write(batch) {
            if kept.untold == 0 {
                tracing::warn!(%error, stream = %batch.stream, "lines are missing from an aggregate file");
            }
            kept.untold += batch.lines;
            self.lost.fetch_add(batch.lines, Ordering::Relaxed);
        }
    }
}

impl Kept {
    fn new(file: Rotated) -> Self {
        Self { file, untold: 0 }
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        if self.untold > 0 {
            self.file.write(format!("procunit: up to {} lines lost here\n", self.untold).as_bytes())?;
            self.untold = 0;
        }
        self.file.write(&batch.text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::id::ProcId;
    use crate::time::Timestamp;

    fn line(id: &str, rank: Option<u32>, text: &str) -> OutputLine {
        OutputLine {
            id: ProcId::new(id).unwrap(),
            rank,
            run: None,
            stream: StdStream::Stdout,
            at: Timestamp::from_micros(0),
            bytes: text.as_bytes().into(),
            continues: false,
        }
    }

    #[tokio::test]
    async fn every_line_stands_behind_its_rank_or_id_in_the_file_of_its_stream() {
        let dir = tempfile::tempdir().unwrap();
        let aggregate = Aggregate::open(dir.path(), Limits::default()).unwrap();
        let lines = [line("web", None, "one"), line("job/3", Some(3), ""), line("job/3", Some(3), "two")];
        aggregate.write(StdStream::Stdout, &lines).await;
        aggregate.write(StdStream::Stderr, &lines[..1]).await;
        aggregate.flushed().await.await.unwrap();
        let read = |name| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("stdout.log"), "[web] one\n[3] \n[3] two\n");
        assert_eq!(read("stderr.log"), "[web] one\n");
        assert_eq!(aggregate.lost(), 0);
    }

    #[tokio::test]
    async fn a_directory_is_one_managers_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Aggregate::open(dir.path(), Limits::default()).unwrap();
        let refused = Aggregate::open(dir.path(), Limits::default()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert!(refused.to_string().contains(dir.path().to_str().unwrap()), "{refused}");
        first.flushed().await.await.unwrap();
    }

    #[tokio::test]
    async fn lines_that_cannot_be_written_are_counted_and_the_file_tells_of_them_later() {
        let dir = tempfile::tempdir().unwrap();
        // Every line goes to a file of its own, and for that the one before has to be set aside.
        let aggregate = Aggregate::open(dir.path(), Limits { size: 1, keep: 1 }).unwrap();
        aggregate.write(StdStream::Stdout, &[line("web", None, "one")]).await;
        aggregate.flushed().await.await.unwrap();
        let in_the_way = dir.path().join("stdout.log.1");
        fs::create_dir(&in_the_way).unwrap();
        aggregate.write(StdStream::Stdout, &[line("web", None, "two"), line("web", None, "three")]).await;
        aggregate.flushed().await.await.unwrap();
        assert_eq!(aggregate.lost(), 2);
        fs::remove_dir(&in_the_way).unwrap();
        aggregate.write(StdStream::Stdout, &[line("web", None, "four")]).await;
        aggregate.flushed().await.await.unwrap();
        assert_eq!(fs::read_to_string(in_the_way).unwrap(), "procunit: up to 2 lines lost here\n");
        assert_eq!(fs::read_to_string(dir.path().join("stdout.log")).unwrap(), "[web] four\n");
        assert_eq!(aggregate.lost(), 2);
    }
}
