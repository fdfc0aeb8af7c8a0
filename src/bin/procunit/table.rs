//! Procs as a table: fitted to a terminal, whole when piped.

use std::fmt::Write as _;

use std::io::{self, IsTerminal as _};

use comfy_table::{
    Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row, Table, Width, presets,
};
use procunit::ProcStatus;
use procunit::report::Report;
use procunit::size::format_size;
use procunit::spec::Lifetime;
use procunit::time::{Timestamp, format_span};

use crate::words::{self, plural};

/// Spaces between two columns.
const GAP: u16 = 2;
/// How much of a name or unit is shown at least.
const LEAST: u16 = 8;
/// What stands for what is not known.
const UNKNOWN: &str = "-";

/// The table of these procs, with more columns if it is a wide one, whose lines are never cut.
pub(crate) fn table(reports: &[Report], wide: bool, now: Timestamp) -> String {
    let mut table = Table::new();
    // Colours are always in it: the stream that it is written to takes them out where they are not wanted.
    crossterm::style::force_color_output(true);
    table.load_style(presets::NOTHING).enforce_styling().style_text_only();
    table.set_header(header(wide)).set_content_arrangement(ContentArrangement::Disabled);
    for report in reports {
        table.add_row(row(report, wide, now));
    }
    let last = header(wide).len() - 1;
    for (column, name) in table.column_iter_mut().zip(header(wide)) {
        column.set_padding((0, if column.index == last { 0 } else { GAP }));
        if matches!(name, "PID" | "CPU" | "MEM" | "PEAK") {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if !wide && io::stdout().is_terminal() {
        fit(&mut table);
    }
    table.trim_fmt()
}

/// Cuts what is too long for the terminal: the unit first, as it follows from the name, and then the name.
fn fit(table: &mut Table) {
    // A terminal that does not know its size says 0.
    let Some(terminal) = table.width().filter(|width| *width > 0) else { return };
    let widths = table.column_max_content_widths();
    let last = widths.len() - 1;
    let gaps = GAP * u16::try_from(last).unwrap_or_default();
    let others: u16 = widths[1..last].iter().sum();
    let room = terminal.saturating_sub(others + gaps);
    let unit = room.saturating_sub(widths[0]).max(LEAST).min(widths[last]);
    let name = room.saturating_sub(unit).max(LEAST).min(widths[0]);
    for (index, width) in [(0, name), (last, unit)] {
        if let Some(column) = table.column_mut(index) {
            let padding = if index == last { 0 } else { GAP };
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width + padding)));
        }
    }
    table.set_truncation_indicator("…").set_content_arrangement(ContentArrangement::Dynamic);
    for index in 0..table.row_count() {
        table.row_mut(index).map(|row| row.max_height(1));
    }
}

fn header(wide: bool) -> Vec<&'static str> {
    let mut names = vec!["NAME", "STATUS", "READY", "PID", "UP", "CPU", "MEM", "UNIT"];
    if wide {
        names.extend(["PEAK", "LIFETIME", "STARTED", "ENDED", "BY", "LABEL"]);
    }
    names
}

fn row(report: &Report, wide: bool, now: Timestamp) -> Row {
    let mut cells = vec![
        Cell::new(&report.id),
        status(report),
        Cell::new(ready(&report.status)),
        known(report.pid.filter(|_| words::has_main(report))),
        known(report.up(now).map(words::whole).map(format_span)),
        known(report.cpu_seconds.map(words::span)),
        known(report.memory_bytes.map(format_size)),
        known(report.unit.as_ref()),
    ];
    if wide {
        cells.extend([
            known(report.memory_peak_bytes.map(format_size)),
            Cell::new(match report.lifetime {
                Lifetime::Attached => "attached",
                Lifetime::Detached => "detached",
            }),
            known(report.started_at.map(words::local)),
            known(report.ended_at.map(words::local)),
            known(report.ended_by.as_ref()),
            known(report.label.as_ref()),
        ]);
    }
    Row::from(cells)
}

fn status(report: &Report) -> Cell {
    let mut text = report.status.to_string();
    if let Some(left) = report.leftovers {
        let _ = write!(text, " +{left} {}", plural(left, "process", "processes"));
    }
    let cell = Cell::new(text);
    match &report.status {
        ProcStatus::Running { .. } | ProcStatus::Ready { .. } => cell.fg(Color::DarkGreen),
        ProcStatus::Starting | ProcStatus::Stopping { .. } => cell.fg(Color::DarkYellow),
        ProcStatus::Stopped { exit_code: 0, .. } => cell,
        ProcStatus::Stopped { .. } | ProcStatus::Killed { .. } | ProcStatus::Failed { .. } => {
            cell.fg(Color::DarkRed)
        }
    }
}

/// A proc says that it is ready; nothing tells of one that does not whether it was to.
fn ready(status: &ProcStatus) -> &'static str {
    if matches!(status, ProcStatus::Ready { .. }) { "yes" } else { UNKNOWN }
}

fn known(value: Option<impl ToString>) -> Cell {
    Cell::new(value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string()))
}
