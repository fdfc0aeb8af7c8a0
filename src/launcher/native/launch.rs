//! One launch, from spec to exec.

use std::ffi::{CString, NulError};
use std::io;

use super::environment::{Environment, Environments};
use super::follow::Sweep;
use super::run::NativeRun;
use super::spawner::{Refused, Spawner};
use super::streams;
use crate::id::InvocationId;
use crate::launcher::resolve::{self, Resolved};
use crate::launcher::{Facts, LaunchError, Launched, Streams};
use crate::spec::{ChildEnv, Lifetime, ProcSpec};
use crate::status::FailReason;
use crate::status::exit::SetupStep;
use crate::sys::caller;
use crate::sys::child::{Image, StartError, Step, Stream};
use crate::sys::strings::Strings;
use crate::sys::token::random_id;
use crate::unit::PlanNote;

/// Starts it and answers when exec has succeeded; on an error nothing of it is left.
pub(super) async fn launch(
    (spawner, environments): (&Spawner, &Environments),
    spec: &ProcSpec,
    streams: Streams,
    facts: Facts,
) -> Result<Launched, LaunchError> {
    refuse_what_needs_systemd(spec)?;
    let caller = caller::surroundings().map_err(|(doing, source)| LaunchError::Os { doing, source })?;
    let resolved = resolve::find(spec, &caller)?;
    let nul = |error: NulError| os("putting the command together")(error.into());
    let mut environment = environments.of(spec, &caller).map_err(nul)?;
    ChildEnv::check_count_of(environment.count())?;
    let notes = notes(spec, &environment);
    let run = name_run(spec, &mut environment).map_err(nul)?;
    let (journal_stream, controls_terminal) = (streams.journal_stream.clone(), streams.terminal.is_some());
    let stdio = streams::place(spec.id(), streams)?;
    let image = image(spec, &resolved, environment, (journal_stream, stdio)).map_err(nul)?;
    let image = Image { controls_terminal, ..image };
    let sweep = Sweep { signal: spec.stop().signal, backstop: spec.stop().backstop };
    let tree = spawner.start_child(image, (run, facts), sweep).await.map_err(|refused| {
        // In the words that every launcher has for it, where it is the program that the kernel refused.
        let flawed = refused.is_exec().then(|| resolve::check_format(&resolved, &caller).err()).flatten();
        flawed.unwrap_or_else(|| not_started(spec, refused))
    })?;
    Ok(Launched { notes, ..Launched::new(NativeRun::new(tree, spec.stop().signal)) })
}

fn os(doing: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    move |source| LaunchError::Os { doing, source }
}

/// What systemd gives each run of a service, under the name that it has there (systemd.exec(5)).
fn name_run(spec: &ProcSpec, environment: &mut Environment) -> Result<Option<InvocationId>, NulError> {
    const NAME: &str = "INVOCATION_ID";
    let run = InvocationId::from_bytes(&random_id());
    // Who removes it does not see it.
    if let Some(run) = run.filter(|_| !spec.environment().changes.contains_key(NAME)) {
        environment.own.push(&[NAME, "=", &run.to_string()])?;
    }
    Ok(run)
}

fn refuse_what_needs_systemd(spec: &ProcSpec) -> Result<(), LaunchError> {
    let refuse = |why| Err(LaunchError::Unsupported { id: spec.id().clone(), why });
    if spec.lifetime() == Lifetime::Detached {
        return refuse("the native launcher cannot outlive its process; a user manager is needed".to_owned());
    }
    match spec.properties().first() {
        Some((name, _)) => {
            refuse(format!("the native launcher has no unit to set {name} on; a user manager is needed"))
        }
        None => Ok(()),
    }
}

fn notes(spec: &ProcSpec, environment: &Environment) -> Vec<String> {
    let (stop, dropped) = (spec.stop(), &environment.dropped);
    let cut = PlanNote::StopTimeoutCut { asked: stop.asked(), backstop: stop.backstop };
    let left_out = PlanNote::EnvironmentDropped(dropped.to_vec());
    let told = [(!dropped.is_empty()).then_some(left_out), stop.is_cut().then_some(cut)];
    told.into_iter().flatten().map(|note| note.to_string()).collect()
}

/// # Errors
/// Where something holds a NUL byte, which a spec does not.
fn image(
    spec: &ProcSpec,
    resolved: &Resolved,
    mut environment: Environment,
    (journal_stream, stdio): (Option<String>, [Stream; 3]),
) -> Result<Image, NulError> {
    let removed = spec.environment().changes.contains_key("JOURNAL_STREAM");
    if let Some(stream) = journal_stream.filter(|_| !removed) {
        environment.own.push(&["JOURNAL_STREAM=", &stream])?;
    }
    let mut argv = Strings::default();
    spec.argv().iter().try_for_each(|arg| argv.push(&[arg]))?;
    Ok(Image {
        program: CString::new(resolved.program.as_str())?,
        argv,
        env: (environment.inherited, environment.own),
        cwd: resolved.cwd.as_deref().map(CString::new).transpose()?,
        umask: spec.umask(),
        stdio,
        controls_terminal: false,
    })
}

fn not_started(spec: &ProcSpec, refused: Refused) -> LaunchError {
    const STARTING: &str = "starting a process";
    match refused {
        Refused::NoThread | Refused::Unwatched(_) => {
            LaunchError::Os { doing: STARTING, source: io::Error::other(refused) }
        }
        Refused::Start(StartError::Clone(errno)) => LaunchError::Os { doing: STARTING, source: errno.into() },
        Refused::Start(StartError::GaveUp(step, errno)) => match setup_step(step) {
            Some(step) => LaunchError::Setup {
                id: spec.id().clone(),
                reason: FailReason::Setup { step },
                source: Some(errno.into()),
            },
            None => LaunchError::Os { doing: "tying a process to this one", source: errno.into() },
        },
    }
}

/// systemd's number of the step, where it has the step.
fn setup_step(step: Step) -> Option<SetupStep> {
    let status = match step {
        Step::ParentDeath => return None,
        Step::Session => 220,
        // As of systemd, which makes it the controlling one while it opens it (`setup_input`, execute.c).
        Step::Stdin | Step::Terminal => 208,
        Step::Stdout => 209,
        Step::Stderr => 222,
        Step::Descriptors => 202,
        Step::Cwd => 200,
        Step::Signals => 207,
        Step::Exec => 203,
    };
    SetupStep::from_status(status)
}
