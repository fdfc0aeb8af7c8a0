//! `procunit logs`.

use std::collections::VecDeque;
use std::time::Duration;

use procunit::ProcManager;
use procunit::id::InvocationId;
use procunit::journal::{
    Journalctl, JournalctlRecords, Line, Lines, LoggedRun, Window, newest_where, sees_suppressed, suppressed,
};
use procunit::report::Report;
use procunit::spec::Lifetime;
use procunit::time::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::args::Global;
use crate::doctor::is_persistent;
use crate::log_args::LogsArgs;
use crate::log_filter::Filter;
use crate::log_lines::{Printer, moment};
use crate::log_runs::{self, Chosen};
use crate::{show, words};

/// After the end of what is followed, how long no line must come until there are none.
const QUIET: Duration = Duration::from_millis(300);
/// How often is looked for them.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After the end, how long lines are read at most. One that somebody else keeps open may never be quiet.
const LONGEST_DRAIN: Duration = Duration::from_secs(5);

/// journald gives a file of their own to users from this on (systemd-journald.service(8), "Access control").
const FIRST_ORDINARY: u32 = 1000;

/// Shows what procs wrote.
pub(crate) async fn logs(global: &Global, args: &LogsArgs) -> anyhow::Result<u8> {
    let (manager, chosen) = log_runs::choose(global, args).await?;
    let runs: Vec<_> = chosen.iter().map(|chosen| wanted(chosen, args.follow)).collect();
    let window = Window { since: args.since, until: args.until };
    let ids: Vec<_> = runs.iter().map(|run| &run.id).collect();
    let mut output = Output {
        printer: Printer::new(global.output, args.no_prefix, &ids),
        filter: Filter::new(args),
        skipped: 0,
    };
    // What is followed is shown from its beginning.
    let cursor = if manager.is_some() && args.follow && args.lines.is_none() {
        None
    } else {
        output.backlog(&runs, window, args.lines).await?
    };
    if let Some(manager) = manager.filter(|_| args.follow && !output.printer.is_closed()) {
        let lines = Lines::follow(&Journalctl::default(), &runs, window, cursor)?;
        let ends = Ends::of(&manager, &chosen, global.quiet).await;
        output.follow(lines, ends).await?;
    }
    output.finish(global, args, &chosen).await?;
    Ok(0)
}

/// What is followed goes on where a restart policy starts it again.
fn wanted(chosen: &Chosen, follow: bool) -> LoggedRun {
    LoggedRun { with_later: follow && chosen.report.is_some(), ..chosen.run.clone() }
}

/// Lines on their way from the journal to who reads them.
struct Output<'a> {
    printer: Printer,
    filter: Filter<'a>,
    skipped: u64,
}

impl Output<'_> {
    fn line(&mut self, line: &Line) -> anyhow::Result<()> {
        if self.filter.wants(line) { self.printer.line(line) } else { Ok(()) }
    }

    /// Shows what is there, and says up to which place that was.
    async fn backlog(
        &mut self,
        runs: &[LoggedRun],
        window: Window,
        count: Option<usize>,
    ) -> anyhow::Result<Option<String>> {
        let journal = Journalctl::default();
        if let Some(count) = count {
            let wanted = |line: &Line| self.filter.wants(line);
            let (lines, cursor) = newest_where(&journal, runs, window, count, wanted).await?;
            lines.iter().try_for_each(|line| self.printer.line(line))?;
            return Ok(cursor);
        }
        let mut lines = Lines::open(&journal, runs, window)?;
        while let Some(line) = lines.next().await? {
            self.line(&line)?;
            if self.printer.is_closed() {
                break;
            }
        }
        self.skipped += lines.skipped();
        Ok(lines.cursor().map(str::to_owned))
    }

    /// Shows what comes until every proc is over, and what they wrote last.
    async fn follow(&mut self, mut lines: Lines<JournalctlRecords>, mut ends: Ends) -> anyhow::Result<()> {
        while !self.printer.is_closed() {
            tokio::select! {
                // A flood of lines must not hide an end, and what was printed is shown before it waits.
                biased;
                end = ends.next() => match end {
                    Some(End::Seen(run, had)) => lines.end(run, &had),
                    Some(End::Due) => {
                        self.printer.flush()?;
                        ends.tell_first();
                    }
                    None => break,
                },
                line = lines.next() => match line? {
                    Some(line) => self.line(&line)?,
                    None => break,
                },
                () = std::future::ready(()), if self.printer.is_behind() => self.printer.flush()?,
            }
        }
        self.drain(&mut lines).await?;
        self.skipped += lines.skipped();
        if !self.printer.is_closed() {
            ends.tell_all();
        }
        Ok(())
    }

    /// Reads on until it is quiet: a line may be on its way when the one who wrote it is over.
    async fn drain(&mut self, lines: &mut Lines<JournalctlRecords>) -> anyhow::Result<()> {
        let latest = Instant::now() + LONGEST_DRAIN;
        let mut quiet_since = Instant::now();
        while !self.printer.is_closed() && quiet_since.elapsed() < QUIET && Instant::now() < latest {
            self.printer.flush()?;
            sleep(LOOK_EVERY).await;
            lines.catch_up(&Journalctl::default())?;
            while let Some(line) = lines.next().await? {
                self.line(&line)?;
                quiet_since = Instant::now();
            }
        }
        Ok(())
    }

    /// Ends what was printed, and says what else there is to know of it.
    async fn finish(self, global: &Global, args: &LogsArgs, chosen: &[Chosen]) -> anyhow::Result<()> {
        let read_on = !self.printer.is_closed();
        let first = self.printer.first();
        let shown = self.printer.finish()?;
        if !read_on || global.quiet {
            return Ok(());
        }
        if self.skipped > 0 {
            let count = self.skipped;
            show::say(format_args!(
                "procunit: {count} records of the journal are too long or damaged and were left out"
            ));
        }
        if let Some(untold) = self.filter.untold() {
            show::say(format_args!("procunit: {untold}"));
        } else if shown == 0 {
            tell_nothing(chosen, args);
        }
        let starts = chosen.iter().filter_map(|chosen| chosen.run.started_at).min();
        if let Some(since) = first.or(starts).max(args.since) {
            tell_suppressed(since, args.until).await?;
        }
        Ok(())
    }
}

enum End {
    /// That run is over, and these are the runs of its proc that are known.
    Seen(usize, Vec<InvocationId>),
    /// One has been over long enough to be told.
    Due,
}

/// The ends of what is followed, and what is yet to be told of them.
struct Ends {
    waiting: JoinSet<(usize, Option<Report>)>,
    /// When each was seen, so that what it wrote last is shown before it is told.
    seen: VecDeque<(Instant, Report)>,
    quiet: bool,
}

impl Ends {
    async fn of(manager: &ProcManager, chosen: &[Chosen], quiet: bool) -> Self {
        let mut waiting = JoinSet::new();
        for (run, chosen) in chosen.iter().enumerate().filter(|(_, chosen)| chosen.report.is_some()) {
            // What is gone meanwhile is over.
            if let Ok(handle) = manager.adopt(&chosen.run.id).await {
                waiting.spawn(async move {
                    let waited = handle.wait().await;
                    (run, if waited.is_ok() { handle.report().await } else { None })
                });
            }
        }
        Self { waiting, seen: VecDeque::new(), quiet }
    }

    /// What happens next; `None` where all are over. Cancel safe.
    async fn next(&mut self) -> Option<End> {
        let due = self.seen.front().map(|(at, _)| *at + QUIET);
        tokio::select! {
            biased;
            over = self.waiting.join_next() => {
                // A task of ours does not panic, and nobody aborts it.
                let (run, report) = over?.ok()?;
                let runs = report.iter().flat_map(|report| &report.runs);
                let had = runs.filter_map(|run| run.invocation_id).collect();
                self.seen.extend(report.map(|report| (Instant::now(), report)));
                Some(End::Seen(run, had))
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Some(End::Due),
        }
    }

    fn tell_first(&mut self) {
        if let Some((_, report)) = self.seen.pop_front().filter(|_| !self.quiet) {
            show::say(format_args!("procunit: {}: {}", report.id, words::end(&report)));
        }
    }

    fn tell_all(&mut self) {
        while !self.seen.is_empty() {
            self.tell_first();
        }
    }
}

fn tell_nothing(chosen: &[Chosen], args: &LogsArgs) {
    let names: Vec<_> = chosen.iter().map(|chosen| chosen.run.id.as_str()).collect();
    if args.is_narrowed() {
        return show::say(format_args!("procunit: none of the lines of {} match", names.join(", ")));
    }
    show::say(format_args!("procunit: the journal has no lines of {}{}", names.join(", "), why_none(chosen)));
}

/// What can be the reason that there are none.
fn why_none(chosen: &[Chosen]) -> &'static str {
    let is_attached =
        |chosen: &Chosen| chosen.report.as_ref().is_some_and(|report| report.lifetime == Lifetime::Attached);
    if chosen.iter().all(is_attached) {
        return "; what is run with --no-journal or -t writes nothing there";
    }
    let has_own_file = is_persistent() && nix::unistd::getuid().as_raw() >= FIRST_ORDINARY;
    if has_own_file || sees_suppressed() {
        return "";
    }
    "; perhaps this user may not read them: the group systemd-journal may, and a user id from 1000 on with Storage=persistent in \
     /etc/systemd/journald.conf"
}

/// Says what journald threw away meanwhile, as far as it says so itself.
async fn tell_suppressed(since: Timestamp, until: Option<Timestamp>) -> anyhow::Result<()> {
    if !sees_suppressed() {
        return Ok(());
    }
    let told = suppressed(&Journalctl::default(), since, until).await?;
    if let (Some((first, _)), Some((last, _))) = (told.first(), told.last()) {
        let count: u64 = told.iter().map(|(_, count)| count).sum();
        let when =
            if first == last { moment(*last) } else { format!("{} to {}", moment(*first), moment(*last)) };
        show::say(format_args!(
            "procunit: journald threw away {count} lines of this user's procs, as it said at {when}; which procs' they \
             were is not known. RateLimitIntervalSec= and RateLimitBurst= in journald.conf(5) lift the limit that all of \
             them share"
        ));
    }
    Ok(())
}
