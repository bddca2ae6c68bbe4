//! A run over a data set as one page without scripts.

use super::{blame, facts, failed, kind, legend, remarks, sentence, table, title, worst_table};
use crate::agree::{Agree, AgreeLane, MOST_WORST, Task};
use crate::report::html::{Page, STYLE, prose, scrolled_table, verdict_look};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Small pictures of inputs, each a `data:` address, by the input's number.
pub type Pictures = BTreeMap<usize, String>;

/// A run as HTML.
pub fn agree_html(agree: &Agree, pictures: &Pictures) -> String {
    let (titles, rows) = table(agree);
    let body = html! {
        a.skip href="#targets" { "Skip to the targets" }
        header {
            p.brand { "offby agree" }
            h1 { (title(agree)) }
            p.lead { (facts(agree).join("; ")) }
        }
        main {
            section aria-label="All targets" {
                (rendered("Table of targets", &titles, &rows))
                p.soft { (legend(agree)) }
            }
            section #targets aria-label="Targets" {
                @for lane in &agree.targets { (target(agree.task, lane, pictures)) }
            }
        }
    };
    Page { title: &title(agree), style: STYLE, class: None, has_scripts: false }.around(&body)
}

/// A table whose first column holds names.
fn rendered(name: &str, titles: &[&str], rows: &[Vec<String>]) -> Markup {
    scrolled_table(name, titles, rows, |cell| html! { code { (cell) } })
}

fn target(task: Task, lane: &AgreeLane, pictures: &Pictures) -> Markup {
    let (class, _) = verdict_look(kind(lane).news());
    let (titles, rows) = worst_table(task, lane, MOST_WORST);
    html! {
        section class=(class) {
            h2 { code { (lane.target) } }
            p { (prose(&sentence(lane))) "." }
            @for remark in remarks(lane).into_iter().chain(failed(lane)) { p.soft { (prose(&remark)) } }
            @if let Some(found) = &lane.blame { p { (prose(&blame(found))) "." } }
        }
        @if !rows.is_empty() {
            h3 { "Worst inputs" }
            (gallery(lane, pictures))
            (rendered(&format!("Worst inputs of {}", lane.target), &titles, &rows))
        }
    }
}

/// The worst inputs that are pictures.
fn gallery(lane: &AgreeLane, pictures: &Pictures) -> Markup {
    let shown = lane.tally.worst.iter();
    let shown = shown.filter_map(|worst| Some((worst, pictures.get(&worst.input)?)));
    html! {
        div.gallery {
            @for (worst, picture) in shown {
                figure {
                    img src=(picture) alt={ "input " (worst.id) } {}
                    figcaption { (worst.id) @if let Some((reference, target)) = worst.classes { small { (chosen(reference)) " → " (chosen(target)) } } }
                }
            }
        }
    }
}

fn chosen(class: Option<usize>) -> String {
    class.map_or_else(|| "?".to_owned(), |class| class.to_string())
}
