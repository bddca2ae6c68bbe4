//! An audit as one page without scripts: which run had which result, and where the results differ.

use super::{NOTE, TITLES, has_notes, heading, remarks, row, verdict};
use crate::determinism::{AuditDocument, RunGroup};
use crate::report::html::{Page, STYLE, prose, scrolled_table, verdict_look};
use maud::{Markup, html};

/// The style of the runs, in addition to the style of every page.
const OWN_STYLE: &str = "\
.runs { display: flex; flex-wrap: wrap; gap: 2px; margin: 0.4rem 0; }
.runs span { flex: 0 0 1.4rem; font: 0.7rem/1.4rem var(--mono); text-align: center; background: var(--low); border-radius: 2px; }
.runs .other { background: var(--introduced); color: var(--ground); font-weight: 700; }
";
/// How many results have a letter of their own; all later ones share the last.
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// How many runs are drawn.
const MOST_DRAWN: usize = 500;

/// An audit as HTML.
pub fn audit_html(audit: &AuditDocument) -> String {
    let rows: Vec<Vec<String>> = audit.lanes.iter().map(row).collect();
    let (class, mark) = verdict_look(audit.kind.news());
    let body = html! {
        a.skip href="#runs" { "Skip to the runs" }
        header {
            p.brand { "offby audit" }
            h1 { (heading(audit)) }
        }
        main {
            section aria-label="Verdict" {
                article class=(class) {
                    h2 { span.mark aria-hidden="true" { (mark) } " " (audit.kind.name().replace('_', " ")) }
                    p { (prose(&audit.sentence)) "." }
                    @for line in remarks(audit) { p.looks { (prose(&line)) } }
                }
            }
            section #runs aria-label="Runs" {
                h2 { "Runs" }
                (scrolled_table("Runs", &TITLES, &rows, |cell| html! { (cell) }))
                @if has_notes(audit) { p.soft { (NOTE) } }
            }
            @for lane in audit.lanes.iter().filter(|lane| !lane.order.is_empty()) { (drawn(lane)) }
        }
    };
    let style = format!("{STYLE}{OWN_STYLE}");
    let title = format!("{}: {}", heading(audit), verdict(audit));
    Page { title: &title, style: &style, class: None, has_scripts: false }.around(&body)
}

/// A cell for each run, with a letter for its result. The usual result is calm.
fn drawn(lane: &RunGroup) -> Markup {
    let usual = lane.distinct.iter().enumerate().rev().max_by_key(|(_, result)| result.runs);
    let usual = usual.map_or(0, |(number, _)| number);
    let letter = |result: usize| char::from(LETTERS[result.min(LETTERS.len() - 1)]);
    let left_out = lane.order.len().saturating_sub(MOST_DRAWN);
    html! {
        section aria-label={ "The order of results: " (lane.way.words()) } {
            h2 { "Which run had which result: " (lane.way.words()) }
            div.runs {
                @for (run, &result) in lane.order.iter().take(MOST_DRAWN).enumerate() {
                    span class=[(result != usual).then_some("other")] title={ "run " (run + 1) } { (letter(result)) }
                }
            }
            p.soft {
                "From the first run to the last, a letter for each result. The result of most runs is " (letter(usual)) "."
                @if left_out > 0 { " " (left_out) " more runs are not drawn." }
            }
        }
    }
}
