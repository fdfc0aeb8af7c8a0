//! `procunit completions`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Args;
use crate::show;

/// Prints what a shell completes with.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "procunit", &mut script);
    show::bytes(&script)?;
    Ok(0)
}
