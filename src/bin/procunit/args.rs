//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory as _, Parser, Subcommand, ValueEnum};
use procunit::launcher::LauncherKind;
use procunit::signal::Signal;
use procunit::spec::{BadRestartPolicy, RestartPolicy};
use procunit::status::StatusKind;
use procunit::time::{Span, Timestamp, parse_span};

use crate::log_args::LogsArgs;
use crate::run_output::OutputArgs;

/// Launch programs as transient systemd user services and keep hold of them.
#[derive(Debug, Parser)]
#[command(name = "procunit", version, arg_required_else_help = true, subcommand_required = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl Args {
    /// Ends the command where the output format is not one of the verb's.
    pub(crate) fn check(&self) {
        if let Verb::Logs(args) = &self.verb {
            args.refuse_contradictions();
        }
        let logs = matches!(self.verb, Verb::Logs(_));
        let known = match self.global.output {
            Format::Short | Format::Cat => logs,
            Format::Name => !logs,
            Format::Table | Format::Wide | Format::Json | Format::Jsonl => true,
        };
        let formats = if logs { "short, cat, json and jsonl" } else { "table, wide, json, jsonl and name" };
        if !known {
            let told = format!("this output format is not one of {formats}");
            Self::command().error(ErrorKind::InvalidValue, told).exit();
        }
    }
}

/// What every verb takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// What starts procs: systemd where its user manager answers and plain child processes elsewhere (auto), or
    /// one of the two
    #[arg(
        long,
        global = true,
        env = "PROCUNIT_LAUNCHER",
        value_name = "auto|systemd|native",
        default_value = "auto"
    )]
    pub(crate) launcher: LauncherKind,
    /// Show data as a table, wide (a wider table), json (one JSON value), jsonl (one per line) or name (names alone);
    /// logs: as short, cat, json or jsonl
    #[arg(short, long, global = true, value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) output: Format,
    /// Use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Say what happens on stderr; repeat for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say less: no exit report, no notes
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

impl Global {
    /// Whether a program reads what is printed.
    pub(crate) fn wants_json(&self) -> bool {
        matches!(self.output, Format::Json | Format::Jsonl)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Run(Box<RunArgs>),
    Ps(PsArgs),
    Status(StatusArgs),
    Logs(Box<LogsArgs>),
    Wait(WaitArgs),
    Stop(StopArgs),
    Kill(KillArgs),
    Rm(RmArgs),
    /// Check what launching needs on this host, and say what to do about what is missing
    ///
    /// Exits with 0 only if launching works; a program is launched to find out.
    Doctor,
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    Man {
        /// Where to
        dir: PathBuf,
    },
}

/// Which procs are meant. The same on every verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Selectors {
    /// A name, a pattern ('web-*'), all of a group (shop/), or all of a kind in a group (shop/web)
    #[arg(value_name = "SEL", required_unless_present = "all")]
    pub(crate) sel: Vec<String>,
    /// Every proc
    #[arg(long, conflicts_with = "sel")]
    pub(crate) all: bool,
}

/// List procs
///
/// Without -a or a selection, only what is not over, and what left processes behind.
#[derive(Debug, clap::Args)]
pub(crate) struct PsArgs {
    /// A name, a pattern ('web-*'), all of a group (shop/), or all of a kind in a group (shop/web); ended ones
    /// included
    #[arg(value_name = "SEL")]
    pub(crate) sel: Vec<String>,
    /// Ended ones, too
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only those in this state; repeat for more
    #[arg(long, value_name = "STATE", value_parser = state)]
    pub(crate) state: Vec<StatusKind>,
}

/// Show everything that is known of procs
///
/// Exit codes: 0 when all are running, 3 when one is not, 4 when there is no such proc.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) which: Selectors,
    /// How many of the last lines of the log of an ended one are shown
    #[arg(short = 'n', long, value_name = "N", default_value_t = procunit::spec::defaults::TAIL_LINES)]
    pub(crate) lines: usize,
}

/// Wait for the end of procs
///
/// Exit codes: the proc's own; 128+N for death by signal N; 124 when the timeout passed, or the proc's own time
/// limit ended it; 125 when its end is not known; of several, that of the first failure in time.
#[derive(Debug, clap::Args)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    pub(crate) which: Selectors,
    /// What to wait for
    #[arg(long = "for", value_enum, value_name = "WHAT", default_value_t)]
    pub(crate) awaited: Awaited,
    /// Wait for one of them, whichever comes first
    #[arg(long)]
    pub(crate) any: bool,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", value_parser = patience)]
    pub(crate) timeout: Option<Limit>,
    /// Remove what has ended
    #[arg(long)]
    pub(crate) rm: bool,
}

/// Stop procs and remove them
///
/// Each gets its stop signal, and SIGKILL when its stop timeout has passed. Nothing of it is left.
///
/// Exit codes: 1 when one could not be stopped, 4 when there is no such proc.
#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    pub(crate) which: Selectors,
    /// How long they may take before they are killed [default: what they were started with]
    #[arg(short, long, value_name = "DURATION", value_parser = finite)]
    pub(crate) timeout: Option<Duration>,
}

/// Send a signal to every process of procs
///
/// KILL waits for the end; an ended detached proc stays in `ps -a`. Any other signal is only sent.
///
/// Exit codes: 1 when one did not get it, as one that is over; 4 when there is no such proc.
#[derive(Debug, clap::Args)]
pub(crate) struct KillArgs {
    #[command(flatten)]
    pub(crate) which: Selectors,
    /// Which
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
    pub(crate) signal: Signal,
}

/// Remove ended procs
///
/// Exit codes: 1 when one was not removed, as one that is running; 4 when there is no such proc.
#[derive(Debug, clap::Args)]
pub(crate) struct RmArgs {
    #[command(flatten)]
    pub(crate) which: Selectors,
    /// Kill those that are running
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// What `wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Awaited {
    /// The end
    #[default]
    Exit,
}

/// Run a program as a unit of its own, to its exact end
///
/// Attached (without -d), what the program writes is shown here, byte for byte, and is in the journal as well; it writes to a
/// pipe, not to a terminal (-t gives it one, --no-journal the one that is here). It has this
/// command's stdin, and this command exits as the program did. Ctrl-C asks it to stop; a second Ctrl-C kills it. However this command ends, the program ends too.
///
/// Exit codes: the program's own; 128+N for death by signal N; 124 for a time limit; 125 where it could not be
/// launched; 126 and 127 where it is not executable or not found.
///
/// PROCUNIT_JOURNAL_STREAMS=N in the environment bounds the streams to the journal that are opened for what goes there alone
/// (-d, journal): with 0, standard output and standard error share one.
///
/// With -o json, the exit report is printed on stderr as one line of JSON whatever the end was; with -d, the name, unit,
/// run and pid are printed on stdout as one line of JSON in place of the name alone.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags are independent of each other")]
pub(crate) struct RunArgs {
    /// Leave it running, print its name alone, and come back
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Give it a terminal of its own, with the size and the modes of this one
    ///
    /// It is its controlling terminal, so that shells and editors work: Ctrl-C and Ctrl-Z are for what runs in there, and ^]
    /// three times within a second stops it. What it writes is shown here alone and is not in the journal. Where stdin is
    /// not a terminal, it is typed, and its end is Ctrl-D; where stdout is not, it gets what a terminal would, lines
    /// that end in CR LF. However this command ends, its own terminal is as it was: only SIGKILL, or another signal that it
    /// does not handle, leaves no moment for that, and `stty sane` helps. Interactive shells ignore TERM: --stop-signal HUP
    /// ends them without delay.
    #[arg(short = 't', long, conflicts_with = "detach")]
    pub(crate) pty: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Its name; without one, the program's name and a short random part
    #[arg(short, long)]
    pub(crate) name: Option<String>,
    /// Set an environment variable, or pass this command's own (with --clean-env)
    #[arg(short, long = "env", value_name = "K[=V]")]
    pub(crate) env: Vec<OsString>,
    /// Read environment variables from a file of K=V lines
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Start from PATH, HOME, USER, LANG, XDG_RUNTIME_DIR and, with -t, TERM instead of this command's environment
    #[arg(long)]
    pub(crate) clean_env: bool,
    /// Its working directory [default: this command's]
    #[arg(short = 'C', long = "chdir", value_name = "DIR")]
    pub(crate) chdir: Option<PathBuf>,
    /// What people read in its place
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// Its number among its like, passed as PROCUNIT_RANK
    #[arg(long, value_name = "N")]
    pub(crate) rank: Option<u32>,
    /// What the program sees as its own name, argv[0]
    #[arg(long, value_name = "NAME")]
    pub(crate) arg0: Option<OsString>,
    /// Stop it when it has run this long; the exit code is then 124
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub(crate) timeout: Option<Limit>,
    /// How long it may take to stop before it is killed [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = finite)]
    pub(crate) stop_timeout: Option<Duration>,
    /// The signal that asks it to stop [default: TERM]
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) stop_signal: Option<Signal>,
    /// Remove an ended proc of the same name first
    #[arg(long)]
    pub(crate) replace: bool,
    /// Start it again when it is over: no, on-failure or always, MAX times at the most. What was stopped is not started
    /// again. With -d, always keeps an end only where the restarts are used up
    #[arg(long, value_name = "no|on-failure[:MAX]|always[:MAX]", default_value = "no", hide_default_value = true,
          value_parser = restart)]
    pub(crate) restart: Restart,
    /// How long after its end it is started again [default: 100ms]
    #[arg(long, value_name = "DURATION", value_parser = finite)]
    pub(crate) restart_delay: Option<Duration>,
    /// Let that delay grow from restart to restart until it is this long (systemd 254 and later)
    #[arg(long, value_name = "DURATION", value_parser = finite)]
    pub(crate) restart_max_delay: Option<Duration>,
    /// Set a property of its unit, as in a unit file; see systemd.service(5), systemd.exec(5) and
    /// systemd.resource-control(5)
    #[arg(short, long = "property", value_name = "PROPERTY=VALUE", value_parser = property)]
    pub(crate) property: Vec<(String, String)>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// A restart policy, or none.
#[derive(Debug, Clone)]
pub(crate) struct Restart(pub(crate) Option<RestartPolicy>);

/// A time limit, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(pub(crate) Option<Duration>);

/// How data is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Wide,
    Json,
    Jsonl,
    Name,
    Short,
    Cat,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    /// Makes the choice count for everything that is printed. `auto` minds NO_COLOR, CLICOLOR_FORCE and TERM.
    pub(crate) fn apply(self) {
        let choice = match self {
            Self::Auto if forced_off(|name| std::env::var_os(name)) => anstream::ColorChoice::Never,
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// `TERM=dumb` means no colours. anstream 1.0 overrules it where `CI` is set, whose logs show colours off a
/// terminal; what says of itself that it shows none is believed here.
fn forced_off(var: impl Fn(&str) -> Option<OsString>) -> bool {
    let forced = var("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    !forced && var("TERM").is_some_and(|term| term == "dumb")
}

fn state(text: &str) -> Result<StatusKind, String> {
    let known = StatusKind::ALL.map(StatusKind::as_str);
    let found = StatusKind::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("there are {}", known.join(", ")))
}

fn restart(text: &str) -> Result<Restart, BadRestartPolicy> {
    RestartPolicy::parse(text).map(Restart)
}

/// A moment in this host's time zone, or how long ago it was.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let now = jiff::Zoned::now();
    // A date and a time first: jiff would take the time out of it, and leave the date.
    let local = if let Ok(time) = text.parse::<jiff::civil::DateTime>() {
        time.to_zoned(now.time_zone().clone()).ok()
    } else if let Ok(time) = text.parse::<jiff::civil::Time>() {
        now.with().time(time).build().ok()
    } else if let Ok(Span::Finite(ago)) = parse_span(text) {
        now.checked_sub(ago).ok()
    } else {
        None
    };
    let micros = local.and_then(|time| u64::try_from(time.timestamp().as_microsecond()).ok());
    micros.map(Timestamp::from_micros).ok_or_else(|| "write 2026-07-30 14:00, 14:00:10 or 10min".to_owned())
}

/// A span that is not `infinity`.
pub(crate) fn finite(text: &str) -> Result<Duration, String> {
    match parse_span(text).map_err(|error| error.to_string())? {
        Span::Finite(span) => Ok(span),
        Span::Infinity => Err("it must be finite".to_owned()),
    }
}

/// A span, where `infinity` is no limit.
pub(crate) fn limit(text: &str) -> Result<Limit, String> {
    match parse_span(text).map_err(|error| error.to_string())? {
        Span::Finite(span) if span.is_zero() => Err("a limit of nothing would end it at once".to_owned()),
        Span::Finite(span) => Ok(Limit(Some(span))),
        Span::Infinity => Ok(Limit(None)),
    }
}

/// How long to wait, where `infinity` is for ever and nothing is one look.
fn patience(text: &str) -> Result<Limit, String> {
    match parse_span(text).map_err(|error| error.to_string())? {
        Span::Finite(span) => Ok(Limit(Some(span))),
        Span::Infinity => Ok(Limit(None)),
    }
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not PROPERTY=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_of_this_host_or_how_long_ago() {
        let ago = |text| {
            let now = Timestamp::from(std::time::SystemTime::now());
            now.since(moment(text).unwrap()).as_secs()
        };
        assert!((599..602).contains(&ago("10min")), "{}", ago("10min"));
        assert!((89..92).contains(&ago("90")));
        assert!(ago("2020-01-01 12:00") > 86_400 * 365);
        assert_eq!(ago("2020-01-01 12:00"), ago("2020-01-01T12:00:00"));
        assert_eq!(ago("2020-01-02") + 86_400, ago("2020-01-01"));
        assert!(ago("00:00") < 86_400 * 2);
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(Timestamp::from_micros(1_000_000)));
        assert!(moment("whenever").is_err() && moment("infinity").is_err());
    }

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }
}
