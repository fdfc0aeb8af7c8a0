//! A proc whose standard output is read here.

use std::os::fd::OwnedFd;

use procunit::spec::{Output, ProcSpecBuilder};
use procunit::{ProcHandle, ProcManager};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::spawn;
use crate::live::within;

/// See the module.
pub(crate) struct Talking {
    pub(crate) handle: ProcHandle,
    output: Receiver,
}

impl Talking {
    pub(crate) async fn spawn(manager: &ProcManager, spec: ProcSpecBuilder) -> Self {
        let (read, write) = std::io::pipe().expect("a pipe");
        let handle = spawn(manager, spec.stdout(Output::from(OwnedFd::from(write)))).await;
        let output = Receiver::from_owned_fd(read.into()).expect("a pipe's end");
        Self { handle, output }
    }

    /// The next line that it writes.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = Vec::new();
        loop {
            match within("a line", self.output.read_u8()).await.expect("a line before the end") {
                b'\n' => return String::from_utf8(line).expect("text"),
                byte => line.push(byte),
            }
        }
    }

    /// A line that is a number, so many times.
    pub(crate) async fn pids(&mut self, count: usize) -> Vec<u32> {
        let mut pids = Vec::new();
        while pids.len() < count {
            pids.push(self.line().await.trim().parse().expect("a pid"));
        }
        pids
    }

    /// Waits until it writes this line.
    pub(crate) async fn says(&mut self, line: &str) {
        assert_eq!(self.line().await, line);
    }

    /// Everything it writes until nobody has the stream open any more.
    pub(crate) async fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        within("the end of the output", self.output.read_to_end(&mut rest)).await.expect("output");
        rest
    }
}

/// All that a program writes on standard output.
pub(crate) async fn output_of(manager: &ProcManager, spec: ProcSpecBuilder) -> String {
    let all = Talking::spawn(manager, spec).await.rest().await;
    String::from_utf8(all).expect("text")
}
