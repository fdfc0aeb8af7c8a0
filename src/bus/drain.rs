//! The one task that reads signals. It never awaits a call while a connection is there, so that nothing that
//! somebody else is slow with keeps it from reading; what a loss makes necessary on the new connection is done
//! by a task beside it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::task::JoinSet;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream, fdo};

use super::connect::{self, Connect};
use super::decode::Changed;
use super::error::BusError;
use super::event::BusEvent;
use super::jobs::JobId;
use super::link::Calls;
use super::proxies::manager::JobRemoved;
use super::shared::Shared;
use super::units::Generation;
use super::{calls, path};
use crate::id::UnitName;
use crate::status::snapshot::Snapshot;

/// The pause before the second try to reconnect; the first comes at once. It doubles with each further try.
pub const RECONNECT_FIRST: Duration = Duration::from_millis(50);
/// The longest pause between two tries. Trying goes on as long as there is a [`super::Bus`].
pub const RECONNECT_LONGEST: Duration = Duration::from_secs(2);

/// The two connections of the moment.
pub(super) struct Pair {
    pub(super) signals: MessageStream,
    pub(super) calls: Calls,
}

/// Reads until it is aborted.
pub(super) async fn run(shared: Arc<Shared>, connect: Box<dyn Connect>, mut pair: Pair) {
    // Dropped, and what runs in it aborted, with this task.
    let mut beside = JoinSet::new();
    loop {
        let why = read(&shared, &mut pair, &mut beside).await;
        tracing::warn!(why, "lost the connection to the user bus");
        beside.abort_all();
        shared.lost(&why, &pair.calls);
        pair = reconnect(&*connect, pair).await;
        tracing::info!("reconnected to the user bus");
        beside.spawn(after_reconnect(Arc::clone(&shared), pair.calls.clone()));
    }
}

/// Reads signals until a connection ends, and says with what.
async fn read(shared: &Arc<Shared>, pair: &mut Pair, beside: &mut JoinSet<()>) -> String {
    let mut calls_end = std::pin::pin!(pair.calls.connection.closed());
    loop {
        tokio::select! {
            biased;
            message = pair.signals.next() => match message {
                Some(Ok(message)) => {
                    if shared.signal(&message) == Seen::ManagerBack {
                        beside.spawn(after_manager_came(Arc::clone(shared), pair.calls.clone()));
                    }
                }
                Some(Err(error)) => return error.to_string(),
                None => return "the connection for signals was closed".to_owned(),
            },
            () = &mut calls_end => return "the connection for calls was closed".to_owned(),
            // Takes the tasks that are done out of the set.
            Some(_) = beside.join_next() => {}
        }
    }
}

/// What a signal asks of the one who read it.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Handled,
    ManagerBack,
}

impl Shared {
    /// Takes one message of the signals' connection. Never waits.
    fn signal(&self, message: &Message) -> Seen {
        if message.message_type() != Type::Signal {
            return Seen::Handled;
        }
        let header = message.header();
        match header.member().map(zbus::names::MemberName::as_str) {
            Some("PropertiesChanged") => {
                // By its path alone, before anything of the body is read: most are of units of others.
                let label = header.path().and_then(|path| path::unit_label(path.as_str()));
                if let Some(label) = label.filter(|label| self.units.has_label(label)) {
                    self.changed(label, message);
                }
                Seen::Handled
            }
            Some("JobRemoved") => {
                self.job_removed(message);
                Seen::Handled
            }
            Some("NameOwnerChanged") => self.owner_changed(message),
            _ => Seen::Handled,
        }
    }

    /// systemd sends the service side first and the unit side at once after it, documented so that both can be
    /// read as one picture (`send_changed_signal` in dbus-unit.c, 252 to 257).
    fn changed(&self, label: &str, message: &Message) {
        let body = message.body();
        let unit = match body.deserialize::<Changed>() {
            Ok(Changed::Service(service)) => {
                self.units.with_label(label, |unit| unit.half = Some(service));
                return;
            }
            Ok(Changed::Unit(unit)) => unit,
            Ok(Changed::Other) => return,
            Err(error) => {
                tracing::warn!(unit = label, %error, "cannot read a signal of systemd; it is skipped");
                return;
            }
        };
        // Without its other half a picture would show a service that never ran. That is one from the moment of
        // `track`, and a look that was asked for after `track` is newer.
        self.units.with_label(label, |tracked| {
            if let Some(service) = tracked.half.take() {
                self.mailbox.push(BusEvent::Changed(tracked.name.clone(), Snapshot { unit, service }));
            }
        });
    }

    fn job_removed(&self, message: &Message) {
        let Some(signal) = JobRemoved::from_message(message.clone()) else { return };
        let Ok(job) = signal.args() else { return };
        self.jobs.ended(JobId(job.id), job.unit, job.result);
        if !job.unit.starts_with(UnitName::PREFIX) {
            return;
        }
        self.units.with_label(&path::label(job.unit), |tracked| {
            let (unit, result) = (tracked.name.clone(), job.result.to_owned());
            self.mailbox.push(BusEvent::JobRemoved { id: job.id, unit, result });
        });
    }

    fn owner_changed(&self, message: &Message) -> Seen {
        let Some(signal) = fdo::NameOwnerChanged::from_message(message.clone()) else { return Seen::Handled };
        let Ok(change) = signal.args() else { return Seen::Handled };
        if change.name().as_str() != connect::SYSTEMD {
            return Seen::Handled;
        }
        if change.new_owner().is_some() {
            return Seen::ManagerBack;
        }
        self.jobs.lost("the user manager left the bus");
        self.units.drop_halves();
        self.mailbox.push(BusEvent::ManagerLost);
        Seen::Handled
    }

    /// A connection is gone.
    fn lost(&self, why: &str, calls: &Calls) {
        // With the one for calls still there, calls and references go on; only signals were missed.
        if calls.connection.is_closed() {
            self.link.down(why.to_owned());
        }
        self.jobs.lost(why);
        self.units.drop_halves();
        self.mailbox.push(BusEvent::Disconnected { why: why.to_owned() });
    }
}

/// Makes what was lost again, however often it takes.
async fn reconnect(connect: &dyn Connect, old: Pair) -> Pair {
    let generation = Generation(old.calls.generation.0 + 1);
    let (mut kept_signals, mut kept_calls) = (Some(old.signals), Some(old.calls));
    let mut pause = Duration::ZERO;
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).clamp(RECONNECT_FIRST, RECONNECT_LONGEST);
        // Mostly both go, one a moment after the other.
        kept_signals = kept_signals.filter(|stream| !Connection::from(stream).is_closed());
        kept_calls = kept_calls.filter(|calls| !calls.connection.is_closed());
        let signals = async {
            match kept_signals.take() {
                Some(kept) => Ok(kept),
                None => connect::signals(connect).await,
            }
        };
        let calls = async {
            match kept_calls.take() {
                Some(kept) => Ok(kept),
                None => connect::calls(connect, generation).await,
            }
        };
        match tokio::join!(signals, calls) {
            (Ok(signals), Ok(calls)) => return Pair { signals, calls },
            (signals, calls) => {
                let errors = (signals.as_ref().err(), calls.as_ref().err());
                tracing::debug!(?errors, "cannot reconnect to the user bus yet");
                (kept_signals, kept_calls) = (signals.ok(), calls.ok());
            }
        }
    }
}

/// Takes the references anew, lets calls through, and then says that everything is back.
async fn after_reconnect(shared: Arc<Shared>, calls: Calls) {
    match restore(&shared, &calls).await {
        // Lost again already; the next return will be told.
        Err(BusError::Disconnected { .. }) => {}
        Err(BusError::NotAUserManager { .. }) => {
            shared.mailbox.push(BusEvent::Reconnected);
            shared.mailbox.push(BusEvent::ManagerLost);
        }
        _ => shared.mailbox.push(BusEvent::Reconnected),
    }
}

/// A manager that re-executed itself still has the references of this connection; where a reconnection found
/// none, this is when they are taken.
async fn after_manager_came(shared: Arc<Shared>, calls: Calls) {
    match restore(&shared, &calls).await {
        // It left again, or the connection did: what follows then says so.
        Err(BusError::Disconnected { .. } | BusError::NotAUserManager { .. }) => {}
        _ => shared.mailbox.push(BusEvent::ManagerBack),
    }
}

/// No call goes through before the references are there: a unit that a call ends in between would be forgotten with
/// its end. A manager that is not on the bus yet has them taken when it comes.
async fn restore(shared: &Shared, on: &Calls) -> Result<(), BusError> {
    let taken = take_references(shared, on).await;
    if let Err(BusError::Disconnected { .. } | BusError::NotAUserManager { .. }) = taken {
        return taken;
    }
    shared.link.up(on.clone());
    // Those that a call on the old connection was told of meanwhile.
    take_references(shared, on).await
}

/// References each unit whose reference went with an earlier connection. A unit that is gone is no error here:
/// the look that follows shows it.
async fn take_references(shared: &Shared, on: &Calls) -> Result<(), BusError> {
    // A manager that comes while a reconnection is under way must not be asked for everything twice.
    let _alone = shared.restoring.lock().await;
    calls::has_manager(on).await?;
    for unit in shared.units.lost_references(on.generation) {
        match calls::add_ref(on, unit.as_str()).await {
            Ok(()) if shared.units.hold_again(unit.as_str(), on.generation) => {}
            // It was given back while there was no connection to say so on.
            Ok(()) => calls::unref(on, unit.as_str()).await?,
            // Nor will it answer for the others.
            Err(
                error @ (BusError::Disconnected { .. }
                | BusError::NotAUserManager { .. }
                | BusError::TimedOut { .. }),
            ) => return Err(error),
            Err(error) => tracing::debug!(%unit, %error, "cannot take the reference on a unit again"),
        }
    }
    Ok(())
}
