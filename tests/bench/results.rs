//! All that was measured.

use crate::figures::Figure;
use crate::table::Table;

/// What the parts of the bench have found.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) table: Table,
    /// Launches a second by how many live at the end of the step.
    pub(crate) rates: Vec<Curve>,
    /// Exit delays in milliseconds by how many others live.
    pub(crate) delays: Vec<Curve>,
}

/// A line of the chart.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(usize, Figure)>,
}
