//! What can be typed after `procunit logs`.

use clap::error::ErrorKind;
use clap::{CommandFactory as _, ValueEnum};
use procunit::journal::StdStream;
use procunit::time::Timestamp;
use regex::bytes::{Regex, RegexBuilder};

use crate::args::{Args, Selectors, moment};

/// Show what procs wrote, in the order of time
///
/// Of each proc the run that ps shows; --run gives others. Of a proc that is gone, its exact name gives what the journal
/// still has.
///
/// One proc's lines look as in journalctl, those of several as in docker compose. Output formats: short (time, name and
/// process), cat (the words alone), json, jsonl.
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) which: Selectors,
    /// Go on until all of them are over, and say how they ended; restarts are followed
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only the last lines
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<usize>,
    /// Only lines since then: a time (2026-07-30 14:00, 14:00:10, RFC 3339) or how long ago (10min)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<Timestamp>,
    /// Only lines until then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<Timestamp>,
    /// Only lines of standard output, or of standard error
    #[arg(long, value_name = "out|err", hide_possible_values = true)]
    pub(crate) stream: Option<WhichStream>,
    /// Only lines that match this regular expression, whatever the case if it has no capitals
    #[arg(long, value_name = "RE", value_parser = pattern)]
    pub(crate) grep: Option<Regex>,
    /// Which run, counted as boots are in journalctl: 0 is the newest, -1 the one before, 1 the oldest that the journal
    /// has
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true, allow_negative_numbers = true)]
    pub(crate) run: i64,
    /// Leave out the name before each line
    #[arg(long)]
    pub(crate) no_prefix: bool,
}

/// One of the two streams, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhichStream {
    #[value(alias = "stdout")]
    Out,
    #[value(alias = "stderr")]
    Err,
}

impl From<WhichStream> for StdStream {
    fn from(which: WhichStream) -> Self {
        match which {
            WhichStream::Out => Self::Stdout,
            WhichStream::Err => Self::Stderr,
        }
    }
}

impl LogsArgs {
    /// Whether there may be lines that are not asked for, however few are found.
    pub(crate) fn is_narrowed(&self) -> bool {
        let filtered = self.stream.is_some() || self.grep.is_some();
        filtered || self.lines == Some(0) || self.since.is_some() || self.until.is_some()
    }

    /// Ends the command where two flags say opposite things.
    pub(crate) fn refuse_contradictions(&self) {
        if self.follow && self.run != 0 {
            let told = "--follow goes with the newest run alone, and --run names another";
            Args::command().error(ErrorKind::ArgumentConflict, told).exit();
        }
    }
}

/// A regular expression; one without capital letters finds them as well, as in journalctl.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    let any_case = !text.chars().any(char::is_uppercase);
    RegexBuilder::new(text).case_insensitive(any_case).build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_without_capitals_means_both() {
        let finds = |text, message: &str| pattern(text).unwrap().is_match(message.as_bytes());
        assert!(finds("error", "An Error") && finds("Error", "An Error"));
        assert!(!finds("Error", "an error"));
    }

    #[test]
    fn a_pattern_that_is_none_is_told_with_the_place() {
        let told = pattern("a(b").unwrap_err();
        assert!(told.contains("\n    a(b\n     ^\n"), "{told}");
    }
}
