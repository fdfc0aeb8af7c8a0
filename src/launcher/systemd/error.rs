//! From bus errors to the errors of each operation.

use crate::bus::BusError;
use crate::id::ProcId;
use crate::launcher::{AdoptError, DeliverError, LaunchError};

/// What to do where the user manager cannot be reached.
pub(super) const REMEDY: &str = "`procunit doctor` says what is missing";

pub(super) fn of_launch(id: &ProcId, refused: BusError) -> LaunchError {
    let rejected = |name: &str, message: &str, source: BusError| LaunchError::Rejected {
        id: id.clone(),
        name: name.to_owned(),
        message: message.to_owned(),
        properties: Vec::new(),
        source: Box::new(source),
    };
    match &refused {
        BusError::Remote { name, message } => rejected(&name.clone(), &message.clone(), refused),
        BusError::AccessDenied { message } => {
            rejected("org.freedesktop.DBus.Error.AccessDenied", &message.clone(), refused)
        }
        BusError::LimitsExceeded { message } => {
            rejected("org.freedesktop.DBus.Error.LimitsExceeded", &message.clone(), refused)
        }
        BusError::NoSuchUnit { message, .. } => {
            rejected("org.freedesktop.systemd1.NoSuchUnit", &message.clone(), refused)
        }
        _ => LaunchError::Unreachable {
            what: refused.to_string(),
            remedy: REMEDY.to_owned(),
            source: Box::new(refused),
        },
    }
}

pub(super) fn of_adopt(id: &ProcId, refused: BusError) -> AdoptError {
    match refused {
        BusError::NoSuchUnit { .. } => AdoptError::NotFound { id: id.clone() },
        other => AdoptError::Launcher { id: id.clone(), source: Box::new(other) },
    }
}

pub(super) fn of_delivery(refused: BusError) -> DeliverError {
    match refused {
        BusError::NoSuchUnit { .. } | BusError::NoSuchProcess { .. } => DeliverError::Gone,
        other => DeliverError::Failed(Box::new(other)),
    }
}
