//! The command line and what exec itself takes: argv, working directory, umask, SIGPIPE.

use super::escape::{self, Quoting};
use super::plan::LaunchContext;
use super::property::{ExecCommand, ExecCommandEx, Property};
use super::version::Feature;
use crate::spec::{Field, ProcSpec, SpecError};

pub(super) fn properties(spec: &ProcSpec, launch: &LaunchContext) -> Result<Vec<Property>, SpecError> {
    let cwd = launch.cwd.as_ref().unwrap_or(&launch.caller.cwd);
    Ok(vec![
        command(spec, launch)?,
        Property::new("WorkingDirectory", cwd.as_str()),
        Property::new("UMask", spec.umask().unwrap_or(launch.caller.umask)),
        // A service ignores SIGPIPE otherwise, and `yes | head` in it never ends.
        Property::new("IgnoreSIGPIPE", false),
    ])
}

/// The command line such that the program gets argv byte for byte.
///
/// From 254 systemd is told not to look for variables. Before, `ExecStartEx` is written to the unit's file under a
/// name that the file's reader does not know, so that any reload poisons the unit (measured, 252; fixed in 254);
/// there every `$` is doubled.
fn command(spec: &ProcSpec, launch: &LaunchContext) -> Result<Property, SpecError> {
    let path = launch.program.clone();
    let property = if launch.version.has(Feature::ExecStartEx) {
        let flags = vec!["no-env-expand".to_owned()];
        Property::new("ExecStartEx", vec![ExecCommandEx { path, argv: spec.argv().to_vec(), flags }])
    } else {
        let argv = spec.argv().iter().map(|arg| arg.replace('$', "$$")).collect();
        Property::new("ExecStart", vec![ExecCommand { path, argv, ignore_failure: false }])
    };
    escape::check_line(&property, Quoting::Exec, Field::Argv)?;
    Ok(property)
}
