//! Where the user bus is. The environment is read here, in [`BusAddress::from_env`], and nowhere else in this
//! room.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use zbus::Address;
use zbus::address::transport::{Transport, Unix, UnixSocket};

use super::error::BusError;

/// The address of a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusAddress(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// D-Bus's own notation, as somebody wrote it.
    Text(String),
    /// A socket's path. Kept as a path, for it need not be UTF-8.
    Socket(PathBuf),
}

impl BusAddress {
    /// The caller's user bus: `DBUS_SESSION_BUS_ADDRESS`, else `$XDG_RUNTIME_DIR/bus`, as sd-bus decides
    /// (`bus_set_address_user` in sd-bus.c), except that an empty variable counts as none.
    ///
    /// # Errors
    /// [`BusError::NoAddress`] when neither is set: sd-bus guesses no path from the user's id, and nor does this.
    pub fn from_env() -> Result<Self, BusError> {
        Self::decide(std::env::var_os("DBUS_SESSION_BUS_ADDRESS"), std::env::var_os("XDG_RUNTIME_DIR"))
    }

    fn decide(session: Option<OsString>, runtime_dir: Option<OsString>) -> Result<Self, BusError> {
        let given = |value: Option<OsString>| value.filter(|value| !value.is_empty());
        if let Some(session) = given(session) {
            return Ok(Self(Form::Text(session.to_string_lossy().into_owned())));
        }
        let dir = given(runtime_dir).ok_or(BusError::NoAddress)?;
        Ok(Self(Form::Socket(PathBuf::from(dir).join("bus"))))
    }

    /// An address in D-Bus's notation, such as `unix:path=/run/user/1000/bus`. Several may be joined by `;`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Form::Text(text.into()))
    }

    /// The addresses to try, in order; what cannot be read is an error of its own, in its place.
    pub(super) fn candidates(&self) -> Vec<zbus::Result<Address>> {
        match &self.0 {
            Form::Socket(path) => {
                vec![Ok(Address::new(Transport::Unix(Unix::new(UnixSocket::File(path.clone())))))]
            }
            Form::Text(text) => text.split(';').filter(|one| !one.is_empty()).map(str::parse).collect(),
        }
    }
}

impl fmt::Display for BusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Text(text) => f.write_str(text),
            Form::Socket(path) => write!(f, "unix:path={}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(session: Option<&str>, runtime_dir: Option<&str>) -> Result<String, BusError> {
        BusAddress::decide(session.map(Into::into), runtime_dir.map(Into::into))
            .map(|found| found.to_string())
    }

    #[test]
    fn the_session_address_comes_before_the_runtime_directory() {
        assert_eq!(decided(Some("unix:abstract=x"), Some("/run/user/7")).unwrap(), "unix:abstract=x");
        assert_eq!(decided(None, Some("/run/user/7")).unwrap(), "unix:path=/run/user/7/bus");
        assert_eq!(decided(Some(""), Some("/run/user/7")).unwrap(), "unix:path=/run/user/7/bus");
    }

    #[test]
    fn no_variable_at_all_is_an_error_that_names_both() {
        let error = decided(None, Some("")).unwrap_err();
        assert!(matches!(error, BusError::NoAddress), "{error}");
        assert!(error.to_string().contains("XDG_RUNTIME_DIR"), "{error}");
    }

    #[test]
    fn several_addresses_are_tried_in_order() {
        let address = BusAddress::new("unix:path=/a;nonsense;unix:path=/b");
        let found: Vec<_> =
            address.candidates().into_iter().map(|one| one.ok().map(|one| one.to_string())).collect();
        assert_eq!(found, [Some("unix:path=/a".to_owned()), None, Some("unix:path=/b".to_owned())]);
    }
}
