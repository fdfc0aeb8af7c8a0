//! The bytes between this command's streams and a terminal that it made.
//!
//! Two threads: standard input and output may be files, which an event loop does not take, and O_NONBLOCK on them would
//! be seen by whoever else has them open. The one that reads keys never waits for the proc to take them, so that `^]`
//! is always heard.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, PipeReader, PipeWriter, stdin, stdout};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SpecialCharacterIndices, tcgetattr};
use nix::unistd::{read, write};
use procunit::signal::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::wishes::{Wish, Wishes};

/// Bytes that are read at a time, and that may wait for the proc to take them.
const CHUNK: usize = 16 * 1024;
const WAITING_MAX: usize = 64 * 1024;

/// How long nothing must have come of a proc that is over before what is still open counts as somebody else's.
const QUIET: Duration = Duration::from_millis(100);
/// More than a terminal holds back: what comes after that was written after the end.
const HELD_MAX: u64 = 256 * 1024;
/// The thread that reads keys is told to end; where another process has taken the key it saw, it hears that late.
const INPUT_ENDS_WITHIN: Duration = Duration::from_millis(200);

/// The two ways.
pub(crate) struct Copying {
    ours: Arc<OwnedFd>,
    shown: Arc<Shown>,
    /// Told when nobody has the terminal open any more, and all was shown.
    drained: oneshot::Receiver<()>,
    input: (PipeWriter, oneshot::Receiver<()>),
}

/// Bytes that were read, and that were written.
#[derive(Default)]
struct Shown {
    read: AtomicU64,
    written: AtomicU64,
}

impl Copying {
    /// Starts the threads. `keys` says that a person types, who is heard by `^]`.
    pub(crate) fn start(
        ours: &Arc<OwnedFd>,
        keys: bool,
        wishes: &mpsc::UnboundedSender<Wish>,
    ) -> io::Result<Self> {
        let shown = Arc::new(Shown::default());
        let (tell_drained, drained) = oneshot::channel();
        let (tell_ended, ended) = oneshot::channel();
        let (stopped, stop) = io::pipe()?;
        let output = Output {
            ours: Arc::clone(ours),
            shown: Arc::clone(&shown),
            // A terminal that is closed sends a signal, which may be ignored.
            tell: (!stdout().is_terminal()).then(|| wishes.clone()),
            is_lost: false,
        };
        let input = InputWay::new(Arc::clone(ours), keys, wishes.clone());
        spawn("procunit-shown", move || {
            output.run();
            let _ = tell_drained.send(());
        })?;
        spawn("procunit-typed", move || {
            // There is nobody to tell but the proc, to which its input is over.
            let _ = input.run(&stopped);
            let _ = tell_ended.send(());
        })?;
        Ok(Self { ours: Arc::clone(ours), shown, drained, input: (stop, ended) })
    }

    /// Of a proc that is over: waits until all that it wrote is shown. What its children write that still have the
    /// terminal is shown as long as it comes with that, and no longer.
    pub(crate) async fn drain(&mut self, wishes: &mut Wishes) {
        let at_its_end = self.shown.read.load(Ordering::SeqCst);
        loop {
            let before = self.shown.read.load(Ordering::SeqCst);
            tokio::select! {
                biased;
                _ = &mut self.drained => return,
                _ = wishes.next() => return,
                () = sleep(QUIET) => {}
            }
            let read = self.shown.read.load(Ordering::SeqCst);
            // Whoever reads what is shown may take its time.
            let is_behind = self.shown.written.load(Ordering::SeqCst) < read;
            let is_quiet = read == before && !is_ready(&self.ours, PollFlags::POLLIN);
            if !is_behind && (is_quiet || read - at_its_end > HELD_MAX) {
                return;
            }
        }
    }

    /// Reads no more keys: the next ones are for whoever has the terminal after this.
    pub(crate) async fn end_input(self) {
        let (stop, ended) = self.input;
        drop(stop);
        let _ = timeout(INPUT_ENDS_WITHIN, ended).await;
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// The way of what the proc writes.
struct Output {
    ours: Arc<OwnedFd>,
    shown: Arc<Shown>,
    /// Who hears of it when what is shown goes nowhere any more.
    tell: Option<mpsc::UnboundedSender<Wish>>,
    is_lost: bool,
}

impl Output {
    /// Until nobody has the terminal open: Linux tells that as an error (EIO).
    fn run(mut self) {
        let mut chunk = vec![0; CHUNK];
        while let Ok(count) = read_when_ready(&self.ours, &mut chunk)
            && count > 0
        {
            self.shown.read.fetch_add(count as u64, Ordering::SeqCst);
            self.show(&chunk[..count]);
            self.shown.written.fetch_add(count as u64, Ordering::SeqCst);
        }
    }

    /// What nobody reads is read all the same: the proc shall be able to end.
    fn show(&mut self, bytes: &[u8]) {
        if !self.is_lost && write_all(bytes).is_err() {
            self.is_lost = true;
            let reason = "nobody reads what it writes any more";
            let wish = Wish { signal: Signal::PIPE, reason };
            let _ = self.tell.as_ref().map(|tell| tell.send(wish));
        }
    }
}

/// By the descriptor: what Rust's own standard output holds back would be behind.
fn write_all(mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(stdout(), bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                wait_for(&mut [PollFd::new(stdout().as_fd(), PollFlags::POLLOUT)])?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn read_when_ready(from: impl AsFd, into: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match read(from.as_fd(), into) {
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => wait_for(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)])?,
            done => return done,
        }
    }
}

fn wait_for(fds: &mut [PollFd<'_>]) -> Result<(), Errno> {
    match poll(fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn is_ready(fd: impl AsFd, how: PollFlags) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), how)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// The way of what is typed, or comes through a pipe.
struct InputWay {
    ours: Arc<OwnedFd>,
    waiting: VecDeque<u8>,
    /// Of keys alone.
    escape: Option<Escape>,
    wishes: mpsc::UnboundedSender<Wish>,
    is_over: bool,
    /// The last byte that came.
    last: Option<u8>,
}

impl InputWay {
    fn new(ours: Arc<OwnedFd>, keys: bool, wishes: mpsc::UnboundedSender<Wish>) -> Self {
        let (waiting, escape) = (VecDeque::new(), keys.then(Escape::default));
        Self { ours, waiting, escape, wishes, is_over: false, last: None }
    }

    /// Until its end, or until the other end of `stopped` is closed.
    fn run(mut self, stopped: &PipeReader) -> Result<(), Errno> {
        while !self.is_over || !self.waiting.is_empty() {
            let (stdin, ours) = (stdin(), Arc::clone(&self.ours));
            let mut fds = vec![PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
            let reads = !self.is_over && self.waiting.len() < WAITING_MAX;
            if reads {
                fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
            }
            if !self.waiting.is_empty() {
                fds.push(PollFd::new(ours.as_fd(), PollFlags::POLLOUT));
            }
            wait_for(&mut fds)?;
            let is_ready = |nth: usize| fds.get(nth).is_some_and(|fd| fd.any() == Some(true));
            if is_ready(0) {
                return Ok(());
            }
            if reads && is_ready(1) {
                self.read()?;
            }
            self.pass_on()?;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Errno> {
        let mut chunk = [0; CHUNK];
        let bytes = match read(stdin(), &mut chunk) {
            Ok(count) => &chunk[..count],
            Err(Errno::EINTR | Errno::EAGAIN) => return Ok(()),
            // Of a terminal that was closed, or is another's.
            Err(Errno::EIO) => &[],
            Err(errno) => return Err(errno),
        };
        if self.escape.as_mut().is_some_and(|escape| escape.is_in(bytes, Instant::now())) {
            let reason = "^] was pressed three times";
            let _ = self.wishes.send(Wish { signal: Signal::TERM, reason });
            return Ok(());
        }
        self.waiting.extend(bytes);
        self.last = bytes.last().copied().or(self.last);
        if bytes.is_empty() {
            self.is_over = true;
            self.say_that_it_is_over();
        }
        Ok(())
    }

    /// A terminal has no end of input but a key. In the middle of a line that key only hands over the line (termios(3)).
    fn say_that_it_is_over(&mut self) {
        if self.escape.is_some() {
            return;
        }
        let Ok(modes) = tcgetattr(&self.ours) else { return };
        let end = modes.control_chars[SpecialCharacterIndices::VEOF as usize];
        self.waiting.push_back(end);
        let is_in_line = self.last.is_some_and(|last| last != b'\n');
        if is_in_line && modes.local_flags.contains(LocalFlags::ICANON) {
            self.waiting.push_back(end);
        }
    }

    /// As much as is taken now.
    fn pass_on(&mut self) -> Result<(), Errno> {
        while !self.waiting.is_empty() {
            match write(&self.ours, self.waiting.as_slices().0) {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

/// `^]`, three times within a second and with nothing in between, as systemd-run has it.
#[derive(Default)]
struct Escape {
    count: u32,
    first: Option<Instant>,
}

impl Escape {
    const KEY: u8 = 0x1d;
    const TIMES: u32 = 3;
    const WITHIN: Duration = Duration::from_secs(1);

    /// Whether these bytes complete it.
    fn is_in(&mut self, bytes: &[u8], now: Instant) -> bool {
        bytes.iter().any(|byte| self.is_complete_with(*byte, now))
    }

    fn is_complete_with(&mut self, byte: u8, now: Instant) -> bool {
        if byte != Self::KEY {
            *self = Self::default();
            return false;
        }
        match self.first {
            Some(first) if now.duration_since(first) <= Self::WITHIN => self.count += 1,
            _ => *self = Self { count: 1, first: Some(now) },
        }
        let is_complete = self.count == Self::TIMES;
        if is_complete {
            *self = Self::default();
        }
        is_complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_a_second_and_nothing_in_between_are_an_escape() {
        let (mut escape, start) = (Escape::default(), Instant::now());
        let later = |millis| start + Duration::from_millis(millis);
        assert!(!escape.is_in(b"\x1d\x1da\x1d\x1d", later(0)));
        assert!(escape.is_in(b"\x1d", later(900)));
        assert!(!escape.is_in(b"\x1d\x1d", later(1000)), "the next begins anew");
        assert!(!escape.is_in(b"\x1d", later(2100)), "too late");
        assert!(!escape.is_in(b"\x1d", later(2200)));
        assert!(escape.is_in(b"\x1d", later(2300)));
    }
}
