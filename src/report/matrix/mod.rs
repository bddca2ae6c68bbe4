//! A matrix for the terminal, an issue and a browser. The parts common to all are here: the labels of rows, the
//! device of each column, the counts, and the findings with their reasons.

mod html;
mod markdown;
mod text;

pub use html::matrix_html;
pub use markdown::matrix_markdown;
pub use text::matrix_text;

use crate::engine::RanOn;
use crate::matrix::{Cell, CellChange, CellState, Column, Mark, Matrix, MatrixRow};
use crate::verdict::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// The text of a cell that was not run.
const NOT_RUN: &str = "-";

/// Each mark with its meaning and its word for counts, in the order of the legend.
const LEGEND: [(Mark, &str, &str); 6] = [
    (Mark::Right, "right", "right"),
    (Mark::Mended, "right with these on the CPU", "mended"),
    (Mark::Wrong, "wrong", "wrong"),
    (Mark::Refused, "refused", "refused"),
    (Mark::FellBack, "ran elsewhere than asked", "elsewhere"),
    (Mark::Unknown, "not known", "not known"),
];

/// The marks that occur, each with its symbol and its meaning.
fn legend(matrix: &Matrix, symbol: fn(Mark) -> &'static str) -> String {
    let all = CellTally::of(matrix.cells().map(|(_, _, cell)| cell));
    let marks = LEGEND.iter().filter(|(mark, ..)| all.count(*mark) > 0);
    let mut keys: Vec<String> =
        marks.map(|(mark, words, _)| format!("{} {words}", symbol(*mark))).collect();
    if all.not_run > 0 {
        keys.push(format!("{NOT_RUN} not run"));
    }
    keys.join(" · ")
}

/// How many rows and columns there are, as a title.
fn title(matrix: &Matrix) -> String {
    let rows = match rows_are(matrix) {
        "system" => plural(matrix.rows.len(), "system"),
        "network" => plural(matrix.rows.len(), "network"),
        _ => format!("{} on several systems", plural(matrix.rows.len(), "row")),
    };
    format!("{rows} on {}", plural(matrix.columns.len(), "target"))
}

/// `1 target`, `3 targets`, `2 processes`.
pub(crate) fn plural(count: usize, what: &str) -> String {
    let end = match (count, what.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{count} {what}{end}")
}

/// The facts common to all rows: network, system, feeds, reference, the version of offby.
fn facts(matrix: &Matrix) -> Vec<String> {
    let mut facts = Vec::new();
    if matrix.interrupted {
        facts.push("interrupted: what is not filled was not run".to_owned());
    }
    let simulated = matrix.columns.iter().filter(|column| column.simulated).count();
    if simulated > 0 {
        facts.push(format!("{} simulated", plural(simulated, "target")));
    }
    let all = |of: &dyn Fn(&MatrixRow) -> String| {
        let values: BTreeSet<String> = matrix.rows.iter().map(of).collect();
        values.into_iter().collect::<Vec<_>>()
    };
    if let ("system", [network]) = (rows_are(matrix), &all(&|row| row.name.clone())[..]) {
        facts.push(format!("network {network}"));
    }
    if let ("network", [system]) =
        (rows_are(matrix), &all(&|row| row.system.clone().unwrap_or_default())[..])
        && !system.is_empty()
    {
        facts.push(format!("on {system}"));
    }
    facts.extend(fed_alike(matrix).map(|fed| format!("fed {fed}")));
    facts.push(format!("reference {}", all(&|row| row.reference.clone()).join(", ")));
    let versions: Vec<&str> = matrix.made_by.iter().map(String::as_str).collect();
    facts.push(format!("offby {}", versions.join(", ")));
    facts
}

/// The feeds of all rows, if few are different; else every row names its own.
fn fed_alike(matrix: &Matrix) -> Option<String> {
    const FEW: usize = 2;
    let inputs = matrix.rows.iter().flat_map(|row| &row.inputs);
    let specs: BTreeSet<&str> = inputs.map(|input| input.spec.as_str()).collect();
    let specs: Vec<&str> = specs.into_iter().collect();
    (1..=FEW).contains(&specs.len()).then(|| specs.join(" and "))
}

/// The feeds of a row's inputs, each spec once.
fn specs(row: &MatrixRow) -> String {
    let mut specs: Vec<&str> = row.inputs.iter().map(|input| input.spec.as_str()).collect();
    specs.dedup();
    specs.join(", ")
}

/// The property that distinguishes rows: `network`, `system`, or both.
fn rows_are(matrix: &Matrix) -> &'static str {
    let names: BTreeSet<&str> = matrix.rows.iter().map(|row| row.name.as_str()).collect();
    let systems: BTreeSet<Option<&str>> =
        matrix.rows.iter().map(|row| row.system.as_deref()).collect();
    match (names.len(), systems.len()) {
        (_, 0 | 1) => "network",
        (1, _) => "system",
        _ => "network, system",
    }
}

/// The label that distinguishes a row from the others.
fn label(matrix: &Matrix, row: &MatrixRow) -> String {
    match rows_are(matrix) {
        "network" => row.name.clone(),
        "system" => row.system.clone().unwrap_or_else(|| "-".into()),
        _ => row.label(),
    }
}

/// The change of a cell since an earlier matrix, if the cell is newly wrong or fixed.
fn news<'m>(matrix: &'m Matrix, row: &MatrixRow, target: &str) -> Option<&'m CellChange> {
    let changes = &matrix.changes.as_ref()?.cells;
    let label = row.label();
    let mut of_cell =
        changes.iter().filter(|change| change.row == label && change.target == target);
    of_cell.find(|change| matches!(change.state, CellState::New | CellState::Fixed))
}

/// The words of a cell, with its change.
fn words(matrix: &Matrix, row: &MatrixRow, target: &str, cell: &Cell) -> String {
    let news = news(matrix, row, target).map(|change| format!("({})", change.state.name()));
    let words = [cell.words(), news.unwrap_or_default()];
    words.iter().filter(|words| !words.is_empty()).cloned().collect::<Vec<_>>().join(" ")
}

/// The number of cells by mark, and of cells that were not run.
#[derive(Default)]
struct CellTally {
    marks: BTreeMap<Mark, usize>,
    not_run: usize,
}

impl CellTally {
    fn of<'c>(cells: impl Iterator<Item = Option<&'c Cell>>) -> Self {
        let mut tally = CellTally::default();
        for cell in cells {
            match cell {
                Some(cell) => *tally.marks.entry(cell.mark()).or_default() += 1,
                None => tally.not_run += 1,
            }
        }
        tally
    }

    fn column(matrix: &Matrix, column: &Column) -> Self {
        CellTally::of(matrix.rows.iter().map(|row| row.cells.get(&column.target)))
    }

    fn count(&self, mark: Mark) -> usize {
        self.marks.get(&mark).copied().unwrap_or(0)
    }

    /// `30 right, 2 wrong`.
    fn words(&self) -> String {
        let marks = LEGEND.iter().map(|(mark, _, words)| (self.count(*mark), *words));
        let counts = marks.chain([(self.not_run, "not run")]).filter(|(count, _)| *count > 0);
        counts.map(|(count, words)| format!("{count} {words}")).collect::<Vec<_>>().join(", ")
    }
}

/// The engine, backend, device and driver of a column's cells; a simulated device by the device that it imitates.
fn ran_on(matrix: &Matrix, column: &Column) -> String {
    let cells = matrix.rows.iter().filter_map(|row| row.cells.get(&column.target));
    let places: BTreeSet<String> =
        cells.filter_map(|cell| cell.ran_on.as_ref()).map(place).collect();
    match (places.is_empty(), column.simulated) {
        (true, true) => "simulated device, which never opened".into(),
        (true, false) => "nothing".into(),
        (false, _) => places.into_iter().collect::<Vec<_>>().join("; or "),
    }
}

fn place(ran_on: &RanOn) -> String {
    let device = ran_on.device.trim_matches(['\0', ' ']);
    if ran_on.backend == crate::engine::SIMULATED {
        return device.to_owned();
    }
    let driver = ran_on.driver.trim_matches(['\0', ' ']);
    let engine = format!("{} {}", ran_on.engine, ran_on.engine_version);
    let parts = [engine.as_str(), &ran_on.backend, device, driver];
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(", ")
}

/// One reason, and the rows of a column that have it.
struct ColumnReason<'m> {
    kind: Kind,
    mark: Mark,
    words: String,
    sentence: &'m str,
    rows: Vec<ReasonRow<'m>>,
}

/// A row that has a reason, and the page of its walk.
struct ReasonRow<'m> {
    label: String,
    page: Option<&'m str>,
}

impl ColumnReason<'_> {
    /// The names of the rows.
    fn labels(&self) -> Vec<&str> {
        self.rows.iter().map(|row| row.label.as_str()).collect()
    }
}

/// The reasons of the cells that `keep` accepts in a column, each once, in the order of the rows.
fn findings<'m>(
    matrix: &'m Matrix,
    column: &Column,
    keep: impl Fn(&Cell) -> bool,
) -> Vec<ColumnReason<'m>> {
    let mut findings: Vec<ColumnReason<'m>> = Vec::new();
    for row in &matrix.rows {
        let Some(cell) = row.cells.get(&column.target).filter(|cell| keep(cell)) else { continue };
        let row = ReasonRow { label: label(matrix, row), page: cell.page.as_deref() };
        match findings.iter_mut().find(|known| known.sentence == cell.sentence) {
            Some(known) => known.rows.push(row),
            None => findings.push(ColumnReason {
                kind: cell.kind,
                mark: cell.mark(),
                words: cell.words(),
                sentence: &cell.sentence,
                rows: vec![row],
            }),
        }
    }
    findings
}

/// `since earlier.json: 2 new, 1 fixed, 60 the same, 3 unknown`.
fn since(matrix: &Matrix) -> Option<String> {
    let changes = matrix.changes.as_ref()?;
    let counts = changes.counts();
    let count =
        |state: CellState| format!("{} {}", counts.get(&state).copied().unwrap_or(0), state.name());
    let states = [CellState::New, CellState::Fixed, CellState::Same, CellState::Unknown].map(count);
    Some(format!("since {}: {}", changes.earlier, states.join(", ")))
}

/// The new cells, then the fixed ones, then the unknown ones.
fn changed(matrix: &Matrix) -> Vec<&CellChange> {
    let mut changed: Vec<&CellChange> = matrix.changes.iter().flat_map(|c| &c.cells).collect();
    changed.retain(|change| change.state != CellState::Same);
    changed.sort_by_key(|change| change.state);
    changed
}
