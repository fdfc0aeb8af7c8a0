//! What a plain child of this process would inherit, read at the moment of a launch.

use std::io;

use nix::sys::resource::{Resource, getrlimit};

use crate::unit::Caller;

/// Reads this process's environment, working directory, umask, descriptor limits and host name.
///
/// # Errors
/// Where the working directory is gone or unreadable, or /proc is not there; the text says which.
pub fn capture() -> Result<Caller, (&'static str, io::Error)> {
    let cwd = std::env::current_dir().map_err(|error| ("reading the working directory", error))?;
    let cwd = cwd.into_os_string().into_string().map_err(|path| {
        let message = format!("{} is not UTF-8", path.display());
        ("reading the working directory", io::Error::new(io::ErrorKind::InvalidData, message))
    })?;
    Ok(Caller {
        env: std::env::vars_os().collect(),
        cwd,
        umask: umask().map_err(|error| ("reading the umask", error))?,
        nofile: getrlimit(Resource::RLIMIT_NOFILE)
            .map_err(|errno| ("reading the limit of open files", errno.into()))?,
        host: host(),
    })
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
