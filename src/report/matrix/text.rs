//! The matrix on a terminal: as many columns side by side as fit.

use super::{
    CellTally, ColumnReason, NOT_RUN, changed, facts, findings, label, legend, ran_on, rows_are,
    since, title, words,
};
use crate::matrix::{Cell, Column, Mark, Matrix};
use crate::report::Paint;
use crate::report::text::{columns, shortened, trimmed, wrapped};
use crate::verdict::{Kind, News};
use prettytable::{Row as Line, Table};
use std::fmt::Write as _;

/// The most columns that a cell may take, if there is room and if there is none.
const WIDEST: usize = 28;
const NARROWEST: usize = 15;
/// A mark and the space behind it.
const MARK: usize = 2;
/// How many reasons, and how many changes, are shown without -v.
const MOST: usize = 12;
/// Lines of text longer than this are hard to read.
const PROSE: usize = 120;

/// `offby matrix` as text; `verbose` shows every reason.
pub fn matrix_text(matrix: &Matrix, width: usize, verbose: bool, paint: Paint) -> String {
    let prose = width.min(PROSE);
    let mut text = wrapped(&format!("{}; {}", title(matrix), facts(matrix).join("; ")), prose);
    for table in tables(matrix, width, paint) {
        let _ = write!(text, "\n{table}");
    }
    let _ = writeln!(text, "\n{}\n", legend(matrix, symbol));
    text.push_str(&targets(matrix, width));
    text.push_str(&reasons(matrix, prose, verbose, paint));
    text.push_str(&changes(matrix, prose, verbose, paint));
    let total = CellTally::of(matrix.cells().map(|(_, _, cell)| cell));
    let _ = writeln!(text, "\n{} cells: {}", matrix.cells().count(), total.words());
    text
}

fn symbol(mark: Mark) -> &'static str {
    match mark {
        Mark::Right => "✓",
        Mark::Mended => "◐",
        Mark::Wrong => "✕",
        Mark::Refused => "⊘",
        Mark::FellBack => "↩",
        Mark::Unknown => "?",
    }
}

/// One column of the table; its cells can be broken between words.
struct Strip {
    /// The pieces of the target's name, each with the sign at its end.
    head: Vec<String>,
    cells: Vec<Option<(Kind, &'static str, String)>>,
}

impl Strip {
    fn new(matrix: &Matrix, column: &Column) -> Self {
        let mut head: Vec<String> =
            column.target.split_inclusive([':', '-', ',']).map(str::to_owned).collect();
        if column.simulated {
            head.push("\nsimulated".into());
        }
        let shown = |row: &crate::matrix::MatrixRow, cell: &Cell| {
            (cell.kind, symbol(cell.mark()), words(matrix, row, &column.target, cell))
        };
        let cells = matrix.rows.iter();
        let cells =
            cells.map(|row| row.cells.get(&column.target).map(|cell| shown(row, cell))).collect();
        Strip { head, cells }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().flatten().map(|(_, _, words)| words.as_str())
    }

    /// The least width: the longest word, but at most `NARROWEST`.
    fn narrowest(&self) -> usize {
        let pieces = self.head.iter().map(|piece| length(piece.trim()));
        let words = self.texts().flat_map(|text| text.split(' ').map(|word| MARK + length(word)));
        pieces.chain(words).max().unwrap_or(0).min(NARROWEST)
    }

    /// The width that breaks no cell, but at most `WIDEST`.
    fn widest(&self) -> usize {
        let cells = self.texts().map(|text| MARK + length(text)).max().unwrap_or(0);
        cells.min(WIDEST).max(self.narrowest())
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// The table, or several tables one under the other on a narrow screen.
fn tables(matrix: &Matrix, width: usize, paint: Paint) -> Vec<String> {
    let strips: Vec<Strip> =
        matrix.columns.iter().map(|column| Strip::new(matrix, column)).collect();
    let names: Vec<String> = matrix.rows.iter().map(|row| label(matrix, row)).collect();
    let longest = names.iter().map(|name| length(name)).chain([length(rows_are(matrix))]).max();
    let name_width = longest.unwrap_or(0).min((width / 3).max(NARROWEST));
    let room = width.saturating_sub(name_width + MARK);
    let mut tables = Vec::new();
    let mut rest = &strips[..];
    while !rest.is_empty() {
        let (now, later) = rest.split_at(how_many(rest, room));
        let widths = widths(now, room);
        let mut table = Table::new();
        table.set_format(columns());
        table.set_titles(head_line(rows_are(matrix), now, &widths));
        for (at, name) in names.iter().enumerate() {
            let cells = now.iter().zip(&widths).map(|(strip, &w)| cell(&strip.cells[at], w, paint));
            table.add_row([shortened(name, name_width)].into_iter().chain(cells).collect());
        }
        tables.push(trimmed(&table));
        rest = later;
    }
    tables
}

/// How many columns fit side by side; at least one.
fn how_many(strips: &[Strip], room: usize) -> usize {
    let mut used = 0;
    let fits = |strip: &&Strip| {
        used += strip.narrowest() + MARK;
        used <= room
    };
    strips.iter().take_while(fits).count().max(1)
}

/// The width of each column: the least, and then the remaining room for the columns that break most.
fn widths(strips: &[Strip], room: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = strips.iter().map(Strip::narrowest).collect();
    let wanted: Vec<usize> = strips.iter().map(Strip::widest).collect();
    let used: usize = widths.iter().map(|width| width + MARK).sum();
    for _ in used..room {
        let lack = |at: &usize| wanted[*at] - widths[*at];
        let Some(neediest) = (0..widths.len()).max_by_key(lack).filter(|at| lack(at) > 0) else {
            break;
        };
        widths[neediest] += 1;
    }
    widths
}

/// The names of the targets, broken between their parts and aligned at the bottom.
fn head_line(rows: &str, strips: &[Strip], widths: &[usize]) -> Line {
    let mut heads: Vec<Vec<String>> = vec![vec![rows.to_owned()]];
    heads.extend(strips.iter().zip(widths).map(|(strip, &width)| head(&strip.head, width)));
    let tallest = heads.iter().map(Vec::len).max().unwrap_or(0);
    let standing = |lines: &Vec<String>| {
        let above = "\n".repeat(tallest - lines.len());
        above + &lines.join("\n")
    };
    heads.iter().map(standing).collect()
}

fn head(pieces: &[String], width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in pieces {
        let line = lines.last_mut().expect("there is always a line");
        if piece.starts_with('\n') || length(line) + length(piece) > width && !line.is_empty() {
            lines.push(shortened(piece.trim(), width));
        } else {
            line.push_str(&shortened(piece, width));
        }
    }
    lines
}

/// Mark and words, broken between words.
fn cell(cell: &Option<(Kind, &'static str, String)>, width: usize, paint: Paint) -> String {
    let Some((kind, symbol, words)) = cell else { return NOT_RUN.to_owned() };
    let mut lines = vec![String::new()];
    for word in words.split(' ') {
        let room = width.saturating_sub(MARK);
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && length(line) + 1 + length(word) > room {
            lines.push(shortened(word, room));
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(&shortened(word, room));
        }
    }
    let marks = [*symbol].into_iter().chain(std::iter::repeat(" "));
    let lines =
        marks.zip(lines).map(|(mark, line)| paint(*kind, format!("{mark} {line}").trim_end()));
    lines.collect::<Vec<_>>().join("\n")
}

/// Each target, with the counts of its cells and its device.
fn targets(matrix: &Matrix, width: usize) -> String {
    let longest = matrix.columns.iter().map(|column| length(&column.target)).max().unwrap_or(0);
    let mut text = String::new();
    for column in &matrix.columns {
        let counts = CellTally::column(matrix, column).words();
        let head = format!(" {:<longest$}  {counts}", column.target);
        let place = ran_on(matrix, column);
        // The device is on the same line if there is room, else under it.
        let room = width.saturating_sub(length(&head) + 2);
        if length(&place) <= room {
            let _ = writeln!(text, "{head}; {place}");
        } else {
            let _ = writeln!(text, "{head}\n   {}", shortened(&place, width.saturating_sub(3)));
        }
    }
    text
}

/// The reasons of cells that cannot be judged, because a cell has no room for them. `verbose` shows the reason of
/// every cell that does not simply agree.
fn reasons(matrix: &Matrix, width: usize, verbose: bool, paint: Paint) -> String {
    let keep = |cell: &Cell| match verbose {
        true => cell.kind != Kind::Agrees,
        false => cell.kind.news() == News::None,
    };
    let of = |column| findings(matrix, column, keep).into_iter().map(move |found| (column, found));
    let all: Vec<(&Column, ColumnReason<'_>)> = matrix.columns.iter().flat_map(of).collect();
    let most = if verbose { usize::MAX } else { MOST };
    let mut text: String =
        all.iter().take(most).map(|(column, found)| reason(column, found, width, paint)).collect();
    if all.len() > most {
        let _ = writeln!(text, "\n… and {} more reasons", all.len() - most);
    }
    if !verbose
        && matrix.cells().any(|(_, _, cell)| cell.is_some_and(|c| c.kind.news() == News::Bad))
    {
        text.push_str("\nhint: -v gives the reason for every cell, --out DIR keeps a page\n");
    }
    text
}

fn reason(column: &Column, finding: &ColumnReason<'_>, width: usize, paint: Paint) -> String {
    let rows = match finding.labels().as_slice() {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second}, {third} and {} more", rest.len())
        }
        few => few.join(", "),
    };
    let head = wrapped(&format!("{}: {rows}", column.target), width);
    let kind = finding.kind.name().replace('_', " ");
    let sentence = wrapped(&format!("{kind}: {}.", finding.sentence), width.saturating_sub(2));
    let indented = sentence.lines().map(|line| format!("  {line}\n")).collect::<String>();
    format!("\n{}{indented}", paint(finding.kind, &head))
}

fn changes(matrix: &Matrix, width: usize, verbose: bool, paint: Paint) -> String {
    let Some(since) = since(matrix) else { return String::new() };
    let mut text = format!("\n{since}\n");
    let changed = changed(matrix);
    let most = if verbose { usize::MAX } else { MOST };
    for change in changed.iter().take(most) {
        let kind = match change.state {
            crate::matrix::CellState::New => Kind::Divergent,
            crate::matrix::CellState::Fixed => Kind::Agrees,
            _ => Kind::Inconclusive,
        };
        let line = format!(
            " {} {} on {}: {}",
            change.state.name(),
            change.row,
            change.target,
            change.words
        );
        text.push_str(&paint(kind, &wrapped(&line, width)));
    }
    if changed.len() > most {
        let _ = writeln!(text, " … {} more: -v lists them all", changed.len() - most);
    }
    text
}
