//! The result of `offby shrink` as one page without scripts: what was left after each step.

use super::html::{Page, STYLE, prose};
use super::shrink::{ShrinkReport, command, facts, headline};
use crate::shrink::ShrinkStep;
use maud::{Markup, html};

/// The style of the bars, in addition to the style of every page.
const OWN_STYLE: &str = ".bar { display: block; height: 0.5rem; border-radius: 3px; background: var(--introduced); min-width: 2px; }\n";

/// A shrunk finding as HTML.
pub fn shrink_html(report: &ShrinkReport) -> String {
    let title = headline(report);
    let body = html! {
        a.skip href="#steps" { "Skip to the steps" }
        header {
            p.brand { "offby shrink" }
            h1 { (title) }
            p.lead { "from " code { (report.from.path) } }
        }
        main {
            section aria-label="Facts" {
                ul { @for fact in facts(report) { li { (prose(&fact)) } } }
            }
            section #steps aria-label="Steps" {
                h2 { "Step by step" }
                (steps(&report.sizes))
                p.soft { "The bars are logarithmic: an empty bar is 1, a full bar is the whole network." }
            }
            section aria-label="Reproduction" {
                h2 { "How to see it" }
                pre tabindex="0" { (command(report)) }
            }
        }
    };
    let style = format!("{STYLE}{OWN_STYLE}");
    Page { title: &title, style: &style, class: None, has_scripts: false }.around(&body)
}

fn steps(sizes: &[ShrinkStep]) -> Markup {
    let most = |of: fn(&ShrinkStep) -> u64| sizes.iter().map(of).max().unwrap_or(0);
    let (nodes, elements, bytes) = (most(nodes), most(elements), most(bytes));
    html! {
        div.scroll tabindex="0" role="region" aria-label="What was left after each step" {
            table {
                thead { tr {
                    th scope="col" { "step" } th.number scope="col" { "nodes" }
                    th.number scope="col" { "input elements" } th.number scope="col" { "bytes" }
                } }
                tbody { @for (number, step) in sizes.iter().enumerate() { tr {
                    th scope="row" { (number) ". " (prose(&step.words)) }
                    (bar(self::nodes(step), nodes))
                    (bar(self::elements(step), elements))
                    @match step.bytes {
                        Some(size) => (bar(size, bytes)),
                        None => td.number { "more than one file holds" },
                    }
                } } }
            }
        }
    }
}

fn nodes(step: &ShrinkStep) -> u64 {
    step.nodes as u64
}

fn elements(step: &ShrinkStep) -> u64 {
    step.elements as u64
}

fn bytes(step: &ShrinkStep) -> u64 {
    step.bytes.unwrap_or(0)
}

/// A number with a bar: its share of the largest number, both as logarithms.
fn bar(value: u64, most: u64) -> Markup {
    let share = (value.max(1) as f64).ln() / (most.max(2) as f64).ln();
    html! {
        td.number { (value) span.bar style={ "width:" (format!("{:.1}", 100.0 * share)) "%" } {} }
    }
}
