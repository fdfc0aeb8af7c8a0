//! What a proc's environment is, on every launcher: the caller's as far as it can be passed, the spec's changes, and
//! what says which proc it is. What a launcher adds to that is its own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::defaults::ENVIRONMENT_ENTRIES_MAX;
#[cfg(feature = "native")]
use super::environment::Environment;
use super::environment::{EnvBase, OWN, PER_SERVICE, long_value_flaw, name_flaw, value_flaw};
use super::error::{Field, Flaw, SpecError};
use super::proc_spec::ProcSpec;
use super::stdio::Output;

/// The environment that a proc shall see.
///
/// What systemd cannot carry is passed by no launcher: the same spec gives the same environment everywhere.
#[derive(Clone, PartialEq, Eq)]
pub struct ChildEnv {
    /// Its entries.
    pub set: BTreeMap<String, String>,
    /// Entries of the caller that cannot be passed, by name, and why.
    pub dropped: Vec<(String, Flaw)>,
}

/// What decides which entries of its caller a proc inherits, where its spec changes none.
#[cfg(feature = "native")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inheritance {
    base: EnvBase,
    /// Whether the caller's `JOURNAL_STREAM` stays true of it.
    journal_stream: bool,
}

impl ChildEnv {
    /// The environment of this spec's proc, launched by a caller that has this environment, on this host.
    pub fn of(spec: &ProcSpec, caller: &[(OsString, OsString)], host: &str) -> Self {
        let mut seen = Self::inherited(spec, caller);
        for (name, value) in &spec.environment().changes {
            if let Some(value) = value {
                seen.set.insert(name.clone(), value.clone());
            } else {
                seen.set.remove(name);
            }
        }
        seen.set.extend(own(spec, host).map(|(name, value)| (name.to_owned(), value)));
        seen
    }

    /// What of it comes from the caller: all that can be passed, the first of several with one name, as getenv(3)
    /// reads it.
    pub(crate) fn inherited(spec: &ProcSpec, caller: &[(OsString, OsString)]) -> Self {
        let mut seen = Self { set: BTreeMap::new(), dropped: Vec::new() };
        for (name, value) in caller.iter().filter(|(name, _)| is_inherited(&name.to_string_lossy(), spec)) {
            match passable(name, value) {
                Ok((name, value)) => {
                    seen.set.entry(name.to_owned()).or_insert_with(|| value.to_owned());
                }
                Err(dropped) => seen.dropped.push(dropped),
            }
        }
        seen
    }

    /// By what this spec inherits: others with the same get the same from the same caller. `None` where it depends on
    /// what the spec changes.
    #[cfg(feature = "native")]
    pub(crate) fn inheritance(spec: &ProcSpec) -> Option<Inheritance> {
        let Environment { base, changes } = spec.environment();
        let journal_stream = keeps_journal_stream(spec);
        changes.is_empty().then_some(Inheritance { base: *base, journal_stream })
    }

    /// What says which proc it is.
    #[cfg(feature = "native")]
    pub(crate) fn own(spec: &ProcSpec, host: &str) -> impl Iterator<Item = (&'static str, String)> {
        own(spec, host)
    }

    /// Refuses more entries than systemd takes.
    ///
    /// # Errors
    /// When there are more.
    pub fn check_count(&self) -> Result<(), SpecError> {
        Self::check_count_of(self.set.len())
    }

    /// The same of so many.
    ///
    /// # Errors
    /// When there are more.
    pub(crate) fn check_count_of(count: usize) -> Result<(), SpecError> {
        let max = ENVIRONMENT_ENTRIES_MAX;
        if count > max {
            return Err(SpecError::new(Field::Environment, Flaw::TooMany { count, max }));
        }
        Ok(())
    }
}

/// An entry as D-Bus can carry it and the kernel takes it, or its name as people can read it and what is wrong.
fn passable<'a>(name: &'a OsStr, value: &'a OsStr) -> Result<(&'a str, &'a str), (String, Flaw)> {
    let shown = || name.to_string_lossy().into_owned();
    let (name_bytes, value_bytes) = (name.as_bytes(), value.as_bytes());
    let flaw = name_flaw(name_bytes)
        .or_else(|| value_flaw(value_bytes))
        .or_else(|| long_value_flaw(name_bytes, value_bytes));
    if let Some(flaw) = flaw {
        return Err((shown(), flaw));
    }
    name.to_str().zip(value.to_str()).ok_or_else(|| (shown(), Flaw::NotUtf8))
}

fn is_inherited(name: &str, spec: &ProcSpec) -> bool {
    let environment = spec.environment();
    let in_base = environment.base == EnvBase::Caller || EnvBase::CLEAN.contains(&name);
    in_base
        && !environment.changes.contains_key(name)
        && !OWN.contains(&name)
        && (!PER_SERVICE.contains(&name) || (name == "JOURNAL_STREAM" && keeps_journal_stream(spec)))
}

/// `JOURNAL_STREAM` names the stream behind a program's own output: it stays true of an output that is handed on,
/// and a launcher sets its own for one that it connects.
fn keeps_journal_stream(spec: &ProcSpec) -> bool {
    let stdio = spec.stdio();
    let is_inherited = |output: &Output| matches!(output, Output::Inherit);
    let handed_on = is_inherited(&stdio.stdout) || is_inherited(&stdio.stderr);
    stdio.terminal.is_none() && handed_on && !stdio.connects_journal()
}

/// What says which proc it is.
fn own(spec: &ProcSpec, host: &str) -> impl Iterator<Item = (&'static str, String)> {
    let rank = spec.rank().map(|rank| ("PROCUNIT_RANK", rank.to_string()));
    let id = ("PROCUNIT_ID", spec.id().to_string());
    let name = ("PROCUNIT_PROCESS_NAME", spec.process_name(host));
    [id, name].into_iter().chain(rank)
}
