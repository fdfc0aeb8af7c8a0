//! One launch, from spec to verdict.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nix::sys::stat::{SFlag, fstat};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::placement::Place;
use super::run::SystemdRun;
use super::sighting::{Unseen, is_over, sight};
use super::slices::Seat;
use super::{Shared, error, properties};
use crate::bus::{BusError, FdSlots, Job};
use crate::id::{SliceName, TieName, UnitName};
use crate::launcher::resolve::{self, Resolved};
use crate::launcher::{Facts, LaunchError, Launched, RunKey, Stream, Streams};
use crate::spec::{Lifetime, ProcSpec, defaults};
use crate::status::observe::{Main, observe};
use crate::sys::caller;
use crate::time::Timestamp;
use crate::unit::{
    Feature, LaunchContext, PlanNote, SystemdVersion, UnitPlan, UnitStream, UnitStreams, plan,
};

/// After the start job has ended, how long the signal that says what became of it may take before a look is
/// made. systemd queues both in the same round of its loop.
const SIGNAL_AFTER_JOB: Duration = Duration::from_millis(200);

/// The pause after the first answer that there is no room now. It doubles with each further one.
const NO_ROOM_FIRST: Duration = Duration::from_millis(20);
/// The longest of these pauses.
const NO_ROOM_LONGEST: Duration = Duration::from_secs(1);

/// Starts the unit and answers when exec has succeeded; on an error nothing of it is left.
pub(super) async fn launch(
    shared: &Arc<Shared>,
    spec: &ProcSpec,
    streams: &Streams,
    facts: Facts,
) -> Result<Launched, LaunchError> {
    refuse_what_is_lost(shared, spec, streams)?;
    let mut context = context(shared, spec, streams).await?;
    let unit = UnitName::for_proc(spec.id());
    let key = facts.key;
    let Some(verdict) = shared.routes.open(&unit, facts, spec.restart().is_some()) else {
        return Err(LaunchError::AlreadyExists { id: spec.id().clone() });
    };
    shared.bus.track(&unit);
    let mut attempt = Attempt { shared, spec, streams, unit, key, verdict, armed: true };
    let mut started = attempt.start(&mut context).await?;
    let mut verdict = attempt.until_exec(&mut started).await;
    // The tie was just ending, so that the program was never run. With a new tie it is, once.
    if verdict.is_refused_by_a_dependency()
        && let Some(tie) = started.tie.take()
    {
        attempt.clean_up().await;
        shared.placement.tie_is_gone(&tie).await;
        // Its seat is free before the next one is taken.
        drop(started);
        started = attempt.start(&mut context).await?;
        verdict = attempt.until_exec(&mut started).await;
    }
    attempt.judge(verdict, started).await
}

/// What a plan needs, but for the place.
async fn context(shared: &Shared, spec: &ProcSpec, streams: &Streams) -> Result<LaunchContext, LaunchError> {
    let unreadable = |(doing, source)| LaunchError::Os { doing, source };
    let surroundings = caller::surroundings().map_err(unreadable)?;
    let Resolved { program, cwd } = resolve::resolve(spec, &surroundings)?;
    let caller = surroundings.into_caller().map_err(unreadable)?;
    let extra = properties::typed(shared, spec).await?;
    let manager_env = shared.manager_env().await.map_err(|refused| error::of_launch(spec.id(), refused))?;
    let (version, slice) = (shared.version, SliceName::app());
    let streams = unit_streams(streams, opens_by_path(spec, shared.version));
    Ok(LaunchContext { version, program, cwd, caller, manager_env, slice, tie: None, streams, extra })
}

/// A launch under way. Dropped before its verdict, it takes its route back.
struct Attempt<'a> {
    shared: &'a Arc<Shared>,
    spec: &'a ProcSpec,
    streams: &'a Streams,
    unit: UnitName,
    key: RunKey,
    verdict: oneshot::Receiver<Main>,
    armed: bool,
}

/// A unit whose start systemd has accepted.
struct Started {
    job: Job,
    tie: Option<TieName>,
    seat: Seat,
    notes: Vec<String>,
}

/// What became of the main process, and systemd's word for the end of the start job where that came first.
struct Verdict {
    main: Main,
    job: Option<String>,
}

impl Verdict {
    fn is_refused_by_a_dependency(&self) -> bool {
        self.main == Main::Pending && self.job.as_deref() == Some("dependency")
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.shared.close_route(&self.unit, self.key);
        }
    }
}

impl Attempt<'_> {
    /// Asks again where a new tie may help, once, and where there is no room now, later each time.
    ///
    /// A place is held while it is asked for, and no longer: others may need what has to be made there.
    async fn start(&self, context: &mut LaunchContext) -> Result<Started, LaunchError> {
        let (until, mut pause, mut tied_anew) =
            (Instant::now() + defaults::TRY_AGAIN_FOR, NO_ROOM_FIRST, false);
        loop {
            let place = self.place().await?;
            let refused = match self.start_at(&place, context).await? {
                Ok((job, notes)) => {
                    self.shared.routes.accepted(&self.unit, job.id());
                    return Ok(Started { job, tie: place.tie.clone(), seat: place.made(), notes });
                }
                Err(refused) => refused,
            };
            let tie = place.tie.clone();
            drop(place);
            match (&refused, tie) {
                (BusError::UnitExists { .. }, _) => return Err(self.who_has_the_name().await),
                // A tie that somebody ended is gone, and with it what was tied to it.
                (BusError::NoSuchUnit { .. }, Some(tie)) if !tied_anew => {
                    tied_anew = true;
                    self.shared.placement.tie_is_gone(&tie).await;
                    self.unref_unstarted().await;
                }
                (refused, _) if refused.is_for_now() && Instant::now() + pause <= until => {
                    tracing::warn!(unit = %self.unit, %refused, ?pause, "no room for it now; asking again");
                    self.unref_unstarted().await;
                    sleep(pause).await;
                    pause = (pause * 2).min(NO_ROOM_LONGEST);
                }
                _ => {
                    return Err(error::of_launch(self.spec.id(), refused).about(self.spec.properties()));
                }
            }
        }
    }

    /// The reference that a start asked for is given also where the start is refused, and keeps the name taken
    /// (measured, 252).
    async fn unref_unstarted(&self) {
        let _ = self.shared.bus.unref(self.unit.as_str()).await;
    }

    async fn place(&self) -> Result<Place<'_>, LaunchError> {
        let place = self.shared.placement.place(&self.unit, self.spec.lifetime()).await;
        place.map_err(|source| LaunchError::Os { doing: "making the pipe of the tie", source })
    }

    /// The inner error is systemd's answer; the outer one says that it was not asked.
    async fn start_at(
        &self,
        place: &Place<'_>,
        context: &mut LaunchContext,
    ) -> Result<Result<(Job, Vec<String>), BusError>, LaunchError> {
        let (asked_at, connected) = (Timestamp::from(SystemTime::now()), self.shared.bus.is_connected());
        context.slice.clone_from(&place.slice);
        context.tie.clone_from(&place.tie);
        let UnitPlan { name, properties, notes } = plan(self.spec, context)?;
        let fds = FdSlots {
            stdin: self.streams.stdin.as_ref().map(AsFd::as_fd),
            stdout: descriptor(&self.streams.stdout).filter(|_| !self.opens_by_path(context)),
            stderr: descriptor(&self.streams.stderr).filter(|_| !self.opens_by_path(context)),
            tie: place.tie_read.as_ref().map(AsFd::as_fd),
        };
        let started = self.shared.bus.start_transient(name.as_str(), &properties, &place.aux, fds).await;
        if connected && started.as_ref().is_err_and(may_have_been_done) {
            self.undo_unanswered(asked_at).await;
        }
        Ok(started.map(|job| (job, notes.iter().map(PlanNote::to_string).collect())))
    }

    /// Whether systemd opens the output itself, for each run anew.
    fn opens_by_path(&self, context: &LaunchContext) -> bool {
        opens_by_path(self.spec, context.version)
    }

    /// Waits for the first picture that says something of the main process, and for the end of the start job.
    ///
    /// The job's result is no verdict: below systemd 256 it is `failed` for short programs that ran (measured).
    async fn until_exec(&mut self, started: &mut Started) -> Verdict {
        tokio::select! {
            biased;
            Ok(main) = &mut self.verdict => Verdict { main, job: None },
            result = started.job.ended() => self.after_job(result).await,
        }
    }

    async fn judge(self, verdict: Verdict, started: Started) -> Result<Launched, LaunchError> {
        match verdict.main {
            Main::Alive(_) | Main::Deactivating(_) | Main::Ended(_) => Ok(self.launched(started)),
            Main::Failed(reason) => {
                self.clean_up().await;
                Err(LaunchError::Setup { id: self.spec.id().clone(), reason, source: None })
            }
            Main::Pending => {
                self.clean_up().await;
                let result = verdict.job.unwrap_or_else(|| "unknown".to_owned());
                Err(LaunchError::Interrupted { id: self.spec.id().clone(), result })
            }
        }
    }

    async fn after_job(&mut self, result: Result<String, BusError>) -> Verdict {
        let Ok(job) = result else {
            // The connection is being made again; its first look sends the picture.
            return Verdict { main: (&mut self.verdict).await.unwrap_or(Main::Pending), job: None };
        };
        if let Ok(Ok(main)) = timeout(SIGNAL_AFTER_JOB, &mut self.verdict).await {
            return Verdict { main, job: Some(job) };
        }
        let main = match self.shared.bus.look(self.unit.as_str()).await {
            Ok(snapshot) => {
                let main = observe(&snapshot, None).main;
                self.shared.routes.looked(&self.unit, self.key, snapshot);
                main
            }
            Err(error) => {
                tracing::warn!(unit = %self.unit, %error, "no look after the start job");
                (&mut self.verdict).await.unwrap_or(Main::Pending)
            }
        };
        Verdict { main, job: Some(job) }
    }

    fn launched(mut self, started: Started) -> Launched {
        self.armed = false;
        let run = SystemdRun::new(Arc::clone(self.shared), self.unit.clone(), self.key, Some(started.seat));
        Launched { notes: started.notes, ..Launched::new(run) }
    }

    /// Leaves nothing of a unit whose program never ran.
    async fn clean_up(&self) {
        if let Err(error) = self.shared.bus.through_reconnects(|| self.remove()).await {
            tracing::warn!(unit = %self.unit, %error, "not removed");
        }
    }

    /// Ends the unit and gives the reference on it back.
    ///
    /// # Errors
    /// Where it was broken off. What finds nothing left to do is no error.
    async fn remove(&self) -> Result<(), BusError> {
        let (bus, unit) = (&self.shared.bus, self.unit.as_str());
        let stopped = async { bus.stop(unit).await?.ended().await };
        unless_broken_off(stopped.await)?;
        unless_broken_off(bus.reset_failed(unit).await)?;
        unless_broken_off(bus.unref(unit).await)
    }

    /// Leaves nothing of a unit whose start was asked for without an answer: it may run. One that began before it
    /// was asked for is another's.
    async fn undo_unanswered(&self, asked_at: Timestamp) {
        let undo = async || {
            let seen = self.shared.bus.look(self.unit.as_str()).await?;
            if seen.unit.load_state.as_deref() != Some("not-found")
                && seen.service.exec_main_start.is_none_or(|began| began >= asked_at)
            {
                self.remove().await?;
            }
            Ok(())
        };
        if let Err(error) = self.shared.bus.through_reconnects(undo).await {
            tracing::warn!(unit = %self.unit, %error, "its start was not answered, and it may run");
        }
    }

    /// A unit has the name: one that is not over, one that is kept until it is reaped, one of which something
    /// is still being ended, or one that is over and that another client still holds.
    async fn who_has_the_name(&self) -> LaunchError {
        let id = self.spec.id().clone();
        match self.shared.bus.details(self.unit.as_str()).await {
            Ok((snapshot, details)) => {
                let over = is_over(&snapshot, &details);
                let ending = snapshot.unit.active_state.as_deref() == Some("deactivating");
                let kept = match sight(&self.unit, snapshot, details) {
                    Ok(sighting) => sighting.lifetime == Lifetime::Detached,
                    Err(Unseen::NoUnit) => false,
                    Err(Unseen::NotOurs(_) | Unseen::NotTransient) => {
                        return LaunchError::NotOurs { unit: self.unit.to_string() };
                    }
                };
                match (over, ending, kept) {
                    (true, true, _) => LaunchError::StillEnding { id },
                    (true, false, false) => LaunchError::NameHeld { id },
                    _ => LaunchError::AlreadyExists { id },
                }
            }
            Err(_) => LaunchError::AlreadyExists { id },
        }
    }
}

fn unless_broken_off<T>(result: Result<T, BusError>) -> Result<(), BusError> {
    match result {
        Err(error) if error.is_broken_off() => Err(error),
        _ => Ok(()),
    }
}

/// Whether a start may have been done that brought an error.
fn may_have_been_done(error: &BusError) -> bool {
    // Where nobody has the manager's name, the bus delivered nothing.
    matches!(error, BusError::TimedOut { .. })
        || (error.is_broken_off() && !matches!(error, BusError::NotAUserManager { .. }))
}

fn descriptor(stream: &Stream) -> Option<BorrowedFd<'_>> {
    match stream {
        Stream::Null | Stream::Journal | Stream::File(_) => None,
        Stream::Fd(fd) => Some(fd.as_fd()),
    }
}

/// What is passed can be opened again for a further run as long as this process has it, and a detached proc goes on without.
fn refuse_what_is_lost(shared: &Shared, spec: &ProcSpec, streams: &Streams) -> Result<(), LaunchError> {
    if !opens_by_path(spec, shared.version) {
        return Ok(());
    }
    let passed: Vec<_> = [&streams.stdout, &streams.stderr].into_iter().filter_map(descriptor).collect();
    let reason = if spec.lifetime() == Lifetime::Detached && !passed.is_empty() {
        "nobody is left to pass it anew"
    } else if passed.into_iter().any(is_socket) {
        "a socket cannot be opened anew by its path"
    } else {
        return Ok(());
    };
    let why = format!(
        "systemd {} forgets output that was passed as a descriptor when it starts a proc again ({} does not), and {reason}; \
         send it to the journal or a file",
        shared.version,
        Feature::KeptDescriptors.since(),
    );
    Err(LaunchError::Unsupported { id: spec.id().clone(), why })
}

fn is_socket(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK)
}

/// Whether systemd has to be told a path to what is passed: see [`Feature::KeptDescriptors`].
pub(super) fn opens_by_path(spec: &ProcSpec, version: SystemdVersion) -> bool {
    spec.restart().is_some() && !version.has(Feature::KeptDescriptors)
}

fn unit_streams(streams: &Streams, by_path: bool) -> UnitStreams {
    let kind = |stream: &Stream| match stream {
        Stream::Null => UnitStream::Null,
        Stream::Journal => UnitStream::Journal,
        // Its manager has it open as long as the proc is not over.
        Stream::Fd(fd) if by_path => {
            UnitStream::Path(format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd()))
        }
        Stream::Fd(_) => UnitStream::Descriptor,
        Stream::File(path) => UnitStream::Path(path.clone()),
    };
    UnitStreams {
        stdin: streams.stdin.is_some(),
        stdout: kind(&streams.stdout),
        stderr: kind(&streams.stderr),
        journal_stream: streams.journal_stream.clone(),
        terminal: streams.terminal.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::ProcManager;
    use crate::bus::fake::{Answer, Fake};
    use crate::id::ProcId;
    use crate::launcher::systemd::SystemdLauncher;
    use crate::spec::Output;

    const NO_ROOM: &str = "org.freedesktop.DBus.Error.LimitsExceeded";
    const TRY_AGAIN: &str = "System.Error.EAGAIN";
    const DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";

    /// What comes of a launch whose starts are answered by these errors, the last of them for good, how many were
    /// asked for, and how long it took.
    async fn launched(answers: &'static [&'static str]) -> (LaunchError, usize, Duration) {
        let (fake, connected) = Fake::connected().await;
        let asked = Arc::new(AtomicUsize::new(0));
        let asks = Arc::clone(&asked);
        fake.on("StartTransientUnit", move |_| {
            let nth = asks.fetch_add(1, Ordering::SeqCst);
            Answer::error(answers[nth.min(answers.len() - 1)], "says the fake")
        });
        let manager = ProcManager::new(SystemdLauncher::on(connected).unwrap());
        let spec = ProcSpec::builder(ProcId::new("web").unwrap(), "/bin/true");
        let spec = spec.stdout(Output::Null).stderr(Output::Null).build().unwrap();
        tokio::time::pause();
        let began = Instant::now();
        let refused = manager.spawn(spec).await.unwrap_err();
        (refused, asked.load(Ordering::SeqCst), began.elapsed())
    }

    fn rejected_with(error: &LaunchError) -> &str {
        match error {
            LaunchError::Rejected { name, .. } => name,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_start_that_finds_no_room_is_asked_for_again_and_any_other_refusal_is_final() {
        let (refused, asked, took) = launched(&[NO_ROOM, TRY_AGAIN, NO_ROOM, DENIED]).await;
        assert_eq!((rejected_with(&refused), asked), (DENIED, 4));
        assert!(took >= NO_ROOM_FIRST * (1 + 2 + 4), "no pause that grows: {took:?}");
    }

    #[tokio::test]
    async fn where_there_is_never_room_the_launch_says_so_in_the_end() {
        let (refused, asked, took) = launched(&[NO_ROOM]).await;
        assert_eq!(rejected_with(&refused), NO_ROOM);
        assert!(took <= defaults::TRY_AGAIN_FOR, "{took:?}");
        assert!((10..30).contains(&asked), "{asked}");
    }
}
