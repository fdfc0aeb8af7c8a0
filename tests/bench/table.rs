//! The one table: a row per comparison, and what was asked of it.

use std::fmt;

use crate::figures::Figure;

/// What a comparison is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// For the reader's information.
    None,
}

impl Target {
    fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
            Self::None => true,
        }
    }

    /// Half of what is asked for, or twice what is allowed.
    fn by_half(self) -> Self {
        match self {
            Self::AtLeast(bound) => Self::AtLeast(bound / 2.0),
            Self::AtMost(bound) => Self::AtMost(bound * 2.0),
            Self::None => Self::None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
            Self::AtMost(bound) => write!(f, "<= {bound}"),
            Self::None => Ok(()),
        }
    }
}

/// One comparison.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) figure: Figure,
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
    /// Nothing may be off by more than a factor of two.
    GrossLoss,
}

/// All comparisons.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    /// The rows that are not what was asked for.
    pub(crate) fn missed(&self, strictness: Strictness) -> Vec<&str> {
        let bound = |target: Target| match strictness {
            Strictness::Targets => target,
            Strictness::GrossLoss => target.by_half(),
        };
        let missed = self.0.iter().filter(|row| !bound(row.target).is_met(row.figure.median));
        missed.map(|row| row.what.as_str()).collect()
    }

    fn cells(&self) -> Vec<[String; 7]> {
        let head = ["what", "median", "min..max", "asked", "", "ours", "theirs"].map(str::to_owned);
        let rows = self.0.iter().map(|row| {
            let Figure { median, min, max, .. } = row.figure;
            let verdict = match row.target {
                Target::None => "",
                target if target.is_met(median) => "ok",
                _ => "missed",
            };
            [
                row.what.clone(),
                format!("{median:.2}"),
                format!("{min:.2}..{max:.2}"),
                row.target.to_string(),
                verdict.to_owned(),
                row.ours.clone(),
                row.theirs.clone(),
            ]
        });
        std::iter::once(head).chain(rows).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = self.cells();
        let widths: [usize; 7] = std::array::from_fn(|column| {
            cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        for row in &cells {
            let padded: Vec<_> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(f, "{}", padded.join("  ").trim_end())?;
        }
        Ok(())
    }
}
