//! The way to journald for what this process reads: datagrams, of which it takes any number from one socket, while it
//! serves some 4,000 streams and no more (measured, 252).
//!
//! journald says nothing back. What it has no room for waits here, and its writer with it, up to a bound; what was given
//! up is told to whoever sent it.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::Interest;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::entry::Entry;
use super::mark;
use crate::id::ProcId;
use crate::sys::queue;

/// Where journald takes entries (systemd-journald.service(8)).
pub(crate) const SOCKET: &str = "/run/systemd/journal/socket";

/// How long journald may take nothing before what is sent is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often journald is looked for at the least, as nothing tells when it is there again.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Whether journald is where it should be.
pub fn is_there() -> bool {
    Path::new(SOCKET).exists()
}

/// A socket of this process's that journald reads, for everyone who has something to send.
#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: UnixDatagram,
    /// A duplicate that the runtime waits by.
    room: tokio::net::UnixDatagram,
    path: PathBuf,
    patience: Duration,
    /// One sends at a time, in the order in which they came.
    turn: Mutex<Turn>,
}

#[derive(Debug)]
struct Turn {
    connected: bool,
    /// journald has taken nothing for as long as patience lasts: nobody waits any more until it does.
    given_up: bool,
}

/// Why journald did not get something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It was not there, or took nothing for longer than is waited.
    Stalled,
    /// The kernel would not have it sent.
    Refused(io::ErrorKind),
}

impl Datagrams {
    /// Within a runtime, which everything is sent from.
    ///
    /// # Errors
    /// Where there is no journald.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::with_patience(path, PATIENCE)
    }

    pub(super) fn with_patience(path: &Path, patience: Duration) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(path)?;
        // Its buffer holds more than one entry of the longest line as every kernel has it by default (208 KiB).
        let room = tokio::net::UnixDatagram::from_std(socket.try_clone()?)?;
        let turn = Mutex::new(Turn { connected: true, given_up: false });
        Ok(Self { socket, room, path: path.to_owned(), patience, turn })
    }

    /// Sends an entry; waits for room. Dropped, it has sent all of it or nothing.
    ///
    /// # Errors
    /// [`Loss`]: journald has not got it.
    pub(super) async fn send(&self, entry: &Entry) -> Result<(), Loss> {
        let mut turn = self.turn.lock().await;
        let patience = if turn.given_up { Duration::ZERO } else { self.patience };
        let give_up = Instant::now() + patience;
        let mut sent = self.try_send(&mut turn, entry.as_bytes());
        loop {
            match sent {
                Ok(()) => {
                    turn.given_up = false;
                    return Ok(());
                }
                Err(error) if !passes(&error) => return Err(Loss::Refused(error.kind())),
                Err(_) if Instant::now() >= give_up => {
                    turn.given_up = true;
                    return Err(Loss::Stalled);
                }
                Err(error) => sent = self.send_again(&mut turn, &error, entry.as_bytes(), give_up).await,
            }
        }
    }

    /// Sends the line that says that everything before it was the last of its proc's.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(crate) async fn mark(
        &self,
        identifier: &str,
        priority: u8,
        id: &ProcId,
        token: &str,
    ) -> Result<(), Loss> {
        let mut entry = Entry::default();
        entry.named(identifier, priority, id);
        entry.line(None, mark::sentinel(token).as_bytes(), false);
        self.send(&entry).await
    }

    /// Whether something that was sent, by anybody, waits for journald to read it.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn unread(&self) -> io::Result<bool> {
        queue::unread(self.socket.as_fd()).map(|held| held > 0)
    }

    fn try_send(&self, turn: &mut Turn, entry: &[u8]) -> io::Result<()> {
        if !turn.connected {
            self.socket.connect(&self.path)?;
            turn.connected = true;
        }
        let sent = self.socket.send(entry).map(drop);
        // Its end of the socket is gone for good; where it is back there is another.
        turn.connected = stands(&sent);
        sent
    }

    /// Sends once more, when there may be room or a while is over.
    async fn send_again(
        &self,
        turn: &mut Turn,
        error: &io::Error,
        entry: &[u8],
        give_up: Instant,
    ) -> io::Result<()> {
        let wait = LOOK_EVERY.min(give_up.saturating_duration_since(Instant::now()));
        if error.kind() == io::ErrorKind::WouldBlock {
            let send = || self.socket.send(entry).map(drop);
            if let Ok(sent) = timeout(wait, self.room.async_io(Interest::WRITABLE, send)).await {
                turn.connected = stands(&sent);
                return sent;
            }
        } else {
            tokio::time::sleep(wait).await;
        }
        self.try_send(turn, entry)
    }
}

/// Whether the connection is there after that.
fn stands(sent: &io::Result<()>) -> bool {
    use io::ErrorKind as E;
    !sent.as_ref().is_err_and(|error| {
        matches!(error.kind(), E::ConnectionRefused | E::ConnectionReset | E::NotConnected)
    })
}

/// Whether it is of journald that is full, gone or about to be back.
fn passes(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(
        error.kind(),
        E::WouldBlock
            | E::ConnectionRefused
            | E::ConnectionReset
            | E::NotConnected
            | E::NotFound
            | E::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::super::entry::fields;
    use super::super::mark::token_of;
    use super::super::split::LINE_MAX;
    use super::*;

    const SHORT: Duration = Duration::from_millis(300);
    const TOKEN: &str = "0123456789ab";

    fn entry(message: &[u8]) -> Entry {
        let mut entry = Entry::default();
        entry.line(None, message, false);
        entry
    }

    fn received(journald: &UnixDatagram) -> Vec<(String, Vec<u8>)> {
        let mut buffer = vec![0; 128 * 1024];
        let len = journald.recv(&mut buffer).unwrap();
        fields(&buffer[..len])
    }

    /// Sends until there is no more room; how many were taken.
    async fn fill(datagrams: &Datagrams) -> usize {
        let mut taken = 0;
        while datagrams.send(&entry(b"words")).await.is_ok() {
            taken += 1;
        }
        taken
    }

    #[tokio::test]
    async fn the_longest_line_of_the_longest_id_is_sent_and_counted_as_unread_until_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let datagrams = Datagrams::open(&path).unwrap();
        assert!(!datagrams.unread().unwrap());
        let id = ProcId::new("x".repeat(ProcId::MAX_LEN)).unwrap();
        let mut longest = Entry::default();
        longest.named(id.as_str(), 6, &id);
        longest.line(None, &vec![0xff; LINE_MAX], true);
        datagrams.send(&longest).await.unwrap();
        assert!(datagrams.unread().unwrap());
        assert_eq!(received(&journald).last().unwrap().1.len(), LINE_MAX);
        assert!(!datagrams.unread().unwrap());
    }

    #[tokio::test]
    async fn a_mark_is_an_entry_of_its_proc_that_readers_know() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let datagrams = Datagrams::open(&path).unwrap();
        datagrams.mark("web", 3, &ProcId::new("web").unwrap(), TOKEN).await.unwrap();
        let told = received(&journald);
        assert_eq!(told[0], ("SYSLOG_IDENTIFIER".to_owned(), b"web".to_vec()));
        assert_eq!(token_of(&told.last().unwrap().1), Some(TOKEN));
    }

    #[tokio::test]
    async fn what_a_journald_that_reads_nothing_has_no_room_for_is_given_up_once_and_then_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let datagrams = Datagrams::with_patience(&path, SHORT).unwrap();
        let start = Instant::now();
        let taken = fill(&datagrams).await;
        assert!(taken > 0 && start.elapsed() >= SHORT, "{taken} in {:?}", start.elapsed());
        let start = Instant::now();
        for _ in 0..100 {
            assert_eq!(datagrams.send(&entry(b"words")).await, Err(Loss::Stalled));
        }
        assert!(start.elapsed() < SHORT, "{:?}", start.elapsed());
        received(&journald);
        datagrams.send(&entry(b"it reads again")).await.unwrap();
    }

    #[tokio::test]
    async fn a_journald_that_reads_late_gets_everything_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let datagrams = Datagrams::open(&path).unwrap();
        let reader = std::thread::spawn(move || {
            std::thread::sleep(SHORT);
            let message = |_| String::from_utf8(received(&journald).remove(0).1).unwrap();
            (0..500).map(message).collect::<Vec<_>>()
        });
        for number in 0..500 {
            datagrams.send(&entry(number.to_string().as_bytes())).await.unwrap();
        }
        let expected: Vec<_> = (0..500).map(|number| number.to_string()).collect();
        assert_eq!(reader.join().unwrap(), expected);
    }

    #[tokio::test]
    async fn a_journald_that_starts_anew_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let datagrams = Datagrams::open(&path).unwrap();
        datagrams.send(&entry(b"before")).await.unwrap();
        drop(journald);
        std::fs::remove_file(&path).unwrap();
        let again = std::thread::spawn(move || {
            std::thread::sleep(SHORT);
            let journald = UnixDatagram::bind(&path).unwrap();
            received(&journald)
        });
        datagrams.send(&entry(b"after")).await.unwrap();
        assert_eq!(again.join().unwrap()[0].1, b"after");
    }

    #[tokio::test]
    async fn where_there_is_no_journald_there_is_nothing_to_open() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Datagrams::open(&dir.path().join("socket")).is_err());
    }
}
