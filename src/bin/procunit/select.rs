//! Which procs are meant: the same on every verb.

use std::fmt;

use procunit::ProcManager;
use procunit::id::ProcId;
use procunit::report::Report;

use crate::args::Selectors;
use crate::show;

/// How many names "did you mean" offers.
const MOST_GUESSES: usize = 3;

/// What was selected, by name, each once.
pub(crate) struct Selected {
    pub(crate) reports: Vec<Report>,
    /// What selected nothing.
    pub(crate) missing: Vec<NoProc>,
}

/// Nothing goes by that name.
#[derive(Debug, thiserror::Error)]
pub(crate) struct NoProc {
    /// As it was typed; `None` where any would have done.
    wanted: Option<String>,
    guesses: Vec<String>,
}

/// Looks at every proc and picks those that `which` means.
pub(crate) async fn select(manager: &ProcManager, which: &Selectors) -> anyhow::Result<Selected> {
    Ok(pick(manager.survey().await?, which))
}

/// Like [`select`], where each part of the selection must mean something before anything is done.
pub(crate) async fn select_all(manager: &ProcManager, which: &Selectors) -> anyhow::Result<Vec<Report>> {
    let mut selected = select(manager, which).await?;
    if selected.missing.is_empty() { Ok(selected.reports) } else { Err(selected.missing.remove(0).into()) }
}

impl Selected {
    /// Tells what selected nothing. Whether there was such.
    pub(crate) fn tell_missing(&self) -> bool {
        for missing in &self.missing {
            show::say(format_args!("procunit: {missing}"));
        }
        !self.missing.is_empty()
    }
}

/// Those of `reports` that `which` means.
pub(crate) fn pick(reports: Vec<Report>, which: &Selectors) -> Selected {
    if which.all {
        let missing = reports.is_empty().then_some(NoProc { wanted: None, guesses: Vec::new() });
        return Selected { reports, missing: missing.into_iter().collect() };
    }
    let patterns: Vec<_> = which.sel.iter().map(|text| Pattern::new(text)).collect();
    let nothing = |pattern: &&Pattern<'_>| !reports.iter().any(|report| pattern.means(report.id.as_str()));
    let missing = patterns.iter().filter(nothing).map(|pattern| NoProc::new(pattern, &reports)).collect();
    let meant = |report: &Report| patterns.iter().any(|pattern| pattern.means(report.id.as_str()));
    Selected { reports: reports.into_iter().filter(meant).collect(), missing }
}

/// One part of a selection.
enum Pattern<'a> {
    /// `shop/`: all of a group.
    Group(&'a str),
    /// `web-*`.
    Glob(&'a str),
    /// `web`, or `shop/web`, which also means all of that kind: `shop/web/0`.
    Name(&'a str),
}

impl<'a> Pattern<'a> {
    fn new(text: &'a str) -> Self {
        match text {
            _ if text.contains(['*', '?', '[']) => Self::Glob(text),
            _ if text.ends_with('/') => Self::Group(text),
            _ => Self::Name(text),
        }
    }

    fn means(&self, id: &str) -> bool {
        match self {
            Self::Group(prefix) => id.starts_with(prefix),
            Self::Glob(glob) => matches(glob.as_bytes(), id.as_bytes()),
            Self::Name(name) => id.strip_prefix(name).is_some_and(|rest| {
                let kind = name.contains('/') && rest.starts_with('/');
                rest.is_empty() || kind
            }),
        }
    }

    fn text(&self) -> &'a str {
        match self {
            Self::Group(text) | Self::Glob(text) | Self::Name(text) => text,
        }
    }
}

/// Whether `text` is what the shell pattern means: `*` any characters, `?` one, `[a-c]` one of these, `[!a]` one
/// of the others. A `/` is a character like any other, so that `shop*` means the whole group.
///
/// After a mismatch only the last `*` takes one more: an earlier one could not do better.
fn matches<'a>(mut pattern: &'a [u8], mut text: &'a [u8]) -> bool {
    let mut last_star = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            last_star = Some((rest, text));
            pattern = rest;
        } else if pattern.is_empty() && text.is_empty() {
            return true;
        } else if let Some(rest) = step(pattern, text) {
            (pattern, text) = rest;
        } else {
            let Some((after, [_, rest @ ..])) = last_star else { return false };
            last_star = Some((after, rest));
            (pattern, text) = (after, rest);
        }
    }
}

/// What is left of both when the pattern's first part means the text's first character.
fn step<'a>(pattern: &'a [u8], text: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (first, pattern) = pattern.split_first()?;
    let (byte, text) = text.split_first()?;
    match (first, class(pattern)) {
        (b'?', _) => Some((pattern, &text[continuation(text)..])),
        (b'[', Some((class, pattern))) => in_class(class, *byte).then_some((pattern, text)),
        _ => (first == byte).then_some((pattern, text)),
    }
}

/// How many bytes of the character before `text` are still in it: `?` means a character and not a byte.
fn continuation(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte & 0xc0 == 0x80).count()
}

/// What stands between brackets, and what follows them.
fn class(pattern: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = pattern.iter().skip(1).position(|byte| *byte == b']')? + 1;
    Some((&pattern[..end], &pattern[end + 1..]))
}

fn in_class(class: &[u8], byte: u8) -> bool {
    let (negated, mut class) = match class {
        [b'!' | b'^', rest @ ..] if !rest.is_empty() => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    while let [first, rest @ ..] = class {
        class = if let [b'-', last, rest @ ..] = rest {
            found |= (*first..=*last).contains(&byte);
            rest
        } else {
            found |= *first == byte;
            rest
        };
    }
    found != negated
}

impl NoProc {
    /// The id that was typed, where it can be one.
    pub(crate) fn exact(&self) -> Option<ProcId> {
        let wanted = self.wanted.as_deref()?;
        let is_name = matches!(Pattern::new(wanted), Pattern::Name(_));
        ProcId::new(wanted).ok().filter(|_| is_name)
    }

    fn new(pattern: &Pattern<'_>, reports: &[Report]) -> Self {
        let guesses = match pattern {
            Pattern::Name(name) => guesses(name, reports.iter().map(|report| report.id.as_str())),
            Pattern::Group(_) | Pattern::Glob(_) => Vec::new(),
        };
        Self { wanted: Some(pattern.text().to_owned()), guesses }
    }
}

/// The names nearest to one that was mistyped, nearest first: a third of its letters may be wrong, and the group
/// may have been left out.
fn guesses<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let letters = wanted.chars().count();
    let begins = |name: &str| letters >= 3 && name.starts_with(wanted);
    let distance = |name: &str| {
        let own = name.rsplit('/').next().unwrap_or(name);
        strsim::osa_distance(wanted, name).min(strsim::osa_distance(wanted, own))
    };
    let mut near: Vec<_> = known.map(|name| (distance(name), name)).collect();
    near.retain(|(distance, name)| *distance <= letters.div_ceil(3) || begins(name));
    near.sort_unstable();
    near.into_iter().take(MOST_GUESSES).map(|(_, name)| name.to_owned()).collect()
}

impl fmt::Display for NoProc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(wanted) = &self.wanted else { return f.write_str("no procs") };
        write!(f, "no proc {wanted}")?;
        match self.guesses.as_slice() {
            [] => f.write_str("; `procunit ps -a` lists all"),
            guesses => write!(f, "; did you mean {}?", guesses.join(" or ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(pattern: &str, id: &str) -> bool {
        Pattern::new(pattern).means(id)
    }

    #[test]
    fn a_name_means_itself() {
        assert!(means("web", "web"));
        assert!(!means("web", "web-1"));
        assert!(!means("web", "web/1"), "a group is written with its slash");
    }

    #[test]
    fn a_group_means_all_that_is_in_it() {
        assert!(means("shop/", "shop/web/0") && means("shop/", "shop/db"));
        assert!(!means("shop/", "shop") && !means("shop/", "shopping/web"));
    }

    #[test]
    fn a_kind_of_a_group_means_its_members_and_a_proc_of_that_name() {
        assert!(means("shop/web", "shop/web/0") && means("shop/web", "shop/web"));
        assert!(!means("shop/web", "shop/webcam"));
    }

    #[test]
    fn a_pattern_means_what_the_shell_means() {
        assert!(means("web-*", "web-") && means("web-*", "web-12") && !means("web-*", "web"));
        assert!(means("*", "shop/web/0") && means("*/0", "shop/web/0"));
        assert!(means("w?b", "web") && means("w?b", "wéb") && !means("w?b", "wb"));
        assert!(means("web-[0-3]", "web-2") && !means("web-[0-3]", "web-4"));
        assert!(means("web-[!0-3]", "web-4") && !means("web-[!0-3]", "web-2"));
        assert!(means("web-[a]x", "web-ax") && !means("web-[", "web-"));
    }

    #[test]
    fn a_name_that_is_nearly_right_is_offered() {
        let known = ["web-1", "web-2", "db", "shop/cache"];
        let offered = |wanted| guesses(wanted, known.into_iter());
        assert_eq!(offered("wbe-1"), ["web-1", "web-2"]);
        assert_eq!(offered("bd"), ["db"]);
        assert_eq!(offered("cash"), ["shop/cache"]);
        assert_eq!(offered("shop"), ["shop/cache"]);
        assert_eq!(offered("nothing"), [""; 0]);
    }

    #[test]
    fn the_message_names_what_was_typed_and_what_to_do() {
        let told = |guesses: &[&str]| {
            let guesses = guesses.iter().map(|&guess| guess.to_owned()).collect();
            NoProc { wanted: Some("wbe".to_owned()), guesses }.to_string()
        };
        assert_eq!(told(&["web", "wbx"]), "no proc wbe; did you mean web or wbx?");
        assert_eq!(told(&[]), "no proc wbe; `procunit ps -a` lists all");
    }
}
