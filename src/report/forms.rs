//! Who renders what: the forms that a saved report can take.

use super::document::Report;
use super::github::github;
use super::html::report_html;
use super::junit::report_junit;
use super::markdown::report_markdown;
use super::model_explorer::model_explorer;
use super::saved_text::report_text;
use super::text::Paint;

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Markdown for an issue.
    Markdown,
    /// One page.
    Html,
    /// The text of the terminal.
    Text,
    /// The document itself.
    Json,
    /// JUnit XML.
    Junit,
    /// Workflow commands of GitHub Actions.
    Github,
    /// Node data for Model Explorer.
    ModelExplorer,
}

impl Form {
    /// Renders a report. `width` and `paint` are for text.
    ///
    /// # Errors
    /// If the writer of the form fails, with its reason.
    pub fn render(self, report: &Report, width: usize, paint: Paint) -> Result<String, String> {
        Ok(match self {
            Form::Markdown => report_markdown(report),
            Form::Html => report_html(report),
            Form::Text => report_text(report, width, paint),
            Form::Json => {
                let json = serde_json::to_string_pretty(report);
                json.map_err(|error| error.to_string())? + "\n"
            }
            Form::Junit => report_junit(report).map_err(|error| error.to_string())?,
            Form::Github => github(report),
            Form::ModelExplorer => model_explorer(report),
        })
    }
}
