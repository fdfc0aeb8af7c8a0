//! The three standard streams.

use super::property::{FdSlot, Property};
use crate::spec::{Input, Output, ProcSpec};

/// Each stream gets a setting of its own: standard error would follow standard output otherwise (systemd.exec(5)).
pub(super) fn properties(spec: &ProcSpec) -> Vec<Property> {
    let stdio = spec.stdio();
    let mut properties = vec![
        input(&stdio.stdin),
        output("StandardOutput", "StandardOutputFileDescriptor", FdSlot::Stdout, &stdio.stdout),
        output("StandardError", "StandardErrorFileDescriptor", FdSlot::Stderr, &stdio.stderr),
    ];
    properties.push(Property::new("SyslogIdentifier", spec.id().as_str()));
    properties
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
