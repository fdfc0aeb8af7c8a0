//! The environment of a child. What all children of one caller have in common is made once.

use std::ffi::{NulError, OsString};
use std::sync::{Arc, Mutex, PoisonError};

use crate::spec::{ChildEnv, Flaw, Inheritance, ProcSpec};
use crate::sys::caller::Surroundings;
use crate::sys::strings::Strings;

/// Makes environments.
#[derive(Default)]
pub(super) struct Environments {
    newest: Mutex<Option<Inherited>>,
}

/// What comes from the caller, and what it was made of.
#[derive(Clone)]
struct Inherited {
    inheritance: Inheritance,
    caller: Arc<[(OsString, OsString)]>,
    entries: Arc<Strings>,
    dropped: Arc<[(String, Flaw)]>,
}

/// One child's.
pub(super) struct Environment {
    /// What it has in common with others.
    pub(super) inherited: Arc<Strings>,
    /// What is its own.
    pub(super) own: Strings,
    /// Entries of the caller that cannot be passed, by name, and why.
    pub(super) dropped: Arc<[(String, Flaw)]>,
}

impl Environments {
    /// The environment of this spec's proc.
    ///
    /// # Errors
    /// Where something holds a NUL byte, which neither a spec nor an environment does.
    pub(super) fn of(&self, spec: &ProcSpec, caller: &Surroundings) -> Result<Environment, NulError> {
        let inherited = match ChildEnv::inheritance(spec) {
            Some(inheritance) => self.newest_or_made(inheritance, spec, caller)?,
            None => make(ChildEnv::inherited(spec, &caller.env))?,
        };
        let (entries, dropped) = inherited;
        let mut own = Strings::default();
        let set = spec.environment().changes.iter();
        let set = set.filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
        set.into_iter().try_for_each(|(name, value)| own.push(&[name, "=", value]))?;
        ChildEnv::own(spec, &caller.host).try_for_each(|(name, value)| own.push(&[name, "=", &value]))?;
        Ok(Environment { inherited: entries, own, dropped })
    }

    fn newest_or_made(
        &self,
        inheritance: Inheritance,
        spec: &ProcSpec,
        caller: &Surroundings,
    ) -> Result<Made, NulError> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = &*newest
            && newest.inheritance == inheritance
            && *newest.caller == *caller.env
        {
            return Ok((Arc::clone(&newest.entries), Arc::clone(&newest.dropped)));
        }
        let (entries, dropped) = make(ChildEnv::inherited(spec, &caller.env))?;
        let made = (Arc::clone(&entries), Arc::clone(&dropped));
        *newest = Some(Inherited { inheritance, caller: caller.env.as_slice().into(), entries, dropped });
        Ok(made)
    }
}

/// Entries as exec takes them, and what was dropped.
type Made = (Arc<Strings>, Arc<[(String, Flaw)]>);

fn make(inherited: ChildEnv) -> Result<Made, NulError> {
    let mut entries = Strings::default();
    inherited.set.iter().try_for_each(|(name, value)| entries.push(&[name, "=", value]))?;
    Ok((Arc::new(entries), inherited.dropped.into()))
}

impl Environment {
    /// How many entries it has.
    pub(super) fn count(&self) -> usize {
        self.inherited.count() + self.own.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ProcId;
    use crate::spec::{Output, ProcSpecBuilder};

    fn spec(id: &str) -> ProcSpecBuilder {
        ProcSpec::builder(ProcId::new(id).unwrap(), "/bin/true").stdout(Output::Null).stderr(Output::Null)
    }

    fn surroundings(entries: &[(&str, &str)]) -> Surroundings {
        let env = entries.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Surroundings { env, cwd: "/".to_owned(), host: "host".to_owned() }
    }

    /// By the one way, entry by entry, and by the way that all launchers have.
    fn check(environments: &Environments, spec: &ProcSpec, caller: &Surroundings) {
        let seen = environments.of(spec, caller).unwrap();
        let mut entries: Vec<_> = seen.inherited.iter().chain(seen.own.iter()).collect();
        entries.sort_unstable();
        let expected = ChildEnv::of(spec, &caller.env, &caller.host);
        let mut all: Vec<_> = expected.set.iter().map(|(name, value)| format!("{name}={value}")).collect();
        all.sort_unstable();
        assert_eq!(entries, all.iter().map(String::as_bytes).collect::<Vec<_>>());
        assert_eq!(*seen.dropped, *expected.dropped);
        assert_eq!(seen.count(), all.len());
    }

    #[test]
    fn each_gets_its_own_whatever_was_made_before() {
        let environments = Environments::default();
        let one = surroundings(&[("PATH", "/bin"), ("A", "1"), ("bad-name", "x"), ("JOURNAL_STREAM", "1:2")]);
        let other = surroundings(&[("PATH", "/bin"), ("A", "2")]);
        for _ in 0..2 {
            for caller in [&one, &other, &one] {
                check(&environments, &spec("a").build().unwrap(), caller);
                check(&environments, &spec("b").rank(3).build().unwrap(), caller);
                check(&environments, &spec("c").clean_env(true).build().unwrap(), caller);
                check(&environments, &spec("d").env("A", "own").env("B", "new").build().unwrap(), caller);
                check(&environments, &spec("e").stdout(Output::Inherit).build().unwrap(), caller);
            }
        }
    }

    #[test]
    fn what_is_inherited_is_made_once_for_one_caller() {
        let (environments, caller) = (Environments::default(), surroundings(&[("A", "1")]));
        let [one, other] = ["a", "b"].map(|id| environments.of(&spec(id).build().unwrap(), &caller).unwrap());
        assert!(Arc::ptr_eq(&one.inherited, &other.inherited));
    }
}
