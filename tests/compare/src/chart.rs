//! What came out, as a picture: a line for each system over the numbers of sessions (SVG 1.1).
use super::round::Results;
use std::fmt::Write;

/// A picture's size, and the room around the lines, in user units.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 250.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 55.0;

/// Colours that are told apart by most eyes and on both grounds (Okabe and Ito, 2008; the darker of each pair on white).
const COLOURS: [&str; 8] =
    ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"];

/// The least room between the names at the right.
const LINE: f64 = 17.0;

/// How far apart two values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// As far as the one is more than the other; from nothing.
    Linear,
    /// As far as the one is a multiple of the other.
    Logarithmic,
}

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    /// What it is called.
    pub title: &'a str,
    /// What stands at the left.
    pub label: &'a str,
    /// How it is drawn.
    pub scale: Scale,
    /// The command that made it, for whoever looks into the file.
    pub command: &'a str,
}

impl Chart<'_> {
    /// Draws `value` of each system and number of sessions.
    pub fn draw(&self, results: &Results, value: impl Fn(&str, usize) -> Option<f64>) -> String {
        let series: Vec<(&str, Vec<(usize, f64)>)> = results
            .systems
            .iter()
            .map(|name| {
                let points = results.sessions.iter().enumerate();
                let value = |sessions: usize| value(name, sessions).filter(|value| *value > 0.0);
                (*name, points.filter_map(|(index, sessions)| Some((index, value(*sessions)?))).collect())
            })
            .filter(|(_, points): &(&str, Vec<_>)| !points.is_empty())
            .collect();
        let values = || series.iter().flat_map(|(_, points)| points.iter().map(|(_, value)| *value));
        let least = values().fold(f64::MAX, f64::min);
        let ticks = self.scale.ticks(least, values().fold(least, f64::max));
        let on_scale = |value: f64| if self.scale == Scale::Linear { value } else { value.log10() };
        let ends = ticks
            .first()
            .zip(ticks.last())
            .map_or((0.0, 1.0), |(low, high)| (on_scale(low.0), on_scale(high.0)));
        let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (ends.1 - on_scale(value)) / (ends.1 - ends.0);
        let last = results.sessions.len().saturating_sub(1).max(1) as f64;
        let x = |index: usize| LEFT + (WIDTH - LEFT - RIGHT) * index as f64 / last;

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n<title>{}</title>\n<desc>{}</desc>\n{STYLE}\
             <rect class=\"ground\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n\
             <text class=\"ink\" x=\"{LEFT}\" y=\"26\" font-size=\"16\" font-weight=\"bold\">{}</text>\n",
            escaped(self.title),
            escaped(self.command),
            escaped(self.title)
        );
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        writeln!(
            svg,
            "<text class=\"ink\" transform=\"translate(18 {middle}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escaped(self.label)
        )
        .unwrap();
        for (value, whole) in ticks {
            let (y, right, at) = (y(value), WIDTH - RIGHT, LEFT - 8.0);
            let class = if whole { "grid" } else { "fine" };
            writeln!(
                svg,
                "<line class=\"{class}\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>"
            )
            .unwrap();
            writeln!(
                svg,
                "<text class=\"ink\" x=\"{at}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                y + 4.5,
                brief(value)
            )
            .unwrap();
        }
        for (index, sessions) in results.sessions.iter().enumerate() {
            let (x, y) = (x(index), HEIGHT - BOTTOM + 20.0);
            writeln!(
                svg,
                "<text class=\"ink\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{sessions}</text>"
            )
            .unwrap();
        }
        let centre = (LEFT + WIDTH - RIGHT) / 2.0;
        writeln!(
            svg,
            "<text class=\"ink\" x=\"{centre}\" y=\"{}\" text-anchor=\"middle\">sessions</text>",
            HEIGHT - 12.0
        )
        .unwrap();
        for (number, (_, points)) in series.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let path: Vec<String> =
                points.iter().map(|(index, value)| format!("{:.1},{:.1}", x(*index), y(*value))).collect();
            let width = if number == 0 { 3.5 } else { 2.0 };
            writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
                path.join(" ")
            )
            .unwrap();
            for (index, value) in points {
                writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>",
                    x(*index),
                    y(*value)
                )
                .unwrap();
            }
        }
        svg.push_str(&names(&series, y));
        svg.push_str("</svg>\n");
        svg
    }
}

impl Scale {
    /// Where lines are drawn across, from the lowest to the highest, and whether each is one of the stronger ones.
    fn ticks(self, least: f64, most: f64) -> Vec<(f64, bool)> {
        match self {
            Self::Linear => {
                // Five to ten of them, 1, 2 or 5 apart.
                let power = 10f64.powf((most / 10.0).log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0]
                    .map(|times| times * power)
                    .into_iter()
                    .find(|step| most / step <= 10.0);
                let step = step.unwrap_or(most);
                (0..=(most / step).ceil() as u32)
                    .map(|number| (f64::from(number) * step, number == 0))
                    .collect()
            }
            Self::Logarithmic => {
                let low = least.log10().floor() as i32;
                let high = (most.log10().ceil() as i32).max(low + 1);
                let steps = (low..high)
                    .flat_map(|power| [1.0, 2.0, 5.0].map(|step| (step * 10f64.powi(power), step == 1.0)));
                steps.chain([(10f64.powi(high), true)]).collect()
            }
        }
    }
}

/// The names of the lines at the right, each at the end of its own or as near as there is room.
fn names(series: &[(&str, Vec<(usize, f64)>)], y: impl Fn(f64) -> f64) -> String {
    let mut ends: Vec<(f64, f64, usize)> = series
        .iter()
        .enumerate()
        .filter_map(|(number, (_, points))| points.last().map(|(_, value)| (y(*value), y(*value), number)))
        .collect();
    ends.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut free = TOP - LINE;
    for end in &mut ends {
        end.1 = end.0.max(free + LINE);
        free = end.1;
    }
    // Those that were pushed out below move up again.
    let mut limit = HEIGHT - BOTTOM;
    for end in ends.iter_mut().rev() {
        end.1 = end.1.min(limit);
        limit = end.1 - LINE;
    }
    let mut svg = String::new();
    for (from, at, number) in ends {
        let (colour, x) = (COLOURS[number % COLOURS.len()], WIDTH - RIGHT);
        writeln!(
            svg,
            "<line x1=\"{}\" y1=\"{from:.1}\" x2=\"{}\" y2=\"{at:.1}\" stroke=\"{colour}\"/>\
             <text class=\"ink\" x=\"{}\" y=\"{:.1}\">{}</text>",
            x + 6.0,
            x + 22.0,
            x + 27.0,
            at + 4.5,
            escaped(series[number].0)
        )
        .unwrap();
    }
    svg
}

/// A ground of its own, so that it can be read on a page of any colour, and a dark one where the reader wants that.
const STYLE: &str = "<style>.ground{fill:#fff}.ink{fill:#222}.grid{stroke:#aaa}.fine{stroke:#e6e6e6}\
                     @media(prefers-color-scheme:dark){.ground{fill:#16191d}.ink{fill:#ddd}.grid{stroke:#666}.fine{stroke:#2c3138}}\
                     </style>\n";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn brief(value: f64) -> String {
    match value {
        1e6.. => format!("{} M", value / 1e6),
        1e3.. => format!("{} k", value / 1e3),
        _ => format!("{}", (value * 1e6).round() / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::round::tests::results, *};

    #[test]
    fn every_system_is_drawn_and_named_inside_the_picture() {
        let all = results(&[
            ("a & b", 1, &[10.0]),
            ("a & b", 8, &[100_000.0]),
            ("c", 1, &[11.0]),
            ("c", 8, &[100_001.0]),
            ("d", 8, &[10.0]),
        ]);
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let chart = Chart { title: "T", label: "L", scale, command: "x -- --out 'a & b'" };
            let svg = chart.draw(&all, |name, sessions| all.rate(name, sessions));
            whole(&svg);
            assert!(svg.contains("<desc>x -- --out 'a &amp; b'</desc>"), "{svg}");
        }
    }

    fn whole(svg: &str) {
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (3, 5));
        assert!(
            svg.contains("a &amp; b")
                && svg.contains(">sessions<")
                && svg.contains(">L<")
                && svg.contains(">100 k<")
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        for part in svg.split("y=\"").skip(1) {
            let at: Option<f64> = part.split('"').next().and_then(|number| number.parse().ok());
            assert!(at.is_none_or(|at| (0.0..=HEIGHT).contains(&at)), "{part}");
        }
    }

    #[test]
    fn lines_across_are_round_numbers_around_all_values() {
        let values = |ticks: Vec<(f64, bool)>| ticks.into_iter().map(|(value, _)| value).collect::<Vec<_>>();
        assert_eq!(
            values(Scale::Linear.ticks(3.0, 47.0)),
            [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0]
        );
        assert_eq!(values(Scale::Linear.ticks(3.0, 100_000.0)).len(), 11);
        assert_eq!(values(Scale::Logarithmic.ticks(3.0, 47.0)), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        assert_eq!(values(Scale::Logarithmic.ticks(10.0, 10.0)), [10.0, 20.0, 50.0, 100.0]);
    }

    #[test]
    fn names_do_not_lie_on_each_other() {
        let at: Vec<f64> = names(&[("a", vec![(0, 5.0)]), ("b", vec![(0, 5.0)])], |_| HEIGHT - BOTTOM)
            .split("<text")
            .skip(1)
            .map(|part| part.split(" y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!((at[0] - at[1]).abs(), LINE);
    }
}
