//! Charts: one line per system over the numbers of sessions, as SVG.
//!
//! Drawn by plotters. The background is white, so that a chart is readable on a page of any colour.
use super::rounds::Results;
use plotters::{
    coord::ranged1d::{AsRangedCoord, ValueFormatter},
    prelude::*,
};

/// The size of a chart in pixels, and the part of its width that the names of the systems take.
const SIZE: (u32, u32) = (860, 420);
const LEGEND: u32 = 240;

/// Pixels between two names.
const LEGEND_LINE: i32 = 20;

/// Colours that most eyes tell apart (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x8c, 0x6b, 0xb1),
    RGBColor(0x7f, 0x7f, 0x7f),
];

/// The scale of the vertical axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From zero.
    Linear,
    /// Powers of ten.
    Logarithmic,
}

/// The texts and the scale of a chart.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    /// The title.
    pub title: &'a str,
    /// The label of the vertical axis.
    pub label: &'a str,
    /// The scale of the vertical axis.
    pub scale: Scale,
}

/// A system's name and its values, each at the index of its number of sessions.
type Series<'a> = (&'a str, Vec<(usize, f64)>);

impl Chart<'_> {
    /// The chart of `value` of each system and number of sessions, as SVG. Values that are absent, zero or
    /// negative are left out.
    pub fn draw(&self, results: &Results, value: impl Fn(&str, usize) -> Option<f64>) -> String {
        let series: Vec<Series<'_>> = results
            .systems
            .iter()
            .map(|name| {
                let points = results.sessions.iter().enumerate();
                let value = |sessions: usize| value(name, sessions).filter(|value| *value > 0.0);
                (*name, points.filter_map(|(index, sessions)| Some((index, value(*sessions)?))).collect())
            })
            .filter(|(_, points): &Series<'_>| !points.is_empty())
            .collect();
        let values = || series.iter().flat_map(|(_, points)| points.iter().map(|(_, value)| *value));
        let most = values().fold(0.0, f64::max);
        let least = values().fold(most, f64::min);
        let mut svg = String::new();
        let drawn = match self.scale {
            Scale::Linear => self.plot(&mut svg, results, &series, 0.0..most.max(f64::MIN_POSITIVE) * 1.05),
            Scale::Logarithmic => {
                let power = |value: f64, round: fn(f64) -> f64| 10f64.powf(round(value.log10()));
                let low = power(least.max(1e-9), f64::floor);
                let high = power(most.max(1e-9), f64::ceil).max(low * 10.0);
                self.plot(&mut svg, results, &series, (low..high).log_scale())
            }
        };
        drawn.expect("writing to a string cannot fail");
        svg
    }

    fn plot<Y>(
        &self,
        svg: &mut String,
        results: &Results,
        series: &[Series<'_>],
        y: Y,
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (plot, legend) = root.split_horizontally(SIZE.0 - LEGEND);
        let last = results.sessions.len().saturating_sub(1).max(1);
        let mut chart = ChartBuilder::on(&plot)
            .caption(self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d(0..last, y)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_desc("sessions")
            .y_desc(self.label)
            .x_labels(last + 1)
            .x_label_formatter(&|index| results.sessions.get(*index).map_or(String::new(), usize::to_string))
            .y_label_formatter(&|value| with_prefix(*value))
            .draw()?;
        for (number, (name, points)) in series.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            // Our server is the first system.
            let style = colour.stroke_width(if number == 0 { 4 } else { 2 });
            let points = points.iter().copied();
            let at = 60 + LEGEND_LINE * number as i32;
            // Where the colours begin again, lines are dashed.
            if number < COLOURS.len() {
                chart.draw_series(LineSeries::new(points.clone(), style))?;
                legend.draw(&PathElement::new(vec![(0, at), (20, at)], style))?;
            } else {
                chart.draw_series(DashedLineSeries::new(points.clone(), 6, 4, style))?;
                for from in [0, 8, 16] {
                    legend.draw(&PathElement::new(vec![(from, at), (from + 4, at)], style))?;
                }
            }
            chart.draw_series(points.map(|point| Circle::new(point, 3, colour.filled())))?;
            legend.draw(&Text::new((*name).to_owned(), (28, at - 7), ("sans-serif", 14)))?;
        }
        root.present()?;
        Ok(())
    }
}

/// A value with the prefix k or M.
fn with_prefix(value: f64) -> String {
    match value {
        1e6.. => format!("{} M", value / 1e6),
        1e3.. => format!("{} k", value / 1e3),
        _ => format!("{}", (value * 1e6).round() / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::rounds::tests::results, *};

    #[test]
    fn every_system_is_drawn_and_named() {
        let mut figures: Vec<(&str, usize, &[f64])> = vec![
            ("a & b", 1, &[10.0]),
            ("a & b", 8, &[100_000.0]),
            ("c", 1, &[11.0]),
            ("c", 8, &[100_001.0]),
            ("d", 8, &[10.0]),
        ];
        // More than there are colours.
        figures.extend(["e", "f", "g", "h", "i", "j", "k", "l", "m", "n"].map(|name| (name, 8, &[20.0][..])));
        let all = results(&figures);
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let chart = Chart { title: "Title", label: "Label", scale };
            let svg = chart.draw(&all, |name, sessions| all.throughput(name, sessions));
            assert_eq!(svg.matches("<circle").count(), figures.len(), "{svg}");
            for text in ["a &amp; b", "Title", "Label", "sessions", "100 k"] {
                assert!(svg.contains(text), "{text}: {svg}");
            }
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_chart_without_values_is_drawn() {
        let none = results(&[("a", 1, &[])]);
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let svg = Chart { title: "Title", label: "Label", scale }.draw(&none, |_, _| None);
            assert!(svg.contains("Title") && !svg.contains("NaN"), "{svg}");
        }
    }
}
