//! Draws docs/performance.svg from the tables of docs/performance.md, so that the two agree.
//!
//! `cargo run --manifest-path benches/peers/Cargo.toml --bin plot`, in the project's folder. A table is found
//! by the `<!-- data: NAME -->` above it.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, bail};

const PAGE: &str = "docs/performance.md";
const PLOT: &str = "docs/performance.svg";

/// The size of one panel, and of its frame's left and upper margin.
const WIDE: f64 = 860.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 830.0;

const INK: &str = "#1f2933";
const PALE: &str = "#9aa5b1";
const OURS: &str = "#2563eb";

struct Bar {
    label: String,
    value: f64,
    is_ours: bool,
    /// The target or upper bound.
    target: Option<f64>,
}

fn main() -> anyhow::Result<()> {
    let page = fs::read_to_string(PAGE).context(PAGE)?;
    let mut svg = String::new();
    let mut top = 20.0;
    top = bars(&mut svg, top, "Time per frame, hot, in ns: the median", &readers(&page)?)?;
    top = bars(&mut svg, top, "Instructions per request, without the kernel", &instructions(&page)?)?;
    let font = "font-family=\"system-ui, sans-serif\" font-size=\"13\"";
    let head = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDE} {top}\" {font}>");
    let ground = format!("<rect width=\"{WIDE}\" height=\"{top}\" fill=\"#ffffff\"/>");
    fs::write(PLOT, format!("{head}\n{ground}\n{svg}</svg>\n")).context(PLOT)
}

fn readers(page: &str) -> anyhow::Result<Vec<Bar>> {
    let rows = table(page, "readers")?;
    let median = |row: &[String]| number(row[1].split('–').nth(1).unwrap_or_default());
    let floor = rows.iter().find(|row| row[0] == "floor").context("no floor")?;
    let target = median(floor)? * 0.5;
    let bar = |row: &Vec<String>| {
        let is_ours = row[0] == "dynowarden";
        Ok(Bar { label: row[0].clone(), value: median(row)?, is_ours, target: is_ours.then_some(target) })
    };
    rows.iter().map(bar).collect()
}

fn instructions(page: &str) -> anyhow::Result<Vec<Bar>> {
    let servers = ["bare", "before", "now"];
    let mut bars = Vec::new();
    for row in table(page, "instructions")? {
        for (server, cell) in servers.iter().zip(&row[1..]) {
            let label = format!("{}, {server}", row[0]);
            bars.push(Bar { label, value: number(cell)?, is_ours: *server == "now", target: None });
        }
    }
    Ok(bars)
}

fn number(cell: &str) -> anyhow::Result<f64> {
    cell.trim().replace(',', "").parse().with_context(|| format!("{cell:?} is no number"))
}

/// The rows of a table, without its head.
fn table(page: &str, name: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let marker = format!("<!-- data: {name} -->");
    let (_, below) = page.split_once(&marker).with_context(|| format!("{PAGE} has no {marker}"))?;
    let rows = below.trim_start().lines().take_while(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    if rows.is_empty() { bail!("nothing below {marker}") } else { Ok(rows) }
}

/// Draws a panel of bars, and returns where the next one begins.
fn bars(svg: &mut String, top: f64, title: &str, bars: &[Bar]) -> anyhow::Result<f64> {
    let most = bars.iter().map(|bar| bar.value.max(bar.target.unwrap_or(0.0))).fold(0.0, f64::max);
    let across = |value: f64| LEFT + value / (most * 1.15) * (RIGHT - LEFT);
    writeln!(svg, "<text x=\"20\" y=\"{}\" font-weight=\"600\" fill=\"{INK}\">{title}</text>", top + 10.0)?;
    let mut y = top + 26.0;
    for Bar { label, value, is_ours, target } in bars {
        let color = if *is_ours { OURS } else { PALE };
        let end = across(*value);
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"{INK}\">{label}</text>",
            LEFT - 8.0,
            y + 13.0
        )?;
        writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"18\" fill=\"{color}\"/>",
            end - LEFT
        )?;
        writeln!(svg, "<text x=\"{:.1}\" y=\"{}\" fill=\"{INK}\">{value}</text>", end + 6.0, y + 13.0)?;
        if let Some(target) = target.map(across) {
            let path = format!("M{target:.1} {}v24", y - 3.0);
            writeln!(svg, "<path d=\"{path}\" stroke=\"#dc2626\" stroke-width=\"2\"/>")?;
        }
        y += 24.0;
    }
    Ok(y + 22.0)
}
