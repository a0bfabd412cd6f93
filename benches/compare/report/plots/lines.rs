//! Line charts on a logarithmic scale: one line an implementation, named at its end.

use anyhow::{ensure, Result};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::palette::{look, Look};
use super::{path, svg, write, Area, FAINT, INK, TEXT, TITLE};
use crate::units;

/// An implementation's line.
pub struct Line<'a> {
    pub implementation: &'a str,
    /// From left to right; values must be above 0.
    pub points: Vec<(f64, f64)>,
}

/// The horizontal axis.
pub struct Axis<'a> {
    pub label: &'a str,
    /// Maps a value to a position, in any unit.
    pub scale: fn(f64) -> f64,
    pub ticks: &'a [(f64, &'a str)],
}

const WIDTH: u32 = 860;
const HEIGHT: u32 = 460;
const LEFT: i32 = 70;
const RIGHT: i32 = 630;
const TOP: i32 = 50;
const BOTTOM: i32 = 400;
/// The minimum distance between names of lines.
const APART: i32 = 17;
const DASH: i32 = 7;

pub fn draw(title: &str, axis: &Axis<'_>, lines: &[Line<'_>]) -> Result<String> {
    let lines: Vec<&Line<'_>> = lines
        .iter()
        .filter(|line| !line.points.is_empty())
        .collect();
    ensure!(!lines.is_empty(), "{title}: no lines");
    let places = axis.ticks.iter().map(|&(value, _)| (axis.scale)(value));
    let points = lines.iter().flat_map(|line| &line.points);
    let across = Span::of(places.chain(points.clone().map(|&(x, _)| (axis.scale)(x))));
    let up = Span::of(points.map(|&(_, y)| y.log10())).widened();
    let x = |value: f64| LEFT + across.share((axis.scale)(value), RIGHT - LEFT);
    let y = |value: f64| BOTTOM - up.share(value.log10(), BOTTOM - TOP);
    svg(WIDTH, HEIGHT, |area| {
        write(area, title, (8, 10), TITLE, &INK, (HPos::Left, VPos::Top))?;
        for value in up.decades() {
            path(
                area,
                &[(LEFT, y(value)), (RIGHT, y(value))],
                FAINT.stroke_width(1),
                None,
            )?;
            let text = units::short(value);
            write(
                area,
                &text,
                (LEFT - 8, y(value)),
                TEXT,
                &INK,
                (HPos::Right, VPos::Center),
            )?;
        }
        for &(value, text) in axis.ticks {
            path(
                area,
                &[(x(value), TOP), (x(value), BOTTOM)],
                FAINT.stroke_width(1),
                None,
            )?;
            write(
                area,
                text,
                (x(value), BOTTOM + 8),
                TEXT,
                &INK,
                (HPos::Center, VPos::Top),
            )?;
        }
        let below = ((LEFT + RIGHT) / 2, BOTTOM + 30);
        write(
            area,
            axis.label,
            below,
            TEXT,
            &INK,
            (HPos::Center, VPos::Top),
        )?;

        // This project's line is on top.
        let mut order: Vec<&&Line<'_>> = lines.iter().collect();
        order.sort_by_key(|line| look(line.implementation).ours);
        for line in order {
            let points: Vec<_> = line.points.iter().map(|&(a, b)| (x(a), y(b))).collect();
            one(area, &points, look(line.implementation))?;
        }
        let ends = lines
            .iter()
            .map(|line| line.points.last().map_or(BOTTOM, |&(_, last)| y(last)));
        for (line, place) in lines.iter().zip(spread(&ends.collect::<Vec<_>>())) {
            let last = line
                .points
                .last()
                .map_or((RIGHT, place), |&(a, b)| (x(a), y(b)));
            name(area, line.implementation, last, place)?;
        }
        Ok(())
    })
}

fn one(area: &Area<'_>, points: &[(i32, i32)], look: Look) -> Result<()> {
    let style = look.color.stroke_width(if look.ours { 4 } else { 2 });
    path(area, points, style, look.dashed.then_some(DASH))?;
    // Few points are measurements and get markers; many are a curve.
    if points.len() <= 10 {
        for &point in points {
            area.draw(&Circle::new(
                point,
                if look.ours { 5 } else { 3 },
                look.color.filled(),
            ))?;
        }
    }
    Ok(())
}

/// Writes the name of a line at `place` and connects it with the line's end.
fn name(area: &Area<'_>, implementation: &str, end: (i32, i32), place: i32) -> Result<()> {
    let look = look(implementation);
    let style = look.color.mix(0.7).stroke_width(1);
    path(
        area,
        &[end, (RIGHT + 12, place), (RIGHT + 16, place)],
        style,
        None,
    )?;
    let swatch = [(RIGHT + 16, place), (RIGHT + 40, place)];
    let thick = look.color.stroke_width(if look.ours { 5 } else { 3 });
    path(area, &swatch, thick, look.dashed.then_some(DASH))?;
    write(
        area,
        implementation,
        (RIGHT + 46, place),
        TEXT,
        &INK,
        (HPos::Left, VPos::Center),
    )
}

/// Moves the given places as little as needed, so that names do not overlap.
fn spread(places: &[i32]) -> Vec<i32> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|&n| places[n]);
    let mut spread = places.to_vec();
    let mut lowest = i32::MIN;
    for &n in &order {
        spread[n] = places[n].max(lowest);
        lowest = spread[n] + APART;
    }
    // Moves them back up if they overflow at the bottom.
    let mut highest = BOTTOM + APART;
    for &n in order.iter().rev() {
        spread[n] = spread[n].min(highest);
        highest = spread[n] - APART;
    }
    spread
}

/// The range of positions on an axis.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: f64,
    to: f64,
}

impl Span {
    fn of(places: impl Iterator<Item = f64>) -> Span {
        let (from, to) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(from, to), place| {
            (from.min(place), to.max(place))
        });
        Span { from, to }
    }

    /// Adds a margin; the result spans at least half a decade.
    fn widened(self) -> Span {
        let room = ((self.to - self.from) * 0.05).max((0.5 - (self.to - self.from)) / 2.0);
        Span {
            from: self.from - room,
            to: self.to + room,
        }
    }

    /// The pixel offset of `place` on an axis of `length` pixels.
    fn share(&self, place: f64, length: i32) -> i32 {
        let span = (self.to - self.from).max(f64::MIN_POSITIVE);
        (f64::from(length) * (place - self.from) / span).round() as i32
    }

    /// Round values between the ends, which are logarithms: 1, 10, 100, with 2 and 5 between them
    /// if there are few.
    fn decades(&self) -> Vec<f64> {
        let digits: &[f64] = match self.to - self.from {
            span if span > 3.0 => &[1.0],
            span if span > 1.8 => &[1.0, 3.0],
            _ => &[1.0, 2.0, 5.0],
        };
        let decades = self.from.floor() as i32..=self.to.ceil() as i32;
        let values = decades.flat_map(|decade| digits.iter().map(move |d| d * 10_f64.powi(decade)));
        let within = |value: &f64| (self.from..=self.to).contains(&value.log10());
        values.filter(within).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_overlap_and_keep_their_order() {
        let places = spread(&[100, 102, 300, 101, 399, 400]);
        let mut sorted = places.clone();
        sorted.sort();
        assert!(
            sorted.windows(2).all(|pair| pair[1] - pair[0] >= APART),
            "{places:?}"
        );
        assert!(places[0] < places[3] && places[3] < places[1], "{places:?}");
        assert!(
            places.iter().all(|&place| place <= BOTTOM + APART),
            "{places:?}"
        );
    }

    #[test]
    fn round_values_on_the_scale() {
        let span = |from: f64, to: f64| Span {
            from: from.log10(),
            to: to.log10(),
        };
        assert_eq!(span(0.9, 12.0).decades(), [1.0, 2.0, 5.0, 10.0]);
        assert_eq!(
            span(0.5, 20_000.0).decades(),
            [1.0, 10.0, 100.0, 1_000.0, 10_000.0]
        );
    }

    #[test]
    fn a_picture_of_one_point_is_drawn() {
        let line = Line {
            implementation: "go",
            points: vec![(64.0, 2.0)],
        };
        let axis = Axis {
            label: "streams",
            scale: f64::log2,
            ticks: &[(64.0, "64")],
        };
        let svg = draw("a title", &axis, &[line]).expect("drawn");
        assert!(svg.contains("streams") && svg.contains("go"));
    }
}
