//! A report as one page on its own: no network, no other file, no server.
//!
//! Everything that a reader needs is written here, and can be read, printed and mailed without scripts. In the
//! browser, `*.js` adds what follows the pointer, the table that searches, and the profiles of single operators.

mod across;
mod chart;
mod content;
mod element;
mod network;
mod numbers;
mod page;
mod parts;
mod verdicts;

use super::checks::title;
use super::document::{INTERRUPTED, Report};
use super::markdown::report_markdown;
use chart::{error_chart, headroom_chart};
use content::PageData;
use element::elements;
use maud::{Markup, PreEscaped, html};
use network::drawing;
use page::harmless;
pub(super) use page::{Page, STYLE, prose, scrolled_table, verdict_look};

/// The scripts, each after those that it depends on.
const SCRIPTS: [&str; 7] = [
    include_str!("base.js"),
    include_str!("chart.js"),
    include_str!("network.js"),
    include_str!("portrait.js"),
    include_str!("table.js"),
    include_str!("selection.js"),
    include_str!("page.js"),
];

/// A report as HTML.
pub fn report_html(report: &Report) -> String {
    let content = PageData::of(report);
    let json = serde_json::to_string(&content).expect("a report that was made can be written");
    let script = format!("\"use strict\";\n(() => {{\n{}}})();\n", SCRIPTS.concat());
    let body = html! {
        a.skip href="#walks" { "Skip to the operators" }
        header {
            p.brand { "offby" }
            h1 { (title(report)) }
            (lead(report))
        }
        main {
            section #verdicts aria-label="Verdict" { (verdicts::all(report)) }
            @if let Some(matrix) = parts::matrix(report) { (matrix) }
            @if let Some(across) = across::across(report) { (across) }
            div #walks {
                @let walked = report.targets.iter().filter_map(|target| Some((target, target.walk.as_ref()?)));
                @for (number, (target, walk)) in walked.enumerate() {
                    section.walk data-walk=(number) {
                        h2 { "Operators of " (target.target) @if report.strategies.is_some() { ", strategy " (walk.strategy) } }
                        (parts::summary(walk))
                        @if let Some(probes) = parts::probes(walk) { (probes) }
                        @if !walk.ops.is_empty() {
                            @if let Some(sources) = parts::sources(walk, number) { (sources) }
                            @if let Some(elements) = elements(walk, number) { (elements) }
                            (error_chart(walk, number))
                            @if let Some(drawing) = drawing(walk, number) { (drawing) }
                            div.chosen {}
                            @if let Some(chart) = headroom_chart(walk, number) { (chart) }
                            div.table {}
                        }
                    }
                }
            }
            section #outputs { (parts::outputs(report)) }
            section #trust { (parts::trust(report)) }
            section #about { (parts::about(report)) }
            details.screen {
                summary { "The same for an issue, as Markdown" }
                div.tools {}
                textarea #markdown readonly aria-label="Markdown for an issue" { (report_markdown(report)) }
            }
        }
        div #tip role="status" hidden {}
        div #print {}
        script type="application/json" id="content" { (PreEscaped(harmless(&json))) }
        script { (PreEscaped(script)) }
    };
    Page { title: &title(report), style: STYLE, class: None, has_scripts: true }.around(&body)
}

fn lead(report: &Report) -> Markup {
    html! {
        p.lead {
            code { (report.model.path) } ", " (report.model.nodes) " nodes; offby " (report.tool.version) " "
            (report.command) ", reference " code { (report.reference) }
        }
        @if let Some(again) = &report.judged_again { p.note { "Note: " (again.words()) "." } }
        @if report.interrupted { p.note { "Note: " (INTERRUPTED) "." } }
    }
}
