//! The worst element of each source: its value, its bound, and its addends, added up in several arithmetics.

use super::numbers::size;
use super::page::prose;
use crate::bounds::{PartialSum, Resummed, WorstElement};
use crate::report::element::{digits, element_sentences, worst_element};
use crate::walk::{OpReport, Role, WalkReport};
use maud::{Markup, html};
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
                @for row in &sum.sums {
                    tr class=[(explained == Some(row.adding)).then_some("is-source")] {
                        td { (row.adding.words()) }
                        @match row.value {
                            Some(value) => {
                                td.number { (digits(value)) }
                                td.number { (size((value - element.found).abs())) }
                            }
                            None => { td.number { "not finite" } td.number { "-" } }
                        }
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
