//! docs/performance.md and its chart: what a full run found goes there.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::chart;
use crate::results::Results;

/// What is between the two is the bench's; the rest of the page is written by hand.
const MARKS: [&str; 2] = ["<!-- measured: from here -->\n", "<!-- measured: to here -->"];

/// Puts the machine, the table and the chart into `docs`.
pub(crate) fn write(machine: &str, results: &Results) -> anyhow::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let file = docs.join("performance.md");
    let page = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let measured = format!("{machine}\n{}", results.table);
    let page = between(&page, &measured).with_context(|| format!("{} has lost its marks", file.display()))?;
    fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
    let file = docs.join("performance.svg");
    fs::write(&file, chart::draw(results)?).with_context(|| format!("cannot write {}", file.display()))
}

fn between(page: &str, measured: &str) -> Option<String> {
    let (before, rest) = page.split_once(MARKS[0])?;
    let (_, after) = rest.split_once(MARKS[1])?;
    Some([before, MARKS[0], "\n", measured, "\n", MARKS[1], after].concat())
}
