//! What a call on the bus can end with. Names and messages of the remote side are kept as they came.

use std::fmt;
use std::io;
use std::time::Duration;

use zbus::DBusError as _;

use super::address::BusAddress;
use crate::unit::property::FdSlot;

/// Why a call to the user manager, or the way to it, failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// Nothing says where the bus is.
    #[error("no address of a user bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set")]
    NoAddress,
    /// No bus answers at the address.
    #[error("cannot reach the user bus at {address}")]
    Unreachable {
        /// Where it was looked for.
        address: BusAddress,
        /// What went wrong there.
        #[source]
        source: WireError,
    },
    /// The bus at the address lets this user not in.
    #[error("the user bus at {address} belongs to another user")]
    Anothers {
        /// Where it is.
        address: BusAddress,
        /// How it said so.
        #[source]
        source: WireError,
    },
    /// Something listens at the address, and does not answer.
    #[error("the user bus at {address} does not answer; {} s were waited", after.as_secs())]
    Silent {
        /// Where it is.
        address: BusAddress,
        /// How long was waited.
        after: Duration,
    },
    /// There is a bus, but nobody on it owns `org.freedesktop.systemd1`.
    #[error("no systemd user manager on the bus ({message})")]
    NotAUserManager {
        /// What the bus said.
        message: String,
    },
    /// The connection is gone, and this call with it: whether it was carried out is unknown. It is being made
    /// again; [`super::BusEvent::Reconnected`] tells when.
    #[error("the connection to the user bus was lost: {why}")]
    Disconnected {
        /// What the connection ended with.
        why: String,
    },
    /// systemd has no unit of that name.
    #[error("no unit {unit}: {message}")]
    NoSuchUnit {
        /// The unit's name.
        unit: String,
        /// What systemd said.
        message: String,
    },
    /// The unit has no process of the kind that was asked for.
    #[error("unit {unit} has no such process: {message}")]
    NoSuchProcess {
        /// The unit's name.
        unit: String,
        /// What systemd said.
        message: String,
    },
    /// The name is taken, by a unit that runs or by one that ended and is still held.
    #[error("unit {unit} exists already: {message}")]
    UnitExists {
        /// The unit's name: that of the auxiliary unit, if it is the one that is taken.
        unit: String,
        /// What systemd said.
        message: String,
    },
    /// The bus or systemd refuses this caller. (systemd 252 says so of a working directory with `..`, too.)
    #[error("access denied: {message}")]
    AccessDenied {
        /// What was said.
        message: String,
    },
    /// A quota is used up; later it may work.
    #[error("out of some resource: {message}")]
    LimitsExceeded {
        /// What was said.
        message: String,
    },
    /// Any other error of the remote side.
    #[error("{name}: {message}")]
    Remote {
        /// The D-Bus name of the error.
        name: String,
        /// What was said with it.
        message: String,
    },
    /// No answer in time; whether the call was carried out is unknown.
    #[error("no answer to {call} within {} s", after.as_secs())]
    TimedOut {
        /// The method.
        call: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// A property refers to a descriptor that was not handed over.
    #[error("no descriptor was handed over for {0:?}")]
    NoDescriptor(FdSlot),
    /// The message could not be made, or the answer has not the form it should have.
    #[error("{call} cannot be sent, or its answer not be read")]
    Protocol {
        /// The method.
        call: &'static str,
        /// What was wrong with it.
        #[source]
        source: WireError,
    },
}

/// What the bus library said; its type stays out of this one's interface. It has no source: its words say it all.
#[derive(Clone)]
pub struct WireError(zbus::Error);

impl std::error::Error for WireError {}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            // Without the address, which the error around it names.
            zbus::Error::Connection(error, _) | zbus::Error::InputOutput(error) => error.fmt(f),
            other => other.fmt(f),
        }
    }
}

impl fmt::Debug for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<zbus::Error> for WireError {
    fn from(error: zbus::Error) -> Self {
        Self(error)
    }
}

impl BusError {
    /// What `error` says of connecting to `address`.
    pub(super) fn of_connecting(address: &BusAddress, error: zbus::Error) -> Self {
        match error {
            zbus::Error::Connection(ref why, _) if why.kind() == io::ErrorKind::PermissionDenied => {
                Self::Anothers { address: address.clone(), source: error.into() }
            }
            // There is no other word for REJECTED in zbus 6.2.
            zbus::Error::Handshake(ref why) if why.contains("rejected by the server") => {
                Self::Anothers { address: address.clone(), source: error.into() }
            }
            // The bus is there and said no, for instance because this user has too many connections.
            error @ (zbus::Error::FDO(_) | zbus::Error::MethodError(..)) => Self::of_call("Hello", "", error),
            other => Self::Unreachable { address: address.clone(), source: other.into() },
        }
    }

    /// What `error` says of `call` on `unit`.
    pub(super) fn of_call(call: &'static str, unit: &str, error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, detail, _) => {
                Self::remote(unit, name.as_str(), detail.unwrap_or_default())
            }
            zbus::Error::FDO(error) => {
                let message = error.description().unwrap_or_default().to_owned();
                Self::remote(unit, error.name().as_str(), message)
            }
            zbus::Error::InputOutput(error) => Self::Disconnected { why: error.to_string() },
            other => Self::Protocol { call, source: other.into() },
        }
    }

    /// Whether the connection or the manager went away before it answered: the same may be asked again when they are
    /// back. What was asked may have been done all the same.
    pub fn is_broken_off(&self) -> bool {
        match self {
            Self::Disconnected { .. } | Self::NotAUserManager { .. } => true,
            // So the bus answers for a manager that leaves.
            Self::Remote { name, .. } => name == "org.freedesktop.DBus.Error.NoReply",
            _ => false,
        }
    }

    /// Names the auxiliary unit where it is the one that exists: systemd's message begins with `Unit NAME`.
    pub(super) fn or_of<'a>(mut self, aux: impl IntoIterator<Item = &'a str>) -> Self {
        if let Self::UnitExists { unit, message } = &mut self {
            let named = message.strip_prefix("Unit ").and_then(|rest| rest.split(' ').next());
            if let Some(taken) = aux.into_iter().find(|name| Some(*name) == named) {
                taken.clone_into(unit);
            }
        }
        self
    }

    /// Whether the other side has no room for the call now, and did nothing: later it may.
    ///
    /// A bus says so of a connection with too many calls under way, a manager by EAGAIN (sd_bus_error_set_errno(3)).
    pub fn is_for_now(&self) -> bool {
        match self {
            Self::LimitsExceeded { .. } => true,
            Self::Remote { name, .. } => name == "System.Error.EAGAIN",
            _ => false,
        }
    }

    fn remote(unit: &str, name: &str, message: String) -> Self {
        let bare = name.strip_prefix("org.freedesktop.DBus.Error.");
        match (bare, name) {
            (_, "org.freedesktop.systemd1.NoSuchUnit") => Self::NoSuchUnit { unit: unit.to_owned(), message },
            (_, "org.freedesktop.systemd1.NoSuchProcess") => {
                Self::NoSuchProcess { unit: unit.to_owned(), message }
            }
            (_, "org.freedesktop.systemd1.UnitExists") => Self::UnitExists { unit: unit.to_owned(), message },
            (Some("AccessDenied" | "InteractiveAuthorizationRequired"), _) => Self::AccessDenied { message },
            (Some("LimitsExceeded" | "NoMemory"), _) => Self::LimitsExceeded { message },
            (Some("ServiceUnknown" | "NameHasNoOwner"), _) => Self::NotAUserManager { message },
            // A bus without a manager tries to start one from a service file that says /bin/false.
            (Some(spawn), _) if spawn.starts_with("Spawn.") => Self::NotAUserManager { message },
            _ => Self::Remote { name: name.to_owned(), message },
        }
    }
}
