//! A report as one page on its own: no network, no other file, no server.
//!
//! The verdict is written here and can be read without scripts. In the browser, `*.js` draws charts, profiles
//! and the table of operators from the report itself, which the page contains as JSON.

use super::bench_text::bench_line;
use super::checks::{Check, checks, reproduce, title};
use super::document::{INTERRUPTED, Report, TargetReport};
use super::fallback::{sentences, worth_a_table};
use super::markdown::report_markdown;
use super::remarks::{remarks, sentence};
use super::spans::{Span, spans};
use super::text::simulated;
use crate::verdict::News;
use crate::walk::Fallback;
use serde::Serialize;

/// The page, with `{{name}}` for each value.
const PAGE: &str = include_str!("page.html");
pub(super) const STYLE: &str = include_str!("page.css");
/// The scripts, each after those that it depends on.
const SCRIPTS: [&str; 5] = [
    include_str!("base.js"),
    include_str!("chart.js"),
    include_str!("portrait.js"),
    include_str!("table.js"),
    include_str!("page.js"),
];

/// The data for the scripts.
#[derive(Serialize)]
struct Content<'r> {
    report: &'r Report,
    /// The checks of each target.
    checks: Vec<Vec<Check>>,
    reproduce: Vec<String>,
    /// The same report as Markdown, for an issue.
    markdown: String,
}

/// A report as HTML.
pub fn report_html(report: &Report) -> String {
    let content = Content {
        report,
        checks: report.targets.iter().map(checks).collect(),
        reproduce: reproduce(report),
        markdown: report_markdown(report),
    };
    let json = serde_json::to_string(&content).expect("a report that was made can be written");
    let title = escaped(&title(report));
    let values = [
        ("title", title.as_str()),
        ("style", STYLE),
        ("lead", &lead(report)),
        (
            "verdicts",
            &(report.targets.iter().map(|target| verdict(report, target)).collect::<String>()
                + &said(report)),
        ),
        ("content", &harmless(&json)),
        ("script", &SCRIPTS.concat()),
    ];
    fill(PAGE, &values)
}

/// The lines that the report adds to its verdicts.
fn said(report: &Report) -> String {
    let lines = remarks(report);
    lines.iter().map(|line| format!("<p class=\"note\">{}.</p>\n", escaped(line))).collect()
}

/// The page with all values put in. Names inside the values are not replaced.
pub(super) fn fill(page: &str, values: &[(&str, &str)]) -> String {
    let mut pieces = page.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").expect("every {{ of the page is closed");
        let value = values.iter().find(|(known, _)| *known == name);
        page.push_str(value.expect("every name of the page has a value").1);
        page.push_str(rest);
    }
    page
}

/// JSON that can neither end its script element nor begin a comment in it.
fn harmless(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Text as HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\0' => {}
            c => safe.push(c),
        }
    }
    safe
}

/// Text of offby, names in backticks as code.
pub(super) fn prose(text: &str) -> String {
    let markup = |span: &Span| match span {
        Span::Words(words) => escaped(words),
        Span::Name(name) => format!("<code>{}</code>", escaped(name)),
    };
    spans(text).iter().map(markup).collect()
}

fn lead(report: &Report) -> String {
    let (path, nodes) = (escaped(&report.model.path), report.model.nodes);
    let reference = escaped(&report.reference);
    let mut lead = format!(
        "<p class=\"lead\"><code>{path}</code>, {nodes} nodes; offby {} {}, reference <code>{reference}</code></p>",
        escaped(&report.tool.version),
        escaped(&report.command),
    );
    if let Some(again) = &report.judged_again {
        lead.push_str(&format!("<p class=\"note\">Note: {}.</p>", escaped(&again.words())));
    }
    if report.interrupted {
        lead.push_str(&format!("<p class=\"note\">Note: {INTERRUPTED}.</p>"));
    }
    lead
}

fn verdict(report: &Report, target: &TargetReport) -> String {
    let verdict = &target.verdict;
    // A shape and a word each, for readers who see no colours.
    let (class, mark) = match verdict.kind.news() {
        News::Good => ("good", "✓"),
        News::Bad => ("bad", "✕"),
        News::None => ("none", "?"),
    };
    let (kind, name) = (verdict.kind.name().replace('_', " "), escaped(&target.target));
    let by = target.walk.as_ref().map_or_else(String::new, |walk| format!(" · {}", walk.strategy));
    let mut card = format!(
        "<article class=\"verdict {class}\"><h2><span class=\"mark\" aria-hidden=\"true\">{mark}</span> {kind} <code>{name}</code><small>{by}</small></h2><p>{}.</p>",
        prose(&sentence(report, target))
    );
    let mut paragraph = |class: &str, text: &str| {
        card.push_str(&format!("<p class=\"{class}\">{}</p>", prose(text)));
    };
    if let Some(line) = bench_line(target) {
        paragraph("mono", &line);
    }
    verdict.diagnosis.iter().for_each(|words| paragraph("looks", words));
    if let Some(hint) = &verdict.hint {
        paragraph("hint", &format!("Next: {hint}."));
    }
    if let Some(note) = simulated(&target.target, target.ran_on.as_ref()) {
        paragraph("note", &note);
    }
    card + &target.fallback.as_ref().map_or_else(String::new, |found| way_out(target, found))
        + "</article>\n"
}

/// The operators that must run elsewhere.
fn way_out(target: &TargetReport, fallback: &Fallback) -> String {
    let mut text = "<h3>The way out</h3>".to_owned();
    if let Some((titles, rows)) = worth_a_table(fallback) {
        let cells = |cells: &[String], tag: &str| -> String {
            cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect()
        };
        let head = cells(&titles.map(str::to_owned), "th");
        let body: String =
            rows.iter().map(|row| format!("<tr>{}</tr>", cells(row, "td"))).collect();
        text += &format!(
            "<div class=\"scroll\"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        );
    }
    for said in sentences(target, fallback) {
        text += &format!("<p>{}</p>", prose(&said));
    }
    text
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
    fn what_is_put_in_is_not_looked_at_again() {
        let names = ["title", "style", "lead", "verdicts", "content", "script"];
        let values = names.map(|name| (name, "{{title}}"));
        assert_eq!(fill(PAGE, &values).matches("{{title}}").count(), PAGE.matches("{{").count());
        assert_eq!(prose("`a<b>` & c"), "<code>a&lt;b&gt;</code> &amp; c");
    }
}
