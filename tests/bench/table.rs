//! The one table: a row per comparison, and what was asked of it.

use std::fmt;

use crate::figures::Figure;

/// What a comparison is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// Not one.
    Nothing,
    /// For the reader's information.
    None,
}

impl Target {
    pub(crate) fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
            Self::Nothing => figure <= 0.0,
            Self::None => true,
        }
    }

    /// Half of what is asked for, or twice what is allowed.
    fn by_half(self) -> Self {
        match self {
            Self::AtLeast(bound) => Self::AtLeast(bound / 2.0),
            Self::AtMost(bound) => Self::AtMost(bound * 2.0),
            // One a second, in the short form.
            Self::Nothing => Self::AtMost(3.0),
            Self::None => Self::None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
            Self::AtMost(bound) => write!(f, "<= {bound}"),
            Self::Nothing => write!(f, "0"),
            Self::None => Ok(()),
        }
    }
}

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Ratio,
    Millis,
    Kib,
    Mib,
    Count,
}

impl Unit {
    fn suffix(self) -> &'static str {
        match self {
            Self::Ratio | Self::Count => "",
            Self::Millis => " ms",
            Self::Kib => " KiB",
            Self::Mib => " MiB",
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Ratio | Self::Millis | Self::Kib => 2,
            Self::Mib => 1,
            Self::Count => 0,
        }
    }
}

/// One comparison.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) figure: Figure,
    pub(crate) unit: Unit,
    pub(crate) target: Target,
    /// The absolute figures behind it: ours, and what it is held against.
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

/// How strict to be with the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Every target must be met.
    Targets,
    /// Nothing may be off by more than a factor of two, in the best of its rounds: whatever else the machine does, a
    /// loss that is real is in all of them.
    GrossLoss,
}

impl Row {
    /// With its unit.
    pub(crate) fn median(&self) -> String {
        format!("{:.*}{}", self.unit.digits(), self.figure.median, self.unit.suffix())
    }

    /// Of all rounds.
    fn best(&self) -> f64 {
        match self.target {
            Target::AtLeast(_) => self.figure.max,
            Target::AtMost(_) | Target::Nothing | Target::None => self.figure.min,
        }
    }

    /// With its unit; empty where nothing is asked.
    pub(crate) fn asked(&self) -> String {
        match self.target {
            Target::None | Target::Nothing => self.target.to_string(),
            target => format!("{target}{}", self.unit.suffix()),
        }
    }

    /// What, median, range, target, ours and theirs.
    fn cells(&self) -> [String; 6] {
        let Figure { median, min, max, .. } = self.figure;
        let (digits, suffix, asked) = (self.unit.digits(), self.unit.suffix(), self.asked());
        [
            self.what.clone(),
            self.median(),
            format!("{min:.digits$}..{max:.digits$}{suffix}"),
            if self.target.is_met(median) { asked } else { format!("{asked}, **missed**") },
            self.ours.clone(),
            self.theirs.clone(),
        ]
    }
}

/// All comparisons.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

const HEAD: [&str; 6] = ["what", "median", "min..max", "asked", "ours", "theirs"];

impl Table {
    pub(crate) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.0
    }

    /// The rows that are not what was asked for.
    pub(crate) fn missed(&self, strictness: Strictness) -> Vec<&str> {
        let is_met = |row: &&Row| match strictness {
            Strictness::Targets => row.target.is_met(row.figure.median),
            Strictness::GrossLoss => row.target.by_half().is_met(row.best()),
        };
        self.0.iter().filter(|row| !is_met(row)).map(|row| row.what.as_str()).collect()
    }
}

/// As Markdown, in columns.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cells = vec![HEAD.map(str::to_owned)];
        cells.extend(self.0.iter().map(Row::cells));
        let widths: [usize; HEAD.len()] = std::array::from_fn(|column| {
            cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        cells.insert(1, widths.map(|width| "-".repeat(width)));
        for row in &cells {
            let padded: Vec<_> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(f, "| {} |", padded.join(" | "))?;
        }
        Ok(())
    }
}
