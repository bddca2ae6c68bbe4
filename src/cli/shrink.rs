//! `offby shrink`: from a finding to its smallest reproduction, written as files for a ticket.

use super::answer;
use super::args::ShrinkArgs;
use super::failure::Failure;
use super::prepare::{Prepared, file_name};
use super::registry::read_target;
use super::screen;
use super::search::{Engines, declared_storage};
use super::walk::node_names;
use crate::case::{Case, CaseTarget};
use crate::engine::{Engine, Execution, Outcome, Request, Target};
use crate::graph::ValueName;
use crate::inputs::{Feed, Spec};
use crate::report::{SCHEMA, ShrinkFeed, ShrinkReport, ToolReport, shrink_markdown, shrink_text};
use crate::shrink::{Finding, Oracle, Shrunk, Specimen, shrink as search};
use crate::tensor::write_npy;
use crate::walk::conclude;
use std::fs;
use std::path::{Path, PathBuf};

/// How often the smallest reproduction is run again, each time in a process of its own.
const PROOFS: usize = 3;

/// Shrinks, proves, writes; gives the exit code.
pub(super) fn shrink(args: &ShrinkArgs) -> Result<u8, Failure> {
    let target = read_target(&args.on)?;
    let prepared = Prepared::new(&args.network)?;
    let folder = prepared.out().unwrap_or(Path::new("shrunk")).to_owned();
    let engines = Engines::of(&prepared, &target)?;
    let progress = screen::progress(args.network.output.quiet);
    let mut announce = |text: &str| progress.set_message(format!("{target}: {text}"));

    announce("following, for suspects");
    let (whole, suspects) = suspects(&prepared, &target);
    let origin = Origin { prepared: &prepared, target: &target, whole: &whole };
    let output = &args.network.output;
    if matches!(whole.outcome, Outcome::FellBack | Outcome::Unavailable) {
        progress.finish_and_clear();
        let steps = whole.reason.iter().chain(&whole.hint).cloned().collect();
        let report =
            ShrinkReport { finding: whole.outcome.name().into(), steps, ..origin.nothing() };
        answer::give(output, &report, || shrink_text(&report, screen::width()))?;
        return Ok(3);
    }
    let mut oracle = Oracle {
        session: engines.engine().session(),
        storage: declared_storage(&target),
        deadline: prepared.request().deadline,
        runs: 0,
    };
    let found = search(&prepared.model, &prepared.feeds, &suspects, &mut oracle, &mut announce)
        .map_err(|reason| failed(&reason))?;
    let Some(shrunk) = found else {
        progress.finish_and_clear();
        let report = ShrinkReport { candidate_runs: oracle.runs, ..origin.nothing() };
        answer::give(output, &report, || shrink_text(&report, screen::width()))?;
        return Ok(0);
    };
    announce("proving the smallest one again");
    fs::create_dir_all(&folder).map_err(|error| Failure::write(&folder, error))?;
    let files = Files::new(&folder);
    files.write(&shrunk, &target)?;
    let proven = prove(engines.engine(), &prepared, &files, &shrunk, &mut oracle)?;
    progress.finish_and_clear();
    let report = origin.report(&shrunk, proven, &files)?;
    answer::write_json(&files.report, &report)?;
    fs::write(&files.summary, shrink_markdown(&report))
        .map_err(|error| Failure::write(&files.summary, error))?;
    answer::give(output, &report, || shrink_text(&report, screen::width()))?;
    Ok(if proven == PROOFS { 1 } else { 3 })
}

/// The nodes that a walk accuses; none where the target cannot be walked.
fn suspects(prepared: &Prepared<'_>, target: &Target) -> (Execution, Vec<String>) {
    let request = Request { repeats: 1, ..prepared.request() };
    let Some(walker) = prepared.registry.walker(target) else {
        return (prepared.registry.engine(target).execute(&request), Vec::new());
    };
    let walked = walker.walk(&request, &mut |_| ());
    let nodes = walked.found.map(|(trace, trust)| {
        let walk = conclude("follow", &trace, &trust, &node_names(&prepared.model));
        let accused = walk.ops.iter().filter(|op| walk.sources.contains(&op.name));
        accused.filter_map(|op| op.onnx_node.clone()).collect()
    });
    (walked.execution, nodes.unwrap_or_default())
}

/// How many of a few runs from the written files, each in a fresh process, show the finding.
fn prove(
    engine: &dyn Engine,
    prepared: &Prepared<'_>,
    files: &Files,
    shrunk: &Shrunk,
    oracle: &mut Oracle<'_>,
) -> Result<usize, Failure> {
    let model = crate::graph::Model::load(&files.model)?;
    let specimen = Specimen { model, feeds: shrunk.specimen.feeds.clone() };
    let mut seen = 0;
    for _ in 0..PROOFS {
        let execution = engine.execute(&Request {
            model: &specimen.model,
            feeds: &specimen.feeds,
            repeats: 1,
            deadline: prepared.request().deadline,
        });
        seen += usize::from(oracle.judge(&specimen, execution).finding == shrunk.finding);
    }
    Ok(seen)
}

/// Where everything is written.
struct Files {
    model: PathBuf,
    inputs: PathBuf,
    case: PathBuf,
    summary: PathBuf,
    report: PathBuf,
}

impl Files {
    fn new(folder: &Path) -> Self {
        let path = |name: &str| folder.join(name);
        Files {
            model: path("model.onnx"),
            inputs: path("model.inputs"),
            case: path("model.yaml"),
            summary: path("summary.md"),
            report: path("report.json"),
        }
    }

    fn write(&self, shrunk: &Shrunk, target: &Target) -> Result<(), Failure> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |error: std::io::Error| Failure::write(&path, error)
        };
        fs::write(&self.model, shrunk.specimen.model.to_bytes()).map_err(fail(&self.model))?;
        fs::create_dir_all(&self.inputs).map_err(fail(&self.inputs))?;
        for feed in &shrunk.specimen.feeds {
            write_npy(&self.input(feed), &feed.tensor)?;
        }
        self.case(shrunk, target)?.write(&self.case)?;
        Ok(())
    }

    fn input(&self, feed: &Feed) -> PathBuf {
        self.inputs.join(format!("{}.npy", file_name(feed.name.as_str())))
    }

    /// The case that shows the finding; its inputs are stored, so that it needs nothing else.
    fn case(&self, shrunk: &Shrunk, target: &Target) -> Result<Case, Failure> {
        let inputs = shrunk.specimen.feeds.iter().map(|feed| {
            let stored = self.input(feed);
            let folder = self.case.parent().unwrap_or(Path::new(""));
            let relative = stored.strip_prefix(folder).unwrap_or(&stored).to_owned();
            (feed.name.clone(), Spec::Npy(relative))
        });
        Ok(Case {
            id: "shrunk".into(),
            title: match &shrunk.node {
                Some(node) => format!("the smallest reproduction found of {node} on {target}"),
                None => format!("the smallest reproduction found on {target}"),
            },
            upstream: None,
            kind: None,
            model: "model.onnx".into(),
            cut: None,
            inputs: inputs.collect(),
            reference: Target::Tract,
            targets: vec![CaseTarget { on: target.clone(), when: None, expect: None }],
            timeout: None,
            folder: PathBuf::new(),
        })
    }
}

/// Where a finding comes from.
struct Origin<'a> {
    prepared: &'a Prepared<'a>,
    target: &'a Target,
    whole: &'a Execution,
}

impl Origin<'_> {
    /// The report where nothing was found to be wrong.
    fn nothing(&self) -> ShrinkReport {
        ShrinkReport {
            schema: SCHEMA.into(),
            tool: ToolReport::this(),
            command: "shrink".into(),
            from: self.prepared.model_report(),
            target: self.target.to_string(),
            ran_on: self.whole.ran_on.clone(),
            finding: words(Finding::Agrees).into(),
            node: None,
            op_types: Vec::new(),
            outputs: Vec::new(),
            inputs: Vec::new(),
            model_bytes: 0,
            thresholds: Vec::new(),
            simple_thresholds: Vec::new(),
            limit: None,
            steps: vec![
                "nothing is wrong with the whole or with any node by itself: there is nothing to shrink".into(),
            ],
            candidate_runs: 0,
            reproduced: 0,
            of: 0,
            folder: String::new(),
        }
    }

    fn report(
        &self,
        shrunk: &Shrunk,
        proven: usize,
        files: &Files,
    ) -> Result<ShrinkReport, Failure> {
        let file = fs::metadata(&files.model);
        let bytes = file.map_err(|error| Failure::write(&files.model, error))?.len();
        let feed = |feed: &Feed| ShrinkFeed {
            name: feed.name.clone(),
            shape: feed.tensor.shape().to_vec(),
            dtype: feed.tensor.dtype(),
            spec: feed.spec.clone(),
            digest: feed.digest.clone(),
        };
        let model = &shrunk.specimen.model;
        Ok(ShrinkReport {
            finding: words(shrunk.finding).into(),
            node: shrunk.node.clone(),
            op_types: model.nodes().map(|node| node.op_type.to_owned()).collect(),
            outputs: model.outputs().iter().map(ValueName::to_string).collect(),
            inputs: shrunk.specimen.feeds.iter().map(feed).collect(),
            model_bytes: bytes,
            thresholds: shrunk.thresholds.clone(),
            simple_thresholds: shrunk.simple_thresholds.clone(),
            limit: shrunk.limit.clone(),
            steps: shrunk.steps.clone(),
            candidate_runs: shrunk.runs + PROOFS,
            reproduced: proven,
            of: PROOFS,
            folder: files.model.parent().map(|path| path.display().to_string()).unwrap_or_default(),
            ..self.nothing()
        })
    }
}

fn words(finding: Finding) -> &'static str {
    match finding {
        Finding::Agrees | Finding::Invalid => "agrees",
        Finding::Explained => "explained",
        Finding::Divergent => "divergent",
        Finding::Nonfinite => "nonfinite",
        Finding::Ended(outcome) => outcome.name(),
    }
}

fn failed(reason: &str) -> Failure {
    Failure::new(
        format!("shrink the network: {reason}"),
        "the reference must be able to compute the network node by node; `offby walk` needs less",
    )
}
