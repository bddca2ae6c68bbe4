//! The worst elements of each source: their values, bounds and addends, added up in several arithmetics.

use super::numbers::size;
use super::page::prose;
use crate::bounds::{PartialSum, Resummed, SumIn, WorstElement};
use crate::compare::ErrorProfile;
use crate::report::element::{digits, element_sentences, worst_element};
use crate::tensor::flat_index;
use crate::walk::{OpReport, Role, WalkReport};
use maud::{Markup, html};
use serde::Serialize;
use std::fmt::Write as _;

/// The most sources whose worst element is shown.
const MOST: usize = 12;
/// The width and the height of the drawing of partial sums.
const WIDE: f64 = 480.0;
const HIGH: f64 = 120.0;

/// The worst element of each source. In the browser, scripts show it with the details of the chosen operator.
pub(super) fn elements(walk: &WalkReport, number: usize) -> Option<Markup> {
    let sources = walk.ops.iter().filter(|op| op.role == Role::Source);
    let worst = sources.filter_map(|op| Some((op, worst_element(op)?)));
    let worst: Vec<(&OpReport, &WorstElement)> = worst.take(MOST).collect();
    (!worst.is_empty()).then(|| {
        html! {
            div.elements data-walk=(number) {
                @for (op, element) in worst {
                    details.element data-op=(op.index) {
                        summary { "Worst element of " code { (op.name) } }
                        (card(&op.name, element))
                    }
                }
            }
        }
    })
}

fn card(operator: &str, element: &WorstElement) -> Markup {
    html! {
        @for sentence in element_sentences(element) { p { (prose(&capital(&sentence))) "." } }
        @if let Some(sum) = &element.sum {
            div.sums {
                div.scroll tabindex="0" role="region" aria-label={ "The sum in " (operator) ", added in several ways" } {
                    (table(sum, element))
                }
                (drawing(sum, element.found))
            }
            p.soft {
                "The largest addends: "
                @for (at, (addend, value)) in sum.largest.iter().enumerate() {
                    @if at > 0 { ", " }
                    (digits(*value)) " (number " (addend) ")"
                }
                "."
            }
        }
    }
}

/// A wrong element, as the scripts show it if it is chosen in the map.
#[derive(Serialize)]
pub(super) struct PartElement {
    /// The row and the column of its cell in the map.
    cell: [usize; 2],
    index: String,
    /// How many times its bound it is off.
    times: String,
    sentences: Vec<String>,
    /// Its sum in several arithmetics: the name, the result, and how far the target is from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sums: Vec<[String; 3]>,
}

/// The worst element of each part of the output that the portrait shows, worst first.
pub(super) fn part_elements(op: &OpReport, portrait: &ErrorProfile) -> Vec<PartElement> {
    let excess = |element: &WorstElement| (element.found - element.right).abs() / element.bound;
    let parts = op.excess.iter().flat_map(|excess| &excess.parts);
    // A report may come from elsewhere.
    let fits = |element: &&WorstElement| {
        let extents = element.index.iter().zip(&portrait.shape);
        element.index.len() == portrait.shape.len()
            && extents.clone().all(|(at, extent)| at < extent)
    };
    let mut parts: Vec<&WorstElement> = parts.filter(fits).collect();
    parts.sort_by(|a, b| excess(b).total_cmp(&excess(a)));
    let shown = parts.into_iter().map(|element| PartElement {
        cell: portrait.map.cell(flat_index(&element.index, &portrait.shape)),
        index: format!("{:?}", element.index),
        times: size(excess(element)),
        sentences: element_sentences(element).iter().map(|sentence| capital(sentence)).collect(),
        sums: element
            .sum
            .iter()
            .flat_map(|sum| &sum.sums)
            .map(|sum| sum_row(sum, element))
            .collect(),
    });
    shown.collect()
}

fn sum_row(sum: &SumIn, element: &WorstElement) -> [String; 3] {
    let [gives, apart] = match sum.value {
        Some(value) => [digits(value), size((value - element.found).abs())],
        None => ["not finite".to_owned(), "-".to_owned()],
    };
    [sum.adding.words().to_owned(), gives, apart]
}

/// A sentence with a capital letter.
fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
}

fn table(sum: &Resummed, element: &WorstElement) -> Markup {
    let explained = sum.explained_by(element.right, element.found, element.bound);
    html! {
        table {
            thead { tr { th scope="col" { "added in" } th.number scope="col" { "gives" } th.number scope="col" { "apart from the target" } } }
            tbody {
                @for sum in &sum.sums {
                    @let [words, gives, apart] = sum_row(sum, element);
                    tr class=[(explained == Some(sum.adding)).then_some("is-source")] {
                        td { (words) } td.number { (gives) } td.number { (apart) }
                    }
                }
                tr { td { "the target" } td.number { (digits(element.found)) } td.number { "0" } }
            }
        }
    }
}

/// The partial sums: exact, and in `f16`.
fn drawing(sum: &Resummed, found: f64) -> Markup {
    let values =
        sum.partial.iter().flat_map(|partial| [Some(partial.exact), partial.f16]).flatten();
    let values = values.chain([found, 0.0]).filter(|value| value.is_finite());
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let range = if high > low { high - low } else { 1.0 };
    let y = |value: f64| HIGH - 4.0 - (HIGH - 8.0) * (value - low) / range;
    let x = |addends: usize| WIDE * addends as f64 / sum.addends.max(1) as f64;
    let line = |value: &dyn Fn(&PartialSum) -> Option<f64>| {
        let mut path = format!("M0 {:.1}", y(0.0));
        for partial in &sum.partial {
            let Some(value) = value(partial) else { break };
            let _ = write!(path, "L{:.1} {:.1}", x(partial.addends), y(value));
        }
        path
    };
    html! {
        figure {
            svg viewBox={ "0 0 " (WIDE) " " (HIGH) } role="img" aria-label="The sum after each addend, exact and in f16" {
                path.target d={ "M0 " (format!("{:.1}", y(found))) "H" (WIDE) } {}
                path.f16 d=(line(&|partial| partial.f16)) {}
                path.exact d=(line(&|partial| Some(partial.exact))) {}
            }
            figcaption.soft {
                span.key-line.cumulative {} "the sum after each addend, exact; "
                span.key-line.floor {} "in f16; "
                span.key-line.introduced {} "the target's value"
            }
        }
    }
}
