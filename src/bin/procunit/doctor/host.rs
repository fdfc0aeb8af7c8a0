//! What the host says without being asked to launch anything.

use std::path::Path;

use procunit::bus::{BusAddress, BusError};
use procunit::sys::program;

use super::Check;

/// Where the user bus should be, and whether something answers there.
pub(super) fn user_bus(error: Option<&BusError>) -> Check {
    const NAME: &str = "user bus";
    match (error, BusAddress::from_env()) {
        (Some(BusError::NoAddress), _) | (_, Err(_)) => Check::failed(
            NAME,
            BusError::NoAddress.to_string(),
            "log in through a session (or set XDG_RUNTIME_DIR=/run/user/$(id -u)); `sudo` and `su` drop it, \
             `machinectl shell USER@` or `ssh` keep it",
        ),
        (Some(error @ BusError::Unreachable { .. }), _) => {
            Check::failed(NAME, super::in_full(error), remedy())
        }
        (_, Ok(address)) => Check::ok(NAME, format!("looked for at {address}")),
    }
}

/// What to do where nothing answers: it depends on who said where to look.
fn remedy() -> &'static str {
    if std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some_and(|address| !address.is_empty()) {
        "nothing answers where DBUS_SESSION_BUS_ADDRESS says: unset it, or mend it"
    } else {
        "start the user manager: `loginctl enable-linger $USER`, then log in again; in a container see \
         contrib/testbed"
    }
}

/// Whether procs outlive the last logout. logind keeps one empty file per lingering user (252 to 257).
pub(super) fn linger() -> Check {
    const NAME: &str = "linger";
    let Some(user) = user_name() else {
        return Check::warning(NAME, "this user has no name in the user database", "add one");
    };
    if Path::new("/var/lib/systemd/linger").join(&user).exists() {
        return Check::ok(NAME, format!("on for {user}"));
    }
    Check::warning(
        NAME,
        format!("off for {user}: the last logout ends the user manager and every proc"),
        format!("loginctl enable-linger {user}"),
    )
}

fn user_name() -> Option<String> {
    nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name)
}

/// CRIU, which only checkpoints need.
pub(super) fn criu() -> Check {
    let path = std::env::var("PATH").ok();
    match program::resolve("criu", Path::new("/"), path.as_deref()) {
        Ok(found) => Check::ok("criu", found.display().to_string()),
        Err(_) => Check::ok("criu", "not there; nothing but checkpoints needs it"),
    }
}
