//! The three standard streams.

use super::property::{FdSlot, Property};
use crate::id::{ProcId, UnitName};

/// What the three standard streams of a unit are, opened or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitStreams {
    /// Whether standard input is a descriptor; `/dev/null` otherwise.
    pub stdin: bool,
    /// Standard output.
    pub stdout: UnitStream,
    /// Standard error.
    pub stderr: UnitStream,
    /// What `JOURNAL_STREAM` has to say where descriptors are streams of the journal's: systemd says it of its own alone.
    pub journal_stream: Option<String>,
    /// A terminal in place of all three.
    pub terminal: Option<String>,
}

/// Standard output or standard error of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnitStream {
    /// `/dev/null`.
    #[default]
    Null,
    /// A stream to the journal that systemd opens.
    Journal,
    /// A descriptor that is passed.
    Descriptor,
}

impl UnitStreams {
    /// Whether systemd opens a stream to the journal, and says so in `JOURNAL_STREAM`.
    pub(super) fn has_systemds_own(&self) -> bool {
        self.terminal.is_none() && [self.stdout, self.stderr].contains(&UnitStream::Journal)
    }
}

/// Each stream gets a setting of its own: standard error would follow standard output otherwise (systemd.exec(5)).
pub(super) fn properties(id: &ProcId, streams: &UnitStreams) -> Vec<Property> {
    let mut properties = match &streams.terminal {
        Some(path) => terminal(path).to_vec(),
        None => apart(streams),
    };
    properties.push(Property::new("SyslogIdentifier", syslog_identifier(id)));
    if streams.journal_stream.is_some() {
        // It is so of the descriptors, and later readers of the unit learn by it that the streams are told apart.
        properties.push(Property::new("SyslogLevelPrefix", false));
    }
    properties
}

/// The terminal becomes the controlling one (systemd.exec(5), `StandardInput=tty`).
fn terminal(path: &str) -> [Property; 4] {
    let tty = |name| Property::new(name, "tty");
    [Property::new("TTYPath", path), tty("StandardInput"), tty("StandardOutput"), tty("StandardError")]
}

fn apart(streams: &UnitStreams) -> Vec<Property> {
    let mut properties = vec![input(streams.stdin)];
    properties.extend(stdout(streams.stdout, streams.stderr));
    properties.push(output("StandardError", "StandardErrorFileDescriptor", FdSlot::Stderr, streams.stderr));
    if (streams.stdout, streams.stderr) == (UnitStream::Null, UnitStream::Descriptor) {
        properties.push(Property::new("StandardError", "journal"));
    }
    properties
}

/// A passed descriptor does not replace the setting beside it, and a standard error whose setting equals that of
/// standard output is made a duplicate of it, descriptor and all (`can_inherit_stderr_from_stdout`, execute.c;
/// measured, 252). So the setting beside a passed standard output is one that standard error does not have.
///
/// It counts from the second run of a restart policy on, as systemd hands descriptors to the first alone (measured,
/// 252): the journal has what would else be lost. A standard error without a setting follows it.
fn stdout(stdout: UnitStream, stderr: UnitStream) -> Vec<Property> {
    let mut properties =
        vec![output("StandardOutput", "StandardOutputFileDescriptor", FdSlot::Stdout, stdout)];
    if stdout == UnitStream::Descriptor {
        let unlike = if stderr == UnitStream::Journal { "null" } else { "journal" };
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

fn input(is_passed: bool) -> Property {
    if is_passed {
        Property::new("StandardInputFileDescriptor", FdSlot::Stdin)
    } else {
        Property::new("StandardInput", "null")
    }
}

fn output(name: &'static str, descriptor: &'static str, slot: FdSlot, stream: UnitStream) -> Property {
    match stream {
        UnitStream::Null => Property::new(name, "null"),
        UnitStream::Journal => Property::new(name, "journal"),
        UnitStream::Descriptor => Property::new(descriptor, slot),
    }
}
