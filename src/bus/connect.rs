//! Making the two connections: one reads signals, the other carries calls.
//!
//! They are apart because zbus stops reading a connection whose streams nobody polls, answers included, and so
//! that a flood of signals never stands before an answer.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::time::Duration;

use zbus::{Connection, MessageStream, connection};

use super::address::BusAddress;
use super::error::BusError;
use super::link::Calls;
use super::path;
use super::units::Generation;

/// How long connecting may take in all: the greetings, the matches and the manager's first answer. On a busy machine
/// it takes tens of milliseconds; a manager that is reloading thousands of units answers within seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Signals that may wait between the socket and the drain task, which takes them as fast as it is scheduled.
const SIGNALS_QUEUED: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");

/// systemd's name on the bus.
pub(super) const SYSTEMD: &str = "org.freedesktop.systemd1";
/// The bus's own name.
pub(super) const DBUS: &str = "org.freedesktop.DBus";
/// The bus's own object.
pub(super) const DBUS_PATH: &str = "/org/freedesktop/DBus";

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Signals,
    Calls,
}

/// A connection in the making.
pub(super) type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Connection, BusError>> + Send + 'a>>;

/// Where connections come from: a bus, or in tests a socket pair with a scripted manager on the other end.
pub(super) trait Connect: Send + Sync + 'static {
    fn connect(&self, role: Role) -> Connecting<'_>;
}

impl Connect for BusAddress {
    fn connect(&self, role: Role) -> Connecting<'_> {
        Box::pin(async move {
            let mut last = zbus::Error::Address("no address given".to_owned());
            for candidate in self.candidates() {
                match build(candidate, role).await {
                    Ok(connection) => return Ok(connection),
                    Err(error) => last = error,
                }
            }
            Err(BusError::of_connecting(self, last))
        })
    }
}

async fn build(address: zbus::Result<zbus::Address>, role: Role) -> zbus::Result<Connection> {
    let builder = connection::Builder::address(address?);
    let builder = match role {
        Role::Signals => builder.max_queued(SIGNALS_QUEUED),
        Role::Calls => builder,
    };
    builder.build().await
}

/// A connection for calls.
pub(super) async fn calls(connect: &dyn Connect, generation: Generation) -> Result<Calls, BusError> {
    let connection = within_bound(connect.connect(Role::Calls)).await?;
    Calls::new(connection, generation).await.map_err(|error| BusError::of_call("connecting", "", error))
}

/// A connection on which the signals come, matches in place.
pub(super) async fn signals(connect: &dyn Connect) -> Result<MessageStream, BusError> {
    within_bound(async {
        let connection = connect.connect(Role::Signals).await?;
        // The stream is there before the matches are, so that no signal is dropped in between.
        let stream = MessageStream::from(&connection);
        let [changes, jobs, owner] = matches();
        // All three are on their way before the first answer is awaited.
        tokio::try_join!(
            add_match(&connection, &changes),
            add_match(&connection, &jobs),
            add_match(&connection, &owner)
        )?;
        Ok(stream)
    })
    .await
}

async fn within_bound<T>(connecting: impl Future<Output = Result<T, BusError>>) -> Result<T, BusError> {
    let late = |_| BusError::TimedOut { call: "connecting to the bus", after: CONNECT_TIMEOUT };
    tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)?
}

/// Three rules in all, however many units there are: with 5,000 rules of their own the launch rate falls to a
/// third (measured, systemd 252).
fn matches() -> [String; 3] {
    let units = path::UNITS;
    [
        format!(
            "type='signal',sender='{SYSTEMD}',interface='org.freedesktop.DBus.Properties',\
             member='PropertiesChanged',path_namespace='{units}'"
        ),
        format!("type='signal',sender='{SYSTEMD}',interface='{SYSTEMD}.Manager',member='JobRemoved'"),
        format!(
            "type='signal',sender='{DBUS}',interface='{DBUS}',member='NameOwnerChanged',arg0='{SYSTEMD}'"
        ),
    ]
}

async fn add_match(connection: &Connection, rule: &str) -> Result<(), BusError> {
    let added = connection.call_method(Some(DBUS), DBUS_PATH, Some(DBUS), "AddMatch", &rule).await;
    added.map(drop).map_err(|error| BusError::of_call("AddMatch", "", error))
}
