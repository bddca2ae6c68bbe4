//! `offby report render`: a saved report in a different form, judged again if a tolerance is given.

use super::prepare::user_tolerance;
use super::report_args::{RenderArgs, RenderTo, ReportDiffArgs};
use super::screen;
use crate::graph::Model;
use crate::report::{
    Form, Paint, Report, changes_between, changes_text, judge_again, node_notes, read_report,
    report_markdown, report_schema, report_text,
};
use crate::session::Failure;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

/// The file that GitHub Actions shows as the summary of a step.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Columns of text in a file.
const FILE_WIDTH: usize = 100;

pub(super) fn render(args: &RenderArgs) -> Result<u8, Failure> {
    let user = user_tolerance(&args.tolerance)?;
    let (saved, mut report) = read_saved(&args.report)?;
    if let Some(user) = user {
        report = judge_again(report, user);
    }
    match form(args.to) {
        None => annotate(&report, args)?,
        Some(form) => {
            let rendered = match user {
                // An unchanged report stays identical, byte for byte.
                None if form == Form::Json => saved,
                _ => in_form(&report, form, args)?,
            };
            match &args.output {
                Some(path) => super::answer::write(path, rendered)?,
                None => screen::show(&rendered),
            }
        }
    }
    if args.to == RenderTo::Github {
        summarize(&report)?;
    }
    // The exit code matches the rendered verdict.
    Ok(report.exit_code())
}

/// Lists the changes between two reports.
pub(super) fn diff(args: &ReportDiffArgs) -> Result<u8, Failure> {
    let ((_, before), (_, after)) = (read_saved(&args.before)?, read_saved(&args.after)?);
    let changes = changes_between(&before, &after);
    screen::show(&changes_text(&changes, screen::width()));
    Ok(u8::from(!changes.is_empty()))
}

/// The form of a report; `None` for a copy of the network.
fn form(to: RenderTo) -> Option<Form> {
    Some(match to {
        RenderTo::Md => Form::Markdown,
        RenderTo::Html => Form::Html,
        RenderTo::Text => Form::Text,
        RenderTo::Json => Form::Json,
        RenderTo::Junit => Form::Junit,
        RenderTo::Github => Form::Github,
        RenderTo::ModelExplorer => Form::ModelExplorer,
        RenderTo::Netron => return None,
    })
}

/// Writes a copy of the network with notes on its nodes.
fn annotate(report: &Report, args: &RenderArgs) -> Result<(), Failure> {
    let (Some(path), Some(output)) = (&args.model, &args.output) else {
        return Err(Failure::new(
            "render for Netron: the network or the output file is not named",
            "give the report's network with --model, and a file with -o",
        ));
    };
    let model = Model::load(path)?;
    if *model.digest() != report.model.digest {
        return Err(Failure::new(
            format!("render for Netron: {} is not the network of the report", path.display()),
            format!("the report is about {}", report.model.path),
        ));
    }
    super::answer::write(output, model.annotated(&node_notes(report)))
}

/// Appends Markdown to the summary of a step of GitHub Actions, if the command runs in one.
fn summarize(report: &Report) -> Result<(), Failure> {
    let Some(path) = std::env::var_os(STEP_SUMMARY) else { return Ok(()) };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(report_markdown(report).as_bytes()));
    written.map_err(|error| {
        Failure::new(
            format!("write the step summary: {error}"),
            format!("${STEP_SUMMARY} must name a file that can be written"),
        )
    })
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

fn in_form(report: &Report, form: Form, args: &RenderArgs) -> Result<String, Failure> {
    let plain: Paint = |_, text| text.to_owned();
    let (width, paint) = match args.output {
        Some(_) => (FILE_WIDTH, plain),
        None => (screen::width(), screen::painter()),
    };
    form.render(report, width, paint).map_err(|_| Failure::bug())
}
