//! A launcher of one's own: procs that are tasks of this process.
//!
//! A launcher starts, signals and tells facts; it decides no status. What the manager makes of the facts (statuses,
//! waits, the ladder of a stop) is the same as for real processes: a worker that does not listen to its stop signal is
//! killed when its time is up.
//!
//! `cargo run --example custom_launcher`

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use procunit::id::{InvocationId, ProcId, UnitName};
use procunit::launcher::{
    AdoptError, Adopted, BoxFuture, DeliverError, Facts, LaunchError, Launched, ProcLauncher, ProcRun,
    Sighting, Streams, SurveyError, Target,
};
use procunit::signal::Signal;
use procunit::spec::ProcSpec;
use procunit::status::Found;
use procunit::status::details::UnitDetails;
use procunit::status::exit::Exit;
use procunit::status::machine::Event;
use procunit::{ProcManager, ProcStatus};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What a task is to do: the program of a proc. It ends with an exit code, and sees the newest signal it was sent.
type Program = fn(watch::Receiver<Option<Signal>>) -> BoxFuture<'static, u8>;

/// Runs programs by their names, each as a task.
struct Tasks {
    programs: HashMap<&'static str, Program>,
    /// Tasks have no process ids; these count them.
    started: AtomicU32,
    /// Dropped with the launcher, that is with its manager: attached procs do not outlive that.
    alive: watch::Sender<()>,
}

/// The hold on one task. Dropping it ends nothing.
struct TaskRun {
    number: u32,
    signals: watch::Sender<Option<Signal>>,
    stop_signal: Signal,
    task: AbortHandle,
    /// What SIGKILL has to say of it, until it is over.
    end: Arc<Mutex<Option<Facts>>>,
}

/// Tells the one end of a task: whoever takes the facts out first.
fn tell_end(facts: &Mutex<Option<Facts>>, exit: Exit) {
    let taken = facts.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    if let Some(facts) = taken {
        facts.send(Event::Exited { exit, at: SystemTime::now().into() });
        // A task has no children: nothing of it is left.
        facts.send(Event::TreeGone);
    }
}

impl ProcLauncher for Tasks {
    fn name(&self) -> &'static str {
        "tasks"
    }

    fn launch(
        &self,
        spec: ProcSpec,
        _: Streams,
        facts: Facts,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        Box::pin(async move {
            let Some(program) = self.programs.get(spec.program()) else {
                return Err(LaunchError::NotFound { program: spec.program().to_owned(), searched: None });
            };
            let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
            facts.send(Event::Started { pid: number, at: SystemTime::now().into(), run: None });
            let (signals, seen) = watch::channel(None);
            let end = Arc::new(Mutex::new(Some(facts.clone())));
            let (program, told) = (program(seen), Arc::clone(&end));
            let mut launcher = self.alive.subscribe();
            let work = tokio::spawn(async move {
                tokio::select! {
                    code = program => tell_end(&told, Exit::Code(code)),
                    _ = launcher.changed() => {}
                }
            });
            let task = work.abort_handle();
            // A panic is nobody's exit code.
            tokio::spawn(async move {
                if work.await.is_err_and(|error| error.is_panic()) {
                    facts.send(Event::Lost(Found::NoExitStatus));
                }
            });
            let run = TaskRun { number, signals, stop_signal: spec.stop().signal, task, end };
            Ok(Launched::new(run))
        })
    }

    /// A task dies with its process: nobody else can have started one.
    fn adopt(&self, id: ProcId, _: Facts) -> BoxFuture<'_, Result<Adopted, AdoptError>> {
        Box::pin(async { Err(AdoptError::NotFound { id }) })
    }

    fn survey(&self) -> BoxFuture<'_, Result<Vec<Sighting>, SurveyError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl TaskRun {
    fn is_over(&self) -> bool {
        self.end.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_none()
    }

    fn deliver(&self, signal: Signal) -> Result<(), DeliverError> {
        if self.is_over() {
            return Err(DeliverError::Gone);
        }
        if signal == Signal::KILL {
            self.task.abort();
            tell_end(&self.end, Exit::Signal { signal, core_dumped: false });
        } else {
            self.signals.send_replace(Some(signal));
        }
        Ok(())
    }
}

impl ProcRun for TaskRun {
    fn unit(&self) -> Option<&UnitName> {
        None
    }

    fn stop(&self) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(async { self.deliver(self.stop_signal) })
    }

    fn kill(&self) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(async { self.deliver(Signal::KILL) })
    }

    fn signal(&self, signal: Signal, _: Target) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(async move { self.deliver(signal) })
    }

    fn processes(&self) -> BoxFuture<'_, Option<Vec<u32>>> {
        Box::pin(async { Some(if self.is_over() { Vec::new() } else { vec![self.number] }) })
    }

    fn details(&self) -> BoxFuture<'_, Option<UnitDetails>> {
        Box::pin(async { None })
    }

    fn discard(&self, _: Option<InvocationId>) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn release(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Counts to three and is done.
fn count(_: watch::Receiver<Option<Signal>>) -> BoxFuture<'static, u8> {
    Box::pin(async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        0
    })
}

/// Serves until it is asked to end, and ends with 3.
fn serve(mut signals: watch::Receiver<Option<Signal>>) -> BoxFuture<'static, u8> {
    Box::pin(async move {
        let _ = signals.wait_for(Option::is_some).await;
        3
    })
}

/// Hears nothing.
fn stubborn(_: watch::Receiver<Option<Signal>>) -> BoxFuture<'static, u8> {
    Box::pin(std::future::pending())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let programs: [(&str, Program); 3] = [("count", count), ("serve", serve), ("stubborn", stubborn)];
    let manager = ProcManager::new(Tasks {
        programs: programs.into(),
        started: AtomicU32::new(0),
        alive: watch::Sender::default(),
    });
    let spec = |program: &str| -> Result<ProcSpec, Box<dyn std::error::Error>> {
        Ok(ProcSpec::builder(program.parse()?, program).build()?)
    };

    let counting = manager.spawn(spec("count")?).await?;
    let end: ProcStatus = counting.wait().await?;
    println!("count: {end}");

    let serving = manager.spawn(spec("serve")?).await?;
    println!("serve: {}", serving.terminate(None, "no more requests").await?);

    let deaf = manager.spawn(spec("stubborn")?).await?;
    println!("stubborn: {}", deaf.terminate(Some(Duration::from_millis(50)), "enough").await?);

    match manager.spawn(spec("nobody")?).await {
        Ok(_) => println!("nobody: launched"),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
