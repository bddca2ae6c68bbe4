//! `offby run`: the network on the reference and on every target, output by output.

use super::answer;
use super::args::{RunArgs, ToleranceArgs};
use super::failure::Failure;
use super::registry::Registry;
use super::screen;
use crate::compare::{
    Agreement, CompareOptions, Declared, Judgement, Judging, Storage, Tolerance, compare_with,
    count_beyond, judge,
};
use crate::engine::{Execution, Outcome, Output, Request, Target};
use crate::graph::{Model, ValueName};
use crate::inputs::{Feed, Normalization, draw, parse_inputs};
use crate::report::{
    InputReport, ModelReport, OutputReport, Report, SCHEMA, TargetReport, ToolReport,
    evidence_text, run_text,
};
use crate::tensor::write_npy;
use crate::verdict::{Finding, decide, exit_code};
use crate::worker::{Converter, find_converter};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Runs, compares, reports; gives the exit code.
pub(super) fn run(args: &RunArgs) -> Result<u8, Failure> {
    let targets = args.on.iter().map(|text| text.parse()).collect::<Result<Vec<Target>, _>>()?;
    let reference: Target = args.reference.parse()?;
    let user = user_tolerance(&args.tolerance)?;
    let model = load(args)?;
    let feeds = feeds(&model, args)?;
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder).map_err(|error| Failure::write(folder, error))?;
    }
    let registry = Registry::new(converter(args))?;
    let request = Request {
        model: &model,
        feeds: &feeds,
        repeats: args.repeat.max(1),
        deadline: Duration::from_secs(args.timeout),
    };

    let progress = screen::progress(args.output.quiet);
    progress.set_message(format!("{reference} (reference)"));
    let truth = registry.engine(&reference).execute(&Request { repeats: 1, ..request });
    if truth.outcome != Outcome::Completed {
        return Err(no_reference(&reference, &truth));
    }
    keep_outputs(args, &format!("reference {reference}"), &truth.outputs)?;
    let mut reports = Vec::new();
    for target in &targets {
        progress.set_message(target.to_string());
        let execution = registry.engine(target).execute(&request);
        keep_outputs(args, &target.to_string(), &execution.outputs)?;
        reports.push(examine(target, execution, &truth, user));
    }
    progress.finish_and_clear();

    let report = Report {
        schema: SCHEMA.into(),
        tool: ToolReport::this(),
        command: "run".into(),
        model: ModelReport {
            path: args.model.display().to_string(),
            digest: model.digest().clone(),
            nodes: model.node_count(),
        },
        inputs: feeds.iter().map(describe_feed).collect(),
        reference: reference.to_string(),
        reference_ran_on: truth.ran_on,
        targets: reports,
    };
    if let Some(folder) = &args.out {
        answer::write_json(&folder.join("report.json"), &report)?;
    }
    answer::give(&args.output, &report, || {
        let evidence = if args.output.verbose { evidence_text(&report) } else { String::new() };
        run_text(&report, screen::width(), screen::painter()) + &evidence
    })?;
    Ok(exit_code(report.targets.iter().map(|target| target.verdict.kind)))
}

fn load(args: &RunArgs) -> Result<Model, Failure> {
    let mut model = Model::load(&args.model)?;
    let mut shapes = BTreeMap::new();
    for text in &args.shape {
        let (name, dims) = parse_shape(text)?;
        shapes.insert(name, dims);
    }
    model.fix_shapes(&shapes)?;
    Ok(model)
}

fn parse_shape(text: &str) -> Result<(ValueName, Vec<usize>), Failure> {
    let fail = || {
        Failure::new(
            format!("read the shape `{text}`"),
            "a shape is NAME=DIMS, such as input=1,3,224,224",
        )
    };
    let (name, dims) = text.rsplit_once('=').ok_or_else(fail)?;
    let dims = dims
        .split(',')
        .map(|dim| dim.trim().parse::<usize>().map_err(|_| fail()))
        .collect::<Result<_, _>>()?;
    Ok((ValueName::from(name), dims))
}

fn feeds(model: &Model, args: &RunArgs) -> Result<Vec<Feed>, Failure> {
    let normalization = Normalization::new(&args.mean, &args.std)?;
    let specs = parse_inputs(&args.input, model.inputs(), &normalization)?;
    Ok(draw(&model.resolved_inputs()?, &specs)?)
}

fn converter(args: &RunArgs) -> Converter {
    match (&args.mnn, &args.converter) {
        (Some(ready), _) => Converter::Ready(ready.clone()),
        (None, Some(native)) => Converter::Native(native.clone()),
        (None, None) => find_converter(),
    }
}

/// A tolerance of the user's own takes the place of the table's.
pub(super) fn user_tolerance(args: &ToleranceArgs) -> Result<Option<Tolerance>, Failure> {
    for (name, value) in [("atol", args.atol), ("rtol", args.rtol)] {
        // Written so that NaN is refused, too.
        if value.is_some_and(|value| !(value >= 0.0)) {
            return Err(Failure::new(
                format!("use --{name}"),
                "a tolerance is a number, 0 or more",
            ));
        }
    }
    let given = args.atol.is_some() || args.rtol.is_some();
    Ok(given.then(|| Tolerance::user(args.atol.unwrap_or(0.0), args.rtol.unwrap_or(0.0))))
}

fn no_reference(reference: &Target, truth: &Execution) -> Failure {
    let reason = truth.reason.clone().unwrap_or_else(|| truth.outcome.to_string());
    let hint = truth.hint.clone().unwrap_or_else(|| {
        "without a reference there is nothing to compare with; another one may do: --reference mnn:cpu:high".into()
    });
    Failure::new(format!("run the reference {reference}: {reason}"), hint)
}

fn examine(
    target: &Target,
    execution: Execution,
    truth: &Execution,
    user: Option<Tolerance>,
) -> TargetReport {
    let outputs: Vec<OutputReport> = if execution.outcome == Outcome::Completed {
        let judge_one = |reference| compare_output(target, reference, &execution.outputs, user);
        truth.outputs.iter().map(judge_one).collect()
    } else {
        Vec::new()
    };
    let findings: Vec<Finding<'_>> = outputs
        .iter()
        .map(|output| Finding {
            name: output.name.as_str(),
            comparison: output.comparison.as_ref(),
            judgement: &output.judgement,
            beyond: output.beyond_tolerance,
        })
        .collect();
    let verdict = decide(&execution, &findings);
    TargetReport {
        target: target.to_string(),
        outcome: execution.outcome,
        ran_on: execution.ran_on,
        evidence: execution.evidence,
        outputs,
        runs: execution.runs,
        walk: None,
        verdict,
    }
}

fn compare_output(
    target: &Target,
    reference: &Output,
    candidates: &[Output],
    user: Option<Tolerance>,
) -> OutputReport {
    let mut report = OutputReport {
        name: reference.name.clone(),
        shape: reference.tensor.shape().to_vec(),
        comparison: None,
        explained_by: None,
        agreement: Agreement::Incomparable,
        judgement: Judgement::incomparable("the target gave no output of this name"),
        beyond_tolerance: None,
    };
    let Some(candidate) = candidates.iter().find(|output| output.name == reference.name) else {
        return report;
    };
    let options =
        CompareOptions { extra_rtol: user.map(|user| user.rtol), ..CompareOptions::default() };
    let judging = Judging { user, ..judging_for(target, reference) };
    match compare_with(&reference.tensor, &candidate.tensor, &options) {
        Err(reason) => report.judgement = Judgement::from(&reason),
        Ok(comparison) => {
            report.judgement = judge(&comparison, &judging);
            if report.judgement.agreement == Agreement::Diverges {
                let widest = judging.widest();
                report.beyond_tolerance =
                    count_beyond(&reference.tensor, &candidate.tensor, &widest, comparison.typical)
                        .ok();
            }
            report.explained_by = comparison.explained_by;
            report.comparison = Some(comparison);
        }
    }
    report.agreement = report.judgement.agreement;
    report
}

/// Strictly by the reference's element type; more loosely by what the target declares to store.
fn judging_for(target: &Target, reference: &Output) -> Judging {
    let strict =
        Storage::named(reference.tensor.dtype().name()).expect("every element type has a row");
    let declared = target.declared_storage().filter(|_| reference.tensor.dtype().is_float());
    let declared = declared.and_then(Storage::named).map_or(Declared::Own, Declared::Storage);
    Judging { declared, ..Judging::strict(strict) }
}

fn describe_feed(feed: &Feed) -> InputReport {
    InputReport {
        name: feed.name.clone(),
        shape: feed.tensor.shape().to_vec(),
        dtype: feed.tensor.dtype(),
        spec: feed.spec.clone(),
        digest: feed.digest.clone(),
    }
}

fn keep_outputs(args: &RunArgs, who: &str, outputs: &[Output]) -> Result<(), Failure> {
    let Some(folder) = &args.out else { return Ok(()) };
    let folder = folder.join(file_name(who));
    fs::create_dir_all(&folder).map_err(|error| Failure::write(&folder, error))?;
    for output in outputs {
        write_npy(
            &folder.join(format!("{}.npy", file_name(output.name.as_str()))),
            &output.tensor,
        )?;
    }
    Ok(())
}

/// A value or target name as a file name.
fn file_name(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect()
}
