//! Markdown that cannot break: escaped texts, code spans, tables and fences.

use crate::report::spans::{Span, spans};
use std::fmt::Write as _;

/// How many characters of a name a table cell may have.
const MOST: usize = 160;

/// A text of offby that may quote names in backticks: code stays code, the rest is escaped.
pub(in crate::report) fn prose(text: &str) -> String {
    let markup = |span: &Span| match span {
        Span::Words(words) => escaped(&words.replace('`', "'")),
        Span::Name(name) => code(name),
    };
    spans(text).iter().map(markup).collect()
}

/// Foreign text as code: a name, a driver's message.
pub(in crate::report) fn code(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.trim();
    if text.is_empty() {
        return "-".to_owned();
    }
    if !text.contains('`') {
        return format!("`{text}`");
    }
    let ticks = "`".repeat(1 + longest_run(text));
    format!("{ticks} {text} {ticks}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A text without markup, mentions of users and links to issues.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    let links = text.contains("](") || text.contains("][");
    let mut characters = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = characters.next() {
        let inside = before.is_alphanumeric()
            && characters.peek().is_some_and(|next| next.is_alphanumeric());
        before = c;
        match c {
            '_' if inside => safe.push(c),
            '[' | ']' if !links => safe.push(c),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '@' | '#' => {
                safe.push(c);
                // An invisible comment prevents a mention or a link.
                safe.push_str("<!-- -->");
            }
            '*' | '_' | '[' | ']' | '\\' | '~' => {
                safe.push('\\');
                safe.push(c);
            }
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// A table. Its cells are Markdown already; only pipes, line breaks and empty cells are replaced.
pub(in crate::report) fn table<'t>(
    titles: impl AsRef<[&'t str]>,
    rows: &[impl AsRef<[String]>],
) -> String {
    let titles = titles.as_ref();
    let mut text = format!("| {} |\n|{}\n", titles.join(" | "), " --- |".repeat(titles.len()));
    for row in rows {
        let cells = row.as_ref().iter().map(|cell| in_cell(cell)).collect::<Vec<_>>();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

fn in_cell(text: &str) -> String {
    // A backslash keeps the pipe inside the cell.
    let text = text.replace('\n', " ").replace('|', "\\|");
    let text = text.trim();
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// The end of a long name as code: the end distinguishes operators better than the beginning.
pub(super) fn name(text: &str) -> String {
    let count = text.chars().count();
    match count > MOST {
        true => code(&format!("…{}", text.chars().skip(count - MOST).collect::<String>())),
        false => code(text),
    }
}

/// Lines as they are, in a fence.
pub(super) fn fence(language: &str, lines: &[String]) -> String {
    let text = lines.join("\n");
    let ticks = "`".repeat(3.max(1 + longest_run(&text)));
    let lines: Vec<String> = text.lines().map(|line| line.trim_end().replace('\r', "")).collect();
    format!("{ticks}{language}\n{}\n{ticks}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_cell_breaks_a_table() {
        let rows = [[code("a|b"), prose("x <b> | *y* @ada #12 [0, 8] x_y")]];
        assert_eq!(
            table(["one", "two"], &rows),
            "| one | two |\n| --- | --- |\n| `a\\|b` | x &lt;b&gt; \\| \\*y\\* @<!-- -->ada #<!-- -->12 [0, 8] x_y |\n"
        );
        assert_eq!(code("a`b"), "`` a`b ``");
        assert_eq!(code(" \0"), "-");
    }

    #[test]
    fn names_in_backticks_stay_code() {
        assert_eq!(prose("`a_b` is *it*"), "`a_b` is \\*it\\*");
        assert_eq!(prose("an odd ` tick"), "an odd ' tick");
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        assert_eq!(fence("text", &["```".into()]), "````text\n```\n````\n");
    }
}
