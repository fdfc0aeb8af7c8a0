//! Where the output of `procunit run` goes.

use std::io::{ErrorKind, stdout};
use std::os::fd::AsFd as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use procunit::ProcHandle;
use procunit::ProcStatus;
use procunit::journal::{StdStream, is_there};
use procunit::signal::Signal;
use procunit::spec::{Input, Lifetime, Output, ProcSpecBuilder, defaults};
use tokio::time::timeout;

use crate::show;
use crate::wishes::Wishes;

/// How long what a proc left behind, which is being ended, is waited for: it may still have something to say.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct OutputArgs {
    /// Where its standard output goes: journal, tee (this command's own and the journal), inherit (this command's own
    /// alone), null, or file:PATH, which is appended to [default: tee; with -d, journal]
    #[arg(long, value_name = "TARGET", conflicts_with = "pty")]
    stdout: Option<Output>,
    /// The same of its standard error
    #[arg(long, value_name = "TARGET", conflicts_with = "pty")]
    stderr: Option<Output>,
    /// Keep its output out of the journal: it gets this command's own stdout and stderr, which may be a terminal, as they are
    #[arg(long, conflicts_with_all = ["detach", "pty"])]
    no_journal: bool,
}

impl OutputArgs {
    /// Sets the three streams, as far as the flags and what is usual decide.
    pub(crate) fn apply(&self, spec: ProcSpecBuilder, detach: bool) -> anyhow::Result<ProcSpecBuilder> {
        let usual = match () {
            () if detach => Output::Journal,
            // Without a journal there is no reason to stand in between.
            () if self.no_journal || !is_there() => Output::Inherit,
            () => Output::Tee,
        };
        let stdout = target(self.stdout.as_ref().unwrap_or(&usual))?;
        let stderr = target(self.stderr.as_ref().unwrap_or(&usual))?;
        let spec = if detach {
            spec.lifetime(Lifetime::Detached).stdin(Input::Null)
        } else {
            spec.stdin(Input::Inherit)
        };
        Ok(spec.stdout(stdout).stderr(stderr))
    }

    /// What of an attached proc is shown alone, though nobody asked for that, as there is no journal.
    pub(crate) fn not_kept(&self) -> Option<&'static str> {
        if self.no_journal || is_there() {
            return None;
        }
        match (&self.stdout, &self.stderr) {
            (None, None) => Some("what it writes"),
            (None, Some(_)) => Some("its standard output"),
            (Some(_), None) => Some("its standard error"),
            (Some(_), Some(_)) => None,
        }
    }
}

fn target(output: &Output) -> anyhow::Result<Output> {
    let Output::File(path) = output else { return Ok(output.clone()) };
    let absolute = std::path::absolute(Path::new(path)).with_context(|| format!("file:{path}"))?;
    match without_parents(absolute).into_os_string().into_string() {
        Ok(absolute) => Ok(Output::File(absolute)),
        Err(other) => bail!("file:{path}: {} is not UTF-8, and a unit takes no other path", other.display()),
    }
}

/// systemd takes no path with `..`, and refuses the launch when the file has been made.
fn without_parents(path: PathBuf) -> PathBuf {
    if !path.components().any(|part| part == Component::ParentDir) {
        return path;
    }
    // Where there is no such directory, it is told when the file is opened.
    let real = path.parent().and_then(|parent| parent.canonicalize().ok());
    let file = real.zip(path.file_name()).map(|(real, name)| real.join(name));
    file.unwrap_or(path)
}

/// Waits until everything that a proc which is over wrote has gone where it goes. A wish is not to wait for that: who reads
/// it may take for ever.
pub(crate) async fn finish(handle: &ProcHandle, wishes: &mut Wishes) {
    let finished = async {
        let _ = timeout(LEFTOVERS, handle.gone()).await;
        handle.hurry_journal(defaults::LOG_END_WAIT);
        handle.handed_on().await;
    };
    tokio::select! {
        () = finished => {}
        _ = wishes.next() => {}
    }
}

/// Says what of its output did not get where it goes; whether it was for an error of what it is shown on. That nobody reads
/// on is none.
pub(crate) fn tell_of_losses(handle: &ProcHandle, quiet: bool) -> bool {
    let mut failed = false;
    for (which, why) in handle.copy_errors() {
        if why != ErrorKind::BrokenPipe {
            let stream = match which {
                StdStream::Stdout => "standard output",
                StdStream::Stderr => "standard error",
            };
            show::say(format_args!("procunit: cannot write to {stream}: {why}"));
            failed = true;
        }
    }
    for (which, lines) in handle.journal_lost().into_iter().filter(|_| !quiet) {
        show::say(format_args!("procunit: {lines} lines of {which} did not reach the journal"));
    }
    failed
}

/// Whether it ended as nobody read on, as in `procunit run -- yes | head`: that is no failure to tell of.
pub(crate) fn is_read_no_more(status: &ProcStatus) -> bool {
    let stdout = stdout();
    let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let gone = poll(&mut polled, PollTimeout::ZERO).is_ok()
        && polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR));
    gone && matches!(status, ProcStatus::Killed { signal: Signal::PIPE, .. })
}
