//! `offby report render`: a saved report in a different form, judged again if a tolerance is given.

use super::args::{Form, RenderArgs};
use super::prepare::user_tolerance;
use super::screen;
use crate::report::{
    Report, judge_again, read_report, report_html, report_junit, report_markdown, report_schema,
    report_text,
};
use crate::session::Failure;
use std::fs;
use std::path::Path;

/// Columns of text in a file.
const FILE_WIDTH: usize = 100;

pub(super) fn render(args: &RenderArgs) -> Result<u8, Failure> {
    let user = user_tolerance(&args.tolerance)?;
    let (saved, mut report) = read_saved(&args.report)?;
    if let Some(user) = user {
        report = judge_again(report, user);
    }
    let rendered = match user {
        // An unchanged report stays identical, byte for byte.
        None if args.to == Form::Json => saved,
        _ => in_form(&report, args)?,
    };
    match &args.output {
        Some(path) => super::answer::write(path, rendered)?,
        None => screen::show(&rendered),
    }
    // The exit code matches the rendered verdict.
    Ok(report.exit_code())
}

/// Prints the JSON Schema of a report.
pub(super) fn schema() -> Result<u8, Failure> {
    screen::show(&report_schema());
    Ok(0)
}

/// A saved report: the file's text and the parsed report.
pub(super) fn read_saved(path: &Path) -> Result<(String, Report), Failure> {
    let saved = fs::read_to_string(path).map_err(|error| {
        Failure::new(
            format!("read {}: {error}", path.display()),
            "give the report.json of `offby run` or `offby walk`",
        )
    })?;
    let report = read_report(&saved)?;
    Ok((saved, report))
}

/// The text of a report, for a file.
pub(super) fn text_for_file(report: &Report) -> String {
    report_text(report, FILE_WIDTH, |_, text| text.to_owned())
}

fn in_form(report: &Report, args: &RenderArgs) -> Result<String, Failure> {
    Ok(match (args.to, &args.output) {
        (Form::Md, _) => report_markdown(report),
        (Form::Html, _) => report_html(report),
        (Form::Json, _) => super::answer::json(report)? + "\n",
        (Form::Junit, _) => report_junit(report).map_err(|_| Failure::bug())?,
        (Form::Text, Some(_)) => text_for_file(report),
        (Form::Text, None) => report_text(report, screen::width(), screen::painter()),
    })
}
