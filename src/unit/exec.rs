//! The command line and what exec itself takes: argv, working directory, umask, SIGPIPE.

use super::escape::{self, Quoting};
use super::plan::LaunchContext;
use super::property::{ExecCommand, ExecCommandEx, Property};
use super::version::{Feature, SystemdVersion};
use crate::spec::{Field, Flaw, ProcSpec, SpecError};

pub(super) fn properties(spec: &ProcSpec, launch: &LaunchContext) -> Result<Vec<Property>, SpecError> {
    let mut properties = command(program(launch)?, spec.argv(), launch.version)?;
    properties.extend([
        Property::new("WorkingDirectory", cwd(launch)?),
        Property::new("UMask", spec.umask().unwrap_or(launch.caller.umask)),
        // A service ignores SIGPIPE otherwise, and `yes | head` in it never ends.
        Property::new("IgnoreSIGPIPE", false),
    ]);
    Ok(properties)
}

/// The program's path. From systemd 255 on a process is started by an executor that is told line by line what to run,
/// and the path stands there without quotes: `\n` and `\r` cut it, and blanks at its end are lost (203, measured, 257).
fn program(launch: &LaunchContext) -> Result<&str, SpecError> {
    let path = launch.program.as_str();
    let flaw = match path.chars().find(|c| matches!(c, '\n' | '\r')) {
        Some(found) => Flaw::Control(found),
        None if path.ends_with([' ', '\t']) => Flaw::LostEnd,
        None => return Ok(path),
    };
    Err(SpecError::new(Field::Program, flaw))
}

/// What a unit runs after a reload where its real command would not be read back as it was: nothing, under a name
/// that says why in `systemctl status`. No such file can be, so that systemd refuses the restart (203, EXEC).
pub(super) const REFUSAL: &str = "/procunit-cannot-restart-this-after-a-daemon-reload";

/// The command line such that the program gets argv byte for byte, now and at each later start of the unit.
///
/// systemd runs what the call says until a reload, and from then on what it reads from the unit's file.
///
/// - From 254, `ExecStartEx` with `no-env-expand` is exact in both (measured, 257).
/// - Before, the file's reader keeps the backslash that the writer puts before `$` and `;` (`unit_escape_setting`,
///   unit.c), and no spelling avoids it. An argv without the two is exact as plain `ExecStart` (measured, 252).
/// - With one of them, memory and file get different commands. Assigning an empty list drops what was there before;
///   but the file gets `ExecStartEx=` under that very name, which its reader does not know. So the file keeps the
///   refusal alone and memory the exact command: restarts are right until a reload and refused after one
///   (measured, 252; the running process is not touched by the reload, the unit stays `loaded`).
fn command(path: &str, argv: &[String], version: SystemdVersion) -> Result<Vec<Property>, SpecError> {
    let exact = vec![ExecCommandEx {
        path: path.to_owned(),
        argv: argv.to_vec(),
        flags: vec!["no-env-expand".to_owned()],
    }];
    let exact = Property::new("ExecStartEx", exact);
    escape::check_line(&exact, Quoting::Exec, Field::Argv)?;
    Ok(if version.has(Feature::ExecStartEx) {
        vec![exact]
    } else if read_back_exactly(path, argv) {
        vec![plain(path, argv.to_vec())]
    } else {
        vec![
            plain(REFUSAL, vec![REFUSAL.to_owned()]),
            Property::new("ExecStartEx", Vec::<ExecCommandEx>::new()),
            exact,
        ]
    })
}

fn plain(path: &str, argv: Vec<String>) -> Property {
    Property::new("ExecStart", vec![ExecCommand { path: path.to_owned(), argv, ignore_failure: false }])
}

/// Whether a start of the unit after a reload is refused: see [`command`].
pub(super) fn is_refused_after_reload(spec: &ProcSpec, launch: &LaunchContext) -> bool {
    !launch.version.has(Feature::ExecStartEx) && !read_back_exactly(&launch.program, spec.argv())
}

/// Whether systemd before 254 reads a command from the unit's file as it was written there.
///
/// A path that is not `argv[0]` stands there without quotes, so that a blank would end it. (All versions write it
/// so: from 254 such a unit fails to restart after a reload, or starts what the part before the blank names.)
fn read_back_exactly(path: &str, argv: &[String]) -> bool {
    let harmless = |text: &str| !text.contains(['$', ';']);
    let is_argv0 = argv.first().is_some_and(|arg0| arg0 == path);
    harmless(path)
        && argv.iter().all(|arg| harmless(arg))
        && (is_argv0 || !path.contains(char::is_whitespace))
}

/// The directory, which systemd writes to the unit's file without quotes or escapes (measured, 252): a line break
/// in it would start a line of its own there, and a backslash at its end would swallow the next.
fn cwd(launch: &LaunchContext) -> Result<&str, SpecError> {
    let cwd = launch.cwd.as_ref().unwrap_or(&launch.caller.cwd);
    let flaw = match cwd.chars().find(|c| c.is_control()) {
        Some(found) => Some(Flaw::Control(found)),
        None if !cwd.starts_with('/') => Some(Flaw::NotAbsolute),
        None if cwd.ends_with(|c: char| c == '\\' || c.is_whitespace()) => Some(Flaw::LostEnd),
        None => None,
    };
    flaw.map_or(Ok(cwd), |flaw| Err(SpecError::new(Field::Cwd, flaw)))
}

/// What the kernel takes of all strings together, each with its NUL and its pointer: a quarter of the stack limit
/// (execve(2), "Limits on size of arguments and environment"), which for a user manager's services is 8 MiB where
/// nobody set another. A little of it is left for what systemd adds.
const EXEC_TOTAL_MAX: usize = 2 * 1024 * 1024 - 4096;

/// Refuses what execve(2) would answer with E2BIG, where only systemd's child would hear it.
pub(super) fn check_total(
    spec: &ProcSpec,
    launch: &LaunchContext,
    entries: impl Iterator<Item = usize>,
) -> Result<(), SpecError> {
    if launch.extra.iter().any(|property| property.name.starts_with("LimitSTACK")) {
        return Ok(());
    }
    let args = spec.argv().iter().map(String::len);
    let len: usize = args.chain(entries).map(|string| string + 1 + size_of::<usize>()).sum();
    let len = len + launch.program.len() + 1;
    if len <= EXEC_TOTAL_MAX {
        return Ok(());
    }
    Err(SpecError::new(Field::ExecTotal, Flaw::TooLong { len, max: EXEC_TOTAL_MAX }))
}
