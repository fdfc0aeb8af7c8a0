//! Working directory, umask, limits, descriptors and signals.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::Stdio;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::Mode;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::pipe2;

use crate::alone::beside_others;
use crate::caller::{Caller, assert_same, finish, output};
use crate::recorded::Recorded;
use crate::support::BOUND;

/// The lines of /proc/self/status whose names begin so.
fn of_status(written: &[u8], names: &[&str]) -> Vec<String> {
    let text = String::from_utf8_lossy(written);
    text.lines().filter(|line| names.iter().any(|name| line.starts_with(name))).map(str::to_owned).collect()
}

#[test]
fn the_umask_and_the_limit_of_open_files_are_the_callers() {
    let _manager = beside_others();
    for line in ["umask 027 && ulimit -n 300", "umask 777 && ulimit -Sn 123 && ulimit -Hn 456", "umask 0"] {
        let caller = Caller::new().after(line);
        let (plain, unit) = caller.both(&["cat", "/proc/self/status"]);
        assert_eq!(of_status(&plain, &["Umask"]), of_status(&unit, &["Umask"]), "{line}");
        let (plain, unit) = caller.both(&["cat", "/proc/self/limits"]);
        let files = |written: &[u8]| of_status(written, &["Max open files"]);
        assert_eq!(files(&plain).len(), 1);
        assert_eq!(files(&plain), files(&unit), "{line}");
    }
}

#[test]
fn who_it_runs_as_is_the_caller() {
    let _manager = beside_others();
    let (plain, unit) = Caller::new().both(&["cat", "/proc/self/status"]);
    let names = ["Uid", "Gid", "Groups", "NoNewPrivs", "CapPrm", "CapEff", "CapInh", "CapAmb"];
    assert_eq!(of_status(&plain, &names), of_status(&unit, &names));
}

#[test]
fn the_working_directory_is_the_callers_or_the_one_that_was_asked_for() {
    let _manager = beside_others();
    let directory = tempfile::tempdir().expect("a directory");
    let top = directory.path().canonicalize().expect("a path");
    let names = ["with two  blanks", "$HOME", "%n", "a\\b", "\"'", "é🦀", ";#", "~", "-minus", "[x]"];
    for name in names {
        let inner = top.join(name);
        std::fs::create_dir(&inner).expect("a directory");
        let (plain, unit) = Caller::new().cwd(&inner).both(&["readlink", "/proc/self/cwd"]);
        assert_same(name, &plain, &unit);
        assert_same(name, format!("{}\n", inner.display()).as_bytes(), &unit);
        for asked in [Path::new(name), &inner, &top.join(".").join(name).join("..").join(name)] {
            let flag = format!("--chdir={}", asked.display());
            let caller = Caller::new().cwd(&top);
            let unit = output(&mut caller.unit(&["-q", &flag], &["readlink", "/proc/self/cwd"]));
            assert_same(&flag, &plain, &unit.stdout);
        }
    }
}

#[test]
fn a_working_directory_behind_a_link_is_the_one_it_leads_to() {
    let _manager = beside_others();
    let directory = tempfile::tempdir().expect("a directory");
    let (real, link) = (directory.path().join("real"), directory.path().join("link"));
    std::fs::create_dir(&real).expect("a directory");
    std::os::unix::fs::symlink("real", &link).expect("a link");
    let (plain, unit) = Caller::new().cwd(&link).both(&["readlink", "/proc/self/cwd"]);
    assert_same("the caller's", &plain, &unit);
    let caller = Caller::new().cwd(directory.path());
    let asked = output(&mut caller.unit(&["-q", "-C", "link"], &["readlink", "/proc/self/cwd"]));
    assert_same("asked for", &plain, &asked.stdout);
    // A relative program is meant from there.
    let (plain, unit) = Caller::new().cwd(Path::new("/bin")).both(&["./pwd"]);
    assert_same("a relative program", &plain, &unit);
}

/// What the caller ignores or blocks is not handed on: a program starts with the signals as a shell would give it.
#[test]
fn every_signal_has_its_default_whatever_the_caller_does_with_it() {
    let _manager = beside_others();
    let names = ["SigBlk", "SigIgn", "SigCgt"];
    let defaults = names.map(|name| format!("{name}:\t{:016x}", 0));
    let unit = output(&mut Caller::new().unit(&["-q"], &["cat", "/proc/self/status"]));
    assert_eq!(of_status(&unit.stdout, &names), defaults);
    let odd = Caller::new().with(&["--ignore-signal=PIPE,INT,QUIT,USR1", "--block-signal=USR2,CHLD"]);
    let (inherited, unit) = odd.both(&["cat", "/proc/self/status"]);
    assert_ne!(of_status(&inherited, &names), defaults, "a plain child takes them over");
    assert_eq!(of_status(&unit, &names), defaults);
    let pipeline = output(&mut odd.unit(&["-q"], &["sh", "-c", "yes | head -n 1"]));
    assert_eq!(pipeline.stdout, b"y\n");
}

/// Writes each descriptor and what it leads to, and then [`END`]. What find(1) has open itself leads into /proc, if it
/// is run there.
const OPEN: [&str; 3] =
    ["sh", "-c", "find /proc/self/fd -mindepth 1 ! -lname '/proc*' -printf '%f %l\\n' && echo end"];
const END: &str = "end\n";

fn in_proc() -> Caller {
    Caller::new().cwd(Path::new("/proc"))
}

/// The three standard streams, in order, of what [`OPEN`] wrote.
fn standard(written: &str) -> Vec<&str> {
    let mut lines: Vec<_> = written
        .lines()
        .filter(|line| ["0 ", "1 ", "2 "].iter().any(|start| line.starts_with(start)))
        .collect();
    lines.sort_unstable();
    lines
}

/// Where a caller's three streams lead, and where what is written to the second can be read.
struct Streams {
    label: &'static str,
    given: [OwnedFd; 3],
    read: File,
}

fn pipe() -> (OwnedFd, OwnedFd) {
    pipe2(OFlag::O_CLOEXEC).expect("a pipe")
}

fn opened(path: &Path) -> OwnedFd {
    File::options().read(true).append(true).create(true).open(path).expect("a file").into()
}

fn copy(fd: &OwnedFd) -> OwnedFd {
    fd.try_clone().expect("a duplicate")
}

fn streams(directory: &Path) -> Vec<Streams> {
    let null = || File::options().read(true).write(true).open("/dev/null").expect("/dev/null").into();
    let file = |name: &str| opened(&directory.join(name));
    let ((in_read, _), (out_read, out_write), (_, err_write)) = (pipe(), pipe(), pipe());
    let pipes = Streams { label: "pipes", given: [in_read, out_write, err_write], read: out_read.into() };
    let (one_read, one_write) = pipe();
    let one = Streams {
        label: "one pipe for output and errors",
        given: [null(), copy(&one_write), one_write],
        read: one_read.into(),
    };
    let files = Streams {
        label: "files",
        given: [file("in"), file("out"), file("err")],
        read: File::open(directory.join("out")).expect("a file"),
    };
    let (read, write) = pipe();
    let nulls = Streams { label: "null around a pipe", given: [null(), write, null()], read: read.into() };
    let (master, slave) = terminal();
    let tty = Streams { label: "a terminal", given: [copy(&slave), copy(&slave), slave], read: master };
    vec![pipes, one, files, nulls, tty]
}

/// Both sides of a terminal that changes nothing of what is written. Not by openpty(3), whose descriptors every process
/// would inherit that another test starts.
fn terminal() -> (File, OwnedFd) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags).expect("a terminal");
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("its other side");
    let name = ptsname_r(&master).expect("its name");
    let slave = nix::fcntl::open(name.as_str(), flags, Mode::empty()).expect("its other side");
    let mut raw = tcgetattr(&slave).expect("its modes");
    cfmakeraw(&mut raw);
    tcsetattr(&slave, SetArg::TCSANOW, &raw).expect("its modes");
    (OwnedFd::from(master).into(), slave)
}

/// Runs it with those streams; what it wrote to the second is read from the other end.
fn through(streams: &mut Streams, mut command: std::process::Command) -> String {
    use std::io::Read as _;
    let [input, output, errors] = &streams.given;
    command
        .stdin(Stdio::from(copy(input)))
        .stdout(Stdio::from(copy(output)))
        .stderr(Stdio::from(copy(errors)));
    let ended = finish(command.spawn().expect("a child"));
    assert!(ended.status.success(), "{}: {ended:?}", streams.label);
    let mut written = String::new();
    while !written.ends_with(END) {
        let mut some = [0; 4096];
        let len = readable(&streams.read).read(&mut some).expect("what it wrote");
        assert!(len > 0, "{}: {written}", streams.label);
        // A terminal whose modes systemd has reset writes its own ends of lines (252).
        written += &String::from_utf8_lossy(&some[..len]).replace('\r', "");
    }
    written.trim_end_matches(END).to_owned()
}

/// Waits until there is something to read: a terminal gives out bit by bit what was written long ago.
fn readable(file: &File) -> &File {
    let mut wanted = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    let bound = PollTimeout::try_from(BOUND).expect("a span that poll(2) takes");
    assert_eq!(poll(&mut wanted, bound), Ok(1), "nothing to read");
    file
}

#[test]
fn without_the_journal_the_three_streams_are_the_callers_own_and_nothing_else_is_open() {
    let _manager = beside_others();
    let directory = tempfile::tempdir().expect("a directory");
    for mut streams in streams(directory.path()) {
        // A plain child may get more: whatever this test was started with.
        let plain = through(&mut streams, in_proc().plain(&OPEN));
        let plain = standard(&plain);
        assert_eq!(plain.len(), 3, "{}", streams.label);
        for caller in [in_proc(), in_proc().after("exec 7</dev/null 9</")] {
            let unit = through(&mut streams, caller.unit(&["-q", "--no-journal"], &OPEN));
            assert_eq!(standard(&unit), plain, "{}", streams.label);
            assert_eq!(unit.lines().count(), 3, "{}: {unit}", streams.label);
        }
    }
}

#[test]
fn a_file_is_read_and_written_from_where_the_caller_is_in_it() {
    use std::io::{Read as _, Seek as _, Write as _};
    let _manager = beside_others();
    let mut input = tempfile::tempfile().expect("a file");
    input.write_all(b"first\nsecond\nthird\n").expect("written");
    input.seek(std::io::SeekFrom::Start(6)).expect("a place");
    let mut out = tempfile::tempfile().expect("a file");
    out.write_all(b"before:").expect("written");
    let mut command = Caller::new().unit(&["-q"], &["head", "-c", "7"]);
    command.stdin(input.try_clone().expect("a duplicate")).stdout(out.try_clone().expect("a duplicate"));
    assert!(finish(command.spawn().expect("procunit")).status.success());
    out.write_all(b":after").expect("written");
    out.rewind().expect("the beginning");
    let (mut written, mut left) = (String::new(), String::new());
    out.read_to_string(&mut written).expect("text");
    assert_eq!(written, "before:second\n:after");
    input.read_to_string(&mut left).expect("text");
    assert_eq!(left, "third\n");
}

#[test]
fn a_closed_input_ends_and_a_closed_output_breaks_the_pipe() {
    let _manager = beside_others();
    let mut command = Caller::new().unit(&["-q"], &["cat"]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("procunit");
    assert_eq!(finish(child).status.code(), Some(0), "the end of its input was seen");

    let (read, write) = pipe();
    drop(read);
    let child = Caller::new().unit(&["-q"], &["yes"]).stdout(write).spawn().expect("procunit");
    assert_eq!(finish(child).status.code(), Some(128 + 13), "SIGPIPE");
}

#[test]
fn a_detached_program_has_null_and_the_journal_and_nothing_else_open() {
    let _manager = beside_others();
    let fds = Recorded::start(&in_proc().after("exec 7</dev/null 9</"), &[]).fds(0);
    let mut lines: Vec<_> = fds.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines[0], "0 /dev/null");
    // The script sends the standard output of find(1) elsewhere.
    assert!(lines[1].starts_with("1 /"), "{fds}");
    assert!(lines[2].starts_with("2 socket:"), "{fds}");
    assert_eq!(lines.len(), 3, "{fds}");
}
