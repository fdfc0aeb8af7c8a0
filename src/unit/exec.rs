//! The command line and what exec itself takes: argv, working directory, umask, SIGPIPE.

use super::escape::{self, Quoting};
use super::plan::LaunchContext;
use super::property::{ExecCommand, ExecCommandEx, Property};
use super::version::{Feature, SystemdVersion};
use crate::spec::{Field, Flaw, ProcSpec, SpecError};

pub(super) fn properties(spec: &ProcSpec, launch: &LaunchContext) -> Result<Vec<Property>, SpecError> {
    let mut properties = command(&launch.program, spec.argv(), launch.version)?;
    properties.extend([
        Property::new("WorkingDirectory", cwd(launch)?),
        Property::new("UMask", spec.umask().unwrap_or(launch.caller.umask)),
        // A service ignores SIGPIPE otherwise, and `yes | head` in it never ends.
        Property::new("IgnoreSIGPIPE", false),
    ]);
    Ok(properties)
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
