//! A spec of this very program, for one that launches itself again.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::builder::ProcSpecBuilder;
use super::proc_spec::ProcSpec;
use crate::id::ProcId;

/// Why this program cannot be launched again.
#[derive(Debug, thiserror::Error)]
pub enum CurrentError {
    /// Its own path cannot be read.
    #[error("cannot tell the path of this program; is /proc mounted?")]
    Path(#[source] io::Error),
    /// Its file was removed, or replaced by a newer one, since it started.
    #[error("this program's file {path:?} was removed since it started", path = .0)]
    Removed(PathBuf),
}

/// What the kernel appends to the path of a file that is gone (`d_path`, see proc_pid_exe(5)).
const GONE: &[u8] = b" (deleted)";

impl ProcSpec {
    /// Starts a spec that runs this program again, with the arguments it got itself, under `id`.
    ///
    /// Where the file was replaced by another one under the same name since (an upgrade), the new one is launched.
    /// This is the one place in the pure rooms that reads this process: its path, its arguments, and whether the
    /// file is there.
    ///
    /// # Errors
    /// When the path cannot be read, or no file is there any more.
    pub fn current(id: ProcId) -> Result<ProcSpecBuilder, CurrentError> {
        let exe = std::env::current_exe().map_err(CurrentError::Path)?;
        let program = launchable(exe, |path| path.exists())?;
        Ok(again(id, program, std::env::args_os()))
    }
}

fn again(id: ProcId, program: PathBuf, argv: impl IntoIterator<Item = OsString>) -> ProcSpecBuilder {
    let mut argv = argv.into_iter();
    let builder = ProcSpec::builder(id, program);
    match argv.next() {
        Some(arg0) => builder.arg0(arg0).args(argv),
        None => builder,
    }
}

/// The path to launch. A name that really ends in `(deleted)` is told apart by being there.
fn launchable(exe: PathBuf, is_there: impl Fn(&PathBuf) -> bool) -> Result<PathBuf, CurrentError> {
    if is_there(&exe) {
        return Ok(exe);
    }
    let path = match exe.as_os_str().as_bytes().strip_suffix(GONE) {
        Some(before) => PathBuf::from(OsString::from_vec(before.to_vec())),
        None => exe,
    };
    if is_there(&path) { Ok(path) } else { Err(CurrentError::Removed(path)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(exe: &str, there: &[&str]) -> Option<String> {
        let there = |path: &PathBuf| there.iter().any(|known| path.as_os_str() == *known);
        let path = launchable(PathBuf::from(exe), there).ok()?;
        Some(path.to_string_lossy().into_owned())
    }

    #[test]
    fn a_file_that_was_replaced_is_launched_under_its_name() {
        assert_eq!(found("/bin/x", &["/bin/x"]).as_deref(), Some("/bin/x"));
        assert_eq!(found("/bin/x (deleted)", &["/bin/x"]).as_deref(), Some("/bin/x"));
        assert_eq!(
            found("/bin/x (deleted)", &["/bin/x", "/bin/x (deleted)"]).as_deref(),
            Some("/bin/x (deleted)")
        );
    }

    #[test]
    fn a_file_that_is_gone_is_an_error_with_its_name() {
        let error = launchable(PathBuf::from("/bin/x (deleted)"), |_| false).unwrap_err();
        assert_eq!(error.to_string(), "this program's file \"/bin/x\" was removed since it started");
    }
}
