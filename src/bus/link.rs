//! The connection for calls, as of now: there, or lost and being made again.

use std::sync::{PoisonError, RwLock};

use zbus::Connection;
use zbus::proxy::CacheProperties;

use super::error::BusError;
use super::proxies::manager::ManagerProxy;
use super::units::Generation;

/// The present connection for calls.
#[derive(Debug)]
pub(super) struct Link(RwLock<State>);

#[derive(Debug)]
enum State {
    Up(Calls),
    Down { why: String },
}

/// A connection that carries calls, and systemd's manager seen through it.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    pub(super) connection: Connection,
    pub(super) manager: ManagerProxy<'static>,
    pub(super) generation: Generation,
}

impl Calls {
    pub(super) async fn new(connection: Connection, generation: Generation) -> zbus::Result<Self> {
        // A cache would hold a match rule and re-read stale values; nothing is sent here.
        let builder = ManagerProxy::builder(&connection).cache_properties(CacheProperties::No);
        let manager = builder.build().await?;
        Ok(Self { connection, manager, generation })
    }
}

impl Link {
    pub(super) fn new(calls: Calls) -> Self {
        Self(RwLock::new(State::Up(calls)))
    }

    /// The connection to call on.
    pub(super) fn calls(&self) -> Result<Calls, BusError> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            State::Up(calls) => Ok(calls.clone()),
            State::Down { why } => Err(BusError::Disconnected { why: why.clone() }),
        }
    }

    pub(super) fn up(&self, calls: Calls) {
        self.set(State::Up(calls));
    }

    pub(super) fn down(&self, why: String) {
        self.set(State::Down { why });
    }

    fn set(&self, state: State) {
        let old = std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), state);
        // Closing a connection is work of its own; not under the lock.
        drop(old);
    }
}
