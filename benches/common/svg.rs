//! Plain SVG with its own background, so that it is readable on light and dark pages. It names no machine;
//! docs/performance.md does.

use std::fmt::Write as _;

use anyhow::Result;

/// The frame of a drawing.
pub(crate) struct Page<'a> {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) title: &'a str,
    /// All figures, for readers who cannot see the drawing.
    pub(crate) description: &'a str,
    /// Style sheet lines of the content: for a light page, and the differences for a dark one.
    pub(crate) styles: (&'a str, &'a str),
}

/// The style sheet. Both results of the media query are readable on any page.
const LIGHT: &str = "\
text { font: 13px -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.heading, .own { font-weight: 600 }
.small { font-size: 11px; fill: #59636e }
.ground { fill: #ffffff; stroke: #d1d9e0 }
.axis { stroke: #59636e }
.spread { stroke: #1f2328 }
";
const DARK: &str = "  text { fill: #f0f6fc }
  .small { fill: #9198a1 }
  .ground { fill: #0d1117; stroke: #3d444d }
  .axis { stroke: #9198a1 }
  .spread { stroke: #f0f6fc }
";

/// Starts a drawing with its title and background; [`end`] ends it.
pub(crate) fn begin(page: &Page) -> Result<String> {
    let Page { width, height, .. } = page;
    let (light, dark) = page.styles;
    let mut out = String::new();
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-labelledby="title desc">"#
    )?;
    writeln!(out, r#"<title id="title">{}</title>"#, escaped(page.title))?;
    let told = escaped(page.description);
    writeln!(out, r#"<desc id="desc">{told}</desc>"#)?;
    writeln!(
        out,
        "<style>\n{LIGHT}{light}@media (prefers-color-scheme: dark) {{\n{DARK}{dark}}}\n</style>"
    )?;
    writeln!(
        out,
        r#"<rect class="ground" x="0.5" y="0.5" width="{}" height="{}" rx="6"/>"#,
        width - 1.0,
        height - 1.0
    )?;
    text(&mut out, 16.0, 30.0, "title", page.title)?;
    Ok(out)
}

pub(crate) fn end(mut out: String) -> String {
    out.push_str("</svg>\n");
    out
}

pub(crate) fn text(out: &mut String, x: f64, y: f64, class: &str, what: &str) -> Result<()> {
    let what = escaped(what);
    Ok(writeln!(
        out,
        r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{what}</text>"#
    )?)
}

/// "1 round", "3 rounds".
pub(crate) fn rounds(rounds: u32) -> String {
    match rounds {
        1 => "1 round".to_owned(),
        rounds => format!("{rounds} rounds"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
