//! Own property values into D-Bus variants.

use std::os::fd::BorrowedFd;

use zbus::{Fd, Variant};

use super::error::BusError;
use crate::unit::property::{FdSlot, Property, Value};

/// The descriptors that go along with a unit, lent for the length of the call; systemd gets duplicates.
#[derive(Debug, Clone, Copy, Default)]
pub struct FdSlots<'fd> {
    /// The proc's standard input.
    pub stdin: Option<BorrowedFd<'fd>>,
    /// The proc's standard output.
    pub stdout: Option<BorrowedFd<'fd>>,
    /// The proc's standard error.
    pub stderr: Option<BorrowedFd<'fd>>,
    /// The read end of the pipe whose closing ends what is tied to it.
    pub tie: Option<BorrowedFd<'fd>>,
}

impl<'fd> FdSlots<'fd> {
    fn get(&self, slot: FdSlot) -> Result<BorrowedFd<'fd>, BusError> {
        let found = match slot {
            FdSlot::Stdin => self.stdin,
            FdSlot::Stdout => self.stdout,
            FdSlot::Stderr => self.stderr,
            FdSlot::Tie => self.tie,
        };
        found.ok_or(BusError::NoDescriptor(slot))
    }
}

/// Each property as `StartTransientUnit` takes it, strings borrowed.
pub(super) fn properties<'a>(
    properties: &'a [Property],
    fds: &FdSlots<'a>,
) -> Result<Vec<(&'a str, Variant<'a>)>, BusError> {
    properties.iter().map(|property| Ok((&*property.name, variant(&property.value, fds)?))).collect()
}

fn variant<'a>(value: &'a Value, fds: &FdSlots<'a>) -> Result<Variant<'a>, BusError> {
    Ok(match value {
        Value::Bool(value) => (*value).into(),
        Value::I32(value) => (*value).into(),
        Value::U32(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::U64(value) => (*value).into(),
        Value::F64(value) => (*value).into(),
        Value::Str(value) => value.as_str().into(),
        Value::StrList(values) => strings(values).into(),
        Value::Exec(commands) => {
            let commands = commands.iter();
            Variant::new(
                commands
                    .map(|command| (command.path.as_str(), strings(&command.argv), command.ignore_failure))
                    .collect::<Vec<_>>(),
            )
        }
        Value::ExecEx(commands) => {
            let commands = commands.iter();
            Variant::new(
                commands
                    .map(|command| (command.path.as_str(), strings(&command.argv), strings(&command.flags)))
                    .collect::<Vec<_>>(),
            )
        }
        Value::Fd(slot) => Fd::from(fds.get(*slot)?).into(),
    })
}

fn strings(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::property::{ExecCommand, ExecCommandEx};

    #[test]
    fn each_value_has_the_signature_systemd_asks_for() {
        let exec = ExecCommand { path: "/bin/true".into(), argv: vec!["true".into()], ignore_failure: false };
        let exec_ex =
            ExecCommandEx { path: exec.path.clone(), argv: vec![], flags: vec!["no-env-expand".into()] };
        let values: [(Value, &str); 10] = [
            (true.into(), "b"),
            ((-1_i32).into(), "i"),
            (1_u32.into(), "u"),
            ((-1_i64).into(), "x"),
            (1_u64.into(), "t"),
            (0.5.into(), "d"),
            ("text".into(), "s"),
            (Vec::<String>::new().into(), "as"),
            (vec![exec].into(), "a(sasb)"),
            (vec![exec_ex].into(), "a(sasas)"),
        ];
        for (value, signature) in values {
            let variant = variant(&value, &FdSlots::default()).unwrap();
            assert_eq!(variant.value_signature().to_string(), signature);
        }
        let none: Value = Vec::<ExecCommand>::new().into();
        assert_eq!(variant(&none, &FdSlots::default()).unwrap().value_signature().to_string(), "a(sasb)");
    }

    #[test]
    fn a_descriptor_that_was_not_handed_over_is_named() {
        let error = variant(&FdSlot::Stderr.into(), &FdSlots::default()).unwrap_err();
        assert!(matches!(error, BusError::NoDescriptor(FdSlot::Stderr)), "{error}");
    }
}
