use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout};

use super::super::aggregate::Aggregate;
use super::super::datagram::{Datagrams, Loss};
use super::super::entry::fields;
use super::super::output::OutputEvent;
use super::super::rotate::Limits;
use super::super::stream::StdStream;
use super::super::taps::{CopyTo, JournalTap};
use super::*;
use crate::id::{InvocationId, ProcId};

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(30);
const RUN: &str = "0123456789abcdef0123456789abcdef";

fn taps() -> Taps {
    Taps {
        id: ProcId::new("web/0").unwrap(),
        rank: None,
        stream: StdStream::Stderr,
        run: watch::channel(Some(RUN.parse().unwrap())).1,
        copy: CopyTo::Nobody,
        journal: None,
        forward: None,
        aggregate: None,
        tail: 20,
    }
}

fn start(taps: Taps) -> (Pump, io::PipeWriter) {
    let (read, write) = io::pipe().unwrap();
    (Pump::start(read, taps).unwrap(), write)
}

async fn soon<T>(label: &str, what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.unwrap_or_else(|_| panic!("{label}"))
}

async fn until(label: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "{label}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn texts(lines: &[OutputLine]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8(line.bytes.to_vec()).unwrap()).collect()
}

/// Lines of all lengths, and bytes that are none.
fn much() -> Vec<u8> {
    let mut much = Vec::new();
    for number in 0..100_000_usize {
        writeln!(much, "line {number} {}", "x".repeat(number % 97)).unwrap();
    }
    much.extend((0..=250_u8).cycle().take(300_000));
    much
}

fn numbered(numbers: std::ops::Range<u32>) -> String {
    let mut text = String::new();
    numbers.for_each(|number| writeln!(text, "{number}").unwrap());
    text
}

fn written(mut to: io::PipeWriter, bytes: Vec<u8>) -> thread::JoinHandle<io::Result<()>> {
    thread::spawn(move || to.write_all(&bytes))
}

/// A journald of a test's own.
struct Journald {
    socket: UnixDatagram,
    dir: TempDir,
}

impl Journald {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("socket")).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self { socket, dir }
    }

    fn tap(&self, patience: Duration) -> JournalTap {
        let datagrams = Datagrams::with_patience(&self.dir.path().join("socket"), patience).unwrap();
        let unit = Some("procunit-web:0.service".to_owned());
        JournalTap { datagrams: Arc::new(datagrams), identifier: "web/0".to_owned(), unit }
    }

    fn receive(&self) -> Vec<(String, Vec<u8>)> {
        let mut buffer = vec![0; 128 * 1024];
        let len = self.socket.recv(&mut buffer).unwrap();
        fields(&buffer[..len])
    }

    /// How many datagrams it has that it has not received.
    fn waiting(&self) -> usize {
        self.socket.set_nonblocking(true).unwrap();
        std::iter::from_fn(|| self.socket.recv(&mut [0; 4096]).ok()).count()
    }
}

fn all_read(mut read: io::PipeReader) -> thread::JoinHandle<io::Result<String>> {
    thread::spawn(move || {
        let mut got = String::new();
        read.read_to_string(&mut got).map(|_| got)
    })
}

async fn ended_all_the_same(pump: &Pump) {
    soon("an end all the same", async {
        until("an end", || pump.account().ended).await;
        pump.handed_on().await;
    })
    .await;
}

fn value<'a>(entry: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a [u8]> {
    entry.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_slice())
}

#[tokio::test]
async fn a_descriptor_gets_the_very_bytes() {
    let (mut read, to) = io::pipe().unwrap();
    let (pump, write) = start(Taps { copy: CopyTo::Descriptor(to.into()), ..taps() });
    let reader = thread::spawn(move || {
        let mut got = Vec::new();
        read.read_to_end(&mut got).map(|_| got)
    });
    let much = much();
    let writer = written(write, much.clone());
    soon("everything is handed on", async {
        until("an end", || pump.account().ended).await;
        pump.handed_on().await;
    })
    .await;
    writer.join().unwrap().unwrap();
    let got = reader.join().unwrap().unwrap();
    assert_eq!(Sha256::digest(&got), Sha256::digest(&much));
    assert_eq!(pump.account().bytes, much.len() as u64);
    assert_eq!(pump.account().copy_ended, None);
}

#[tokio::test]
async fn a_reader_gets_the_very_bytes_and_its_slowness_is_its_writers() {
    let (near, mut far) = tokio::io::duplex(4096);
    let (pump, write) = start(Taps { copy: CopyTo::Reader(near), ..taps() });
    let much = much();
    let writer = written(write, much.clone());
    until("something is read", || pump.account().bytes > 0).await;
    assert!(!writer.is_finished(), "nobody reads, so it waits");
    let mut got = Vec::new();
    soon("its end", far.read_to_end(&mut got)).await.unwrap();
    assert_eq!(Sha256::digest(&got), Sha256::digest(&much));
    writer.join().unwrap().unwrap();
}

#[tokio::test]
async fn where_a_reader_is_gone_the_others_go_on() {
    let (near, far) = tokio::io::duplex(4096);
    let (pump, mut write) = start(Taps { copy: CopyTo::Reader(near), ..taps() });
    drop(far);
    for number in 0..3 {
        writeln!(write, "{number}").unwrap();
        soon("it is handed on", pump.handed_on()).await;
    }
    assert_eq!(texts(&pump.tail()), ["0", "1", "2"]);
    assert_eq!(pump.account().copy_ended, None);
}

#[tokio::test]
async fn where_a_descriptor_takes_no_more_its_writer_learns_it_as_it_would_without_us() {
    let (read, to) = io::pipe().unwrap();
    let (pump, mut write) = start(Taps { copy: CopyTo::Descriptor(to.into()), ..taps() });
    drop(read);
    let writer = thread::spawn(move || {
        let broken = loop {
            if let Err(error) = write.write_all(b"y\n") {
                break error;
            }
        };
        broken.kind()
    });
    until("the writer is told", || writer.is_finished()).await;
    assert_eq!(writer.join().unwrap(), io::ErrorKind::BrokenPipe);
    soon("nothing is waited for", pump.handed_on()).await;
    assert_eq!(pump.account().copy_ended, Some(io::ErrorKind::BrokenPipe));
}

#[tokio::test]
async fn what_was_written_before_a_descriptor_takes_no_more_is_handed_to_the_others() {
    let journald = Journald::new();
    let (read, to) = io::pipe().unwrap();
    drop(read);
    let (source, mut write) = io::pipe().unwrap();
    // All of it is in the pipe before any of it is read, and it takes several turns to read.
    let text = numbered(0..10_000);
    write.write_all(text.as_bytes()).unwrap();
    let (copy, journal) = (CopyTo::Descriptor(to.into()), Some(journald.tap(SOON)));
    let pump = Pump::start(source, Taps { copy, journal, ..taps() }).unwrap();
    let reader = thread::spawn(move || (0..10_000).map(|_| journald.receive()).collect::<Vec<_>>());
    soon("everything is handed on", pump.handed_on()).await;
    let entries = soon("all of it", tokio::task::spawn_blocking(|| reader.join().unwrap())).await.unwrap();
    assert_eq!(value(&entries[9_999], "MESSAGE"), Some(b"9999".as_slice()));
    let account = pump.account();
    assert_eq!((account.bytes, account.unread, account.journal_lost), (text.len() as u64, 0, 0));
    assert_eq!(account.copy_ended, Some(io::ErrorKind::BrokenPipe));
    assert_eq!(write.write_all(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn why_a_descriptor_took_no_more_is_known_when_everything_is_handed_on() {
    for _ in 0..20 {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (pump, mut write) = start(Taps { copy: CopyTo::Descriptor(full.into()), ..taps() });
        write.write_all(b"words\n").unwrap();
        drop(write);
        soon("it is handed on", pump.handed_on()).await;
        assert_eq!(pump.account().copy_ended, Some(io::ErrorKind::StorageFull));
    }
}

#[tokio::test]
async fn a_descriptor_that_makes_us_wait_makes_the_writer_wait_in_bounded_memory() {
    let (read, to) = io::pipe().unwrap();
    let (pump, write) = start(Taps { copy: CopyTo::Descriptor(to.into()), ..taps() });
    let all = 16 * 1024 * 1024;
    let writer = written(write, vec![b'x'; all]);
    let mut read = pipe::Receiver::from_owned_fd(read.into()).unwrap();
    let (mut got, mut buffer) = (0, vec![0; 64 * 1024]);
    while got < all {
        let ahead = pump.account().bytes.saturating_sub(got as u64);
        assert!(ahead < 2 * 1024 * 1024, "{ahead} bytes were read ahead of who takes them");
        got += soon("more of it", read.read(&mut buffer)).await.unwrap();
    }
    until("all is written", || writer.is_finished()).await;
    writer.join().unwrap().unwrap();
}

#[tokio::test]
async fn what_is_in_the_pipe_is_read_up_though_it_is_held_open() {
    let (pump, mut write) = start(taps());
    soon("an empty pipe", pump.read_up()).await;
    for number in 0..30 {
        writeln!(write, "{number}").unwrap();
    }
    write!(write, "the beginning").unwrap();
    soon("what is there", pump.read_up()).await;
    let last = (11..30).map(|number| number.to_string());
    let last: Vec<_> = last.chain(["the beginning".to_owned()]).collect();
    assert_eq!(texts(&pump.tail()), last);
    writeln!(write, " of a line").unwrap();
    write!(write, "the beginning").unwrap();
    soon("what came then", pump.read_up()).await;
    assert_eq!(texts(&pump.tail())[18..], ["the beginning of a line", "the beginning"]);
    soon("the beginning as a line", pump.handed_on()).await;
    assert_eq!(texts(&pump.tail())[18..], ["the beginning of a line", "the beginning"]);
    writeln!(write, " and more").unwrap();
    soon("what came later", pump.read_up()).await;
    assert_eq!(texts(&pump.tail()).last().unwrap(), " and more");
    assert!(!pump.account().ended);
}

#[tokio::test]
async fn the_tail_is_the_last_lines_whether_others_are_wanted_or_not() {
    for with_reader in [false, true] {
        let (pump, write) = start(taps());
        let reader = with_reader.then(|| pump.lines());
        let lines = numbered(0..5_000);
        written(write, lines.into_bytes()).join().unwrap().unwrap();
        until("an end", || pump.account().ended).await;
        let last: Vec<_> = (4_980..5_000).map(|number| number.to_string()).collect();
        assert_eq!(texts(&pump.tail()), last);
        assert_eq!(pump.account().lines, 5_000);
        drop(reader);
    }
}

#[tokio::test]
async fn lines_say_whose_they_are_and_the_last_one_needs_no_end() {
    let (pump, mut write) = start(Taps { rank: Some(3), ..taps() });
    let mut lines = pump.lines();
    write.write_all(b"\xff\0\n\nno end").unwrap();
    drop(write);
    let mut got = Vec::new();
    while let Ok(line) = soon("a line or the end", lines.recv()).await {
        got.push(line);
    }
    let bytes: Vec<_> = got.iter().map(|line| line.bytes.to_vec()).collect();
    assert_eq!(bytes, [b"\xff\0".to_vec(), b"".to_vec(), b"no end".to_vec()]);
    for line in &got {
        assert_eq!((line.id.as_str(), line.rank, line.stream), ("web/0", Some(3), StdStream::Stderr));
        assert_eq!(line.run.unwrap().to_string(), RUN);
        assert!(!line.continues);
    }
    assert!(soon("no more", pump.lines().recv()).await.is_err(), "a later reader is told of the end as well");
}

#[tokio::test]
async fn a_reader_of_lines_that_does_not_read_is_told_what_it_lost_and_keeps_nobody_waiting() {
    let (pump, write) = start(taps());
    let mut lines = pump.lines();
    let text = numbered(0..200_000);
    let writer = written(write, text.into_bytes());
    until("an end", || pump.account().ended).await;
    writer.join().unwrap().unwrap();
    let Err(broadcast::error::RecvError::Lagged(lost)) = lines.recv().await else { panic!("nothing lost") };
    let mut got = 0;
    while lines.recv().await.is_ok() {
        got += 1;
    }
    assert_eq!(lost + got, 200_000);
}

#[tokio::test]
async fn a_channel_that_is_full_loses_lines_that_are_counted_and_told() {
    let (forward, mut events) = mpsc::channel(10);
    let (pump, mut write) = start(Taps { forward: Some(forward), ..taps() });
    for number in 0..100 {
        writeln!(write, "{number}").unwrap();
    }
    soon("what was written", pump.handed_on()).await;
    writeln!(write, "later").unwrap();
    drop(write);
    let (mut got, mut told) = (Vec::new(), 0);
    while let Some(event) = soon("an event", events.recv()).await {
        match event {
            OutputEvent::Line(line) => got.push(line),
            OutputEvent::Lost { lines, stream, .. } => {
                assert_eq!(stream, StdStream::Stderr);
                told += lines;
            }
        }
    }
    assert_eq!(texts(&got[..10]), (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(got.len() as u64 + told, 101);
    assert_eq!(pump.account().forward_lost, told);
}

#[tokio::test]
async fn the_journal_gets_every_line_in_order_with_the_run_that_is_known_by_then() {
    let journald = Journald::new();
    let (run, known) = watch::channel(None);
    let journal = Some(journald.tap(SOON));
    let (pump, mut write) = start(Taps { run: known, journal, ..taps() });
    writeln!(write, "0").unwrap();
    until("it is read", || pump.account().lines == 1).await;
    run.send_replace(Some(RUN.parse::<InvocationId>().unwrap()));
    let rest = numbered(1..500);
    let writer = written(write, (rest + &"x".repeat(48 * 1024) + "end").into_bytes());
    let reader = thread::spawn(move || (0..502).map(|_| journald.receive()).collect::<Vec<_>>());
    until("all of it is there", || reader.is_finished()).await;
    writer.join().unwrap().unwrap();
    let entries = reader.join().unwrap();
    for (number, entry) in entries[..500].iter().enumerate() {
        assert_eq!(value(entry, "MESSAGE"), Some(number.to_string().as_bytes()));
        assert_eq!(value(entry, "PROCUNIT_INVOCATION"), Some(RUN.as_bytes()));
        assert_eq!(value(entry, "PROCUNIT_CONTINUES"), None);
    }
    assert_eq!(value(&entries[500], "PROCUNIT_CONTINUES"), Some(b"1".as_slice()));
    assert_eq!(value(&entries[501], "MESSAGE"), Some(b"end".as_slice()));
    assert_eq!(pump.account().journal_lost, 0);
}

#[tokio::test]
async fn a_journald_that_reads_nothing_costs_lines_that_are_counted_and_a_bounded_wait() {
    let journald = Journald::new();
    let (read, to) = io::pipe().unwrap();
    let journal = Some(journald.tap(Duration::from_millis(300)));
    let copy = CopyTo::Descriptor(to.into());
    let (pump, write) = start(Taps { copy, journal, ..taps() });
    let text = numbered(0..10_000);
    let writer = written(write, text.clone().into_bytes());
    let reader = all_read(read);
    ended_all_the_same(&pump).await;
    writer.join().unwrap().unwrap();
    assert_eq!(reader.join().unwrap().unwrap(), text);
    let account = pump.account();
    let taken = journald.waiting();
    assert_eq!(account.journal_lost + taken as u64, 10_000);
    assert_eq!(account.journal_loss, Some(Loss::Stalled));
}

#[tokio::test]
async fn who_is_in_a_hurry_does_not_wait_for_a_journald_that_reads_nothing_and_gets_every_byte() {
    let journald = Journald::new();
    let (read, to) = io::pipe().unwrap();
    let (copy, journal) = (CopyTo::Descriptor(to.into()), Some(journald.tap(2 * SOON)));
    let (pump, write) = start(Taps { copy, journal, ..taps() });
    let text = numbered(0..10_000);
    let writer = written(write, text.clone().into_bytes());
    let reader = all_read(read);
    until("something is read", || pump.account().bytes > 0).await;
    pump.hurry(Duration::from_millis(100));
    ended_all_the_same(&pump).await;
    writer.join().unwrap().unwrap();
    assert_eq!(reader.join().unwrap().unwrap(), text);
    let account = pump.account();
    let taken = journald.waiting();
    assert!(account.journal_lost > 0);
    assert_eq!(account.journal_lost + taken as u64, 10_000);
}

#[tokio::test]
async fn lines_are_in_the_aggregate_files_when_they_are_handed_on() {
    let dir = tempfile::tempdir().unwrap();
    let aggregate = Aggregate::open(dir.path(), Limits::default()).unwrap();
    let (pump, mut write) = start(Taps { aggregate: Some(aggregate), ..taps() });
    write.write_all(b"one\ntwo").unwrap();
    soon("they are", pump.handed_on()).await;
    let read = |name| std::fs::read_to_string(Path::join(dir.path(), name)).unwrap();
    assert_eq!([read("stdout.log"), read("stderr.log")], ["", "[web/0] one\n[web/0] two\n"]);
}

#[tokio::test]
async fn dropped_it_closes_the_pipe() {
    let (pump, mut write) = start(taps());
    drop(pump);
    until("the pipe is closed", || write.write_all(b"words").is_err()).await;
}

#[tokio::test]
async fn of_two_hundred_thousand_lines_all_are_counted_and_twenty_kept() {
    let (pump, write) = start(taps());
    let text = numbered(0..200_000);
    let writer = written(write, text.into_bytes());
    until("an end", || pump.account().ended).await;
    writer.join().unwrap().unwrap();
    assert_eq!(pump.account().lines, 200_000);
    assert_eq!(pump.tail().len(), 20);
}

#[tokio::test]
async fn of_long_lines_only_so_many_bytes_are_kept() {
    let (pump, write) = start(taps());
    let text = ("x".repeat(40_000) + "\n").repeat(20) + "last\n";
    let writer = written(write, text.into_bytes());
    until("an end", || pump.account().ended).await;
    writer.join().unwrap().unwrap();
    let lengths: Vec<_> = pump.tail().iter().map(|line| line.bytes.len()).collect();
    assert_eq!(lengths, [40_000, 4]);
}
