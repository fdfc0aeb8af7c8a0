//! Whole commands whose output is what matters: how long they take and how much of the processors, and whether all came.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// Where the output of a command goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    DevNull,
    /// Read here, and thrown away.
    Pipe,
}

/// What one run of a command took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) seconds: f64,
    /// Seconds of processor time, of the command alone: the program is systemd's child.
    pub(crate) cpu: f64,
}

/// What is written, and how many bytes that is.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub(crate) command: Vec<String>,
    pub(crate) bytes: u64,
}

impl Writer {
    /// Bytes without an end of line.
    pub(crate) fn bytes(mib: u32) -> Self {
        let bytes = u64::from(mib) << 20;
        Self { command: ["head", "-c", &bytes.to_string(), "/dev/zero"].map(str::to_owned).into(), bytes }
    }

    /// Short lines.
    pub(crate) fn lines(count: u32) -> Self {
        let bytes = (1..=u64::from(count)).map(|line| u64::from(line.ilog10()) + 2).sum();
        Self { command: ["seq", &count.to_string()].map(str::to_owned).into(), bytes }
    }

    /// Runs it by `runner`, to its end and that of its output.
    pub(crate) fn run(&self, runner: &[&str], sink: Sink) -> anyhow::Result<Took> {
        let mut command = Command::new(runner[0]);
        command.args(&runner[1..]).arg("--").args(&self.command).stdin(Stdio::null());
        command.stdout(if sink == Sink::Pipe { Stdio::piped() } else { Stdio::null() });
        let (began, before) = (Instant::now(), children()?);
        let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
        let came = child.stdout.take().map(read).transpose()?;
        let status = child.wait()?;
        let seconds = began.elapsed().as_secs_f64();
        ensure!(status.success(), "{command:?}: {status}");
        ensure!(came.is_none_or(|came| came == self.bytes), "{command:?}: {came:?} bytes came");
        Ok(Took { seconds, cpu: children()?.saturating_sub(before).as_secs_f64() })
    }
}

/// Processor time of all children so far that are over.
fn children() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(micros)?))
}

fn read(mut from: impl Read) -> anyhow::Result<u64> {
    let (mut came, mut chunk) = (0, vec![0; 64 * 1024]);
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(came),
            len => came += len as u64,
        }
    }
}
