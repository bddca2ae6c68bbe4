//! What every page has: its frame, its style, and texts of offby as HTML.

use crate::report::spans::{Span, spans};
use crate::verdict::News;
use crate::walk::OpReport;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The style of every page.
pub(in crate::report) const STYLE: &str = include_str!("page.css");

/// A whole page, which loads nothing.
pub(in crate::report) struct Page<'a> {
    /// The title of the window.
    pub(in crate::report) title: &'a str,
    /// The style sheet.
    pub(in crate::report) style: &'a str,
    /// The class of the body.
    pub(in crate::report) class: Option<&'a str>,
    /// Whether scripts may run.
    pub(in crate::report) has_scripts: bool,
}

impl Page<'_> {
    /// The page around a body.
    pub(in crate::report) fn around(&self, body: &Markup) -> String {
        let scripts = if self.has_scripts { "script-src 'unsafe-inline'; " } else { "" };
        let policy =
            format!("default-src 'none'; style-src 'unsafe-inline'; {scripts}img-src data:");
        let page = html! {
            (DOCTYPE)
            html lang="en" data-ready=[(!self.has_scripts).then_some("without scripts")] {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta http-equiv="Content-Security-Policy" content=(policy);
                    link rel="icon" href="data:,";
                    title { (self.title) }
                    style { (PreEscaped(self.style)) }
                }
                body class=[self.class] { (body) }
            }
        };
        // A zero byte, which drivers put into names, is no character of HTML.
        page.into_string().replace('\0', "") + "\n"
    }
}

/// The address of an operator on the page.
pub(super) fn address(walk: usize, op: &OpReport) -> String {
    match walk {
        0 => format!("#op={}", op.index),
        walk => format!("#op={}.{}", walk, op.index),
    }
}

/// JSON that can neither end its script element nor begin a comment in it.
pub(super) fn harmless(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// The class and the mark of a verdict: a shape as well, for readers who see no colours.
pub(in crate::report) fn verdict_look(news: News) -> (&'static str, &'static str) {
    match news {
        News::Good => ("verdict good", "✓"),
        News::Bad => ("verdict bad", "✕"),
        News::None => ("verdict none", "?"),
    }
}

/// Text of offby, names in backticks as code.
pub(in crate::report) fn prose(text: &str) -> Markup {
    html! {
        @for span in spans(text) {
            @match span {
                Span::Words(words) => (words),
                Span::Name(name) => code { (name) },
            }
        }
    }
}

/// A table that scrolls by itself if it is wide. `head` renders the first cell of each row.
pub(in crate::report) fn scrolled_table(
    name: &str,
    titles: &[&str],
    rows: &[Vec<String>],
    head: fn(&str) -> Markup,
) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(name) {
            table {
                thead { tr { @for title in titles { th scope="col" { (title) } } } }
                tbody { @for row in rows { tr {
                    @for (at, cell) in row.iter().enumerate() {
                        @if at == 0 { th scope="row" { (head(cell)) } } @else { td { (cell) } }
                    }
                } } }
            }
        }
    }
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
    fn names_are_code_and_cannot_be_markup() {
        assert_eq!(prose("`a<b>` & c").into_string(), "<code>a&lt;b&gt;</code> &amp; c");
    }
}
