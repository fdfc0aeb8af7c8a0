//! From a program's exit to its status in `watch()`.
//!
//! The program is this file's [`stamp`]: it writes the monotonic clock, which all processes of a machine share, as
//! the last thing it does, to the socket that is its standard input: both its streams of output are as they are elsewhere.
//! What the kernel and systemd take to notice the exit is part of the delay.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::time::{ClockId, clock_gettime};
use procunit::ProcManager;
use procunit::id::ProcId;
use procunit::spec::ProcSpec;

use crate::library::output;
use crate::work::{To, Work};

/// As the bench's only argument: be the program.
pub(crate) const STAMP: &str = "__stamp";

/// From the word that it may end to its end: longer than its manager is busy with that word.
const LINGERS: Duration = Duration::from_millis(10);

/// Waits for the end of standard input and [`LINGERS`], writes the clock the other way, and is over.
pub(crate) fn stamp() -> anyhow::Result<()> {
    let mut socket = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    socket.read_to_end(&mut Vec::new())?;
    std::thread::sleep(LINGERS);
    Ok(socket.write_all(&now()?.as_nanos().to_ne_bytes())?)
}

/// `count` delays, one after the other.
pub(crate) async fn delays(manager: &ProcManager, count: usize, to: To) -> anyhow::Result<Vec<Duration>> {
    let (set, program) = (Work::set(), std::env::current_exe()?.into_os_string());
    let mut delays = Vec::new();
    for index in 0..count {
        let id = ProcId::new(format!("bench{set}:{index}"))?;
        delays.push(delay(manager, id, program.clone(), to).await?);
    }
    Ok(delays)
}

async fn delay(manager: &ProcManager, id: ProcId, program: OsString, to: To) -> anyhow::Result<Duration> {
    let (near, far) = UnixStream::pair()?;
    let spec = ProcSpec::builder(id, program).arg(STAMP).stdin(OwnedFd::from(far));
    let handle = manager.spawn(spec.stdout(output(to)).stderr(output(to)).build()?).await?;
    let mut watch = handle.watch();
    let mut status = watch.status();
    ensure!(!status.is_exit(), "{} was over before it could be watched", handle.id());
    near.shutdown(Shutdown::Write)?;
    while !status.is_exit() {
        status = watch.changed().await?;
    }
    let seen = now()?;
    ensure!(status.to_string() == "Stopped(exit=0)", "{} is {status}", handle.id());
    let exited = read(near).context("what the program wrote")?;
    seen.checked_sub(exited).context("the end was seen before it was")
}

fn read(mut from: UnixStream) -> anyhow::Result<Duration> {
    let mut nanos = [0; 16];
    from.read_exact(&mut nanos)?;
    Ok(Duration::from_nanos(u64::try_from(u128::from_ne_bytes(nanos))?))
}

fn now() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}
