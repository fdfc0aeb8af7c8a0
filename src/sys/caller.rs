//! What a plain child of this process would inherit, read at the moment of a launch.

use std::ffi::OsString;
use std::io;

use nix::sys::resource::{Resource, getrlimit};

use crate::unit::Caller;

/// Reads this process's environment, working directory, umask, descriptor limits and host name.
///
/// # Errors
/// Where the working directory is gone or unreadable, or /proc is not there; the text says which.
pub fn capture() -> Result<Caller, (&'static str, io::Error)> {
    surroundings().and_then(Surroundings::into_caller)
}

/// What of it every launcher needs. The rest costs a read of /proc, and a child of this process has it anyway.
pub(crate) struct Surroundings {
    pub(crate) env: Vec<(OsString, OsString)>,
    /// The working directory, absolute and canonical.
    pub(crate) cwd: String,
    pub(crate) host: String,
}

/// Reads this process's environment, working directory and host name.
///
/// # Errors
/// Where the working directory is gone or unreadable; the text says so.
pub(crate) fn surroundings() -> Result<Surroundings, (&'static str, io::Error)> {
    let cwd = std::env::current_dir().map_err(|error| ("reading the working directory", error))?;
    let cwd = cwd.into_os_string().into_string().map_err(|path| {
        let message = format!("{} is not UTF-8", path.display());
        ("reading the working directory", io::Error::new(io::ErrorKind::InvalidData, message))
    })?;
    Ok(Surroundings { env: std::env::vars_os().collect(), cwd, host: host() })
}

impl Surroundings {
    /// With what a process has to be given that is no child of this one.
    ///
    /// # Errors
    /// Where /proc is not there; the text says what was read.
    pub(crate) fn into_caller(self) -> Result<Caller, (&'static str, io::Error)> {
        Ok(Caller {
            env: self.env,
            cwd: self.cwd,
            umask: umask().map_err(|error| ("reading the umask", error))?,
            nofile: getrlimit(Resource::RLIMIT_NOFILE)
                .map_err(|errno| ("reading the limit of open files", errno.into()))?,
            host: self.host,
        })
    }
}

/// umask(2) can only be read by setting it, which another thread would see; /proc/self/status tells it since
/// Linux 4.7.
fn umask() -> io::Result<u32> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))
        .and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no Umask line in /proc/self/status"))
}

/// The host's name, for people; `localhost` where it has none.
fn host() -> String {
    match nix::unistd::gethostname() {
        Ok(name) if !name.is_empty() => name.to_string_lossy().into_owned(),
        _ => "localhost".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_umask_is_read_and_not_changed() {
        let first = umask().unwrap();
        assert!(first <= 0o777);
        assert_eq!(umask().unwrap(), first);
    }

    #[test]
    fn the_working_directory_is_absolute() {
        assert!(capture().unwrap().cwd.starts_with('/'));
    }
}
