//! What has to be looked up on this machine before a proc can be started: the program and the directories. The same
//! on every launcher, so that the same is found, or named as missing.

use std::io;
use std::path::{Path, PathBuf};

use crate::launcher::LaunchError;
use crate::spec::{EnvBase, ProcSpec};
use crate::sys::caller::Surroundings;
use crate::sys::program::{self, ProgramError};

/// A spec's names, looked up.
pub(super) struct Resolved {
    /// The program's absolute path.
    pub(super) program: String,
    /// The spec's working directory, absolute and canonical; `None` where it has none.
    pub(super) cwd: Option<String>,
}

/// Looks a spec's names up from where the caller stands, and whether the kernel can run the program.
///
/// # Errors
/// What is missing or unusable, by its name.
#[cfg(feature = "systemd")]
pub(super) fn resolve(spec: &ProcSpec, caller: &Surroundings) -> Result<Resolved, LaunchError> {
    let resolved = find(spec, caller)?;
    check_format(&resolved, caller)?;
    Ok(resolved)
}

/// The same without a look into the program, for a launcher that gets to hear from execve(2) itself what is wrong with
/// it: [`check_format`] says that in words then.
///
/// # Errors
/// What is missing or unusable, by its name.
pub(super) fn find(spec: &ProcSpec, caller: &Surroundings) -> Result<Resolved, LaunchError> {
    let cwd = match spec.cwd() {
        Some(cwd) => Some(directory(&Path::new(&caller.cwd).join(cwd))?),
        None => None,
    };
    let base = Path::new(cwd.as_deref().unwrap_or(&caller.cwd));
    let found = program::find(spec.program(), base, child_path(spec, caller))?;
    Ok(Resolved { program: utf8(normal(&found))?, cwd })
}

/// Refuses a program that the kernel cannot run for what is in it.
///
/// # Errors
/// What is missing or unusable, by its name.
pub(super) fn check_format(resolved: &Resolved, caller: &Surroundings) -> Result<(), LaunchError> {
    let base = Path::new(resolved.cwd.as_deref().unwrap_or(&caller.cwd));
    Ok(program::check_format(Path::new(&resolved.program), base)?)
}

/// The PATH that the proc will see.
fn child_path<'a>(spec: &'a ProcSpec, caller: &'a Surroundings) -> Option<&'a str> {
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
    let climbs = path.components().any(|part| matches!(part, std::path::Component::ParentDir));
    let parent = path.parent().filter(|_| climbs).map(Path::canonicalize);
    match (parent, path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
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
