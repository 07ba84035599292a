//! A plot for the README: throughput and the server's CPU time for the big file, with a row for each
//! server.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::common::client::AES;
use crate::common::servers::Peer;
use crate::common::sizes::size;
use crate::common::spread::Spread;
use crate::common::svg::{self, Page, rounds, text};
use crate::record::{Record, ServerRecord};
use crate::workloads::{CPU, THROUGHPUT};

const WIDTH: f64 = 840.0;
/// The top of the first row.
const TOP: f64 = 92.0;
/// The distance between two rows.
const ROW: f64 = 46.0;
const BAR: f64 = 15.0;

/// Both directions: the name of the workload, and the class of its bars.
const WAYS: [(&str, &str); 2] = [("get-aes", "get"), ("put-aes", "put")];

/// One measure's half of the plot.
struct Panel {
    title: &'static str,
    hint: &'static str,
    measure: &'static str,
    digits: usize,
    left: f64,
    /// The width of the longest bar.
    width: f64,
}

const PANELS: [Panel; 2] = [
    Panel {
        title: "Throughput, MiB/s",
        hint: "more is better",
        measure: THROUGHPUT,
        digits: 0,
        left: 140.0,
        width: 280.0,
    },
    Panel {
        title: "Server's CPU, seconds per GiB",
        hint: "less is better",
        measure: CPU,
        digits: 2,
        left: 500.0,
        width: 280.0,
    },
];

/// The style of the bars, on a light and on a dark page.
const STYLES: (&str, &str) = (
    ".get { fill: #0969da }\n.put { fill: #e16f24 }\n",
    "  .get { fill: #4493f8 }\n  .put { fill: #db6d28 }\n",
);

/// Draws a run to a file.
pub(crate) fn write(run: &Record, file: &Path) -> Result<()> {
    let text = svg(run)?;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn svg(run: &Record) -> Result<String> {
    let servers = rows(run);
    if servers.is_empty() {
        let [(get, _), (put, _)] = WAYS;
        bail!("nothing to plot: that run has no server that did {get} and {put}");
    }
    let bottom = TOP + ROW * servers.len() as f64;
    let height = bottom + 34.0;
    let title = format!(
        "One file of {} over one connection, AES-GCM",
        size(run.size)
    );

    let mut out = svg::begin(&Page {
        width: WIDTH,
        height,
        title: &title,
        description: &description(run, &servers),
        styles: STYLES,
    })?;
    for ((_, way), left) in WAYS.iter().zip([700.0, 764.0]) {
        writeln!(
            out,
            r#"<rect class="{way}" x="{left}" y="19" width="12" height="12"/>"#
        )?;
        text(&mut out, left + 18.0, 30.0, "label", way)?;
    }
    for (number, server) in servers.iter().enumerate() {
        let top = TOP + ROW * number as f64;
        let class = if is_ours(server) { "own" } else { "label" };
        text(&mut out, 16.0, top + 14.0, class, &server.name)?;
        text(&mut out, 16.0, top + 29.0, "small", short(&server.version))?;
    }
    for panel in &PANELS {
        draw(&mut out, run, &servers, panel)?;
    }
    text(
        &mut out,
        16.0,
        height - 14.0,
        "small",
        &footer(run, &servers),
    )?;
    Ok(svg::end(out))
}

/// The servers that did both directions; Landfall first.
fn rows(run: &Record) -> Vec<&ServerRecord> {
    let did_both = |server: &&ServerRecord| {
        WAYS.iter()
            .all(|(work, _)| !run.values(work, &server.name, THROUGHPUT).is_empty())
    };
    let mut servers: Vec<_> = run.servers.iter().filter(did_both).collect();
    servers.sort_by_key(|server| !is_ours(server));
    servers
}

fn is_ours(server: &ServerRecord) -> bool {
    server.name == Peer::Landfall.name()
}

fn draw(out: &mut String, run: &Record, servers: &[&ServerRecord], panel: &Panel) -> Result<()> {
    let Panel {
        title,
        hint,
        measure,
        digits,
        left,
        width,
    } = panel;
    text(out, *left, 62.0, "heading", title)?;
    text(out, *left, 79.0, "small", hint)?;

    let mut bars = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        let row = TOP + ROW * number as f64;
        for ((work, way), top) in WAYS.iter().zip([row, row + BAR + 1.0]) {
            let figures = Spread::of(run.values(work, &server.name, measure));
            bars.extend(figures.map(|figures| (figures, *way, top)));
        }
    }
    let longest = bars.iter().map(|(figures, ..)| figures.most);
    let unit = width / longest.fold(f64::MIN_POSITIVE, f64::max);
    for (figures, way, top) in &bars {
        let (length, middle) = (figures.median * unit, top + BAR / 2.0);
        let (least, most) = (left + figures.least * unit, left + figures.most * unit);
        writeln!(
            out,
            r#"<rect class="{way}" x="{left}" y="{top}" width="{length:.1}" height="{BAR}"/>"#
        )?;
        writeln!(
            out,
            r#"<line class="spread" x1="{least:.1}" y1="{middle}" x2="{most:.1}" y2="{middle}"/>"#
        )?;
        let label = format!("{:.digits$}", figures.median);
        text(out, most + 5.0, top + 12.0, "label", &label)?;
    }
    let bottom = TOP + ROW * servers.len() as f64 - 11.0;
    writeln!(
        out,
        r#"<line class="axis" x1="{left}" y1="{}" x2="{left}" y2="{bottom}"/>"#,
        TOP - 4.0
    )?;
    Ok(())
}

/// The date and the options, and the servers with another cipher.
fn footer(run: &Record, servers: &[&ServerRecord]) -> String {
    let cipher = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    let mut footer = format!(
        "{}. Medians of {}; thin lines from the least to the most. {}",
        run.site.date,
        rounds(run.rounds),
        cipher(AES)
    );
    for server in servers.iter().filter(|server| server.aes_gcm != AES) {
        let _ = write!(footer, "; {}: {}", server.name, cipher(&server.aes_gcm));
    }
    footer
}

/// All figures, for readers who cannot see the bars.
fn description(run: &Record, servers: &[&ServerRecord]) -> String {
    let mut told = format!("{}, medians of {}.", run.site.date, rounds(run.rounds));
    for server in servers {
        let _ = write!(told, " {} {}:", server.name, short(&server.version));
        for (number, (work, way)) in WAYS.iter().enumerate() {
            let median = |measure| {
                let figures = Spread::of(run.values(work, &server.name, measure));
                figures.map_or(0.0, |figures| figures.median)
            };
            let (throughput, cpu) = (median(THROUGHPUT), median(CPU));
            let comma = if number == 0 { "" } else { "," };
            let _ = write!(
                told,
                "{comma} {way} {throughput:.0} MiB/s at {cpu:.2} s of CPU per GiB"
            );
        }
        told.push('.');
    }
    told
}

/// The number in a program's version text.
fn short(version: &str) -> &str {
    version
        .split([' ', '_', ',', ';'])
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .unwrap_or(version)
}
