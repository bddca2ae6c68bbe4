//! A search in a quantised network as one page without scripts.

use super::{
    LAYER_TITLES, costliest, front_rows, front_titles, heading, layer_row, legend, network, remarks,
};
use crate::quantised::{FrontPoint, QuantisedDocument};
use crate::report::html::{Page, STYLE, prose, scrolled_table};
use maud::{Markup, html};

/// The chart's size in its own units, and the room for its labels on each side.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 70.0;
const BELOW: f64 = 50.0;
const ABOVE: f64 = 20.0;
const RIGHT: f64 = 24.0;
/// Errors below this are drawn at the bottom.
const LEAST_ERROR: f64 = 1e-7;

/// A search in a quantised network as HTML.
pub fn quantised_html(found: &QuantisedDocument) -> String {
    let layers = costliest(found, usize::MAX);
    let rows: Vec<_> = layers.iter().map(|layer| layer_row(found, layer)).collect();
    let body = html! {
        a.skip href="#layers" { "Skip to the layers" }
        header {
            p.brand { "offby fallback --quantised" }
            h1 { (heading(found)) }
            p.lead { (prose(&found.sentence)) }
        }
        main {
            section aria-label="Accuracy against time" {
                h2 { "Accuracy against time" }
                (chart(found))
                p.soft { "Each point is a network, with the number of its layers in float. The large point is the smallest set." }
                (rendered("Networks from quantised to float", &front_titles(found), &front_rows(found)))
                @for line in remarks(found) { p.soft { (prose(&line)) } }
            }
            section #layers aria-label="Layers" {
                h2 { "Layers, the costliest first" }
                (rendered("Layers", &LAYER_TITLES, &rows))
                p.soft { (legend(found)) }
            }
        }
    };
    Page { title: &heading(found), style: STYLE, class: None, has_scripts: false }.around(&body)
}

fn rendered(name: &str, titles: &[&str], rows: &[Vec<String>]) -> Markup {
    scrolled_table(name, titles, rows, |cell| html! { (cell) })
}

/// Relative error, logarithmic, against milliseconds of one run.
fn chart(found: &QuantisedDocument) -> Markup {
    let point = |point: &FrontPoint| {
        let error = point.score.relative_l2?.max(LEAST_ERROR).log10();
        let label = point.kept.map_or("float".to_owned(), |kept| kept.to_string());
        Some((label, network(found, point), point.seconds? * 1e3, error, point.is_found))
    };
    let points: Vec<(String, String, f64, f64, bool)> =
        found.front.iter().filter_map(point).collect();
    let most = points.iter().map(|(_, _, time, ..)| *time).fold(0.0, f64::max) * 1.05;
    let (low, high) = (LEAST_ERROR.log10(), 0.0);
    let across = |time: f64| LEFT + time / most.max(f64::MIN_POSITIVE) * (WIDTH - LEFT - RIGHT);
    let up =
        |error: f64| ABOVE + (high - error.min(high)) / (high - low) * (HEIGHT - BELOW - ABOVE);
    html! {
        svg style="max-width: 44rem; display: block" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label="Relative error against milliseconds of one run; the table below has the numbers" {
            @for exponent in [0, -2, -4, -6] {
                @let y = up(f64::from(exponent));
                line x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) stroke="currentColor" stroke-opacity="0.15" {}
                text x=(LEFT - 8.0) y=(y + 4.0) text-anchor="end" font-size="11" fill="currentColor" { "1e" (exponent) }
            }
            @for quarter in 0..=4 {
                @let time = most * f64::from(quarter) / 4.0;
                text x=(across(time)) y=(HEIGHT - 25.0) text-anchor="middle" font-size="11" fill="currentColor" { (format!("{time:.3}")) }
            }
            text x=((WIDTH + LEFT) / 2.0) y=(HEIGHT - 5.0) text-anchor="middle" font-size="11" fill="currentColor" { "milliseconds of one run" }
            text x="12" y=(HEIGHT / 2.0) font-size="11" fill="currentColor" transform={ "rotate(-90 12 " (HEIGHT / 2.0) ")" } text-anchor="middle" { "relative L2 error" }
            @for (label, name, time, error, is_found) in &points {
                circle cx=(across(*time)) cy=(up(*error)) r=(if *is_found { 7 } else { 4 }) fill="currentColor" fill-opacity=(if *is_found { "1" } else { "0.5" }) {
                    title { (name) }
                }
                text x=(across(*time)) y=(up(*error) - 9.0) text-anchor="middle" font-size="10" fill="currentColor" { (label) }
            }
        }
    }
}
