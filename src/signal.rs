//! Signal numbers and their names: a leaf value. Sending one is `sys`'s work, not this module's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A Linux signal number, 1 to 64.
///
/// Numbers are those of Linux on the generic architectures (x86, arm, riscv, ...), see signal(7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct Signal(i32);

/// The standard signals by number; index 0 is signal 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The first and last realtime signals a program can use; glibc keeps 32 and 33 for itself.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl Signal {
    /// Hangup: the terminal went away.
    pub const HUP: Self = Self(1);
    /// Interrupt from the keyboard.
    pub const INT: Self = Self(2);
    /// Quit from the keyboard, with a core dump.
    pub const QUIT: Self = Self(3);
    /// Ends a process at once; cannot be caught.
    pub const KILL: Self = Self(9);
    /// Invalid memory reference.
    pub const SEGV: Self = Self(11);
    /// Write to a pipe nobody reads.
    pub const PIPE: Self = Self(13);
    /// Asks a process to end; the default stop signal.
    pub const TERM: Self = Self(15);
    /// Continues a stopped process.
    pub const CONT: Self = Self(18);
    /// Stops a process; cannot be caught.
    pub const STOP: Self = Self(19);

    /// The signal with this number.
    ///
    /// # Errors
    /// When the number is not in 1..=64.
    pub const fn new(number: i32) -> Result<Self, BadSignal> {
        if number >= 1 && number <= RTMAX { Ok(Self(number)) } else { Err(BadSignal::Number(number)) }
    }

    /// The signal's number.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The name with its prefix, such as `SIGTERM` or `SIGRTMIN+3`.
    pub fn name(self) -> String {
        match usize::try_from(self.0 - 1).ok().and_then(|index| NAMES.get(index)) {
            Some(name) => format!("SIG{name}"),
            None if self.0 == RTMIN => "SIGRTMIN".to_owned(),
            None if self.0 > RTMIN => format!("SIGRTMIN+{}", self.0 - RTMIN),
            None => format!("SIG{}", self.0),
        }
    }
}

/// Not a signal of this system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSignal {
    /// The number is out of range.
    #[error("{0} is not a signal number (1 to 64)")]
    Number(i32),
    /// The name is unknown.
    #[error("{0:?} is not a signal (write TERM, SIGTERM or 15)")]
    Name(String),
}

impl FromStr for Signal {
    type Err = BadSignal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadSignal::Name(text.to_owned());
        let trimmed = text.trim();
        if trimmed.starts_with(|first: char| first.is_ascii_digit()) {
            return Self::new(trimmed.parse().map_err(|_| bad())?);
        }
        let upper = trimmed.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(index) = NAMES.iter().position(|known| *known == name) {
            return Ok(Self(i32::try_from(index).map_err(|_| bad())? + 1));
        }
        let offset = |rest: &str| if rest.is_empty() { Some(0) } else { rest.parse::<i32>().ok() };
        let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(rest), _) => offset(rest.trim_start_matches('+')).map(|n| RTMIN + n),
            (_, Some(rest)) => offset(rest.trim_start_matches('-')).map(|n| RTMAX - n),
            (None, None) => None,
        };
        match number {
            Some(number) if (RTMIN..=RTMAX).contains(&number) => Ok(Self(number)),
            _ => Err(bad()),
        }
    }
}

impl TryFrom<i32> for Signal {
    type Error = BadSignal;

    fn try_from(number: i32) -> Result<Self, Self::Error> {
        Self::new(number)
    }
}

impl From<Signal> for i32 {
    fn from(signal: Signal) -> Self {
        signal.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_read_by_name_prefix_and_number() {
        for text in ["TERM", "SIGTERM", "sigterm", "15", " 15 "] {
            assert_eq!(text.parse(), Ok(Signal::TERM), "{text:?}");
        }
        assert_eq!("RTMIN+3".parse(), Signal::new(37));
        assert_eq!("SIGRTMAX-1".parse(), Signal::new(63));
    }

    #[test]
    fn what_is_no_signal_is_refused_by_name() {
        for text in ["", "TREM", "0", "65", "-9", "RTMIN+31", "RTMAX-40", "SIG", "9x"] {
            assert!(text.parse::<Signal>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_name_reads_back_as_its_number() {
        for number in (1..=31).chain(RTMIN..=RTMAX) {
            let signal = Signal::new(number).unwrap();
            assert_eq!(signal.name().parse(), Ok(signal));
        }
    }
}
