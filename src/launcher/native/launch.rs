//! One launch, from spec to exec.

use std::ffi::CString;
use std::io;
use std::sync::Arc;

use super::Shared;
use super::exit_watch::ExitWatch;
use super::follow::{Sweep, follow};
use super::run::NativeRun;
use super::spawner::{Refused, Started};
use super::streams::{self, Streams};
use super::tree::Tree;
use crate::id::InvocationId;
use crate::launcher::resolve::{self, Resolved};
use crate::launcher::{Facts, LaunchError, Launched};
use crate::spec::{ChildEnv, Lifetime, ProcSpec};
use crate::status::FailReason;
use crate::status::exit::SetupStep;
use crate::status::machine::Event;
use crate::sys::caller;
use crate::sys::child::{Image, StartError, Step};
use crate::sys::token::random_id;
use crate::unit::PlanNote;

/// Starts it and answers when exec has succeeded; on an error nothing of it is left.
pub(super) async fn launch(
    shared: &Arc<Shared>,
    spec: &ProcSpec,
    facts: Facts,
) -> Result<Launched, LaunchError> {
    refuse_what_needs_systemd(spec)?;
    let caller = caller::capture().map_err(|(doing, source)| LaunchError::Os { doing, source })?;
    let resolved = resolve::resolve(spec, caller)?;
    let mut environment = ChildEnv::of(spec, &resolved.caller.env, &resolved.caller.host);
    environment.check_count()?;
    let notes = notes(spec, &environment);
    let run = name_run(spec, &mut environment);
    let streams = streams::open(spec).await?;
    let image = image(spec, resolved, environment, streams).map_err(os("putting the command together"))?;
    let started = shared.spawner.start_child(image).await;
    // From here on dropping the leader ends the child.
    let Started { leader, at } = started.map_err(|refused| not_started(spec, refused))?;
    let exit = ExitWatch::new(leader.pid()).map_err(os("watching the child"))?;
    facts.send(Event::Started { pid: leader.number(), at: at.into(), run });
    let (census, launcher) = (Arc::clone(&shared.census), shared.launcher.clone());
    let tree = Arc::new(Tree::new(leader, facts.clone(), census, launcher));
    let sweep = Sweep { signal: spec.stop().signal, backstop: spec.stop().backstop };
    tokio::spawn(follow(Arc::clone(&tree), exit, sweep, facts));
    Ok(Launched { notes, ..Launched::new(NativeRun::new(tree, spec.stop().signal)) })
}

fn os(doing: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    move |source| LaunchError::Os { doing, source }
}

/// What systemd gives each run of a service, under the name that it has there (systemd.exec(5)).
fn name_run(spec: &ProcSpec, environment: &mut ChildEnv) -> Option<InvocationId> {
    const NAME: &str = "INVOCATION_ID";
    let run = InvocationId::from_bytes(&random_id())?;
    // Who removes it does not see it.
    if !spec.environment().changes.contains_key(NAME) {
        environment.set.insert(NAME.to_owned(), run.to_string());
    }
    Some(run)
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

fn notes(spec: &ProcSpec, environment: &ChildEnv) -> Vec<String> {
    let (stop, dropped) = (spec.stop(), &environment.dropped);
    let cut = PlanNote::StopTimeoutCut { asked: stop.asked(), backstop: stop.backstop };
    let left_out = PlanNote::EnvironmentDropped(dropped.clone());
    let told = [(!dropped.is_empty()).then_some(left_out), stop.is_cut().then_some(cut)];
    told.into_iter().flatten().map(|note| note.to_string()).collect()
}

/// # Errors
/// Where something holds a NUL byte, which a spec does not.
fn image(
    spec: &ProcSpec,
    resolved: Resolved,
    mut environment: ChildEnv,
    streams: Streams,
) -> io::Result<Image> {
    let removed = spec.environment().changes.contains_key("JOURNAL_STREAM");
    if let Some(stream) = streams.journal_stream.filter(|_| !removed) {
        environment.set.insert("JOURNAL_STREAM".to_owned(), stream);
    }
    let entries = environment.set.iter().map(|(name, value)| CString::new(format!("{name}={value}")));
    Ok(Image {
        program: CString::new(resolved.program)?,
        argv: spec.argv().iter().map(|arg| CString::new(arg.as_str())).collect::<Result<_, _>>()?,
        env: entries.collect::<Result<_, _>>()?,
        cwd: resolved.cwd.map(CString::new).transpose()?,
        umask: spec.umask(),
        stdio: streams.stdio,
    })
}

fn not_started(spec: &ProcSpec, refused: Refused) -> LaunchError {
    const STARTING: &str = "starting a process";
    match refused {
        Refused::NoThread => LaunchError::Os { doing: STARTING, source: io::Error::other(refused) },
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
        Step::Stdin => 208,
        Step::Stdout => 209,
        Step::Stderr => 222,
        Step::Descriptors => 202,
        Step::Cwd => 200,
        Step::Signals => 207,
        Step::Exec => 203,
    };
    SetupStep::from_status(status)
}
