//! A small plot for each axis: a panel for each measure, with a line for each server. The axis goes to the
//! right on a logarithmic scale; the measure goes up, from 0, or on a logarithmic scale if it spans a large
//! range.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::axes::PEERS;
use crate::common::machine::today;
use crate::common::servers::Peer;
use crate::common::spread::Spread;
use crate::common::svg::{self, Page, rounds, text};
use crate::report::{Measured, Report};

const WIDTH: f64 = 840.0;
/// The top of the first row of panels, and the height of each.
const TOP: f64 = 56.0;
const ROW: f64 = 186.0;
const COLUMNS: usize = 2;
const COLUMN: f64 = 410.0;
/// The position of the lines in a panel.
const LEFT: f64 = 62.0;
const ABOVE: f64 = 26.0;
const BREADTH: f64 = 270.0;
const HEIGHT: f64 = 116.0;

/// A range larger than this is logarithmic.
const MANY: f64 = 30.0;

/// The style of the lines, on a light and on a dark page.
const STYLES: (&str, &str) = (
    "\
polyline, line { fill: none; stroke-width: 1 }
polyline { stroke-width: 2 }
.openssh { stroke: #e16f24 }
.landfall { stroke: #0969da }
circle.openssh { fill: #e16f24 }
circle.landfall { fill: #0969da }
.grid { stroke: #d1d9e0 }
",
    "  .openssh { stroke: #db6d28 }
  .landfall { stroke: #4493f8 }
  circle.openssh { fill: #db6d28 }
  circle.landfall { fill: #4493f8 }
  .grid { stroke: #3d444d }
",
);

/// Draws each axis to a file with its name.
pub(crate) fn write_all(report: &Report, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for measured in &report.axes {
        let file = folder.join(format!("growth-{}.svg", measured.axis.name));
        fs::write(&file, draw(measured, report.rounds)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The content of a panel: for each server, its figures by point.
struct Panel {
    title: &'static str,
    lines: Vec<(Peer, Vec<(u64, Spread)>)>,
}

fn draw(measured: &Measured, of: u32) -> Result<String> {
    let points = measured.points();
    let panels = panels(measured, &points);
    let height = TOP + ROW * panels.len().div_ceil(COLUMNS) as f64 + 30.0;
    let title = format!("Growth: {}", measured.axis.title);
    let mut out = svg::begin(&Page {
        width: WIDTH,
        height,
        title: &title,
        description: &description(measured, &panels),
        styles: STYLES,
    })?;
    for (peer, left) in PEERS.iter().zip([640.0, 732.0]) {
        let (class, to) = (class(*peer), left + 18.0);
        writeln!(
            out,
            r#"<polyline class="{class}" points="{left},25 {to},25"/>"#
        )?;
        text(&mut out, left + 24.0, 30.0, "label", peer.name())?;
    }
    for (number, panel) in panels.iter().enumerate() {
        let left = COLUMN * (number % COLUMNS) as f64;
        let top = TOP + ROW * (number / COLUMNS) as f64;
        draw_panel(&mut out, measured, &points, panel, (left, top))?;
    }
    let footer = format!(
        "{}. Medians of {}; thin lines from the least to the most.",
        today(),
        rounds(of)
    );
    text(&mut out, 16.0, height - 14.0, "small", &footer)?;
    Ok(svg::end(out))
}

fn panels(measured: &Measured, points: &[u64]) -> Vec<Panel> {
    let line = |title, peer| {
        let figures = points.iter().filter_map(|at| {
            let figure = measured.figure(title, peer, *at)?;
            Some((*at, figure))
        });
        (peer, figures.collect::<Vec<_>>())
    };
    let panel = |title: &&'static str| {
        let lines = PEERS.map(|peer| line(title, peer)).into_iter();
        Panel {
            title,
            lines: lines.filter(|(_, figures)| !figures.is_empty()).collect(),
        }
    };
    let panels = measured.axis.measures.iter().map(panel);
    panels.filter(|panel| !panel.lines.is_empty()).collect()
}

fn draw_panel(
    out: &mut String,
    measured: &Measured,
    points: &[u64],
    panel: &Panel,
    (left, top): (f64, f64),
) -> Result<()> {
    let (least, most) = extent(panel);
    let up = Up::of(least, most);
    let bottom = top + ABOVE + HEIGHT;
    let x = |at: u64| left + LEFT + BREADTH * place(points, at);
    let y = |value: f64| bottom - HEIGHT * up.place(value);
    text(out, left + 16.0, top + 12.0, "heading", panel.title)?;
    for tick in up.ticks() {
        let (at, from, to) = (y(tick), left + LEFT, left + LEFT + BREADTH);
        writeln!(
            out,
            r#"<line class="grid" x1="{from:.1}" y1="{at:.1}" x2="{to:.1}" y2="{at:.1}"/>"#
        )?;
        text(out, left + 16.0, at + 4.0, "small", &number(tick))?;
    }
    for at in points {
        let label = (measured.axis.label)(*at);
        // Roughly centred below the point.
        let from = x(*at) - 3.0 * label.len() as f64;
        text(out, from, bottom + 16.0, "small", &label)?;
    }
    for (peer, figures) in &panel.lines {
        let class = class(*peer);
        let dots = figures
            .iter()
            .map(|(at, figure)| format!("{:.1},{:.1}", x(*at), y(figure.median)));
        let dots = dots.collect::<Vec<_>>().join(" ");
        writeln!(out, r#"<polyline class="{class}" points="{dots}"/>"#)?;
        for (at, figure) in figures {
            let (x, y, low, high) = (x(*at), y(figure.median), y(figure.least), y(figure.most));
            writeln!(
                out,
                r#"<line class="{class}" x1="{x:.1}" y1="{low:.1}" x2="{x:.1}" y2="{high:.1}"/>"#
            )?;
            writeln!(
                out,
                r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="2.5"/>"#
            )?;
        }
        if let Some((at, figure)) = figures.last() {
            let label = number(figure.median);
            text(out, x(*at) + 8.0, y(figure.median) + 4.0, "small", &label)?;
        }
    }
    Ok(())
}

fn class(peer: Peer) -> String {
    peer.name().to_lowercase()
}

/// The minimum and maximum that a panel shows.
fn extent(panel: &Panel) -> (f64, f64) {
    let figures = panel.lines.iter().flat_map(|(_, figures)| figures);
    figures.fold((f64::INFINITY, 0.0), |(least, most), (_, figure)| {
        (least.min(figure.least), most.max(figure.most))
    })
}

/// The position of a point between the first (0) and the last (1), on a logarithmic scale. Zero is one step
/// before the first.
fn place(points: &[u64], at: u64) -> f64 {
    let mut positive = points.iter().filter(|point| **point > 0);
    let first = positive.next().map_or(0.0, |point| (*point as f64).ln());
    let second = positive
        .next()
        .map_or(first + 1.0, |point| (*point as f64).ln());
    let power = |point: u64| match point {
        0 => 2.0 * first - second,
        point => (point as f64).ln(),
    };
    let from = points.first().map_or(0.0, |point| power(*point));
    let to = points.last().map_or(1.0, |point| power(*point));
    (power(at) - from) / (to - from).max(f64::MIN_POSITIVE)
}

/// The vertical scale of a panel.
struct Up {
    from: f64,
    to: f64,
    in_powers: bool,
}

impl Up {
    fn of(least: f64, most: f64) -> Self {
        if least > 0.0 && most / least > MANY {
            let (from, to) = (least.log10().floor(), most.log10().ceil());
            return Self {
                from,
                to,
                in_powers: true,
            };
        }
        let power = 10_f64.powf(most.max(f64::MIN_POSITIVE).log10().floor());
        let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].into_iter();
        let to = steps.map(|step| step * power).find(|to| *to >= most);
        Self {
            from: 0.0,
            to: to.unwrap_or(1.0),
            in_powers: false,
        }
    }

    /// From 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let value = if self.in_powers { value.log10() } else { value };
        (value - self.from) / (self.to - self.from)
    }

    /// The positions of the horizontal lines.
    fn ticks(&self) -> Vec<f64> {
        if !self.in_powers {
            return [0.0, 0.5, 1.0].map(|part| part * self.to).to_vec();
        }
        let powers = (self.to - self.from) as i32;
        let ticks = (0..=powers).map(|step| 10_f64.powf(self.from + f64::from(step)));
        ticks.collect()
    }
}

/// With as many digits as are useful.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => trimmed(format!("{value:.1}")),
        value => trimmed(format!("{value:.2}")),
    }
}

fn trimmed(number: String) -> String {
    number
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

/// All figures, for readers who cannot see the lines.
fn description(measured: &Measured, panels: &[Panel]) -> String {
    let mut told = String::new();
    for panel in panels {
        for (peer, figures) in &panel.lines {
            let figures = figures.iter().map(|(at, figure)| {
                let label = (measured.axis.label)(*at);
                format!("{} at {label}", number(figure.median))
            });
            let figures = figures.collect::<Vec<_>>().join(", ");
            let _ = write!(told, "{}, {}: {figures}. ", panel.title, peer.name());
        }
    }
    told.trim_end().to_owned()
}
