//! How a proc is ended.

use std::time::Duration;

use super::defaults;
use super::error::{Field, Flaw, SpecError};
use crate::signal::Signal;

/// How a proc is asked to end, and when it is made to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopPolicy {
    /// What asks it.
    pub signal: Signal,
    /// From the signal to SIGKILL; zero kills at once. Never beyond the backstop.
    pub timeout: Duration,
    /// The unit's own stop timeout: it ends the proc even if the caller dies in the middle of a stop. It cannot be
    /// changed once the proc runs (`TimeoutStopUSec` has no setter at run time, measured on 252).
    pub backstop: Duration,
    /// The timeout that was asked for, where the backstop cut it.
    asked: Option<Duration>,
}

impl StopPolicy {
    /// A policy; a timeout beyond the backstop is cut to it.
    ///
    /// # Errors
    /// When the backstop is zero, which systemd reads as "never", or not finite.
    pub fn new(signal: Signal, timeout: Duration, backstop: Duration) -> Result<Self, SpecError> {
        check_span(Field::Backstop, backstop)?;
        let asked = (timeout > backstop).then_some(timeout);
        Ok(Self { signal, timeout: timeout.min(backstop), backstop, asked })
    }

    /// Whether the timeout was cut to the backstop.
    pub const fn is_cut(&self) -> bool {
        self.asked.is_some()
    }

    /// The timeout that was asked for, cut or not.
    pub fn asked(&self) -> Duration {
        self.asked.unwrap_or(self.timeout)
    }
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self {
            signal: defaults::STOP_SIGNAL,
            timeout: defaults::STOP_TIMEOUT,
            backstop: defaults::BACKSTOP,
            asked: None,
        }
    }
}

/// Refuses a span that systemd would read as "no limit": zero in its microseconds, or all ones.
pub(super) fn check_span(field: Field, span: Duration) -> Result<(), SpecError> {
    if span.as_micros() == 0 {
        return Err(SpecError::new(field, Flaw::Zero));
    }
    check_finite(field, span)
}

/// Refuses a span that systemd would read as one without an end.
pub(super) fn check_finite(field: Field, span: Duration) -> Result<(), SpecError> {
    match u64::try_from(span.as_micros()) {
        Ok(u64::MAX) | Err(_) => Err(SpecError::new(field, Flaw::NotFinite)),
        Ok(_) => Ok(()),
    }
}
