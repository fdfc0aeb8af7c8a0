//! What has to be looked up on this machine before a proc can be started: the program and the directories. The same
//! on every launcher, so that the same is found, or named as missing.

use std::io;
use std::path::{Path, PathBuf};

use crate::launcher::LaunchError;
use crate::spec::{EnvBase, ProcSpec};
use crate::sys::program::{self, ProgramError};
use crate::unit::Caller;

/// A spec's names, looked up.
pub(super) struct Resolved {
    /// The program's absolute path.
    pub(super) program: String,
    /// The spec's working directory, absolute and canonical; `None` where it has none.
    pub(super) cwd: Option<String>,
    /// What a plain child would inherit.
    pub(super) caller: Caller,
}

/// Looks a spec's names up from where the caller stands.
///
/// # Errors
/// What is missing or unusable, by its name.
pub(super) fn resolve(spec: &ProcSpec, caller: Caller) -> Result<Resolved, LaunchError> {
    let cwd = match spec.cwd() {
        Some(cwd) => Some(directory(&Path::new(&caller.cwd).join(cwd))?),
        None => None,
    };
    let base = Path::new(cwd.as_deref().unwrap_or(&caller.cwd));
    let found = program::resolve(spec.program(), base, child_path(spec, &caller))?;
    let program = utf8(normal(&found))?;
    Ok(Resolved { program, cwd, caller })
}

/// The PATH that the proc will see.
fn child_path<'a>(spec: &'a ProcSpec, caller: &'a Caller) -> Option<&'a str> {
    let environment = spec.environment();
    if let Some(change) = environment.changes.get("PATH") {
        return change.as_deref();
    }
    // A clean environment keeps the caller's PATH as well.
    debug_assert!(EnvBase::CLEAN.contains(&"PATH"));
    caller.env.iter().find(|(name, _)| name == "PATH").and_then(|(_, value)| value.to_str())
}

/// systemd 252 refuses a directory with `..` in it with a bare "Access denied" (measured).
fn directory(path: &Path) -> Result<String, LaunchError> {
    let unusable = |source| LaunchError::WorkingDirectory { path: path.to_owned(), source };
    let full = path.canonicalize().map_err(unusable)?;
    if !full.is_dir() {
        return Err(unusable(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    nix::unistd::access(&full, nix::unistd::AccessFlags::X_OK).map_err(|errno| unusable(errno.into()))?;
    utf8(full)
}

/// Without `.` and `..`. The last component stays as it is written: a program may go by the name of its link.
fn normal(path: &Path) -> PathBuf {
    let plain = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    match (plain, path.parent().map(Path::canonicalize), path.file_name()) {
        (false, Some(Ok(parent)), Some(name)) => parent.join(name),
        // Collecting the components drops every `.`.
        _ => path.components().collect(),
    }
}

fn utf8(path: PathBuf) -> Result<String, LaunchError> {
    path.into_os_string().into_string().map_err(|path| LaunchError::NotExecutable {
        path: path.into(),
        why: "the path is not UTF-8, which D-Bus cannot carry",
    })
}

impl From<ProgramError> for LaunchError {
    fn from(error: ProgramError) -> Self {
        match error {
            ProgramError::NotFound { program, searched } => Self::NotFound { program, searched },
            ProgramError::NotExecutable { path, why } => Self::NotExecutable { path, why },
            ProgramError::Interpreter { path, interpreter, why } => {
                Self::Interpreter { path, interpreter, why }
            }
        }
    }
}
