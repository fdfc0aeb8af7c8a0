//! Many measurements in few numbers.

/// The middle of several measurements and how far they lie apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) p99: f64,
}

impl Figure {
    /// Of at least one measurement; all are `NaN` of none.
    pub(crate) fn of(measured: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<_> = measured.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |hundredths: usize| {
            let index = (sorted.len().saturating_sub(1) * hundredths).div_ceil(100);
            sorted.get(index).copied().unwrap_or(f64::NAN)
        };
        Self { median: at(50), min: at(0), max: at(100), p99: at(99) }
    }

    /// Of the ratios of what was measured together: noise that hits both cancels out.
    pub(crate) fn of_ratios(pairs: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self::of(pairs.into_iter().map(|(one, other)| one / other))
    }
}
