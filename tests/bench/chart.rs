//! The chart: how launches and ends keep their pace with thousands live, and every figure beside what was asked of it.
//!
//! Its background is its own, so that it reads the same on a light page and on a dark one.

use anyhow::{Context as _, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::results::{Curve, Results};
use crate::table::{Row, Target};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 1000;
/// Of the panels with curves.
const CURVES: u32 = 320;
/// Of a bar, and of what is above all of them.
const BAR: u32 = 24;
const HEAD: u32 = 56;

/// Names of figures end here, and bars begin.
const NAMES: i32 = 410;
/// The length of a bar that is just what was asked for.
const ASKED: i32 = 130;
/// Bars end there: how much better than three times as good is not the question.
const LONGEST: f64 = 2.6;

const INK: RGBColor = RGBColor(31, 41, 55);
const PALE: RGBColor = RGBColor(209, 213, 219);
const OURS: RGBColor = RGBColor(37, 99, 235);
const THEIRS: RGBColor = RGBColor(217, 119, 6);
const MISSED: RGBColor = RGBColor(220, 38, 38);

/// As SVG.
pub(crate) fn draw(results: &Results) -> anyhow::Result<String> {
    let bars: Vec<_> = results.table.rows().iter().filter_map(Bar::of).collect();
    let height = CURVES + HEAD + BAR * u32::try_from(bars.len())? + BAR;
    let mut svg = String::new();
    {
        let all = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        paint(&all, results, &bars).map_err(|error| anyhow!("{error}")).context("the chart")?;
    }
    Ok(svg)
}

fn paint(all: &Area, results: &Results, bars: &[Bar]) -> Result<(), Box<dyn std::error::Error>> {
    all.fill(&WHITE)?;
    let (curves, bars_area) = all.split_vertically(CURVES);
    let (left, right) = curves.split_horizontally(WIDTH / 2);
    panel(&left, "launches a second", &results.rates)?;
    panel(&right, "from exit to watch(), ms", &results.delays)?;
    heading(&bars_area, "Against what was asked: a bar that reaches the line is just good enough", 14)?;
    for (at, bar) in bars.iter().enumerate() {
        bar.paint(&bars_area, i32::try_from(HEAD + BAR * u32::try_from(at)?)?)?;
    }
    let (top, bottom) =
        (i32::try_from(HEAD)? - 6, i32::try_from(HEAD)? + i32::try_from(BAR)? * i32::try_from(bars.len())?);
    bars_area
        .draw(&PathElement::new([(NAMES + ASKED, top), (NAMES + ASKED, bottom)], INK.stroke_width(1)))?;
    Ok(all.present()?)
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn heading(area: &Area, words: &str, top: i32) -> Result<(), Box<dyn std::error::Error>> {
    Ok(area.draw(&Text::new(words.to_owned(), (24, top), text(16)))?)
}

/// Curves by the number of live procs, each point with the range of its rounds.
fn panel(area: &Area, title: &str, curves: &[Curve]) -> Result<(), Box<dyn std::error::Error>> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let live = points().map(|(live, _)| *live).max().unwrap_or(1);
    let top = points().map(|(_, figure)| figure.p99).fold(0.0, f64::max);
    heading(area, &format!("{title}, by live procs (median, min to p99)"), 14)?;
    let mut chart = ChartBuilder::on(area)
        .margin_top(46)
        .margin_right(24)
        .margin_bottom(10)
        .margin_left(12)
        .x_label_area_size(28)
        .y_label_area_size(44)
        .build_cartesian_2d(0..live + live / 20, 0.0..top * 1.15)?;
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh().bold_line_style(PALE).light_line_style(TRANSPARENT).axis_style(INK);
    mesh.x_labels(6).y_labels(6).y_label_formatter(&|number| short(*number)).label_style(text(13)).draw()?;
    for (curve, colour) in curves.iter().zip([OURS, THEIRS]) {
        let medians = curve.points.iter().map(|(live, figure)| (*live, figure.median));
        let line = chart.draw_series(LineSeries::new(medians.clone(), colour.stroke_width(2)))?;
        line.label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
        chart.draw_series(medians.map(|at| Circle::new(at, 4, colour.filled())))?;
        let ranges = curve.points.iter().map(|(live, figure)| [(*live, figure.min), (*live, figure.p99)]);
        chart.draw_series(ranges.map(|range| PathElement::new(range, colour.mix(0.5).stroke_width(1))))?;
    }
    if curves.len() > 1 {
        let mut legend = chart.configure_series_labels();
        let legend = legend.position(SeriesLabelPosition::LowerLeft).label_font(text(13));
        legend.background_style(WHITE).draw()?;
    }
    Ok(())
}

/// Not `100.0`.
fn short(number: f64) -> String {
    format!("{number:.1}").trim_end_matches(".0").to_owned()
}

/// A figure, and how it stands to what was asked of it.
struct Bar {
    name: String,
    figure: String,
    /// 1 is just what was asked for; more is better.
    score: f64,
    is_met: bool,
}

impl Bar {
    /// Of a row that was asked something that can be had more or less of.
    fn of(row: &Row) -> Option<Self> {
        let median = row.figure.median;
        let score = match row.target {
            Target::AtLeast(asked) => median / asked,
            // What takes no time at all is as good as it gets.
            Target::AtMost(asked) if median > 0.0 => asked / median,
            Target::AtMost(_) => f64::INFINITY,
            Target::Nothing | Target::None => return None,
        };
        let figure = format!("{} (asked: {})", row.median(), row.asked());
        Some(Self { name: row.what.replace('`', ""), figure, score, is_met: row.target.is_met(median) })
    }

    fn paint(&self, area: &Area, top: i32) -> Result<(), Box<dyn std::error::Error>> {
        let middle = top + 8;
        #[expect(clippy::cast_possible_truncation, reason = "some hundred pixels")]
        let end = NAMES + (f64::from(ASKED) * self.score.min(LONGEST)) as i32;
        let colour = if self.is_met { OURS } else { MISSED };
        let style = |side| text(13).pos(Pos::new(side, VPos::Center));
        area.draw(&Text::new(self.name.clone(), (NAMES - 10, middle), style(HPos::Right)))?;
        area.draw(&Rectangle::new([(NAMES, top), (end, top + 16)], colour.mix(0.75).filled()))?;
        let beside = end.max(NAMES + ASKED) + 8;
        area.draw(&Text::new(self.figure.clone(), (beside, middle), style(HPos::Left)))?;
        Ok(())
    }
}
