//! The network, painted with error: rows of operators, and lanes for the values between them. The colour of a mark is
//! the error that an operator introduces. The colour of a line is the error that its value has by then.

use super::numbers::size;
use super::page::address;
use crate::report::drawing::{
    DrawingLanes, DrawingRow, Edge, Heat, accumulated, folded, introduced, lanes, module_of,
    shared_module, unfolded,
};
use crate::walk::{OpReport, Role, WalkReport};
use maud::{Markup, html};
use serde::Serialize;
use std::collections::BTreeMap;

/// The height of a row and the width of a lane, in pixels. The style sheet has the same height.
const ROW: usize = 26;
const LANE: usize = 14;
/// The most rows that are written. The table of operators has all of them.
const MOST_ROWS: usize = 400;
/// The most lanes that are wide enough to be told apart. The others share the last lane.
const MOST_LANES: usize = 24;

/// What scripts need to draw each operator as a row.
#[derive(Serialize)]
pub(super) struct Unfolded {
    /// The lane of each operator.
    lanes: Vec<usize>,
    /// How many lanes there are.
    count: usize,
    /// The modules of the network.
    modules: Vec<String>,
    /// The module of each operator, by its place in `modules`.
    module_of: Vec<usize>,
    /// The steps of introduced and accumulated error of each operator.
    heat: Vec<[u8; 2]>,
}

/// Every operator as a row; `None` if the walk does not know which operators read which values.
pub(super) fn unfolded_of(walk: &WalkReport) -> Option<Unfolded> {
    if !has_lines(walk) {
        return None;
    }
    let placed = lanes(&unfolded(&walk.ops));
    let mut modules: Vec<String> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut number = |module: String| {
        *known.entry(module.clone()).or_insert_with(|| {
            modules.push(module);
            modules.len() - 1
        })
    };
    let module_of = walk.ops.iter().map(|op| number(module_of(op).join("/"))).collect();
    let heats = walk.ops.iter().zip(accumulated(&walk.ops));
    let heat = heats.map(|(op, carried)| [introduced(op).step(), carried.step()]).collect();
    Some(Unfolded { lanes: placed.of, count: placed.count, modules, module_of, heat })
}

fn has_lines(walk: &WalkReport) -> bool {
    walk.ops.len() > 1 && walk.ops.iter().any(|op| !op.reads.is_empty())
}

/// The drawing, with operators that have nothing to show joined to runs.
pub(super) fn drawing(walk: &WalkReport, number: usize) -> Option<Markup> {
    if !has_lines(walk) {
        return None;
    }
    let carried = accumulated(&walk.ops);
    let mut rows = folded(&walk.ops, &carried);
    let left_out = rows.len().saturating_sub(MOST_ROWS);
    rows.truncate(MOST_ROWS);
    let lanes = lanes(&rows);
    let wide = LANE * (lanes.count.min(MOST_LANES) + 1);
    Some(html! {
        h3 { "The network" }
        div.network data-walk=(number) {
            (legend())
            div.rows style={ "--lanes:" (wide) "px" } {
                (lines(walk, &carried, &rows, &lanes, wide))
                ol {
                    @for row in &rows { li { (row_of(walk, &carried, row, number)) } }
                }
            }
            @if left_out > 0 { p.soft { "and " (left_out) " more rows; the table has every operator." } }
        }
    })
}

fn legend() -> Markup {
    html! {
        p.soft {
            "Mark: the operator's own error, over its bound. Line: the error of its value so far. "
            span.scale role="img" aria-label="The colours go from within the bound, over each power of ten, to NaN" {
                @for step in 0..8 { span class={ "heat h" (step) } {} }
            }
            " within the bound, 10, 10², … times, NaN."
        }
    }
}

fn x(lane: usize) -> usize {
    LANE * (lane.min(MOST_LANES - 1) + 1) - LANE / 2
}

fn y(row: usize) -> usize {
    ROW * row + ROW / 2
}

/// The lanes and marks. The texts beside them are the list's.
fn lines(
    walk: &WalkReport,
    carried: &[Heat],
    rows: &[DrawingRow],
    lanes: &DrawingLanes,
    wide: usize,
) -> Markup {
    let high = ROW * rows.len();
    html! {
        svg width=(wide) height=(high) viewBox={ "0 0 " (wide) " " (high) } aria-hidden="true" {
            @for edge in &lanes.edges {
                path class={ "edge h" (at_end(carried, &rows[edge.from]).step()) } d=(curve(edge, lanes)) {}
            }
            @for (number, row) in rows.iter().enumerate() {
                (mark(walk, carried, row, x(lanes.of[number]), y(number)))
            }
        }
    }
}

/// The accumulated error at the end of a row.
fn at_end(carried: &[Heat], row: &DrawingRow) -> Heat {
    carried[row.ops.clone()].last().copied().unwrap_or_default()
}

/// A value goes down in its own lane, and over to the reader's lane in the last row.
fn curve(edge: &Edge, lanes: &DrawingLanes) -> String {
    let (from, to) = (x(lanes.of[edge.from]), x(lanes.of[edge.to]));
    let (start, end) = (y(edge.from), y(edge.to));
    if from == to {
        return format!("M{from} {start}V{end}");
    }
    let turn = end - ROW;
    format!("M{from} {start}V{turn}C{from} {} {to} {} {to} {end}", turn + ROW / 2, end - ROW / 2)
}

fn mark(walk: &WalkReport, carried: &[Heat], row: &DrawingRow, x: usize, y: usize) -> Markup {
    let ops = &walk.ops[row.ops.clone()];
    let own = ops.iter().map(introduced).max().unwrap_or_default().step();
    let class = format!("node h{own} o{}", at_end(carried, row).step());
    html! {
        @match row.single().map(|op| walk.ops[op].role) {
            Some(Role::Source) => path class=(class) d={ "M" (x) " " (y - 7) "l7 7l-7 7l-7 -7z" } {},
            Some(_) => circle class=(class) cx=(x) cy=(y) r="4.5" {},
            None => rect class=(class) x=(x - 4) y=(y - 8) width="8" height="16" rx="4" {},
        }
    }
}

fn row_of(walk: &WalkReport, carried: &[Heat], row: &DrawingRow, number: usize) -> Markup {
    match row.single() {
        Some(at) => single(&walk.ops[at], at, number),
        None => run(walk, carried, row, number),
    }
}

fn single(op: &OpReport, at: usize, number: usize) -> Markup {
    let error = match (op.disagreeing_here(), op.introduced) {
        (0, Some(introduced)) => size(introduced),
        (0, None) => "not compared".to_owned(),
        _ => "NaN or infinities".to_owned(),
    };
    html! {
        a.is-source[op.role == Role::Source] href=(address(number, op)) data-op=(at) title=(op.name) {
            span.role { (op.role.name()) }
            code { bdi { (op.name) } }
            small { (op.op_type) ", " (error) }
        }
    }
}

/// A run of operators: how many, what they do, and their common module.
fn run(walk: &WalkReport, carried: &[Heat], row: &DrawingRow, number: usize) -> Markup {
    let ops = &walk.ops[row.ops.clone()];
    let does = match carried[row.ops.clone()].iter().all(|heat| heat.step() == 0) {
        true => "within rounding",
        false => "pass error on",
    };
    let module = shared_module(ops);
    html! {
        a.run href=(address(number, &ops[0])) data-op=(row.ops.start) data-to=(row.ops.end) {
            strong { (ops.len()) " " (does) }
            @if !module.is_empty() { code { bdi { (module) } } }
            small { (ops[0].index) " to " (ops[ops.len() - 1].index) }
        }
    }
}
