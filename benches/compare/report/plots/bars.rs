//! Bars, one an implementation, the best on top, each with its number and its interval.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::palette::look;
use super::{path, svg, write, FAINT, INK, TEXT, TITLE};
use crate::stats::Estimate;
use crate::units;

/// An implementation's bar.
pub struct Bar<'a> {
    pub implementation: &'a str,
    pub estimate: Estimate,
}

const WIDTH: u32 = 860;
const TOP: i32 = 46;
const ROW: i32 = 26;
const THICK: i32 = 16;
/// Where bars begin, and where the longest ends.
const LEFT: i32 = 170;
const RIGHT: i32 = 690;

/// A bar is cut off at so many times this project's own, so that one that is far off does not make
/// the others too short to see.
const CUT: f64 = 8.0;

pub fn draw(title: &str, unit: &str, bars: &[Bar<'_>]) -> Result<String> {
    let height = TOP + ROW * bars.len() as i32 + 10;
    let longest = longest(bars);
    let x = |value: f64| LEFT + (f64::from(RIGHT - LEFT) * (value / longest).min(1.0)) as i32;
    svg(WIDTH, height as u32, |area| {
        let heading = if unit.is_empty() {
            title.into()
        } else {
            format!("{title}, {unit}")
        };
        write(
            area,
            &heading,
            (8, 10),
            TITLE,
            &INK,
            (HPos::Left, VPos::Top),
        )?;
        path(
            area,
            &[(LEFT, TOP - 6), (LEFT, height - 8)],
            FAINT.stroke_width(1),
            None,
        )?;
        for (row, bar) in (0..).zip(bars) {
            let middle = TOP + ROW * row + ROW / 2;
            let Estimate {
                median, low, high, ..
            } = bar.estimate;
            let look = look(bar.implementation);
            let color = look.color.mix(if look.ours { 1.0 } else { 0.55 });
            write(
                area,
                bar.implementation,
                (LEFT - 10, middle),
                TEXT,
                &INK,
                (HPos::Right, VPos::Center),
            )?;
            let corners = [(LEFT, middle - THICK / 2), (x(median), middle + THICK / 2)];
            area.draw(&Rectangle::new(corners, color.filled()))?;
            let cut = median > longest;
            if cut {
                broken(area, x(median) - 14, middle)?;
            } else if low != high {
                path(
                    area,
                    &[(x(low), middle), (x(high), middle)],
                    INK.stroke_width(1),
                    None,
                )?;
                for end in [x(low), x(high)] {
                    path(
                        area,
                        &[(end, middle - 4), (end, middle + 4)],
                        INK.stroke_width(1),
                        None,
                    )?;
                }
            }
            let end = if cut {
                x(median)
            } else {
                x(median).max(x(high))
            };
            let number = units::estimate(&bar.estimate);
            write(
                area,
                &number,
                (end + 8, middle),
                TEXT,
                &INK,
                (HPos::Left, VPos::Center),
            )?;
        }
        Ok(())
    })
}

/// The value of the longest bar.
fn longest(bars: &[Bar<'_>]) -> f64 {
    let most = bars
        .iter()
        .map(|bar| bar.estimate.median)
        .fold(0.0, f64::max);
    let ours = bars.iter().find(|bar| look(bar.implementation).ours);
    let cut = ours.map_or(f64::INFINITY, |bar| CUT * bar.estimate.median);
    most.min(cut).max(f64::MIN_POSITIVE)
}

/// A gap in a bar that goes on beyond its end.
fn broken(area: &super::Area<'_>, x: i32, middle: i32) -> Result<()> {
    for x in [x, x + 5] {
        let line = [(x, middle + THICK / 2 + 3), (x + 6, middle - THICK / 2 - 3)];
        path(area, &line, INK.stroke_width(1), None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(implementation: &str, median: f64) -> Bar<'_> {
        let (low, high) = (median * 0.9, median * 1.1);
        let estimate = Estimate {
            median,
            low,
            high,
            rounds: 3,
        };
        Bar {
            implementation,
            estimate,
        }
    }

    #[test]
    fn one_that_is_far_off_does_not_flatten_the_others() {
        assert_eq!(longest(&[bar("fanstream", 2.0), bar("python", 90.0)]), 16.0);
        assert_eq!(longest(&[bar("fanstream", 2.0), bar("go", 3.0)]), 3.0);
        assert_eq!(longest(&[bar("go", 3.0)]), 3.0);
    }

    #[test]
    fn every_implementation_and_number_is_there() {
        let svg = draw(
            "a title",
            "µs",
            &[bar("fanstream", 2.0), bar("python", 90.0)],
        )
        .expect("drawn");
        for text in [
            "a title, µs",
            "fanstream",
            "python",
            "2.00 (1.80",
            "90.0 (81.0",
            "currentColor",
        ] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
