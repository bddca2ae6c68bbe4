//! A report as one page on its own: no network, no other file, no server.
//!
//! Everything that a reader needs is written here, and can be read, printed and mailed without scripts. In the
//! browser, `*.js` adds what follows the pointer, the table that searches, and the profiles of single operators.

mod chart;
mod network;
mod numbers;
mod parts;
mod verdicts;

use super::checks::title;
use super::document::{INTERRUPTED, Report};
use super::markdown::report_markdown;
use super::spans::{Span, spans};
use crate::walk::{OpReport, WalkReport};
use chart::{error_chart, headroom_chart};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use network::{Unfolded, drawing, unfolded_of};
use serde::Serialize;

/// The style of every page.
pub(super) const STYLE: &str = include_str!("page.css");
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

/// The data for the scripts.
#[derive(Serialize)]
struct Content<'r> {
    report: &'r Report,
    /// Each walk's operators as rows.
    drawings: Vec<Option<Unfolded>>,
}

/// A report as HTML.
pub fn report_html(report: &Report) -> String {
    let walks: Vec<&WalkReport> = report.targets.iter().filter_map(|t| t.walk.as_ref()).collect();
    let content =
        Content { report, drawings: walks.iter().map(|walk| unfolded_of(walk)).collect() };
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
            div #walks {
                @let walked = report.targets.iter().filter_map(|target| Some((target, target.walk.as_ref()?)));
                @for (number, (target, walk)) in walked.enumerate() {
                    section.walk data-walk=(number) {
                        h2 { "Operators of " (target.target) @if report.strategies.is_some() { ", strategy " (walk.strategy) } }
                        (parts::summary(walk))
                        @if let Some(probes) = parts::probes(walk) { (probes) }
                        @if !walk.ops.is_empty() {
                            @if let Some(sources) = parts::sources(walk, number) { (sources) }
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

/// A whole page, which loads nothing.
pub(super) struct Page<'a> {
    /// The title of the window.
    pub(super) title: &'a str,
    /// The style sheet.
    pub(super) style: &'a str,
    /// The class of the body.
    pub(super) class: Option<&'a str>,
    /// Whether scripts may run.
    pub(super) has_scripts: bool,
}

impl Page<'_> {
    /// The page around a body.
    pub(super) fn around(&self, body: &Markup) -> String {
        let scripts = if self.has_scripts { "script-src 'unsafe-inline'; " } else { "" };
        let policy =
            format!("default-src 'none'; style-src 'unsafe-inline'; {scripts}img-src data:");
        let page = html! {
            (DOCTYPE)
            html lang="en" data-ready=[(!self.has_scripts).then_some("without scripts")] {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta http-equiv="Content-Security-Policy" content=(policy);
                    link rel="icon" href="data:,";
                    title { (self.title) }
                    style { (PreEscaped(self.style)) }
                }
                body class=[self.class] { (body) }
            }
        };
        // A zero byte, which drivers put into names, is no character of HTML.
        page.into_string().replace('\0', "") + "\n"
    }
}

/// The address of an operator on the page.
fn address(walk: usize, op: &OpReport) -> String {
    match walk {
        0 => format!("#op={}", op.index),
        walk => format!("#op={}.{}", walk, op.index),
    }
}

/// JSON that can neither end its script element nor begin a comment in it.
fn harmless(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Text of offby, names in backticks as code.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for span in spans(text) {
            @match span {
                Span::Words(words) => (words),
                Span::Name(name) => code { (name) },
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_report_ends_the_script() {
        let json = harmless(r#"{"name":"</script><!--<script>"}"#);
        assert!(!json.contains('<'));
        let back: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(back["name"], "</script><!--<script>");
    }

    #[test]
    fn names_are_code_and_cannot_be_markup() {
        assert_eq!(prose("`a<b>` & c").into_string(), "<code>a&lt;b&gt;</code> &amp; c");
    }
}
