//! `procunit man`.

use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::args::Args;

/// Writes a page for the command and one for each verb.
pub(crate) fn man(dir: &Path) -> anyhow::Result<u8> {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    clap_mangen::generate_to(Args::command(), dir).with_context(|| dir.display().to_string())?;
    Ok(0)
}
