//! What the environment sets of the output of a manager's procs. A builder's call goes before it, and so does a spec's.

use std::ffi::OsString;

use super::outlets::OutputSettings;

/// The most streams to the journal that a manager opens itself.
const STREAMS: &str = "PROCUNIT_JOURNAL_STREAMS";
/// Whether lines go to the channel of a manager that has one.
const FORWARD: &str = "PROCUNIT_FORWARD";
/// Whether lines go to the files of a manager that has such.
const AGGREGATE: &str = "PROCUNIT_AGGREGATE";

/// A variable of the environment that says nothing which can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={given:?}: it takes {wanted}")]
pub struct BadSetting {
    name: &'static str,
    given: OsString,
    wanted: &'static str,
}

impl OutputSettings {
    /// Takes what these variables say and nobody has said before.
    ///
    /// # Errors
    /// [`BadSetting`], of the first that says nothing.
    pub(super) fn take_env(&mut self, var: impl Fn(&str) -> Option<OsString>) -> Result<(), BadSetting> {
        let streams = setting(&var, STREAMS, "a number", |text| text.parse().ok())?;
        self.streams = self.streams.or(streams);
        self.forwards = switch(&var, FORWARD)?.or(self.forwards);
        self.aggregates = switch(&var, AGGREGATE)?.or(self.aggregates);
        Ok(())
    }
}

fn switch(var: impl Fn(&str) -> Option<OsString>, name: &'static str) -> Result<Option<bool>, BadSetting> {
    setting(var, name, "on or off", |text| match text.to_ascii_lowercase().as_str() {
        "on" | "yes" | "true" | "1" => Some(true),
        "off" | "no" | "false" | "0" => Some(false),
        _ => None,
    })
}

/// What a variable says; one that is empty says nothing.
fn setting<T>(
    var: impl Fn(&str) -> Option<OsString>,
    name: &'static str,
    wanted: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, BadSetting> {
    let Some(given) = var(name).filter(|given| !given.is_empty()) else { return Ok(None) };
    match given.to_str().and_then(|text| read(text.trim())) {
        Some(said) => Ok(Some(said)),
        None => Err(BadSetting { name, given, wanted }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<OutputSettings, BadSetting> {
        let var = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.into());
        let mut settings = OutputSettings::default();
        settings.take_env(var).map(|()| settings)
    }

    #[test]
    fn variables_set_what_nobody_has_set() {
        let none = of(&[(STREAMS, "")]).unwrap();
        assert_eq!((none.streams, none.forwards, none.aggregates), (None, None, None));
        let all = of(&[(STREAMS, " 10"), (FORWARD, "Off"), (AGGREGATE, "1")]).unwrap();
        assert_eq!((all.streams, all.forwards, all.aggregates), (Some(10), Some(false), Some(true)));
        let mut built = OutputSettings { streams: Some(3), ..OutputSettings::default() };
        built.take_env(|name| (name == STREAMS).then(|| "10".into())).unwrap();
        assert_eq!(built.streams, Some(3));
    }

    #[test]
    fn what_says_nothing_is_refused_by_name() {
        for (name, given, wanted) in [(STREAMS, "-1", "a number"), (FORWARD, "perhaps", "on or off")] {
            let refused = of(&[(name, given)]).err().unwrap().to_string();
            assert_eq!(refused, format!("{name}={given:?}: it takes {wanted}"));
        }
    }
}
