//! Charts over the operators, on a logarithmic scale. Shapes are stretched to the width of the page, and texts are
//! placed by percent, so a chart fits every width without scripts. Scripts only add what follows the pointer.

use super::numbers::{power_of_ten, size};
use super::page::address;
use crate::walk::{OpReport, Role, WalkReport};
use maud::{Markup, html};
use std::fmt::Write as _;

/// The largest finite value of f16.
const F16_MAX: f64 = 65_504.0;
/// The height of a chart's shapes, in the units of its drawing. The width has the same number.
const SIDE: f64 = 1000.0;
/// The bands for NaN and infinities above the scale, and for 0 below it.
const BAND: f64 = 60.0;
/// How many sources have their name in the chart. All have a mark.
const MOST_NAMES: usize = 4;
/// How many sources have a mark.
const MOST_MARKS: usize = 300;
/// How many decades a scale has at most.
const MOST_DECADES: i32 = 16;
/// How many numbers a scale has at most.
const MOST_TICKS: i32 = 8;

/// A scale of powers of ten, from bottom to top.
struct Scale {
    low: i32,
    high: i32,
    /// The room for the bands, above and below.
    band: f64,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>, at_least: f64, band: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, at_least);
        for value in values.filter(|value| *value > 0.0 && value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        let high = (high.log10() + 0.1).ceil() as i32;
        let low = if low.is_finite() { low.log10().floor() as i32 } else { high - 1 };
        Scale { low: low.max(high - MOST_DECADES).min(high - 1), high, band }
    }

    /// The distance from the top. A value below the scale is in the lower band.
    fn place(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        match share >= 0.0 {
            true => SIDE - self.band - share.min(1.0) * (SIDE - 2.0 * self.band),
            false => SIDE - self.band / 2.0,
        }
    }

    /// The powers of ten that have a line.
    fn ticks(&self) -> impl Iterator<Item = i32> {
        let step = ((self.high - self.low + 1) as u32).div_ceil(MOST_TICKS as u32).max(1);
        (self.low..=self.high).step_by(step as usize)
    }
}

/// The place of an operator from the left.
fn across(at: usize, count: usize) -> f64 {
    if count < 2 { SIDE / 2.0 } else { SIDE * at as f64 / (count - 1) as f64 }
}

fn percent(place: f64) -> String {
    format!("{:.2}%", 100.0 * place / SIDE)
}

/// The errors of each operator: introduced, floor and cumulative.
pub(super) fn error_chart(walk: &WalkReport, number: usize) -> Markup {
    let ops = &walk.ops;
    let values = ops.iter().flat_map(|op| [op.cumulative, op.introduced, Some(op.floor)]).flatten();
    let scale = Scale::of(values, 1e-6, BAND);
    let sources: Vec<(usize, &OpReport)> =
        ops.iter().enumerate().filter(|(_, op)| op.role == Role::Source).collect();
    let names = sources.len().min(MOST_NAMES);
    html! {
        figure.chart {
            ul.legend {
                li { span.key-line.cumulative {} "cumulative: the error of its value in the whole run" }
                li { span.key-dot {} "introduced: the operator's own error, on the same inputs" }
                li { span.key-line.floor {} "floor: what a fault-free " (walk.storage.name()) " backend introduces" }
                li { span.key-mark aria-hidden="true" { "◆" } "source" }
            }
            div.plot tabindex="0" role="group" data-walk=(number) style={ "--names:" (names) }
                aria-label={ "Error of each operator: " (ops.len()) " operators, " (sources.len()) " sources" } {
                div.area {
                    svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true" {
                        rect.band x="0" y="0" width="1000" height=(BAND) {}
                        rect.band x="0" y=(SIDE - BAND) width="1000" height=(BAND) {}
                        (grid(&scale))
                        path.line.floor d=(line(ops, &scale, |op| Some(op.floor))) {}
                        path.line.cumulative d=(line(ops, &scale, |op| op.cumulative.filter(|_| op.disagreeing == 0))) {}
                        path.dots.introduced d=(dots(ops, &scale, |op| op.introduced.filter(|_| op.disagreeing_here() == 0))) {}
                        path.dots.cumulative d=(broken(ops, |op| op.disagreeing > 0 && op.disagreeing_here() == 0)) {}
                        path.dots.introduced d=(broken(ops, |op| op.disagreeing_here() > 0)) {}
                        @for (row, (at, op)) in sources.iter().take(names).enumerate() {
                            line.leader x1=(across(*at, ops.len())) x2=(across(*at, ops.len())) y1="0" y2=(height(op, &scale)) data-row=(row) {}
                        }
                    }
                    (ticks(&scale))
                    span.tick style={ "top:" (percent(BAND / 2.0)) } { "NaN ∞" }
                    span.tick style={ "top:" (percent(SIDE - BAND / 2.0)) } { "0" }
                    @for (at, op) in sources.iter().take(MOST_MARKS) {
                        a.source href=(address(number, op)) data-op=(at) title=(op.name) aria-label=(words(op))
                            style={ "left:" (percent(across(*at, ops.len()))) ";top:" (percent(height(op, &scale))) } { "◆" }
                    }
                    @for (row, (at, op)) in sources.iter().take(names).enumerate() {
                        @let left = percent(across(*at, ops.len()));
                        span.name aria-hidden="true" style={ "left:" (left) ";--left:-" (left) ";--row:" (names - row) } { bdi { (op.name) } }
                    }
                }
                (numbers_below(ops))
            }
            figcaption {
                "Relative L2 error, one place for each executed operator."
                span.script { " Arrow keys move, Page Up and Page Down go from source to source, Enter opens. Drag, or Shift and arrows, choose a range for the table." }
            }
        }
    }
}

/// The largest magnitude of each operator's values, next to the maxima of storage formats.
pub(super) fn headroom_chart(walk: &WalkReport, number: usize) -> Option<Markup> {
    let ops = &walk.ops;
    let most = ops.iter().max_by(|a, b| a.absmax.total_cmp(&b.absmax))?;
    if most.absmax <= 0.0 {
        return None;
    }
    let limit = if most.headroom_used > 0.0 { most.absmax / most.headroom_used } else { F16_MAX };
    let scale = Scale::of(ops.iter().map(|op| op.absmax), F16_MAX, 0.0);
    let share = |of: f64| format!("{} %", size(100.0 * most.absmax / of));
    Some(html! {
        figure.chart {
            h3 { "Headroom" }
            div.plot.low data-walk=(number) role="group" aria-label="Largest magnitude of each operator's values" {
                div.area {
                    svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true" {
                        (grid(&scale))
                        line.rule x1="0" x2="1000" y1=(scale.place(F16_MAX)) y2=(scale.place(F16_MAX)) {}
                        path.dots.headroom d=(dots(ops, &scale, |op| Some(op.absmax).filter(|absmax| *absmax > 0.0))) {}
                    }
                    (ticks(&scale))
                    span.rule-name style={ "top:" (percent(scale.place(F16_MAX))) } { "f16's maximum 65504" }
                }
                (numbers_below(ops))
            }
            figcaption {
                "The largest magnitude is " (size(most.absmax)) ", in " code { (most.name) } ": " (share(F16_MAX)) " of what f16 holds"
                @if walk.storage.name() != "f16" { ", " (share(limit)) " of " (walk.storage.name()) }
                "."
            }
        }
    })
}

fn grid(scale: &Scale) -> Markup {
    html! {
        @for power in scale.ticks() {
            @let place = scale.place(10f64.powi(power));
            line.grid x1="0" x2="1000" y1=(place) y2=(place) {}
        }
    }
}

fn ticks(scale: &Scale) -> Markup {
    html! {
        @for power in scale.ticks() {
            span.tick style={ "top:" (percent(scale.place(10f64.powi(power)))) } { (power_of_ten(power)) }
        }
    }
}

/// The indices of some operators, under the chart.
fn numbers_below(ops: &[OpReport]) -> Markup {
    let shown: Vec<usize> = match ops.len() {
        0..=8 => (0..ops.len()).collect(),
        count => (0..=4).map(|quarter| quarter * (count - 1) / 4).collect(),
    };
    html! {
        div.numbers aria-hidden="true" {
            @for at in shown {
                span style={ "left:" (percent(across(at, ops.len()))) } { (ops[at].index) }
            }
        }
    }
}

/// Where a source's mark is.
fn height(op: &OpReport, scale: &Scale) -> f64 {
    match op.disagreeing_here() {
        0 => scale.place(op.introduced.unwrap_or(0.0)),
        _ => BAND / 2.0,
    }
}

fn words(op: &OpReport) -> String {
    let introduced = match op.disagreeing_here() {
        0 => op.introduced.map_or_else(|| "-".to_owned(), size),
        _ => "NaN or infinities".to_owned(),
    };
    format!("source {}, {}: introduced {introduced}, floor {}", op.name, op.op_type, size(op.floor))
}

/// A path with gaps at missing values.
fn line(ops: &[OpReport], scale: &Scale, value: impl Fn(&OpReport) -> Option<f64>) -> String {
    let mut path = String::new();
    let mut drawing = false;
    for (at, op) in ops.iter().enumerate() {
        let Some(value) = value(op) else {
            drawing = false;
            continue;
        };
        let letter = if drawing { 'L' } else { 'M' };
        let _ = write!(path, "{letter}{:.1} {:.1}", across(at, ops.len()), scale.place(value));
        drawing = true;
    }
    path
}

/// All dots in one path: each is a stroke without length, with round ends.
fn dots(ops: &[OpReport], scale: &Scale, value: impl Fn(&OpReport) -> Option<f64>) -> String {
    let mut path = String::new();
    for (at, op) in ops.iter().enumerate() {
        if let Some(value) = value(op) {
            let _ = write!(path, "M{:.1} {:.1}h.01", across(at, ops.len()), scale.place(value));
        }
    }
    path
}

/// Dots in the band for NaN and infinities.
fn broken(ops: &[OpReport], is: impl Fn(&OpReport) -> bool) -> String {
    let places = ops.iter().enumerate().filter(|(_, op)| is(op));
    places.map(|(at, _)| format!("M{:.1} {:.1}h.01", across(at, ops.len()), BAND / 2.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_goes_from_bottom_to_top() {
        let scale = Scale::of([1e-8, 2e-3].into_iter(), 1e-6, BAND);
        assert_eq!((scale.low, scale.high), (-8, -2));
        assert_eq!((scale.place(1e-8), scale.place(1e-2)), (SIDE - BAND, BAND));
        assert_eq!(scale.place(0.0), SIDE - BAND / 2.0);
        assert!(scale.place(1e-5) > scale.place(1e-4));
        let none = Scale::of(std::iter::empty(), 1e-6, 0.0);
        assert!(none.ticks().count() >= 2);
    }
}
