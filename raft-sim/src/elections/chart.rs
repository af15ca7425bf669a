//! The two graphs of the figure, as SVG.

use super::range::TimeoutRange;
use super::{Request, Sample};
use plotters::prelude::*;
use raft_proto::PreVoting;

/// The time axis, in milliseconds: that of the figure.
const AXIS: core::ops::Range<f64> = 10.0..100_000.0;
const SIZE: (u32, u32) = (960, 540);
/// Colours that colour-blind people can tell apart (Okabe and Ito). The last is the colour of
/// 150-300, the last curve of both graphs.
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 0, 0),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
];

/// One of the two graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The name of its file.
    pub file: &'static str,
    /// The title.
    pub title: &'static str,
    /// One curve for each.
    pub ranges: &'static [TimeoutRange],
}

impl Graph {
    /// Both of them, in the order of the paper.
    pub const ALL: [Graph; 2] = [
        Graph {
            file: "figure-16-top.svg",
            title: "Time without a leader: more randomness in the election timeout",
            ranges: &TimeoutRange::TOP,
        },
        Graph {
            file: "figure-16-bottom.svg",
            title: "Time without a leader: shorter election timeouts",
            ranges: &TimeoutRange::BOTTOM,
        },
    ];

    /// Draws the curves of those samples whose ranges belong to this graph.
    ///
    /// # Errors
    ///
    /// Those of the drawing library, for which there is no reason.
    pub fn draw(&self, request: &Request, samples: &[Sample]) -> Result<String, String> {
        let mut text = String::new();
        let curves = self.ranges.iter().filter_map(|range| {
            let sample = samples.iter().find(|sample| sample.range == *range)?;
            Some((range.to_string(), curve(sample)))
        });
        let backend = SVGBackend::with_string(&mut text, SIZE);
        let subtitle = self.subtitle(request);
        let drawn = draw(backend, self.title, &subtitle, curves.collect());
        drawn.map_err(|error| error.to_string())?;
        Ok(text)
    }

    /// The settings behind the curves: what it takes to draw the same ones again.
    fn subtitle(&self, request: &Request) -> String {
        let broadcast_time = humantime::format_duration(request.timing.broadcast_time);
        let trials = grouped(f64::from(request.trials));
        let fixed = self.ranges.iter().find(|range| range.is_fixed());
        let fixed = fixed.filter(|range| request.trials_of(**range) < request.trials);
        let fixed = fixed.map(|range| format!(" ({} of {range})", request.trials_of(*range)));
        let pre_vote = match request.pre_vote {
            PreVoting::On => "with Pre-Vote",
            PreVoting::Off => "without Pre-Vote",
        };
        format!(
            "broadcast time {broadcast_time}, seed {}, {trials} trials of each range{}, own vote {}, \
             {pre_vote}",
            request.seed,
            fixed.unwrap_or_default(),
            request.own_vote
        )
    }
}

/// Steps: at each time, the per cent of trials that had a leader by then. Where some trials elected
/// no leader, the curve ends below the top.
fn curve(sample: &Sample) -> Vec<(f64, f64)> {
    let trials = sample.outcomes.len().max(1) as f64;
    let (mut points, mut percent) = (vec![(AXIS.start, 0.0)], 0.0);
    for (count, downtime) in (1_u32..).zip(sample.downtimes()) {
        let at = downtime.as_secs_f64() * 1e3;
        if at > AXIS.end {
            break;
        }
        let at = at.max(AXIS.start);
        points.push((at, percent));
        percent = f64::from(count) * 100.0 / trials;
        points.push((at, percent));
    }
    points.push((AXIS.end, percent));
    points
}

type DrawError<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

fn draw<'a>(
    backend: SVGBackend<'a>,
    title: &str,
    subtitle: &str,
    curves: Vec<(String, Vec<(f64, f64)>)>,
) -> Result<(), DrawError<'a>> {
    let area = backend.into_drawing_area();
    area.fill(&WHITE)?;
    let grey = BLACK.mix(0.7);
    let below_title = area.margin(12, 0, 0, 0).titled(title, ("sans-serif", 20))?;
    let below_titles = below_title.titled(subtitle, ("sans-serif", 14).into_font().color(&grey))?;
    let mut chart = ChartBuilder::on(&below_titles)
        .margin(16)
        .margin_right(40) // Half of the last label stands beyond the axis.
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(AXIS.log_scale(), 0.0..100.0)?;
    chart
        .configure_mesh()
        .x_desc("milliseconds since the crash")
        .y_desc("trials with a leader")
        .x_label_formatter(&|at| grouped(*at))
        .y_label_formatter(&|percent| format!("{percent:.0}%"))
        .y_labels(6)
        .label_style(("sans-serif", 15))
        .light_line_style(BLACK.mix(0.06))
        .draw()?;
    let colors = COLORS
        .into_iter()
        .skip(COLORS.len().saturating_sub(curves.len()));
    for ((name, points), color) in curves.into_iter().zip(colors) {
        let style = color.stroke_width(2);
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(format!("{name} ms"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .margin(16)
        .legend_area_size(32)
        .label_font(("sans-serif", 15))
        .background_style(WHITE)
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()
}

/// `100,000`, of a whole number.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let head = digits.len() % 3;
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % 3 == head {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
