//! Whether a proc is started again when a run of it is over.
//!
//! The words and the arithmetic are systemd's (systemd.service(5), `Restart=`, `RestartSec=`, `RestartSteps=`), so
//! that a policy means the same whoever carries it out. Which ends count as a failure:
//! [`Exit::is_failure`](crate::status::exit::Exit::is_failure).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::defaults;
use super::error::{Field, Flaw, SpecError};
use super::stop::check_finite;

/// After which ends a proc is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RestartWhen {
    /// After those that systemd counts as a failure: an exit code other than 0, death by a signal other than HUP, INT,
    /// TERM and PIPE, a core dump, a time limit.
    OnFailure,
    /// After every end that nobody asked for.
    Always,
}

/// Starts a proc again when a run of it is over.
///
/// A stop is obeyed by either policy: what was asked to end is not started again. The values are checked when the spec
/// is built.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a policy does nothing until a spec has it"]
pub struct RestartPolicy {
    when: RestartWhen,
    max: Option<u32>,
    delay: Duration,
    max_delay: Option<Duration>,
}

impl RestartPolicy {
    /// Again after each failure.
    pub const fn on_failure() -> Self {
        Self::new(RestartWhen::OnFailure)
    }

    /// Again after each end.
    pub const fn always() -> Self {
        Self::new(RestartWhen::Always)
    }

    const fn new(when: RestartWhen) -> Self {
        Self { when, max: None, delay: defaults::RESTART_DELAY, max_delay: None }
    }

    /// At most this many times; as often as it takes without. The first start is no restart, and 0 is refused.
    pub const fn max(self, restarts: u32) -> Self {
        Self { max: Some(restarts), ..self }
    }

    /// This long after each end; 100 ms without, as systemd has it. It must be finite and not zero.
    ///
    /// systemd takes a kill as two calls, SIGKILL and a stop. With a delay of a few milliseconds the next run may begin
    /// between the two (seen with 1 ms, 252): it is then stopped at once, and the end is that run's. Ends that follow
    /// each other as fast may come as one signal; a run that was not seen is counted, not listed.
    pub const fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Lets the delay grow from restart to restart until it is this long. It must be finite and not below the delay.
    ///
    /// systemd can do that from 254 on; below, the delay stays what it is, and the launch says so.
    pub const fn max_delay(self, longest: Duration) -> Self {
        Self { max_delay: Some(longest), ..self }
    }

    /// After which ends.
    pub const fn when(&self) -> RestartWhen {
        self.when
    }

    /// How often at the most; `None` is as often as it takes.
    pub const fn max_restarts(&self) -> Option<u32> {
        self.max
    }

    /// From an end to the first restart.
    pub const fn first_delay(&self) -> Duration {
        self.delay
    }

    /// What the delay grows to; `None` where it does not grow.
    pub fn longest_delay(&self) -> Option<Duration> {
        self.max_delay.filter(|longest| *longest > self.delay)
    }

    /// In how many restarts the delay grows to the longest, at most doubling with each; 0 where it does not grow.
    pub fn steps(&self) -> u32 {
        let Some(longest) = self.longest_delay() else { return 0 };
        let reached = |steps: &u32| {
            let doubled =
                1_u128.checked_shl(*steps).and_then(|factor| self.delay.as_micros().checked_mul(factor));
            doubled.is_none_or(|doubled| doubled >= longest.as_micros())
        };
        (1..=u128::BITS).find(reached).unwrap_or(u32::MAX)
    }

    /// From an end to the restart with this number, the first being 1.
    ///
    /// systemd's own formula (`service_restart_usec_next`, service.c, 254 to 257): the delays are a geometric series.
    pub fn delay_before(&self, restart: u32) -> Duration {
        let (Some(longest), steps) = (self.longest_delay(), self.steps()) else { return self.delay };
        match restart {
            0 | 1 => self.delay,
            _ if restart > steps => longest,
            _ => {
                let growth = longest.as_secs_f64() / self.delay.as_secs_f64();
                let grown = growth.powf(f64::from(restart - 1) / f64::from(steps));
                self.delay.mul_f64(grown).clamp(self.delay, longest)
            }
        }
    }

    /// Reads what `--restart` takes: `no`, `on-failure[:MAX]` or `always[:MAX]`.
    ///
    /// # Errors
    /// [`BadRestartPolicy`].
    pub fn parse(text: &str) -> Result<Option<Self>, BadRestartPolicy> {
        if text == "no" { Ok(None) } else { text.parse().map(Some) }
    }

    pub(super) fn check(&self) -> Result<(), SpecError> {
        if self.max == Some(0) {
            return Err(SpecError::new(Field::RestartMax, Flaw::None));
        }
        if self.delay.as_micros() == 0 {
            return Err(SpecError::new(Field::RestartDelay, Flaw::None));
        }
        check_finite(Field::RestartDelay, self.delay)?;
        let Some(longest) = self.max_delay else { return Ok(()) };
        check_finite(Field::RestartMaxDelay, longest)?;
        if longest < self.delay {
            Err(SpecError::new(Field::RestartMaxDelay, Flaw::BelowDelay))
        } else {
            Ok(())
        }
    }
}

/// Words that are no restart policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRestartPolicy {
    /// No such policy.
    #[error("{text:?} is no restart policy; there are no, on-failure[:MAX] and always[:MAX]{}", meant(text))]
    Unknown {
        /// What was read.
        text: String,
    },
    /// What follows the colon is no number of restarts.
    #[error("{text:?} is no number of restarts; it is a whole number from 1 on")]
    Max {
        /// What was read.
        text: String,
    },
}

/// What somebody who writes this has in mind, where it is close to one.
fn meant(text: &str) -> String {
    let plain: String =
        text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    let near = match plain.as_str() {
        "onfailure" | "failure" | "onfail" | "onabnormal" | "onabort" => "on-failure",
        "always" | "unlessstopped" | "yes" | "true" | "onsuccess" => "always",
        "never" | "none" | "off" | "false" | "no" => "no",
        _ => return String::new(),
    };
    format!("; did you mean {near}?")
}

impl FromStr for RestartPolicy {
    type Err = BadRestartPolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, max) = text.split_once(':').map_or((text, None), |(word, max)| (word, Some(max)));
        let policy = match word {
            "on-failure" => Self::on_failure(),
            "always" => Self::always(),
            _ => return Err(BadRestartPolicy::Unknown { text: text.to_owned() }),
        };
        let Some(max) = max else { return Ok(policy) };
        // A sign is no digit.
        let number =
            max.parse().ok().filter(|number| *number > 0 && max.bytes().all(|byte| byte.is_ascii_digit()));
        number.map(|number| policy.max(number)).ok_or_else(|| BadRestartPolicy::Max { text: max.to_owned() })
    }
}

/// The policy as [`RestartPolicy::parse`] reads it; the delays are not told.
impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.when {
            RestartWhen::OnFailure => "on-failure",
            RestartWhen::Always => "always",
        })?;
        self.max.map_or(Ok(()), |max| write!(f, ":{max}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(span: u64) -> Duration {
        Duration::from_millis(span)
    }

    #[test]
    fn a_bare_policy_has_systemds_delay_and_no_end() {
        let policy = RestartPolicy::always();
        assert_eq!((policy.max_restarts(), policy.first_delay(), policy.steps()), (None, millis(100), 0));
        assert_eq!(policy.delay_before(1_000), millis(100));
    }

    /// 1 s, 2 s, 4 s, 8 s, 10 s: what systemd 257 shows as `RestartUSecNext` with `RestartSteps=4`.
    #[test]
    fn a_growing_delay_at_most_doubles_and_then_stays() {
        let policy = RestartPolicy::on_failure().delay(millis(1_000)).max_delay(millis(16_000));
        assert_eq!(policy.steps(), 4);
        let delays: Vec<_> = (1..=7).map(|restart| policy.delay_before(restart).as_millis()).collect();
        assert_eq!(delays, [1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000]);
    }

    #[test]
    fn the_words_are_read_and_written_alike() {
        for text in ["on-failure", "always", "on-failure:1", "always:4294967295"] {
            assert_eq!(text.parse::<RestartPolicy>().unwrap().to_string(), text);
        }
        assert_eq!(RestartPolicy::parse("no"), Ok(None));
        assert_eq!(RestartPolicy::parse("always:3"), Ok(Some(RestartPolicy::always().max(3))));
    }

    #[test]
    fn a_near_miss_is_told_what_there_is() {
        let told = |text: &str| RestartPolicy::parse(text).unwrap_err().to_string();
        let all = |text: &str, near: &str| {
            format!("{text:?} is no restart policy; there are no, on-failure[:MAX] and always[:MAX]{near}")
        };
        assert_eq!(told("sometimes"), all("sometimes", ""));
        assert_eq!(told("unless-stopped"), all("unless-stopped", "; did you mean always?"));
        assert_eq!(told("On_Failure"), all("On_Failure", "; did you mean on-failure?"));
        assert_eq!(told("never"), all("never", "; did you mean no?"));
        assert_eq!(told("no:3"), all("no:3", "; did you mean no?"));
        assert_eq!(told(""), all("", ""));
        for (text, max) in [("always:", ""), ("always:0", "0"), ("on-failure:-1", "-1"), ("always:+2", "+2")]
        {
            assert_eq!(
                told(text),
                format!("{max:?} is no number of restarts; it is a whole number from 1 on")
            );
        }
        assert!(RestartPolicy::parse("always:4294967296").is_err());
    }

    #[test]
    fn what_systemd_would_read_otherwise_is_refused_by_name() {
        let refused = |policy: RestartPolicy| {
            let error = policy.check().unwrap_err();
            (error.field().clone(), error.flaw().clone())
        };
        let policy = RestartPolicy::always;
        assert_eq!(refused(policy().max(0)), (Field::RestartMax, Flaw::None));
        assert_eq!(refused(policy().delay(Duration::ZERO)), (Field::RestartDelay, Flaw::None));
        assert_eq!(refused(policy().delay(Duration::from_nanos(999))), (Field::RestartDelay, Flaw::None));
        assert_eq!(refused(policy().delay(Duration::MAX)), (Field::RestartDelay, Flaw::NotFinite));
        assert_eq!(refused(policy().max_delay(Duration::MAX)), (Field::RestartMaxDelay, Flaw::NotFinite));
        assert_eq!(refused(policy().max_delay(millis(99))), (Field::RestartMaxDelay, Flaw::BelowDelay));
        assert_eq!(policy().max_delay(millis(100)).max(1).check(), Ok(()));
    }

    fn policies() -> impl Strategy<Value = RestartPolicy> {
        (1..10_000_000_000_u64, proptest::option::of(1..10_000_000_000_u64)).prop_map(|(delay, more)| {
            let policy = RestartPolicy::on_failure().delay(Duration::from_micros(delay));
            more.map_or(policy.clone(), |more| policy.max_delay(Duration::from_micros(delay + more)))
        })
    }

    proptest! {
        #[test]
        fn a_delay_never_shrinks_and_stays_within_its_bounds(policy in policies(), restart in 1..200_u32) {
            let (one, next) = (policy.delay_before(restart), policy.delay_before(restart + 1));
            let longest = policy.longest_delay().unwrap_or(policy.first_delay());
            prop_assert!(policy.first_delay() <= one && one <= next && next <= longest);
            // A microsecond of rounding apart.
            prop_assert!(next <= one * 2 + Duration::from_micros(1));
        }

        #[test]
        fn the_longest_delay_is_reached_after_its_steps_and_not_before(policy in policies()) {
            let Some(longest) = policy.longest_delay() else { return Ok(()) };
            prop_assert_eq!(policy.delay_before(policy.steps() + 1), longest);
            prop_assert!(policy.delay_before(policy.steps()) < longest);
        }
    }
}
