//! Which lines of a log are wanted.

use std::collections::BTreeSet;

use procunit::id::ProcId;
use procunit::journal::{Line, StdStream};
use regex::bytes::Regex;

use crate::log_args::LogsArgs;

/// Looks at lines one by one, and keeps in mind what could not be decided.
pub(crate) struct Filter<'a> {
    stream: Option<StdStream>,
    grep: Option<&'a Regex>,
    /// Procs with lines that do not say to which stream they were written.
    untold: BTreeSet<ProcId>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(args: &'a LogsArgs) -> Self {
        let stream = args.stream.map(StdStream::from);
        Self { stream, grep: args.grep.as_ref(), untold: BTreeSet::new() }
    }

    pub(crate) fn wants(&mut self, line: &Line) -> bool {
        let matches = self.grep.is_none_or(|grep| grep.is_match(&line.record.message));
        if self.stream.is_some() && line.stream.is_none() && matches && !self.untold.contains(&line.id) {
            self.untold.insert(line.id.clone());
        }
        matches && self.stream.is_none_or(|stream| line.stream == Some(stream))
    }

    /// One line about lines that were left out because nobody knows whether they were wanted.
    pub(crate) fn untold(&self) -> Option<String> {
        if self.untold.is_empty() {
            return None;
        }
        let ids: Vec<_> = self.untold.iter().map(ProcId::as_str).collect();
        Some(format!(
            "lines of {} do not say to which stream they were written (both share one, or they were logged another way) \
             and are left out; without --stream they are shown",
            ids.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_args::pattern;
    use procunit::journal::Record;

    fn line(message: &str, stream: Option<StdStream>) -> Line {
        let record = Record::parse(b"__CURSOR=c\n__REALTIME_TIMESTAMP=1\n").unwrap();
        let record = Record { message: message.as_bytes().to_vec(), ..record };
        Line { id: ProcId::new("web").unwrap(), run: 0, stream, record }
    }

    #[test]
    fn lines_that_do_not_say_their_stream_are_left_out_and_told_of() {
        let grep = pattern("w").unwrap();
        let mut filter =
            Filter { stream: Some(StdStream::Stderr), grep: Some(&grep), untold: BTreeSet::new() };
        assert!(filter.wants(&line("words", Some(StdStream::Stderr))));
        assert!(!filter.wants(&line("words", Some(StdStream::Stdout))));
        assert!(!filter.wants(&line("other", None)));
        assert_eq!(filter.untold(), None);
        assert!(!filter.wants(&line("words", None)));
        assert!(filter.untold().unwrap().starts_with("lines of web do not say"));
    }
}
