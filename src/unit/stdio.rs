//! The three standard streams.

use super::property::{FdSlot, Property};
use crate::id::{ProcId, UnitName};
use crate::spec::{Input, Output, ProcSpec};

/// Each stream gets a setting of its own: standard error would follow standard output otherwise (systemd.exec(5)).
pub(super) fn properties(spec: &ProcSpec) -> Vec<Property> {
    let stdio = spec.stdio();
    let mut properties = vec![input(&stdio.stdin)];
    properties.extend(stdout(&stdio.stdout, &stdio.stderr));
    properties.push(output("StandardError", "StandardErrorFileDescriptor", FdSlot::Stderr, &stdio.stderr));
    properties.push(Property::new("SyslogIdentifier", syslog_identifier(spec.id())));
    properties
}

/// A passed descriptor does not replace the setting beside it, and a standard error whose setting equals that of
/// standard output is made a duplicate of it, descriptor and all (`can_inherit_stderr_from_stdout`, execute.c;
/// measured, 252). So the setting beside a passed standard output is one that standard error does not have.
fn stdout(stdout: &Output, stderr: &Output) -> Vec<Property> {
    let mut properties =
        vec![output("StandardOutput", "StandardOutputFileDescriptor", FdSlot::Stdout, stdout)];
    if matches!(stdout, Output::Inherit | Output::Fd(_)) {
        let unlike = if matches!(stderr, Output::Null) { "journal" } else { "null" };
        properties.push(Property::new("StandardOutput", unlike));
    }
    properties
}

/// The name under which the journal has a proc's lines, even where journald was too late to learn the unit
/// (measured, 252: of a process that has exited it knows the identifier and the user alone): the id.
///
/// systemd writes it to the unit's file as it is, where a backslash at the end would swallow the next line; such an
/// id goes by its unit's name.
pub fn syslog_identifier(id: &ProcId) -> String {
    if id.as_str().ends_with('\\') { UnitName::for_proc(id).to_string() } else { id.to_string() }
}

fn input(input: &Input) -> Property {
    match input {
        Input::Null => Property::new("StandardInput", "null"),
        Input::Inherit | Input::Fd(_) => Property::new("StandardInputFileDescriptor", FdSlot::Stdin),
    }
}

fn output(name: &'static str, descriptor: &'static str, slot: FdSlot, output: &Output) -> Property {
    match output {
        Output::Null => Property::new(name, "null"),
        Output::Journal => Property::new(name, "journal"),
        Output::Inherit | Output::Fd(_) => Property::new(descriptor, slot),
    }
}
