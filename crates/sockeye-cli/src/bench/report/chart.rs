//! Charts as SVG: bars with their spread, and dots on a logarithmic scale. Colours and type are the style sheet's.

use super::super::figures::{NONE, shortened};
use super::super::results::Spread;
use super::markup::escape;
use std::fmt::Write;

/// The drawing's width; the page scales it.
const WIDTH: f64 = 520.0;
/// Room for the names on the left, for figures on the right.
const LEFT: f64 = 128.0;
const RIGHT: f64 = 76.0;
/// A row, and the bar in it.
const ROW: f64 = 28.0;
const BAR: f64 = 16.0;
const TOP: f64 = 8.0;
/// Room for the scale below.
const SCALE: f64 = 26.0;
/// Characters of a name that find room.
const NAME: usize = 15;

fn plot_width() -> f64 {
    WIDTH - LEFT - RIGHT
}

/// A bar for each server.
pub(super) struct Bars<'a> {
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) better: &'a str,
    pub(super) rows: Vec<(&'a str, Option<Spread>)>,
    pub(super) print: fn(f64) -> String,
    pub(super) greatest_is_best: bool,
}

impl Bars<'_> {
    /// The chart; nothing when there are no figures.
    pub(super) fn figure(&self) -> String {
        let known = || self.rows.iter().filter_map(|(_, spread)| *spread);
        let Some(most) = known()
            .map(|spread| spread.max)
            .reduce(f64::max)
            .filter(|most| *most > 0.0)
        else {
            return String::new();
        };
        let order = |a: &f64, b: &f64| a.total_cmp(b);
        let medians = known().map(|spread| spread.median);
        let best = if self.greatest_is_best {
            medians.max_by(order)
        } else {
            medians.min_by(order)
        };
        let place = |value: f64| LEFT + value / most * plot_width();
        let mut drawing = format!(
            "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{TOP}\" x2=\"{LEFT}\" y2=\"{:.1}\"/>\n",
            self.bottom()
        );
        for (index, (name, spread)) in self.rows.iter().enumerate() {
            let middle = middle(index);
            drawing += &label(name, middle);
            let Some(spread) = spread else {
                let _ = writeln!(
                    drawing,
                    "<text class=\"figure\" x=\"{}\" y=\"{middle}\">{NONE}</text>",
                    LEFT + 8.0
                );
                continue;
            };
            let class = if Some(spread.median) == best {
                "bar best"
            } else {
                "bar"
            };
            let (top, width) = (middle - BAR / 2.0, (place(spread.median) - LEFT).max(1.0));
            let _ = writeln!(
                drawing,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{top}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>"
            );
            let (low, high) = (place(spread.min), place(spread.max));
            if high - low > 1.0 {
                let _ = writeln!(
                    drawing,
                    "<path class=\"spread\" d=\"M{low:.1} {middle}H{high:.1}M{low:.1} {a}V{b}M{high:.1} {a}V{b}\"/>",
                    a = middle - 4.0,
                    b = middle + 4.0
                );
            }
            let at = high.max(place(spread.median)) + 8.0;
            let figure = (self.print)(spread.median);
            let _ = writeln!(
                drawing,
                "<text class=\"figure\" x=\"{at:.1}\" y=\"{middle}\">{figure}</text>"
            );
        }
        frame(
            self.id,
            self.title,
            self.better,
            &self.words(),
            self.bottom() + TOP,
            &drawing,
        )
    }

    fn bottom(&self) -> f64 {
        TOP + ROW * self.rows.len() as f64
    }

    /// What the chart shows, for those who hear it.
    fn words(&self) -> String {
        let rows = self.rows.iter().map(|(name, spread)| match spread {
            Some(spread) => format!(
                "{name} {} ({} to {})",
                (self.print)(spread.median),
                (self.print)(spread.min),
                (self.print)(spread.max)
            ),
            None => format!("{name} no figure"),
        });
        rows.collect::<Vec<_>>().join("; ")
    }
}

/// Three dots for each server, joined by a line.
pub(super) struct Dots<'a> {
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) better: &'a str,
    pub(super) rows: Vec<(&'a str, [Option<f64>; 3])>,
    pub(super) marks: [&'a str; 3],
    pub(super) print: fn(f64) -> String,
}

impl Dots<'_> {
    /// The chart; nothing when there are no figures.
    pub(super) fn figure(&self) -> String {
        let known = || {
            let dots = self.rows.iter().flat_map(|(_, dots)| dots.iter().flatten());
            dots.copied().filter(|dot| *dot > 0.0)
        };
        let (Some(least), Some(most)) = (known().reduce(f64::min), known().reduce(f64::max)) else {
            return String::new();
        };
        let scale = Decades::around(least, most);
        let bottom = TOP + ROW * self.rows.len() as f64;
        let mut drawing = self.grid(&scale, bottom);
        for (index, (name, dots)) in self.rows.iter().enumerate() {
            drawing += &label(name, middle(index));
            drawing += &self.row(dots, &scale, middle(index));
        }
        let legend = bottom + SCALE + 14.0;
        drawing += &self.legend(legend);
        frame(
            self.id,
            self.title,
            self.better,
            &self.words(),
            legend + 16.0,
            &drawing,
        )
    }

    fn grid(&self, scale: &Decades, bottom: f64) -> String {
        let mut drawing = String::new();
        let below = bottom + 16.0;
        for (value, heavy) in scale.lines() {
            let x = scale.place(value);
            let class = if heavy { "grid" } else { "grid fine" };
            let _ = writeln!(
                drawing,
                "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>"
            );
            if heavy {
                let figure = tick(value);
                let _ = writeln!(
                    drawing,
                    "<text class=\"tick\" x=\"{x:.1}\" y=\"{below:.1}\">{figure}</text>"
                );
            }
        }
        let (x, last) = (WIDTH - RIGHT + 12.0, self.marks[2]);
        let _ = writeln!(
            drawing,
            "<text class=\"tick start\" x=\"{x}\" y=\"{below:.1}\">{last}</text>"
        );
        drawing
    }

    /// The dots of a server, and the last of them as a figure.
    fn row(&self, dots: &[Option<f64>; 3], scale: &Decades, middle: f64) -> String {
        let mut drawing = String::new();
        let places = dots.map(|dot| dot.filter(|dot| *dot > 0.0).map(|dot| scale.place(dot)));
        if let [Some(first), _, Some(last)] = places {
            let _ = writeln!(
                drawing,
                "<line class=\"join\" x1=\"{first:.1}\" y1=\"{middle}\" x2=\"{last:.1}\" y2=\"{middle}\"/>"
            );
        }
        // The median last, so that it is not covered.
        for (which, x) in places.into_iter().enumerate().rev() {
            drawing += &x.map_or(String::new(), |x| mark(which, x, middle));
        }
        if let Some(last) = dots[2] {
            let (x, figure) = (WIDTH - RIGHT + 12.0, (self.print)(last));
            let _ = writeln!(
                drawing,
                "<text class=\"figure\" x=\"{x}\" y=\"{middle}\">{figure}</text>"
            );
        }
        drawing
    }

    fn legend(&self, y: f64) -> String {
        let marks = self.marks.iter().enumerate().map(|(which, name)| {
            let x = LEFT + 8.0 + which as f64 * 84.0;
            let text = format!(
                "<text class=\"legend\" x=\"{:.1}\" y=\"{y}\">{name}</text>\n",
                x + 12.0
            );
            mark(which, x, y) + &text
        });
        marks.collect()
    }

    fn words(&self) -> String {
        let rows = self.rows.iter().map(|(name, dots)| {
            let figures = self
                .marks
                .iter()
                .zip(dots)
                .map(|(mark, dot)| format!("{mark} {}", dot.map_or(NONE.to_owned(), self.print)));
            format!("{name} {}", figures.collect::<Vec<_>>().join(", "))
        });
        rows.collect::<Vec<_>>().join("; ")
    }
}

/// A circle, a diamond, a triangle: told apart without colours.
fn mark(which: usize, x: f64, y: f64) -> String {
    let path = match which {
        0 => format!("M{:.1} {y}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0", x - 5.0),
        1 => format!("M{x:.1} {:.1}l6 6l-6 6l-6 -6z", y - 6.0),
        _ => format!("M{x:.1} {:.1}l6 10h-12z", y - 6.0),
    };
    format!("<path class=\"mark mark{which}\" d=\"{path}\"/>\n")
}

/// A logarithmic scale: 1, 2 and 5 of each power of ten, from one below the least to one above the greatest.
struct Decades {
    low: f64,
    high: f64,
}

impl Decades {
    fn around(least: f64, most: f64) -> Self {
        let steps: Vec<f64> =
            steps(least.log10().floor() as i32 - 1, most.log10().ceil() as i32 + 1).collect();
        let low = steps
            .iter()
            .rev()
            .find(|step| **step <= least * 0.95)
            .copied()
            .unwrap_or(least);
        let high = steps
            .iter()
            .find(|step| **step >= most * 1.05)
            .copied()
            .unwrap_or(most);
        Decades { low, high }
    }

    fn place(&self, value: f64) -> f64 {
        LEFT + 8.0 + (value / self.low).ln() / (self.high / self.low).ln() * (plot_width() - 8.0)
    }

    /// The lines of the grid, and which of them have their figure: as many as find room.
    fn lines(&self) -> Vec<(f64, bool)> {
        let range = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let inside = |value: &f64| *value >= self.low * 0.999 && *value <= self.high * 1.001;
        let all: Vec<f64> = steps(range.0, range.1).filter(inside).collect();
        let wide = (self.high / self.low).log10() > 1.8;
        all.into_iter()
            .map(|value| (value, !wide || is_power_of_ten(value)))
            .collect()
    }
}

fn steps(from: i32, to: i32) -> impl Iterator<Item = f64> {
    (from..=to).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)))
}

fn is_power_of_ten(value: f64) -> bool {
    let power = value.log10();
    (power - power.round()).abs() < 1e-6
}

/// A figure of the scale, without superfluous digits.
fn tick(seconds: f64) -> String {
    let (unit, name) = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")]
        .into_iter()
        .find(|(unit, _)| seconds >= unit * 0.999)
        .unwrap_or((1e-9, "ns"));
    format!("{:.0} {name}", seconds / unit)
}

fn middle(row: usize) -> f64 {
    TOP + ROW * (row as f64 + 0.5)
}

fn label(name: &str, middle: f64) -> String {
    let (short, x) = (escape(&shortened(name, NAME)), LEFT - 10.0);
    format!(
        "<text class=\"name\" x=\"{x}\" y=\"{middle}\">{short}<title>{}</title></text>\n",
        escape(name)
    )
}

/// A drawing with its title, and its content in words for those who can't see it.
fn frame(id: &str, title: &str, better: &str, words: &str, height: f64, drawing: &str) -> String {
    let (id, words) = (escape(id), escape(words));
    format!(
        "<figure>\n<figcaption>{title} <small>{better}</small></figcaption>\n\
         <svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
         <title id=\"{id}-t\">{title}, {better}</title>\n<desc id=\"{id}-d\">{words}</desc>\n{drawing}</svg>\n</figure>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_holds_all_its_figures() {
        for (least, most) in [(5e-6, 5e-6), (33e-6, 0.2), (1e-9, 100.0), (1e-3, 1.02e-3)] {
            let scale = Decades::around(least, most);
            assert!(scale.low < least && scale.high > most, "{least} {most}");
            let (first, last) = (scale.place(least), scale.place(most));
            assert!(first >= LEFT && last <= WIDTH - RIGHT && first <= last);
            assert!(scale.lines().iter().any(|(_, heavy)| *heavy), "{least} {most}");
        }
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(tick(1e-3), "1 ms");
        assert_eq!(tick(2e-5), "20 µs");
        assert_eq!(tick(0.5), "500 ms");
    }

    #[test]
    fn a_server_without_a_figure_has_its_row() {
        let spread = Spread {
            median: 2.0,
            min: 1.0,
            max: 3.0,
        };
        let chart = Bars {
            id: "x",
            title: "T",
            better: "b",
            rows: vec![("a<b", Some(spread)), ("c", None)],
            print: |value| value.to_string(),
            greatest_is_best: true,
        };
        let text = chart.figure();
        assert!(text.contains("a&lt;b 2 (1 to 3); c no figure"), "{text}");
        assert!(!text.contains("a<b"));
        assert_eq!(
            Bars {
                rows: vec![("c", None)],
                ..chart
            }
            .figure(),
            ""
        );
    }
}
