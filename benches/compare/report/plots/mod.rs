//! Draws SVG pictures that are legible on light and dark pages. It must not know any workload.

pub mod bars;
pub mod lines;
mod palette;

use anyhow::Result;
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A placeholder for the page's text colour.
const INK: RGBColor = RGBColor(1, 2, 3);
/// A placeholder for the colour of grid lines.
const FAINT: RGBColor = RGBColor(4, 5, 6);

const FONT: &str = "sans-serif";
const TEXT: u32 = 14;
const TITLE: u32 = 16;

/// The colours of a picture that is opened without a page.
const STYLE: &str = "<style>svg.chart{color:#1b1b1b}\
                     @media(prefers-color-scheme:dark){svg.chart{color:#e8e8e8}}</style>";

/// Draws a picture of `width` and `height`.
fn svg(width: u32, height: u32, draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
    draw(&area)?;
    area.present()?;
    drop(area);
    Ok(themed(&text))
}

/// Replaces the placeholders by the page's colours.
fn themed(svg: &str) -> String {
    let svg = svg.replace("#010203", "currentColor");
    let svg = svg.replace(
        "stroke=\"#040506\"",
        "stroke=\"currentColor\" stroke-opacity=\"0.2\"",
    );
    let svg = svg.replacen("<svg ", "<svg class=\"chart\" ", 1);
    match svg.find('>') {
        Some(end) => format!("{}{STYLE}{}", &svg[..=end], &svg[end + 1..]),
        None => svg,
    }
}

fn write(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    size: u32,
    color: &RGBColor,
    (h, v): (HPos, VPos),
) -> Result<()> {
    let style = TextStyle::from((FONT, size).into_font()).color(color);
    area.draw(&Text::new(text, at, style.pos(Pos::new(h, v))))?;
    Ok(())
}

/// Draws a line from point to point, with dashes of `dash` pixels or solid.
fn path(
    area: &Area<'_>,
    points: &[(i32, i32)],
    style: ShapeStyle,
    dash: Option<i32>,
) -> Result<()> {
    match dash {
        Some(dash) => {
            let dashed = DashedPathElement::new(points.iter().copied(), dash, dash / 2 + 2, style);
            area.draw(&dashed)?;
        }
        None => area.draw(&PathElement::new(points.to_vec(), style))?,
    }
    Ok(())
}
