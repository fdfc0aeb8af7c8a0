//! What the tests share: specs, bounded waits, and this test binary run again as another process.

use std::future::Future;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use procunit::id::ProcId;
use procunit::launcher::native::NativeLauncher;
use procunit::spec::{Output, ProcSpec, ProcSpecBuilder};
use procunit::sys::token::token;
use procunit::{ProcHandle, ProcManager, ProcStatus};

/// What no wait of these tests exceeds.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

pub(crate) fn manager() -> ProcManager {
    ProcManager::new(NativeLauncher::new().expect("a native launcher"))
}

/// A spec of `program` with its output thrown away.
pub(crate) fn spec(program: &str) -> ProcSpecBuilder {
    let id = ProcId::new(format!("test-{}", token(10))).expect("an id");
    ProcSpec::builder(id, program).stdout(Output::Null).stderr(Output::Null)
}

pub(crate) fn sh(script: &str) -> ProcSpecBuilder {
    spec("sh").arg("-c").arg(script)
}

pub(crate) async fn within<T>(label: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.unwrap_or_else(|_| panic!("{label}: not within {BOUND:?}"))
}

/// Waits until it is so.
pub(crate) async fn until(label: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < BOUND, "{label}: not within {BOUND:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn spawn(manager: &ProcManager, spec: ProcSpecBuilder) -> ProcHandle {
    within("a launch", manager.spawn(spec.build().expect("a valid spec"))).await.expect("a launch")
}

pub(crate) async fn end_of(manager: &ProcManager, spec: ProcSpecBuilder) -> ProcStatus {
    let handle = spawn(manager, spec).await;
    within("the end", handle.wait()).await.expect("an end")
}

/// A proc whose standard output is read here.
pub(crate) struct Talking {
    pub(crate) handle: ProcHandle,
    output: tokio::net::unix::pipe::Receiver,
}

impl Talking {
    pub(crate) async fn spawn(manager: &ProcManager, spec: ProcSpecBuilder) -> Self {
        let (read, write) = std::io::pipe().expect("a pipe");
        let write: std::os::fd::OwnedFd = write.into();
        let handle = spawn(manager, spec.stdout(Output::from(write))).await;
        let output = tokio::net::unix::pipe::Receiver::from_owned_fd(read.into()).expect("a pipe's end");
        Self { handle, output }
    }

    /// The next line that it writes.
    pub(crate) async fn line(&mut self) -> String {
        use tokio::io::AsyncReadExt;
        let mut line = Vec::new();
        loop {
            match within("a line", self.output.read_u8()).await.expect("a line before the end") {
                b'\n' => return String::from_utf8(line).expect("text"),
                byte => line.push(byte),
            }
        }
    }

    /// A line that is a number.
    pub(crate) async fn pid(&mut self) -> u32 {
        self.line().await.trim().parse().expect("a pid")
    }

    /// Everything it writes until nobody has the stream open any more.
    pub(crate) async fn rest(mut self) -> Vec<u8> {
        use tokio::io::AsyncReadExt;
        let mut rest = Vec::new();
        within("the end of the output", self.output.read_to_end(&mut rest)).await.expect("output");
        rest
    }
}

pub(crate) async fn output_of(manager: &ProcManager, spec: ProcSpecBuilder) -> Vec<u8> {
    Talking::spawn(manager, spec).await.rest().await
}

/// How many descriptors this process has.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc").count()
}

/// The one-letter state of proc_pid_stat(5); `None` where there is no such process.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Not there, or waiting for its parent to notice.
pub(crate) fn is_over(pid: u32) -> bool {
    matches!(state_of(pid), None | Some('Z' | 'X'))
}

pub(crate) fn inode_of(fd: &impl std::os::fd::AsFd) -> (u64, u64) {
    let file = std::fs::File::from(fd.as_fd().try_clone_to_owned().expect("a descriptor"));
    let meta = file.metadata().expect("a file");
    (meta.dev(), meta.ino())
}

/// Names the part that this binary plays as another process.
const ROLE: &str = "PROCUNIT_TEST_ROLE";

/// Whether this process is the one that plays the part of this test.
pub(crate) fn plays(test: &str) -> bool {
    std::env::var_os(ROLE).is_some_and(|role| role == test)
}

/// This binary as another process, which plays the part of a test: the test that runs there is the same one.
pub(crate) fn again(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ROLE, test);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Plays a part to its end, and shows what it said where it failed.
pub(crate) fn play(test: &str) {
    let mut child = again(test).spawn().expect("this binary again");
    let said = read_all(&mut child);
    let status = child.wait().expect("its end");
    assert!(status.success(), "{test} as another process: {status}\n{said}");
}

fn read_all(child: &mut Child) -> String {
    let mut said = String::new();
    child.stdout.take().expect("its output").read_to_string(&mut said).expect("text");
    said
}

/// A number that the other process prints behind `name`, as `name=NUMBER`.
pub(crate) fn told(child: &mut Child, name: &str) -> u32 {
    let output = child.stdout.as_mut().expect("its output");
    let (mut said, mut byte) = (String::new(), [0]);
    loop {
        assert_eq!(output.read(&mut byte).expect("its output"), 1, "it ended after saying {said:?}");
        said.push(char::from(byte[0]));
        let number = said.strip_suffix('\n').and_then(|said| said.rsplit_once(&format!("{name}=")));
        if let Some((_, number)) = number
            && let Ok(number) = number.parse()
        {
            return number;
        }
    }
}
