//! The verdicts, with the next step and the way out.

use super::page::{prose, verdict_look};
use crate::report::bench_text::bench_line;
use crate::report::document::{Report, TargetReport};
use crate::report::fallback::{sentences, worth_a_table};
use crate::report::remarks::{remarks, sentence};
use crate::report::text::simulated;
use crate::walk::Fallback;
use maud::{Markup, html};

/// A card for each target, and the lines that the report adds.
pub(super) fn all(report: &Report) -> Markup {
    html! {
        @for target in &report.targets { (card(report, target)) }
        @for line in remarks(report) { p.note { (line) "." } }
    }
}

fn card(report: &Report, target: &TargetReport) -> Markup {
    let verdict = &target.verdict;
    let (class, mark) = verdict_look(verdict.kind.news());
    html! {
        article class=(class) {
            h2 {
                span.mark aria-hidden="true" { (mark) } " "
                (verdict.kind.name().replace('_', " ")) " " code { (target.target) }
                @if let Some(walk) = &target.walk { small { " · " (walk.strategy) } }
            }
            p { (prose(&sentence(report, target))) "." }
            @if let Some(line) = bench_line(target) { p.mono { (prose(&line)) } }
            @for words in &verdict.diagnosis { p.looks { (prose(words)) } }
            @if let Some(hint) = &verdict.hint { p.hint { "Next: " (prose(hint)) "." } }
            @if let Some(note) = simulated(&target.target, target.ran_on.as_ref()) { p.note { (prose(&note)) } }
            @if let Some(found) = &target.fallback { (way_out(target, found)) }
        }
    }
}

/// The operators that must run elsewhere.
fn way_out(target: &TargetReport, fallback: &Fallback) -> Markup {
    html! {
        h3 { "The way out" }
        @if let Some((titles, rows)) = worth_a_table(fallback) {
            div.scroll {
                table {
                    thead { tr { @for title in titles { th { (title) } } } }
                    tbody { @for row in &rows { tr { @for cell in row { td { (cell) } } } } }
                }
            }
        }
        @for said in sentences(target, fallback) { p { (prose(&said)) } }
    }
}
