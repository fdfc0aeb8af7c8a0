//! `procunit run`.

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal as _, stdin};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use procunit::id::{InvocationId, ProcId, UnitName};
use procunit::launcher::{LaunchError, LauncherKind};
use procunit::report::VERSION;
use procunit::spec::{ProcSpec, ProcSpecBuilder, RestartPolicy, defaults};
use procunit::sys::token::token;
use procunit::{ProcHandle, ProcStatus};
use serde::Serialize;

use crate::args::{Global, RunArgs};
use crate::pty::Pty;
use crate::tty::Modes;
use crate::wishes::{Wish, Wishes};
use crate::{connect, exit, retention, run_output, show};

/// Letters in the random part of a name that nobody chose.
const TOKEN_LEN: usize = 5;

/// Runs a program; the exit code is its own.
pub(crate) async fn run(global: &Global, args: &RunArgs) -> anyhow::Result<u8> {
    let id = match &args.name {
        Some(name) => ProcId::new(name)?,
        None => name_for(&args.command[0])?,
    };
    let pty = args.pty.then(Pty::open).transpose().context("making a terminal")?;
    let spec = spec(&id, args, pty.as_ref())?;
    if args.detach { detached(global, spec).await } else { attached(global, args, spec, pty).await }
}

async fn detached(global: &Global, spec: ProcSpec) -> anyhow::Result<u8> {
    let manager = connect::for_detached(global).await?;
    let handle = manager.spawn(spec).await?;
    tell_notes(global, &handle);
    if global.wants_json() {
        show::json_line(&Left::of(&handle))?;
    } else {
        show::line(handle.id())?;
    }
    retention::look_after(global, &manager).await;
    Ok(0)
}

async fn attached(global: &Global, args: &RunArgs, spec: ProcSpec, pty: Option<Pty>) -> anyhow::Result<u8> {
    // Before anything else: a signal that comes in the middle must not leave anything behind.
    let mut wishes = Wishes::listen().context("listening for signals")?;
    let manager = tokio::select! {
        manager = connect::for_attached(global) => manager?,
        wish = wishes.next() => return Ok(given_up(wish, "before the launch; nothing was started")),
    };
    let modes = Arc::new(Modes::keep());
    let (handle, wish) = match launched(manager.spawn(spec), &mut wishes).await {
        Ok(launched) => launched?,
        Err(wish) => return Ok(given_up(wish, "twice during the launch; what was started of it ends now")),
    };
    modes.restore();
    tell_notes(global, &handle);
    // Who has plain children has been told, or has chosen it.
    if pty.is_none() && manager.launcher() == LauncherKind::Systemd.name() {
        tell_of_what_is_not_kept(global, args);
    }
    let mut unwritten = false;
    let status = match pty {
        None => {
            let status = until_over(&handle, wish, &mut wishes).await?;
            run_output::finish(&handle, &mut wishes).await;
            unwritten = run_output::tell_of_losses(&handle, global.quiet);
            status
        }
        Some(pty) => {
            tell_of_the_way_out(global);
            let forwarding = pty.forward(&modes, &mut wishes).context("taking the terminal")?;
            let status = until_over(&handle, wish, &mut wishes).await?;
            forwarding.finish(&mut wishes).await;
            status
        }
    };
    match told(global, args, &handle, &status).await? {
        // What it wrote is not where its caller wants it.
        0 if unwritten => Ok(exit::LAUNCHER),
        code => Ok(code),
    }
}

/// Tells of the end, as far as that is wanted; the exit code.
async fn told(
    global: &Global,
    args: &RunArgs,
    handle: &ProcHandle,
    status: &ProcStatus,
) -> anyhow::Result<u8> {
    let code = exit::code_of_status(status);
    if code == 0 && args.timeout.is_none() && !global.wants_json() {
        return Ok(0);
    }
    if run_output::is_read_no_more(status) {
        return Ok(code);
    }
    let report = if global.wants_json() {
        handle.report_with_logs(defaults::TAIL_LINES).await
    } else {
        handle.report().await
    };
    let Some(report) = report else { return Ok(code) };
    let code = if report.hit_time_limit() { exit::TIME_LIMIT } else { code };
    if global.wants_json() {
        show::say(serde_json::to_string(&report)?);
    } else if code != 0 && !global.quiet {
        show::exit_report(&report, false);
    }
    Ok(code)
}

/// What was left running, as it is told in JSON.
#[derive(Serialize)]
struct Left<'a> {
    version: u32,
    id: &'a ProcId,
    unit: UnitName,
    /// The invocation id.
    run: Option<InvocationId>,
    /// Of the main process.
    pid: Option<u32>,
}

impl<'a> Left<'a> {
    fn of(handle: &'a ProcHandle) -> Self {
        let id = handle.id();
        Self { version: VERSION, id, unit: UnitName::for_proc(id), run: handle.run(), pid: handle.pid() }
    }
}

fn tell_notes(global: &Global, handle: &ProcHandle) {
    if !global.quiet {
        for note in handle.notes() {
            show::say(format_args!("procunit: {note}"));
        }
    }
}

fn tell_of_what_is_not_kept(global: &Global, args: &RunArgs) {
    if let Some(what) = args.output.not_kept().filter(|_| !global.quiet) {
        show::say(format_args!("procunit: there is no journal here; {what} is shown and not kept"));
    }
}

/// Every other key is the proc's.
fn tell_of_the_way_out(global: &Global) {
    if !global.quiet && stdin().is_terminal() {
        show::say("procunit: ^] three times within a second stops it");
    }
}

/// The launched proc, and the first wish to stop that came meanwhile: it is stopped as soon as there is something to
/// stop. The error is the second such wish, which does not wait for that.
async fn launched(
    launch: impl Future<Output = Result<ProcHandle, LaunchError>>,
    wishes: &mut Wishes,
) -> Result<Result<(ProcHandle, Option<Wish>), LaunchError>, Wish> {
    let mut launch = pin!(launch);
    let wish = tokio::select! {
        biased;
        launched = &mut launch => return Ok(launched.map(|handle| (handle, None))),
        wish = wishes.next() => wish,
    };
    tokio::select! {
        biased;
        launched = launch => Ok(launched.map(|handle| (handle, Some(wish)))),
        again = wishes.next() => Err(again),
    }
}

/// The exit code of a command that has nothing to wait for. What may be on its way is tied to it.
fn given_up(wish: Wish, when: &str) -> u8 {
    show::say(format_args!("procunit: {} {when}", wish.reason));
    exit::code_of_signal(wish.signal)
}

/// Waits for the end; the first wish to stop asks, the second kills.
async fn until_over(
    handle: &ProcHandle,
    wish: Option<Wish>,
    wishes: &mut Wishes,
) -> anyhow::Result<ProcStatus> {
    let wish = if let Some(wish) = wish {
        wish
    } else {
        tokio::select! {
            biased;
            over = handle.wait() => return Ok(over?),
            wish = wishes.next() => wish,
        }
    };
    let stopping = handle.terminate(None, wish.reason);
    tokio::select! {
        biased;
        stopped = stopping => over(stopped, handle),
        _ = wishes.next() => over(handle.kill().await, handle),
    }
}

/// What came of ending it. An end that came first is an end all the same.
fn over(
    ended: Result<ProcStatus, procunit::manager::TerminateError>,
    handle: &ProcHandle,
) -> anyhow::Result<ProcStatus> {
    match ended {
        Ok(status) | Err(procunit::manager::TerminateError::AlreadyTerminated(status)) => Ok(status),
        Err(error) => Err(anyhow::Error::new(error).context(handle.id().to_string())),
    }
}

fn spec(id: &ProcId, args: &RunArgs, pty: Option<&Pty>) -> anyhow::Result<ProcSpec> {
    let mut spec = ProcSpec::builder(id.clone(), &args.command[0]).args(&args.command[1..]);
    spec = environment(spec, args)?;
    if let Some(arg0) = &args.arg0 {
        spec = spec.arg0(arg0);
    }
    if let Some(chdir) = &args.chdir {
        spec = spec.cwd(std::path::absolute(chdir).with_context(|| format!("-C {}", chdir.display()))?);
    }
    if let Some(label) = &args.label {
        spec = spec.label(label);
    }
    if let Some(rank) = args.rank {
        spec = spec.rank(rank);
    }
    if let Some(limit) = args.timeout.and_then(|limit| limit.0) {
        spec = spec.runtime_max(limit);
    }
    spec = spec.replace_ended(args.replace);
    spec = spec.restart(restart(args)?);
    for (name, value) in &args.property {
        spec = spec.property(name, value);
    }
    let spec = stopping(spec, args);
    let spec = match pty {
        Some(pty) => spec.terminal(pty.path()),
        None => args.output.apply(spec, args.detach)?,
    };
    Ok(spec.build()?)
}

fn restart(args: &RunArgs) -> anyhow::Result<Option<RestartPolicy>> {
    let Some(mut policy) = args.restart.0.clone() else {
        if args.restart_delay.or(args.restart_max_delay).is_some() {
            bail!(
                "--restart-delay and --restart-max-delay say when it is started again, and it is not without --restart"
            );
        }
        return Ok(None);
    };
    if let Some(delay) = args.restart_delay {
        policy = policy.delay(delay);
    }
    if let Some(longest) = args.restart_max_delay {
        policy = policy.max_delay(longest);
    }
    Ok(Some(policy))
}

/// The backstop, systemd's own, comes a little after the stop timeout: of an attached proc always, for this command
/// may die in the middle; of a detached one where the default would come before it.
fn stopping(mut spec: ProcSpecBuilder, args: &RunArgs) -> ProcSpecBuilder {
    if let Some(signal) = args.stop_signal {
        spec = spec.stop_signal(signal);
    }
    let timeout = args.stop_timeout.unwrap_or(defaults::STOP_TIMEOUT);
    let after = timeout + defaults::RUN_BACKSTOP_MARGIN;
    let backstop = if args.detach { after.max(defaults::BACKSTOP) } else { after };
    spec.stop_timeout(timeout).backstop(backstop)
}

fn environment(spec: ProcSpecBuilder, args: &RunArgs) -> anyhow::Result<ProcSpecBuilder> {
    let mut spec = spec.clean_env(args.clean_env);
    // Its terminal is shown on this one.
    if let Some(term) = std::env::var_os("TERM").filter(|_| args.pty) {
        spec = spec.env("TERM", term);
    }
    for file in &args.env_file {
        for (name, value) in read_env_file(file)? {
            spec = spec.env(name, value);
        }
    }
    for entry in &args.env {
        spec = match split(entry) {
            (name, Some(value)) => spec.env(name, value),
            (name, None) => match std::env::var_os(&name) {
                Some(value) => spec.env(name, value),
                None => spec.env_remove(name),
            },
        };
    }
    Ok(spec)
}

/// Lines of `K=V` as they stand; empty lines and lines that start with `#` count for nothing.
fn read_env_file(file: &Path) -> anyhow::Result<Vec<(OsString, OsString)>> {
    let text = std::fs::read(file).with_context(|| format!("--env-file {}", file.display()))?;
    let mut entries = Vec::new();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = OsStr::from_bytes(line.strip_suffix(b"\r").unwrap_or(line));
        if line.is_empty() || line.as_bytes().starts_with(b"#") {
            continue;
        }
        match split(line) {
            (name, Some(value)) => entries.push((name, value)),
            (_, None) => bail!("--env-file {}, line {}: no '=' in it", file.display(), number + 1),
        }
    }
    Ok(entries)
}

fn split(entry: &OsStr) -> (OsString, Option<OsString>) {
    let bytes = entry.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=') {
        Some(at) => {
            let part = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            (part(&bytes[..at]), Some(part(&bytes[at + 1..])))
        }
        None => (entry.to_owned(), None),
    }
}

/// The program's name and a short random part.
fn name_for(program: &OsStr) -> anyhow::Result<ProcId> {
    let name = Path::new(program).file_name().unwrap_or(program).to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let name: String = name.chars().map(plain).take(64).collect();
    let name = if name.is_empty() || name.starts_with('-') { "proc" } else { &name };
    Ok(ProcId::new(format!("{name}-{}", token(TOKEN_LEN)))?)
}
