//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use procunit::signal::Signal;
use procunit::time::{Span, parse_span};

/// Launch programs as transient systemd user services and keep hold of them.
#[derive(Debug, Parser)]
#[command(name = "procunit", version, arg_required_else_help = true, subcommand_required = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What every verb takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// What starts procs: systemd where its user manager answers and plain child processes elsewhere (auto), or
    /// one of the two
    #[arg(long, global = true, env = "PROCUNIT_LAUNCHER", value_name = "auto|systemd|native", default_value = "auto",
          value_parser = launcher)]
    pub(crate) launcher: LauncherKind,
    /// Show data as a table, a wider table, one JSON value, a JSON value per line, or names alone
    #[arg(short, long, global = true, value_enum, default_value_t)]
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

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Run(Box<RunArgs>),
    /// Check what launching needs on this host, and say what to do about what is missing
    ///
    /// Exits with 0 only if launching works; a program is launched to find out.
    Doctor,
}

/// Run a program as a unit of its own, to its exact end
///
/// Attached (without -d), the program has this command's stdin, stdout and stderr, and this command exits as the
/// program did. Ctrl-C asks it to stop; a second Ctrl-C kills it. However this command ends, the program ends too.
///
/// Exit codes: the program's own; 128+N for death by signal N; 124 for a time limit; 125 where it could not be
/// launched; 126 and 127 where it is not executable or not found.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Leave it running, print its name alone, and come back
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Its name; without one, the program's name and a short random part
    #[arg(short, long)]
    pub(crate) name: Option<String>,
    /// Set an environment variable, or pass this command's own (with --clean-env)
    #[arg(short, long = "env", value_name = "K[=V]")]
    pub(crate) env: Vec<OsString>,
    /// Read environment variables from a file of K=V lines
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Start from PATH, HOME, USER, LANG and XDG_RUNTIME_DIR instead of this command's environment
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
    /// Set a property of its unit, as in a unit file; see systemd.service(5), systemd.exec(5) and
    /// systemd.resource-control(5)
    #[arg(short, long = "property", value_name = "PROPERTY=VALUE", value_parser = property)]
    pub(crate) property: Vec<(String, String)>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// A time limit, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(pub(crate) Option<Duration>);

/// Which launcher to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LauncherKind {
    Auto,
    Systemd,
    Native,
}

/// How data is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Wide,
    Json,
    Jsonl,
    Name,
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
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

fn launcher(text: &str) -> Result<LauncherKind, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "auto" => Ok(LauncherKind::Auto),
        "systemd" => Ok(LauncherKind::Systemd),
        "native" => Ok(LauncherKind::Native),
        other => Err(format!("{other:?} is no launcher; there are auto, systemd and native")),
    }
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

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not PROPERTY=VALUE")),
    }
}
