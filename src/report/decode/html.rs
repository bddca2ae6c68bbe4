//! Decoding as one page without scripts: for each target a map of layers over tokens.

use super::map::{Map, MapCell};
use super::{facts, legend, remarks, sentence, short, table, title};
use crate::decode::{Decode, DecodeLane, DecodeStep};
use crate::report::html::{Page, STYLE, prose, verdict_look};
use maud::{Markup, html};

/// The style of the maps, in addition to the style of every page.
const OWN_STYLE: &str = include_str!("decode.css");

/// Decoding as HTML.
pub fn decode_html(decode: &Decode) -> String {
    let (titles, rows) = table(decode);
    let body = html! {
        a.skip href="#targets" { "Skip to the targets" }
        header {
            p.brand { "offby decode" }
            h1 { (title(decode)) }
            p.lead { (facts(decode).join("; ")) }
        }
        main {
            section aria-label="All targets" {
                div.scroll tabindex="0" role="region" aria-label="Table of targets" {
                    table {
                        thead { tr { @for title in titles { th scope="col" { (title) } } } }
                        tbody { @for row in &rows { tr {
                            @for (at, cell) in row.iter().enumerate() {
                                @if at == 0 { th scope="row" { code { (cell) } } } @else { td { (cell) } }
                            }
                        } } }
                    }
                }
                p.soft { (legend()) "." }
            }
            section #targets aria-label="Targets" {
                @for (at, lane) in decode.targets.iter().enumerate() { (target(decode, at, lane)) }
            }
        }
    };
    let style = format!("{STYLE}{OWN_STYLE}");
    Page { title: &title(decode), style: &style, class: None, has_scripts: false }.around(&body)
}

fn target(decode: &Decode, at: usize, lane: &DecodeLane) -> Markup {
    let (class, _) = verdict_look(lane.kind.news());
    html! {
        section class=(class) {
            h2 { code { (lane.target) } }
            p { (prose(&sentence(lane))) "." }
            @for remark in remarks(lane) { p.soft { (prose(&remark)) } }
        }
        @if !lane.steps.is_empty() {
            @if lane.part.is_some() { (maps(decode, at, lane)) }
            @else { details { summary { "Maps of layers over tokens" } (maps(decode, at, lane)) } }
        }
    }
}

/// Both maps, with the tokens under the first one.
fn maps(decode: &Decode, at: usize, lane: &DecodeLane) -> Markup {
    html! {
        h3 { "Error that each step introduces" }
        p.soft {
            "A column is a step, with the number of tokens so far. A row is what a layer stores for later tokens, so an error "
            "in a layer's attention or MLP shows in the next row."
        }
        (map(&format!("introduced-{at}"), "Introduced errors", &Map::introduced(decode, lane), (lane, Some(tokens(lane)))))
        h3 { "Error against the reference's own run" }
        (map(&format!("accumulated-{at}"), "Accumulated errors", &Map::accumulated(decode, lane), (lane, None)))
        (scale(lane))
    }
}

/// A map as a table: each cell names its row, its step and its error.
fn map(id: &str, name: &str, map: &Map, (lane, below): (&DecodeLane, Option<Markup>)) -> Markup {
    let part = lane.part.as_ref().map(|part| part.step);
    html! {
        div.scroll tabindex="0" role="region" aria-label={ (name) " of " (lane.target) } {
            table.map id=(id) {
                thead { tr {
                    th scope="col" { "layer" }
                    @for (at, step) in lane.steps.iter().enumerate() {
                        th scope="col" class=[(Some(at) == part).then_some("part")] { (column(at, step)) }
                    }
                } }
                tbody {
                    @for (name, cells) in map.rows.iter().zip(&map.cells) {
                        tr {
                            th scope="row" { (name) }
                            @for (at, cell) in cells.iter().enumerate() { (painted(name, at, *cell)) }
                        }
                    }
                    @if let Some(below) = below { (below) }
                }
            }
        }
    }
}

fn column(at: usize, step: &DecodeStep) -> String {
    match at {
        0 => "prompt".into(),
        _ => (step.past + step.fed.len()).to_string(),
    }
}

fn painted(row: &str, step: usize, cell: MapCell) -> Markup {
    let heat = cell.heat.step();
    let words = match cell.error {
        Some(error) => format!("{row}, step {step}: {}", short(error)),
        None => format!("{row}, step {step}: no values"),
    };
    html! {
        td class={ "h" (heat) } data-row=(row) data-step=(step) data-heat=(heat) title=(words) {
            span.hidden { (short(cell.error.unwrap_or(f64::NAN))) }
        }
    }
}

fn scale(lane: &DecodeLane) -> Markup {
    html! {
        p.soft.scale.breaks {
            "relative L2 error: up to " (short(lane.limit)) " " span.heat.h0 {} ", then a factor of ten each "
            @for step in 1..=6 { span class={ "heat h" (step) } {} }
            ", not a number " span.heat.h7 {}
        }
    }
}

/// The rows of the best words: the reference's, and under them the target's.
fn tokens(lane: &DecodeLane) -> Markup {
    html! {
        tr {
            th scope="row" { "reference says" }
            @for step in &lane.steps { td.token { @if let Some(token) = step.token { (token.want) } } }
        }
        tr {
            th scope="row" { "target says" }
            @for step in &lane.steps {
                @match step.token {
                    Some(token) if token.flip.is_some() => {
                        td.token.flip title={ "margin " (short(token.margin)) ", KL " (short(token.kl)) } { (token.got) }
                    }
                    Some(token) => td.token { (token.got) },
                    None => td.token { "-" },
                }
            }
        }
    }
}
