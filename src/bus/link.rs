//! The connection for calls, as of now: there, or lost and being made again.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use zbus::Connection;
use zbus::proxy::CacheProperties;

use super::error::BusError;
use super::proxies::manager::ManagerProxy;
use super::units::Generation;

/// The present connection for calls.
#[derive(Debug)]
pub(super) struct Link(watch::Sender<State>);

#[derive(Debug)]
struct State {
    calls: Result<Calls, String>,
    /// How often there was a connection to go on with.
    ups: u64,
}

/// A moment in the life of a [`Link`]: what was lost after it can be waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since(u64);

/// A connection that carries calls, and systemd's manager seen through it.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    pub(super) connection: Connection,
    pub(super) manager: ManagerProxy<'static>,
    pub(super) generation: Generation,
    /// A part for each call that may be under way.
    pub(super) turns: Arc<Semaphore>,
}

/// Calls under way at a time; further ones wait in order. As many as dbus-daemon lets any connection have where nothing
/// else is configured (`max_replies_per_connection`, bus/config-parser.c); a session bus mostly allows more.
const CALLS_AT_ONCE: usize = 128;

impl Calls {
    pub(super) async fn new(connection: Connection, generation: Generation) -> zbus::Result<Self> {
        // A cache would hold a match rule and re-read stale values; nothing is sent here.
        let builder = ManagerProxy::builder(&connection).cache_properties(CacheProperties::No);
        let manager = builder.build().await?;
        Ok(Self { connection, manager, generation, turns: Arc::new(Semaphore::new(CALLS_AT_ONCE)) })
    }
}

impl Link {
    pub(super) fn new(calls: Calls) -> Self {
        Self(watch::Sender::new(State { calls: Ok(calls), ups: 0 }))
    }

    /// The connection to call on.
    pub(super) fn calls(&self) -> Result<Calls, BusError> {
        let state = self.0.borrow();
        state.calls.clone().map_err(|why| BusError::Disconnected { why })
    }

    pub(super) fn up(&self, calls: Calls) {
        self.set(Ok(calls), 1);
    }

    pub(super) fn down(&self, why: String) {
        self.set(Err(why), 0);
    }

    fn set(&self, calls: Result<Calls, String>, up: u64) {
        let mut old = calls;
        self.0.send_modify(|state| {
            std::mem::swap(&mut state.calls, &mut old);
            state.ups += up;
        });
        // Closing a connection is work of its own; not under the lock.
        drop(old);
    }

    pub(super) fn now(&self) -> Since {
        Since(self.0.borrow().ups)
    }

    /// Waits for a connection that was made after `since`. Cancel safe.
    pub(super) async fn up_since(&self, since: Since) {
        // The sender is this very link.
        let _ = self.0.subscribe().wait_for(|state| state.calls.is_ok() && state.ups > since.0).await;
    }
}
