//! The matrix as one page without scripts: the table, and every reason under it, linked from its cells.

use super::{
    Finding, NOT_RUN, Tally, changed, facts, fed_alike, findings, label, legend, news, plural,
    ran_on, rows_are, since, specs, title,
};
use crate::matrix::{Cell, Column, Mark, Matrix, Row};
use crate::report::html::{STYLE, escaped, fill, prose};
use crate::verdict::Kind;

const PAGE: &str = include_str!("page.html");
/// The style of the table, in addition to the style of every page.
const OWN_STYLE: &str = include_str!("matrix.css");

/// A matrix as HTML.
pub fn matrix_html(matrix: &Matrix) -> String {
    fill(
        PAGE,
        &[
            ("title", &escaped(&title(matrix))),
            ("style", &format!("{STYLE}{OWN_STYLE}")),
            ("facts", &escaped(&facts(matrix).join("; "))),
            (
                "legend",
                &format!("<span class=\"key\">{}</span>", legend(matrix, |mark| look(mark).1)),
            ),
            ("cells", &cells(matrix)),
            ("changes", &changes(matrix)),
            ("targets", &targets(matrix)),
            ("reasons", &reasons(matrix)),
        ],
    )
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

fn cells(matrix: &Matrix) -> String {
    let mut page = format!("<table>\n<thead><tr><th scope=\"col\">{}</th>", rows_are(matrix));
    for Column { target, simulated } in &matrix.columns {
        // A name may be broken between its parts.
        let name = escaped(target).replace(':', ":<wbr>").replace('-', "-<wbr>");
        let (class, note) = match simulated {
            true => (" class=\"planted\"", "<small>simulated</small>"),
            false => ("", ""),
        };
        page.push_str(&format!("<th scope=\"col\"{class}>{name}{note}</th>"));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &matrix.rows {
        page.push_str(&line(matrix, row));
    }
    page + "</tbody>\n</table>\n"
}

fn line(matrix: &Matrix, row: &Row) -> String {
    let known = matrix.columns.iter().map(|column| row.cells.get(&column.target));
    let is_fine = known.clone().all(|cell| cell.is_some_and(|cell| cell.mark() == Mark::Right));
    let class = if is_fine { " class=\"fine\"" } else { "" };
    let fed = fed_alike(matrix).is_none().then(|| specs(row));
    let mut line = format!(
        "<tr{class}><th scope=\"row\" title=\"{}, fed {}\">{}{}</th>",
        plural(row.nodes, "node"),
        escaped(&specs(row)),
        escaped(&label(matrix, row)),
        fed.map_or_else(String::new, |fed| format!(" <small>{}</small>", escaped(&fed))),
    );
    for (at, (column, cell)) in matrix.columns.iter().zip(known).enumerate() {
        line.push_str(&match cell {
            Some(cell) => table_cell(matrix, row, (at, column), cell),
            None => format!("<td class=\"unrun\" title=\"not run\">{NOT_RUN}</td>"),
        });
    }
    line + "</tr>\n"
}

fn table_cell(matrix: &Matrix, row: &Row, (at, column): (usize, &Column), cell: &Cell) -> String {
    let (class, sign) = look(cell.mark());
    let (words, sentence) = (escaped(&cell.words()), escaped(&cell.sentence));
    let state = news(matrix, row, &column.target).map_or_else(String::new, |change| {
        format!(" <span class=\"state\">{}</span>", change.state.name())
    });
    let inner = format!(
        "<span class=\"mark\" aria-hidden=\"true\">{sign}</span><span>{words}{state}</span>"
    );
    let aria = format!("{}: {}", cell.kind.name().replace('_', " "), cell.words());
    let inner = match reason_of(matrix, at, cell) {
        Some(number) => format!(
            "<a href=\"#{}\" aria-label=\"{}\">{inner}</a>",
            anchor(at, number),
            escaped(&aria)
        ),
        None => format!("<span aria-label=\"{}\" role=\"img\">{inner}</span>", escaped(&aria)),
    };
    format!("<td class=\"{class}\" title=\"{sentence}\">{inner}</td>")
}

/// The position of a cell's reason among the reasons of its column.
fn reason_of(matrix: &Matrix, column: usize, cell: &Cell) -> Option<usize> {
    let told = told(matrix, &matrix.columns[column]);
    told.iter().position(|finding| finding.sentence == cell.sentence)
}

fn told<'m>(matrix: &'m Matrix, column: &Column) -> Vec<Finding<'m>> {
    findings(matrix, column, |cell| cell.kind != Kind::Agrees)
}

fn anchor(column: usize, reason: usize) -> String {
    format!("reason-{}-{}", column + 1, reason + 1)
}

fn targets(matrix: &Matrix) -> String {
    let mut page = String::from(
        "<table>\n<thead><tr><th scope=\"col\">target</th><th scope=\"col\">cells</th><th scope=\"col\">ran on</th></tr></thead>\n<tbody>\n",
    );
    for column in &matrix.columns {
        page.push_str(&format!(
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>\n",
            escaped(&column.target),
            escaped(&Tally::column(matrix, column).words()),
            escaped(&ran_on(matrix, column))
        ));
    }
    page + "</tbody>\n</table>\n"
}

fn changes(matrix: &Matrix) -> String {
    let Some(since) = since(matrix) else { return String::new() };
    let line = |change: &&crate::matrix::Change| {
        format!(
            "<li><b>{}</b> {} on <code>{}</code>: {}</li>\n",
            change.state.name(),
            escaped(&change.row),
            escaped(&change.target),
            prose(&change.words)
        )
    };
    let lines: String = changed(matrix).iter().map(line).collect();
    format!(
        "<section id=\"changes\" aria-label=\"Changes\">\n<h2>Changes</h2>\n<p>{}.</p>\n<ul>\n{lines}</ul>\n</section>\n",
        escaped(&since)
    )
}

fn reasons(matrix: &Matrix) -> String {
    let mut page = String::new();
    for (at, column) in matrix.columns.iter().enumerate() {
        let told = told(matrix, column);
        if told.is_empty() {
            continue;
        }
        let simulated = match column.simulated {
            true => {
                " <small>simulated: its faults were planted, so this is no finding about a real device</small>"
            }
            false => "",
        };
        let name = escaped(&column.target);
        page.push_str(&format!("<h3><code>{name}</code>{simulated}</h3>\n"));
        for (number, finding) in told.iter().enumerate() {
            page.push_str(&reason(&anchor(at, number), finding));
        }
    }
    if page.is_empty() { "<p>Every cell agrees.</p>\n".to_owned() } else { page }
}

fn reason(id: &str, finding: &Finding<'_>) -> String {
    let rows: Vec<String> = finding.rows.iter().map(|row| escaped(row)).collect();
    let (class, kind) = (look(finding.mark).0, finding.kind.name().replace('_', " "));
    format!(
        "<div class=\"reason {class}\" id=\"{id}\"><p class=\"who\">{}</p><p>{kind}{}: {}.</p></div>\n",
        rows.join(", "),
        match finding.words.as_str() {
            words if words.is_empty() || kind == words => String::new(),
            words => format!(" ({})", escaped(words)),
        },
        prose(finding.sentence)
    )
}
