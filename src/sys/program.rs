//! Finding a program before it is launched, so that "not found" and "not executable" are known by name.
//!
//! systemd looks names up on its own manager's PATH and refuses `./x`; a caller means its own PATH and its own
//! working directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::format::{self, Flaw};

/// Why a program cannot be launched.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// There is no such program.
    #[error("{program}: not found")]
    NotFound {
        /// As it was given.
        program: String,
        /// The PATH that was searched, for a bare name.
        searched: Option<String>,
    },
    /// There is such a file, and it cannot be executed.
    #[error("{path}: {why}", path = path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// The program names another one that has to run it, and that one cannot be executed.
    #[error("{path}: its interpreter {interpreter}: {why}", path = path.display(), interpreter = interpreter.display())]
    Interpreter {
        /// The program.
        path: PathBuf,
        /// What its `#!` line or its ELF header names.
        interpreter: PathBuf,
        /// Why that cannot be executed.
        why: &'static str,
    },
}

/// The absolute path of `program` as a shell in `cwd` with this `path` would run it.
///
/// A name with a slash is a path, relative to `cwd`. A bare name is looked up on `path`, where a match that
/// cannot be executed is passed over, and named only if nothing else is found: as execvp(3) does.
///
/// What was found must be a program that the kernel can run as it is. A text without a `#!` line is refused: a shell
/// would interpret it itself, and execvp(3) hand it to `/bin/sh`, but systemd does neither.
///
/// # Errors
/// [`ProgramError`].
pub fn resolve(program: &str, cwd: &Path, path: Option<&str>) -> Result<PathBuf, ProgramError> {
    let found = find(program, cwd, path)?;
    check_format(&found, cwd)?;
    Ok(found)
}

/// Refuses a file that the kernel would refuse to run in `cwd` for what is in it.
pub(crate) fn check_format(file: &Path, cwd: &Path) -> Result<(), ProgramError> {
    let path = file.to_owned();
    match format::check(file, cwd) {
        Ok(()) => Ok(()),
        Err(Flaw::Format(why)) => Err(ProgramError::NotExecutable { path, why }),
        Err(Flaw::Interpreter(interpreter, why)) => Err(ProgramError::Interpreter { path, interpreter, why }),
    }
}

/// The file that is meant, whatever is in it.
pub(crate) fn find(program: &str, cwd: &Path, path: Option<&str>) -> Result<PathBuf, ProgramError> {
    if program.contains('/') {
        let full = cwd.join(program);
        return match check(&full) {
            Ok(()) => Ok(full),
            Err(Some(why)) => Err(ProgramError::NotExecutable { path: full, why }),
            Err(None) => Err(ProgramError::NotFound { program: program.to_owned(), searched: None }),
        };
    }
    // What execvp(3) searches where there is no PATH (glibc's confstr(_CS_PATH)).
    let path = path.unwrap_or("/bin:/usr/bin");
    let mut refused = None;
    for directory in path.split(':') {
        // An empty entry is the working directory.
        let full = cwd.join(directory).join(program);
        match check(&full) {
            Ok(()) => return Ok(full),
            Err(Some(why)) if refused.is_none() => {
                refused = Some(ProgramError::NotExecutable { path: full, why });
            }
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| ProgramError::NotFound {
        program: program.to_owned(),
        searched: Some(path.to_owned()),
    }))
}

/// `Err(None)` where there is nothing, `Err(Some(why))` where it cannot be executed.
pub(super) fn check(full: &Path) -> Result<(), Option<&'static str>> {
    let meta = match fs::metadata(full) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Some("permission denied"));
        }
        Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => {
            return Err(Some("too many levels of symbolic links"));
        }
        Err(_) => return Err(None),
    };
    if meta.is_dir() {
        return Err(Some("is a directory"));
    }
    if !meta.is_file() {
        return Err(Some("is not a regular file"));
    }
    access(full, AccessFlags::X_OK).map_err(|_| Some("permission denied (no execute bit)"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(directory: &Path, name: &str, mode: u32) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_bare_name_is_looked_up_on_the_path_given_and_on_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let tool = file(dir.path(), "tool", 0o755);
        let path = format!("/nowhere:{}", dir.path().display());
        assert_eq!(resolve("tool", Path::new("/"), Some(&path)).unwrap(), tool);
        let missing = resolve("sh", Path::new("/"), Some("/nowhere"));
        assert!(
            matches!(missing, Err(ProgramError::NotFound { searched: Some(path), .. }) if path == "/nowhere")
        );
    }

    #[test]
    fn a_match_that_cannot_be_executed_is_passed_over_and_named_only_at_the_end() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let plain = file(first.path(), "tool", 0o644);
        let path = format!("{}:{}", first.path().display(), second.path().display());
        let refused = resolve("tool", Path::new("/"), Some(&path));
        assert!(matches!(refused, Err(ProgramError::NotExecutable { path, .. }) if path == plain));
        let tool = file(second.path(), "tool", 0o755);
        assert_eq!(resolve("tool", Path::new("/"), Some(&path)).unwrap(), tool);
    }

    #[test]
    fn a_name_with_a_slash_is_relative_to_the_working_directory() {
        let dir = tempfile::tempdir().unwrap();
        file(dir.path(), "tool", 0o755);
        assert_eq!(resolve("./tool", dir.path(), None).unwrap(), dir.path().join("./tool"));
        assert!(matches!(resolve("./none", dir.path(), None), Err(ProgramError::NotFound { .. })));
    }

    #[test]
    fn a_script_whose_interpreter_is_missing_is_named_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let tool = file(dir.path(), "tool", 0o755);
        fs::write(&tool, "#!/nope/sh\n").unwrap();
        let refused = resolve("./tool", dir.path(), None).unwrap_err();
        let said = format!("{}/./tool: its interpreter /nope/sh: not found", dir.path().display());
        assert_eq!(refused.to_string(), said);
    }

    #[test]
    fn a_link_that_leads_to_itself_is_not_called_missing() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
        let why = match resolve("./loop", dir.path(), None) {
            Err(ProgramError::NotExecutable { why, .. }) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why, "too many levels of symbolic links");
    }

    #[test]
    fn a_directory_is_no_program() {
        let refused = resolve("/", Path::new("/"), None);
        assert!(matches!(refused, Err(ProgramError::NotExecutable { why: "is a directory", .. })));
    }
}
