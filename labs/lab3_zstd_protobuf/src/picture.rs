//! The figures as a picture: a panel for each size of batches, above the bytes, below the CPU.
//!
//! SVG is text, so it needs no library. It has its own background, and its colours follow the reader's theme.

use crate::event::Format;
use crate::measure::{BATCHES, Cell, thousands};
use crate::stored::Codec;
use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 78.0;
const PANEL: f64 = 280.0;
/// The longest bar; the rest of a panel is for its number.
const BAR: f64 = 196.0;
const ROW: f64 = 15.0;
const GROUP: f64 = 2.0 * ROW + 8.0;
const PLOT: f64 = 5.0 * GROUP;

/// What a bar shows.
type Value = fn(&Cell) -> f64;

/// Whether a length means the same in every panel.
#[derive(Clone, Copy, PartialEq)]
enum Scale {
    Shared,
    /// One panel's bars are many times as long as another's.
    Own,
}

/// Colours by class: light, then dark. Blue and orange are told apart by every kind of eyes.
const STYLE: &str = "
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .panel { font-weight: 600 }
  .quiet { fill: #59636e }
  .card { fill: #ffffff; stroke: #d1d9e0 }
  .axis { stroke: #d1d9e0 }
  .json { fill: #d9730d }
  .protobuf { fill: #2a6fdb }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .card { fill: #0d1117; stroke: #3d444d }
    .axis { stroke: #3d444d }
    .json { fill: #f0883e }
    .protobuf { fill: #58a6ff }
  }
";

/// The picture's text. `caption` says on what data and how it was made.
pub fn svg(cells: &[Cell], caption: &str) -> String {
    let plots: [(&str, Value, Scale); 2] = [
        ("Stored bytes a record", |cell| cell.stored, Scale::Shared),
        (
            "CPU of the producer, µs a record (each panel has its own scale)",
            |cell| cell.cpu,
            Scale::Own,
        ),
    ];
    let height = 2.0 * (PLOT + 76.0) + 76.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-labelledby=\"title desc\">\n<title id=\"title\">What an event costs</title>\n\
         <desc id=\"desc\">Bars for JSON and protobuf with five codecs, in batches of 1, 100 and 10,000 records; the \
         tables beside the picture hold the same figures.</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
        WIDTH - 1.0,
        height - 1.0
    );
    text(&mut svg, 20.0, 32.0, "title", "start", "What an event costs");
    let mut x = WIDTH - 190.0;
    for format in [Format::Json, Format::Protobuf] {
        let class = class(format);
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"21\" width=\"12\" height=\"12\" rx=\"2\"/>"
        );
        text(&mut svg, x + 18.0, 32.0, "", "start", &format.to_string());
        x += 80.0;
    }
    for (n, (title, value, scale)) in plots.into_iter().enumerate() {
        let top = 66.0 + if n == 0 { 0.0 } else { PLOT + 76.0 };
        plot(&mut svg, top, title, cells, value, scale);
    }
    text(&mut svg, 20.0, height - 18.0, "quiet", "start", caption);
    svg.push_str("</svg>\n");
    svg
}

/// One row of panels.
fn plot(svg: &mut String, top: f64, title: &str, cells: &[Cell], value: Value, scale: Scale) {
    text(svg, 20.0, top, "panel", "start", title);
    for (panel, batch) in (0_u8..).zip(BATCHES) {
        let scaled = cells.iter().filter(|cell| scale == Scale::Shared || cell.batch == batch);
        let largest = scaled.map(value).fold(f64::MIN_POSITIVE, f64::max);
        let left = LEFT + f64::from(panel) * (PANEL + 10.0);
        let heading = match batch {
            1 => "batches of 1".to_owned(),
            n => format!("batches of {}", thousands(n as f64)),
        };
        text(svg, left, top + 24.0, "quiet", "start", &heading);
        let first = top + 34.0;
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{left}\" y1=\"{first}\" x2=\"{left}\" y2=\"{}\"/>",
            first + PLOT - 8.0
        );
        for (row, codec) in (0_u8..).zip(Codec::ALL) {
            let y = first + f64::from(row) * GROUP;
            if panel == 0 {
                text(svg, left - 8.0, y + ROW + 4.0, "", "end", &codec.to_string());
            }
            let of_codec = cells.iter().filter(|cell| cell.batch == batch && cell.codec == codec);
            for (bar, cell) in (0_u8..).zip(of_codec) {
                let (y, length) = (y + f64::from(bar) * ROW, value(cell) / largest * BAR);
                let class = class(cell.format);
                let _ = writeln!(
                    svg,
                    "<rect class=\"{class}\" x=\"{left}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" rx=\"1.5\"/>",
                    y + 1.0,
                    ROW - 3.0
                );
                let number = if value(cell) < 10.0 {
                    format!("{:.1}", value(cell))
                } else {
                    thousands(value(cell))
                };
                text(svg, left + length + 5.0, y + ROW - 4.0, "", "start", &number);
            }
        }
    }
}

fn class(format: Format) -> &'static str {
    match format {
        Format::Json => "json",
        Format::Protobuf => "protobuf",
    }
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_has_its_bar_and_its_number() {
        let cell = |codec, stored| Cell {
            batch: 1,
            format: Format::Json,
            codec,
            stored,
            cpu: 1.0,
            per_second: 1.0,
        };
        let svg = svg(&[cell(Codec::None, 400.0), cell(Codec::Zstd, 100.0)], "a < b & c");
        assert!(svg.contains("width=\"196.0\"") && svg.contains("width=\"49.0\""), "{svg}");
        assert!(svg.contains(">400</text>") && svg.contains(">100</text>"));
        assert!(svg.contains("a &lt; b &amp; c"));
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
