//! Takes a spec together and checks it. Every check that needs no machine is here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::defaults;
use super::environment::{EnvBase, Environment, OWN, PER_SERVICE, long_value_flaw, name_flaw, value_flaw};
use super::error::{Field, Flaw, SpecError};
use super::proc_spec::{Lifetime, ProcSpec};
use super::restart::RestartPolicy;
use super::stdio::{Input, Output, Stdio};
use super::stop::{StopPolicy, check_span};
use crate::id::ProcId;
use crate::signal::Signal;

/// Collects a [`ProcSpec`]. Nothing is checked before [`build`](Self::build); a later call of a setter wins.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct ProcSpecBuilder {
    id: ProcId,
    program: OsString,
    arg0: Option<OsString>,
    args: Vec<OsString>,
    env_base: EnvBase,
    env: BTreeMap<OsString, Option<OsString>>,
    cwd: Option<OsString>,
    umask: Option<u32>,
    rank: Option<u32>,
    label: Option<String>,
    stdio: Stdio,
    forward: Option<bool>,
    aggregate: Option<bool>,
    stop_signal: Signal,
    stop_timeout: Duration,
    backstop: Duration,
    lifetime: Lifetime,
    runtime_max: Option<Duration>,
    restart: Option<RestartPolicy>,
    replace_ended: bool,
    properties: Vec<(String, String)>,
}

impl ProcSpecBuilder {
    pub(super) fn new(id: ProcId, program: OsString) -> Self {
        Self {
            id,
            program,
            arg0: None,
            args: Vec::new(),
            env_base: EnvBase::default(),
            env: BTreeMap::new(),
            cwd: None,
            umask: None,
            rank: None,
            label: None,
            stdio: Stdio::default(),
            forward: None,
            aggregate: None,
            stop_signal: defaults::STOP_SIGNAL,
            stop_timeout: defaults::STOP_TIMEOUT,
            backstop: defaults::BACKSTOP,
            lifetime: Lifetime::default(),
            runtime_max: None,
            restart: None,
            replace_ended: false,
            properties: Vec::new(),
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets `argv[0]`, which is otherwise the program as it was given.
    pub fn arg0(mut self, arg0: impl Into<OsString>) -> Self {
        self.arg0 = Some(arg0.into());
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), Some(value.into()));
        self
    }

    /// Sets environment variables.
    pub fn envs(
        mut self,
        entries: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Self {
        self.env.extend(entries.into_iter().map(|(name, value)| (name.into(), Some(value.into()))));
        self
    }

    /// Removes an environment variable that the proc would otherwise get.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), None);
        self
    }

    /// Whether to start from [`EnvBase::CLEAN`] alone instead of the caller's whole environment.
    pub fn clean_env(mut self, clean: bool) -> Self {
        self.env_base = if clean { EnvBase::Clean } else { EnvBase::Caller };
        self
    }

    /// Sets the working directory. A relative one is the launcher's to resolve against the caller's.
    pub fn cwd(mut self, cwd: impl Into<OsString>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// Sets the file mode creation mask, at most `0o777`.
    pub fn umask(mut self, umask: u32) -> Self {
        self.umask = Some(umask);
        self
    }

    /// Sets its number among its like.
    pub fn rank(mut self, rank: u32) -> Self {
        self.rank = Some(rank);
        self
    }

    /// Sets what people read in its place: one line of text.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets standard input; `/dev/null` otherwise.
    pub fn stdin(mut self, stdin: impl Into<Input>) -> Self {
        self.stdio.stdin = stdin.into();
        self
    }

    /// Sets standard output; the journal otherwise.
    pub fn stdout(mut self, stdout: impl Into<Output>) -> Self {
        self.stdio.stdout = stdout.into();
        self
    }

    /// Sets standard error; the journal otherwise.
    pub fn stderr(mut self, stderr: impl Into<Output>) -> Self {
        self.stdio.stderr = stderr.into();
        self
    }

    /// Whether its lines go to the channel of a manager that forwards them; what that manager is set to otherwise.
    pub fn forward(mut self, forward: bool) -> Self {
        self.forward = Some(forward);
        self
    }

    /// Whether its lines go to the files of a manager that gathers them; what that manager is set to otherwise.
    pub fn aggregate(mut self, aggregate: bool) -> Self {
        self.aggregate = Some(aggregate);
        self
    }

    /// Gives the proc this terminal in place of all three streams, and as its controlling one: the path of a device, such
    /// as the slave of a pair made by openpty(3).
    pub fn terminal(mut self, path: impl Into<String>) -> Self {
        self.stdio.terminal = Some(path.into());
        self
    }

    /// Sets what asks it to end; SIGTERM otherwise.
    pub fn stop_signal(mut self, signal: Signal) -> Self {
        self.stop_signal = signal;
        self
    }

    /// Sets the time from the stop signal to SIGKILL; zero kills at once.
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout;
        self
    }

    /// Sets the unit's own stop timeout, which is the longest any stop takes. It must be finite and not zero.
    pub fn backstop(mut self, backstop: Duration) -> Self {
        self.backstop = backstop;
        self
    }

    /// Sets whether it ends with its manager; [`Lifetime::Attached`] otherwise.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the longest it may run; it must be finite and not zero.
    ///
    /// With a restart policy: all runs of an attached proc together, and each run of a detached one, where a run that is
    /// ended for it is a failure and may be followed by the next.
    pub fn runtime_max(mut self, limit: Duration) -> Self {
        self.runtime_max = Some(limit);
        self
    }

    /// Sets what it is started again by when a run of it is over; by nothing otherwise.
    ///
    /// Every run has the same environment but for what the launcher sets for each, such as `INVOCATION_ID`.
    pub fn restart(mut self, policy: impl Into<Option<RestartPolicy>>) -> Self {
        self.restart = policy.into();
        self
    }

    /// Whether an ended proc of the same id, kept until it is reaped, makes way for this one. One that is not over never
    /// does.
    pub fn replace_ended(mut self, replace: bool) -> Self {
        self.replace_ended = replace;
        self
    }

    /// Adds a service property as a unit file would have it, such as `MemoryMax` and `512M`.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// Checks everything that needs no machine.
    ///
    /// # Errors
    /// The first field that cannot be, and why.
    pub fn build(self) -> Result<ProcSpec, SpecError> {
        if let Some(limit) = self.runtime_max {
            check_span(Field::RuntimeMax, limit)?;
        }
        self.restart.as_ref().map_or(Ok(()), RestartPolicy::check)?;
        let program = nonempty(Field::Program, text(Field::Program, self.program)?)?;
        Ok(ProcSpec {
            argv: argv(&program, self.arg0, self.args)?,
            program,
            environment: Environment { base: self.env_base, changes: changes(self.env)? },
            cwd: self.cwd.map(cwd).transpose()?,
            umask: self.umask.map(umask).transpose()?,
            rank: self.rank,
            label: self.label.map(label).transpose()?,
            stdio: stdio(self.stdio, self.lifetime)?,
            forward: self.forward,
            aggregate: self.aggregate,
            stop: StopPolicy::new(self.stop_signal, self.stop_timeout, self.backstop)?,
            lifetime: self.lifetime,
            runtime_max: self.runtime_max,
            restart: self.restart,
            replace_ended: self.replace_ended,
            properties: properties(self.properties)?,
            id: self.id,
        })
    }
}

impl fmt::Debug for ProcSpecBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcSpecBuilder")
            .field("id", &self.id)
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The text of what D-Bus must carry, and exec then take.
fn text(field: Field, value: OsString) -> Result<String, SpecError> {
    let (len, max) = (value.len(), defaults::EXEC_STRING_MAX);
    let too_long = (len > max).then_some(Flaw::TooLong { len, max });
    match value_flaw(value.as_bytes()).or(too_long) {
        Some(flaw) => Err(SpecError::new(field, flaw)),
        None => value.into_string().map_err(|_| SpecError::new(field, Flaw::NotUtf8)),
    }
}

fn nonempty(field: Field, value: String) -> Result<String, SpecError> {
    if value.is_empty() { Err(SpecError::new(field, Flaw::Empty)) } else { Ok(value) }
}

fn argv(program: &str, arg0: Option<OsString>, args: Vec<OsString>) -> Result<Vec<String>, SpecError> {
    let arg0 = arg0.unwrap_or_else(|| program.into());
    let all = std::iter::once(arg0).chain(args).enumerate();
    all.map(|(index, arg)| text(Field::Arg(index), arg)).collect()
}

fn changes(env: BTreeMap<OsString, Option<OsString>>) -> Result<BTreeMap<String, Option<String>>, SpecError> {
    let count = env.values().flatten().count();
    let max = defaults::ENVIRONMENT_ENTRIES_MAX;
    if count > max {
        return Err(SpecError::new(Field::Environment, Flaw::TooMany { count, max }));
    }
    env.into_iter().map(|(name, value)| change(&name, value)).collect()
}

fn change(name: &OsStr, value: Option<OsString>) -> Result<(String, Option<String>), SpecError> {
    let shown = name.to_string_lossy().into_owned();
    if let Some(flaw) = name_flaw(name.as_bytes()) {
        return Err(SpecError::new(Field::EnvName(shown), flaw));
    }
    // Who removes one of systemd's gets just that; what the proc is cannot be hidden from it.
    let name = shown.as_str();
    if OWN.contains(&name) || (value.is_some() && PER_SERVICE.contains(&name)) {
        return Err(SpecError::new(Field::EnvName(shown), Flaw::Reserved));
    }
    if let Some(flaw) = value.as_ref().and_then(|value| long_value_flaw(name.as_bytes(), value.as_bytes())) {
        return Err(SpecError::new(Field::EnvValue(shown), flaw));
    }
    let value = value.map(|value| text(Field::EnvValue(shown.clone()), value)).transpose()?;
    Ok((shown, value))
}

fn cwd(cwd: OsString) -> Result<String, SpecError> {
    nonempty(Field::Cwd, text(Field::Cwd, cwd)?)
}

/// What this process reads for it cannot outlive this process, and a proc that is detached does.
fn stdio(stdio: Stdio, lifetime: Lifetime) -> Result<Stdio, SpecError> {
    for (field, output) in [(Field::Stdout, &stdio.stdout), (Field::Stderr, &stdio.stderr)] {
        let flaw = match output {
            Output::File(path) => path_flaw(path),
            read if read.is_read_here() && lifetime == Lifetime::Detached => Some(Flaw::ReadHere),
            _ => None,
        };
        if let Some(flaw) = flaw {
            return Err(SpecError::new(field, flaw));
        }
    }
    let flaw = stdio.terminal.as_deref().and_then(path_flaw);
    flaw.map_or(Ok(stdio), |flaw| Err(SpecError::new(Field::Terminal, flaw)))
}

/// A path that stands in a unit's file as it is.
fn path_flaw(path: &str) -> Option<Flaw> {
    match path.chars().find(|c| c.is_control()) {
        Some(found) => Some(Flaw::Control(found)),
        None if !path.starts_with('/') => Some(Flaw::NotAbsolute),
        None if path.ends_with(|c: char| c == '\\' || c.is_whitespace()) => Some(Flaw::LostEnd),
        None => None,
    }
}

fn umask(mask: u32) -> Result<u32, SpecError> {
    if mask > 0o777 { Err(SpecError::new(Field::Umask, Flaw::BadMode(mask))) } else { Ok(mask) }
}

fn label(label: String) -> Result<String, SpecError> {
    let (len, max) = (label.len(), defaults::LABEL_MAX);
    if len > max {
        return Err(SpecError::new(Field::Label, Flaw::TooLong { len, max }));
    }
    match label.chars().find(|c| c.is_control()) {
        Some(found) => Err(SpecError::new(Field::Label, Flaw::Control(found))),
        None => nonempty(Field::Label, label),
    }
}

fn properties(given: Vec<(String, String)>) -> Result<Vec<(String, String)>, SpecError> {
    for (name, value) in &given {
        let flaw = if name.is_empty() { Some(Flaw::Empty) } else { value_flaw(value.as_bytes()) };
        if let Some(flaw) = flaw {
            return Err(SpecError::new(Field::Property(name.clone()), flaw));
        }
    }
    Ok(given)
}
