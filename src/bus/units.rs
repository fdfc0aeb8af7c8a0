//! The units whose signals are wanted, by object path, and which of them this client holds a reference on.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::path;
use crate::id::UnitName;
use crate::status::snapshot::ServiceSide;

/// Which pair of connections something happened on; a reference lives as long as the connection it was taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Generation(pub(super) u64);

/// The tracked units, by the label of their object path.
#[derive(Debug, Default)]
pub(super) struct Units(Mutex<HashMap<Box<str>, Tracked>>);

#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) name: UnitName,
    /// The service side of a signal whose unit side has not come yet.
    pub(super) half: Option<ServiceSide>,
    reference: Reference,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reference {
    Unwanted,
    Held(Generation),
}

impl Units {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Tracked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn track(&self, name: &UnitName) {
        let fresh = || Tracked { name: name.clone(), half: None, reference: Reference::Unwanted };
        self.lock().entry(path::label(name.as_str()).into()).or_insert_with(fresh);
    }

    pub(super) fn untrack(&self, name: &UnitName) {
        self.lock().remove(path::label(name.as_str()).as_str());
    }

    /// Whether the unit with this path label is tracked. Asked for each signal, before anything is decoded.
    pub(super) fn has_label(&self, label: &str) -> bool {
        self.lock().contains_key(label)
    }

    /// Lets `with` see the unit with this path label, if it is still tracked. What is told in there is told
    /// before [`Units::untrack`] returns, or not at all.
    pub(super) fn with_label<T>(&self, label: &str, with: impl FnOnce(&mut Tracked) -> T) -> Option<T> {
        self.lock().get_mut(label).map(with)
    }

    /// No second half comes for what was read so far.
    pub(super) fn drop_halves(&self) {
        for unit in self.lock().values_mut() {
            unit.half = None;
        }
    }

    /// A reference on `name` was taken on the connection of that generation.
    pub(super) fn hold(&self, name: &str, on: Generation) {
        self.with_label(&path::label(name), |unit| unit.reference = Reference::Held(on));
    }

    /// The reference on `name` was taken again. False where it is no longer wanted.
    pub(super) fn hold_again(&self, name: &str, on: Generation) -> bool {
        let wanted = self.with_label(&path::label(name), |unit| {
            let wanted = matches!(unit.reference, Reference::Held(_));
            if wanted {
                unit.reference = Reference::Held(on);
            }
            wanted
        });
        wanted.unwrap_or(false)
    }

    /// The reference on `name` was given back, or is no longer wanted.
    pub(super) fn release(&self, name: &str) {
        self.with_label(&path::label(name), |unit| unit.reference = Reference::Unwanted);
    }

    /// The units whose reference was on a connection before that of `now`.
    pub(super) fn lost_references(&self, now: Generation) -> Vec<UnitName> {
        let lost = |unit: &&Tracked| matches!(unit.reference, Reference::Held(on) if on != now);
        self.lock().values().filter(lost).map(|unit| unit.name.clone()).collect()
    }
}
