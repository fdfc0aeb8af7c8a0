//! The `procunit` command: data on stdout, everything else on stderr.
//!
//! Uses the library's public interface alone. One file per subcommand; this one parses, dispatches, and turns
//! what came of it into an exit code.

mod act;
mod args;
mod completions;
mod connect;
mod doctor;
mod exit;
mod kill;
mod log_args;
mod log_filter;
mod log_lines;
mod log_runs;
mod logs;
mod man;
mod printable;
mod ps;
mod pty;
mod pty_bytes;
mod retention;
mod rm;
mod run;
mod run_output;
mod select;
mod show;
mod status;
mod stop;
mod table;
mod tty;
mod wait;
mod wishes;
mod words;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Verb};

fn main() -> ExitCode {
    let args = Args::parse();
    args.check();
    args.global.color.apply();
    start_tracing(args.global.verbose);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(args)),
        Err(error) => Err(anyhow::Error::new(error).context("starting the tokio runtime")),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            show::say(format_args!("{}", exit::Shown(&error)));
            ExitCode::from(exit::code_of_error(&error))
        }
    }
}

async fn dispatch(args: Args) -> anyhow::Result<u8> {
    match args.verb {
        Verb::Run(run) => run::run(&args.global, &run).await,
        Verb::Ps(ps) => ps::ps(&args.global, &ps).await,
        Verb::Status(status) => status::status(&args.global, &status).await,
        Verb::Logs(logs) => logs::logs(&args.global, &logs).await,
        Verb::Wait(wait) => wait::wait(&args.global, &wait).await,
        Verb::Stop(stop) => stop::stop(&args.global, &stop).await,
        Verb::Kill(kill) => kill::kill(&args.global, &kill).await,
        Verb::Rm(rm) => rm::rm(&args.global, &rm).await,
        Verb::Completions { shell } => completions::completions(shell),
        Verb::Man { dir } => man::man(&dir),
        Verb::Doctor => doctor::doctor(&args.global).await,
    }
}

fn start_tracing(verbose: u8) {
    use tracing_subscriber::filter::LevelFilter;
    let level = match verbose {
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        3.. => LevelFilter::TRACE,
    };
    if verbose > 0 {
        let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level);
        lines.with_target(false).init();
    }
}
