//! What callers and the drain task share.

use std::sync::Arc;

use super::event::Mailbox;
use super::jobs::Jobs;
use super::link::{Calls, Link};
use super::units::Units;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) link: Link,
    pub(super) jobs: Arc<Jobs>,
    pub(super) units: Units,
    pub(super) mailbox: Arc<Mailbox>,
    /// Held while references are taken anew.
    pub(super) restoring: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(super) fn new(calls: Calls) -> Self {
        Self {
            link: Link::new(calls),
            jobs: Arc::default(),
            units: Units::default(),
            mailbox: Arc::default(),
            restoring: tokio::sync::Mutex::default(),
        }
    }
}
