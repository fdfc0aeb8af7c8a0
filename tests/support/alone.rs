//! Tests that look at the whole user manager or change it, and tests that mind only their own procs, in one program.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::support::{manager, systemctl, until};

static MANAGER: RwLock<()> = RwLock::new(());

/// Held by a test that minds only its own procs. Fails where no user manager answers.
pub(crate) fn beside_others() -> RwLockReadGuard<'static, ()> {
    manager();
    MANAGER.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a test that no other of the program runs beside. At its end nothing new may be left of procunit's in the
/// user manager: no proc, no tie, no slice.
pub(crate) struct Alone {
    before: BTreeSet<String>,
    _manager: RwLockWriteGuard<'static, ()>,
}

/// Waits for the tests before, and keeps the others out. Fails where no user manager answers.
pub(crate) fn alone() -> Alone {
    manager();
    let manager = MANAGER.write().unwrap_or_else(PoisonError::into_inner);
    // What the tests before left may still be on its way out.
    until("no job in the user manager", || systemctl(&["list-jobs", "--no-legend"]).trim().is_empty());
    Alone { before: units(), _manager: manager }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let left = || units().difference(&self.before).cloned().collect::<Vec<_>>();
            until(&format!("nothing new is left of {:?}", left()), || left().is_empty());
        }
    }
}

fn units() -> BTreeSet<String> {
    let list = ["list-units", "--all", "--full", "--plain", "--no-legend", "procunit*", "app-procunit*"];
    let listed = systemctl(&list);
    listed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}
