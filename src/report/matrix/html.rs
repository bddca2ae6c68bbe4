//! The matrix as one page without scripts: the table, and every reason under it, linked from its cells.

use super::{
    CellTally, ColumnReason, NOT_RUN, changed, facts, fed_alike, findings, label, legend, news,
    plural, ran_on, rows_are, since, specs, title,
};
use crate::matrix::{Cell, Column, Mark, Matrix, MatrixRow};
use crate::report::html::{Page, STYLE, prose};
use crate::verdict::Kind;
use maud::{Markup, html};

/// The style of the table, in addition to the style of every page.
const OWN_STYLE: &str = include_str!("matrix.css");

/// A matrix as HTML.
pub fn matrix_html(matrix: &Matrix) -> String {
    let body = html! {
        a.skip href="#reasons" { "Skip to the reasons" }
        header {
            p.brand { "offby matrix" }
            h1 { (title(matrix)) }
            p.lead { (facts(matrix).join("; ")) }
        }
        main {
            section aria-label="Cells" {
                div.tools {
                    label { input #flawed type="checkbox"; " only rows that are not all right" }
                    span.key { (legend(matrix, |mark| look(mark).1)) }
                }
                div.scroll.cells tabindex="0" role="region" aria-label="Table of cells" { (cells(matrix)) }
            }
            @if let Some(changes) = changes(matrix) { (changes) }
            section #targets aria-label="Targets" {
                h2 { "Targets" }
                div.scroll { (targets(matrix)) }
            }
            section #reasons aria-label="Reasons" {
                h2 { "Reasons" }
                (reasons(matrix))
            }
        }
    };
    let style = format!("{STYLE}{OWN_STYLE}");
    let page =
        Page { title: &title(matrix), style: &style, class: Some("sheet"), has_scripts: false };
    page.around(&body)
}

/// The class and the sign of a mark: a shape each, for readers who see no colours.
fn look(mark: Mark) -> (&'static str, &'static str) {
    match mark {
        Mark::Right => ("good", "✓"),
        Mark::Mended => ("none", "◐"),
        Mark::Wrong => ("bad", "✕"),
        Mark::Refused => ("none", "⊘"),
        Mark::FellBack => ("none", "↩"),
        Mark::Unknown => ("none", "?"),
    }
}

fn cells(matrix: &Matrix) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { (rows_are(matrix)) }
                @for Column { target, simulated, .. } in &matrix.columns {
                    th scope="col" class=[simulated.then_some("planted")] {
                        (breakable(target))
                        @if *simulated { small { "simulated" } }
                    }
                }
            } }
            tbody { @for row in &matrix.rows { (line(matrix, row)) } }
        }
    }
}

/// A name that may be broken between its parts.
fn breakable(name: &str) -> Markup {
    html! {
        @for part in name.split_inclusive([':', '-']) {
            (part)
            @if part.ends_with([':', '-']) { wbr; }
        }
    }
}

fn line(matrix: &Matrix, row: &MatrixRow) -> Markup {
    let known = matrix.columns.iter().map(|column| row.cells.get(&column.target));
    let is_fine = known.clone().all(|cell| cell.is_some_and(|cell| cell.mark() == Mark::Right));
    let fed = fed_alike(matrix).is_none().then(|| specs(row));
    html! {
        tr class=[is_fine.then_some("fine")] {
            th scope="row" title={ (plural(row.nodes, "node")) ", fed " (specs(row)) } {
                (label(matrix, row))
                @if let Some(fed) = fed { " " small { (fed) } }
            }
            @for (at, (column, cell)) in matrix.columns.iter().zip(known).enumerate() {
                @match cell {
                    Some(cell) => (table_cell(matrix, row, (at, column), cell)),
                    None => td.unrun title="not run" { (NOT_RUN) },
                }
            }
        }
    }
}

fn table_cell(
    matrix: &Matrix,
    row: &MatrixRow,
    (at, column): (usize, &Column),
    cell: &Cell,
) -> Markup {
    let (class, sign) = look(cell.mark());
    let inner = html! {
        span.mark aria-hidden="true" { (sign) }
        span {
            (cell.words())
            @if let Some(change) = news(matrix, row, &column.target) { " " span.state { (change.state.name()) } }
        }
    };
    let aria = format!("{}: {}", cell.kind.name().replace('_', " "), cell.words());
    html! {
        td class=(class) title=(cell.sentence) {
            @match reason_of(matrix, at, cell) {
                Some(number) => a href={ "#" (anchor(at, number)) } aria-label=(aria) { (inner) },
                None => span aria-label=(aria) role="img" { (inner) },
            }
            @if let Some(page) = &cell.page {
                a.walked href=(page) aria-label={ "the walk of " (label(matrix, row)) " on " (column.target) } { "walk" }
            }
        }
    }
}

/// The position of a cell's reason among the reasons of its column.
fn reason_of(matrix: &Matrix, column: usize, cell: &Cell) -> Option<usize> {
    let told = told(matrix, &matrix.columns[column]);
    told.iter().position(|finding| finding.sentence == cell.sentence)
}

fn told<'m>(matrix: &'m Matrix, column: &Column) -> Vec<ColumnReason<'m>> {
    findings(matrix, column, |cell| cell.kind != Kind::Agrees)
}

fn anchor(column: usize, reason: usize) -> String {
    format!("reason-{}-{}", column + 1, reason + 1)
}

fn targets(matrix: &Matrix) -> Markup {
    html! {
        table {
            thead { tr { @for title in ["target", "cells", "ran on"] { th scope="col" { (title) } } } }
            tbody { @for column in &matrix.columns { tr {
                td { code { (column.target) } }
                td { (CellTally::column(matrix, column).words()) }
                td { (ran_on(matrix, column)) }
            } } }
        }
    }
}

fn changes(matrix: &Matrix) -> Option<Markup> {
    let since = since(matrix)?;
    Some(html! {
        section #changes aria-label="Changes" {
            h2 { "Changes" }
            p { (since) "." }
            ul { @for change in changed(matrix) { li {
                b { (change.state.name()) } " " (change.row) " on " code { (change.target) } ": " (prose(&change.words))
            } } }
        }
    })
}

fn reasons(matrix: &Matrix) -> Markup {
    let told: Vec<(usize, &Column, Vec<ColumnReason<'_>>)> = matrix
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| (at, column, told(matrix, column)))
        .filter(|(.., told)| !told.is_empty())
        .collect();
    html! {
        @if told.is_empty() { p { "Every cell agrees." } }
        @for (at, column, told) in told {
            h3 {
                code { (column.target) }
                @if column.simulated {
                    " " small { "simulated: its faults were planted, so this is no finding about a real device" }
                }
            }
            @for (number, finding) in told.iter().enumerate() { (reason(&anchor(at, number), finding)) }
        }
    }
}

fn reason(id: &str, finding: &ColumnReason<'_>) -> Markup {
    let (class, kind) = (look(finding.mark).0, finding.kind.name().replace('_', " "));
    let words = match finding.words.as_str() {
        words if words.is_empty() || kind == words => String::new(),
        words => format!(" ({words})"),
    };
    html! {
        div id=(id) class={ "reason " (class) } {
            p.who {
                @for (at, row) in finding.rows.iter().enumerate() {
                    @if at > 0 { ", " }
                    (row.label)
                    @if let Some(page) = row.page { " (" a href=(page) { "walk" } ")" }
                }
            }
            p { (kind) (words) ": " (prose(finding.sentence)) "." }
        }
    }
}
