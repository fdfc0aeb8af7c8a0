//! What the host says without being asked to launch anything.

use std::fs;
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

/// journald's own limit, which all procs of a user share (252 to 262: user units cannot set their own).
pub(super) fn rate_limit() -> Check {
    let burst = setting("RateLimitBurst").unwrap_or_else(|| "10000".to_owned());
    let interval = setting("RateLimitIntervalSec").unwrap_or_else(|| "30s".to_owned());
    if burst == "0" || interval == "0" {
        return Check::ok("rate limit", "none in journald's configuration");
    }
    Check::ok(
        "rate limit",
        format!("{burst} lines in {interval} for all procs of this user together; what is over is dropped"),
    )
}

/// A setting of journald.conf(5): the last file that sets it wins, drop-ins by name after the main file.
fn setting(name: &str) -> Option<String> {
    let mut files = vec![Path::new("/etc/systemd/journald.conf").to_owned()];
    let mut drop_ins: Vec<_> =
        ["/usr/lib/systemd/journald.conf.d", "/run/systemd/journald.conf.d", "/etc/systemd/journald.conf.d"]
            .iter()
            .filter_map(|directory| fs::read_dir(directory).ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
            .collect();
    drop_ins.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    files.append(&mut drop_ins);
    files.iter().rev().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| {
        let line = text.lines().rev().find(|line| line.trim_start().starts_with(name))?;
        line.split_once('=').map(|(_, value)| value.trim().to_owned())
    })
}

/// CRIU, which only checkpoints need.
pub(super) fn criu() -> Check {
    let path = std::env::var("PATH").ok();
    match program::resolve("criu", Path::new("/"), path.as_deref()) {
        Ok(found) => Check::ok("criu", found.display().to_string()),
        Err(_) => Check::ok("criu", "not there; nothing but checkpoints needs it"),
    }
}
