//! `offby shrink`: reduces a finding to its smallest reproduction, and writes the files for a ticket.

use super::answer;
use super::args::ShrinkArgs;
use super::place::read_target;
use super::place_for_results::can_hold_results;
use super::prepare::Prepared;
use super::screen;
use super::stored::{load_specimen, relative_to, store_tensors};
use crate::case::{Case, CaseTarget};
use crate::engine::{Engine, Execution, Outcome, Request, Target};
use crate::graph::ValueName;
use crate::inputs::Feed;
use crate::report::{
    SCHEMA, ShrinkFeed, ShrinkReport, ToolReport, shrink_html, shrink_markdown, shrink_text,
};
use crate::session::node_names;
use crate::session::{Engines, Failure, arithmetic_of};
use crate::shrink::{Finding, Oracle, Shrunk, shrink as search};
use crate::walk::{Strategy, conclude};
use crate::worker::interrupted;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Repeated runs of the smallest reproduction, each in its own process.
const PROOFS: usize = 3;

/// Shrinks, confirms and writes; returns the exit code.
pub(super) fn shrink(args: &ShrinkArgs) -> Result<u8, Failure> {
    let target = read_target(&args.on, &args.network.place)?;
    let prepared = Prepared::new(&args.network)?;
    let folder = Folder::new(prepared.out())?;
    let reference = prepared.reference()?;
    let session = prepared.session(&reference, std::slice::from_ref(&target));
    let engines = Engines::of(&session, &target)?;
    let progress = screen::progress(args.network.output.quiet);
    let mut announce = |text: &str| progress.set_message(format!("{target}: {text}"));

    announce("following, for suspects");
    let (whole, suspects) = suspects(&prepared, &target);
    let origin = Origin { prepared: &prepared, target: &target, whole: &whole };
    let output = &args.network.output;
    if matches!(whole.outcome, Outcome::FellBack | Outcome::Unavailable | Outcome::Interrupted) {
        progress.finish_and_clear();
        let steps = whole.reason.iter().chain(&whole.hint).cloned().collect();
        let report =
            ShrinkReport { finding: whole.outcome.name().into(), steps, ..origin.nothing() };
        answer::give(output, &report, || shrink_text(&report, screen::width()))?;
        return Ok(3);
    }
    let mut oracle = Oracle {
        session: engines.engine().session(),
        second: engines.second(),
        arithmetic: arithmetic_of(&target, &prepared.model),
        deadline: prepared.request().deadline,
        runs: 0,
        own: prepared.model.outputs().to_vec(),
        interrupted,
    };
    let found = search(&prepared.model, &prepared.feeds, &suspects, &mut oracle, &mut announce)
        .map_err(|reason| failed(&reason))?;
    let Some(shrunk) = found else {
        progress.finish_and_clear();
        let report = ShrinkReport { candidate_runs: oracle.runs, ..origin.nothing() };
        answer::give(output, &report, || shrink_text(&report, screen::width()))?;
        return Ok(if report.interrupted { 3 } else { 0 });
    };
    announce("proving the smallest one again");
    let files = Files::write(&folder.path, &shrunk, &target)?;
    let proven = prove(engines.engine(), &prepared, &files, &shrunk, &mut oracle)?;
    progress.finish_and_clear();
    let report = origin.report(&shrunk, proven, &files)?;
    answer::write_json(&files.report, &report)?;
    answer::write(&files.summary, shrink_markdown(&report))?;
    answer::write(&files.page, shrink_html(&report))?;
    answer::give(output, &report, || shrink_text(&report, screen::width()))?;
    Ok(if proven == PROOFS { 1 } else { 3 })
}

/// The folder of the result. The command checks at the beginning that the folder is writable, and removes a
/// new folder that stays empty.
struct Folder {
    path: PathBuf,
    is_new: bool,
}

impl Folder {
    fn new(given: Option<&Path>) -> Result<Self, Failure> {
        let path = given.unwrap_or(Path::new("shrunk")).to_owned();
        let is_new = !path.exists();
        can_hold_results(&path)?;
        Ok(Folder { path, is_new })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_new {
            // This removes only an empty folder.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// The nodes that a walk accuses; none if the target cannot be walked.
fn suspects(prepared: &Prepared<'_>, target: &Target) -> (Execution, Vec<String>) {
    let request = Request { repeats: 1, ..prepared.request() };
    let Some(walker) = prepared.registry.walker(target) else {
        return (prepared.registry.engine(target).execute(&request), Vec::new());
    };
    let walked = walker.walk(&request, None, &mut |_| ());
    let nodes = walked.found.map(|(trace, trust)| {
        let walk = conclude(Strategy::Follow, &trace, &trust, &node_names(&prepared.model));
        walk.accused().filter_map(|(_, node)| node.map(str::to_owned)).collect()
    });
    (walked.execution, nodes.unwrap_or_default())
}

/// Runs the written files several times, each in a fresh process; returns how many runs show the finding.
fn prove(
    engine: &dyn Engine,
    prepared: &Prepared<'_>,
    files: &Files,
    shrunk: &Shrunk,
    oracle: &mut Oracle<'_>,
) -> Result<usize, Failure> {
    let specimen = load_specimen(&files.model, &files.inputs)?;
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

/// The paths of the written files.
struct Files {
    folder: PathBuf,
    model: PathBuf,
    inputs: BTreeMap<ValueName, PathBuf>,
    summary: PathBuf,
    page: PathBuf,
    report: PathBuf,
}

impl Files {
    /// Writes the network, its inputs and the case that shows the finding. The case needs no other files,
    /// because its inputs are stored.
    fn write(folder: &Path, shrunk: &Shrunk, target: &Target) -> Result<Self, Failure> {
        let model = folder.join("model.onnx");
        fs::write(&model, shrunk.specimen.model.as_written().to_whole_bytes()?)
            .map_err(|error| Failure::write(&model, error))?;
        let feeds: Vec<_> = shrunk.specimen.feeds.iter().map(|f| (&f.name, &f.tensor)).collect();
        let inputs = store_tensors(&folder.join("model.inputs"), &feeds)?;
        let title = match &shrunk.node {
            Some(node) => format!("the smallest reproduction found of {node} on {target}"),
            None => format!("the smallest reproduction found on {target}"),
        };
        let stored =
            Case::stored("shrunk", title, "model.onnx".into(), relative_to(folder, &inputs));
        let targets = vec![CaseTarget { on: target.itself().clone(), when: None, expect: None }];
        Case { targets, ..stored }.write(&folder.join("model.yaml"))?;
        let path = |name: &str| folder.join(name);
        let (summary, page) = (path("summary.md"), path("summary.html"));
        let report = path("report.json");
        Ok(Files { folder: folder.to_owned(), model, inputs, summary, page, report })
    }
}

/// The network, target and run of a finding.
struct Origin<'a> {
    prepared: &'a Prepared<'a>,
    target: &'a Target,
    whole: &'a Execution,
}

impl Origin<'_> {
    /// The report if the search finds no error.
    fn nothing(&self) -> ShrinkReport {
        let steps = match interrupted() {
            true => "the command was interrupted before anything was found to shrink",
            false => {
                "neither the whole network nor any node in isolation is wrong: there is no finding to shrink"
            }
        };
        ShrinkReport {
            schema: SCHEMA.into(),
            tool: ToolReport::this(),
            command: "shrink".into(),
            from: self.prepared.model_report(),
            target: self.target.to_string(),
            ran_on: self.whole.ran_on.clone(),
            finding: words(Finding::Agrees).into(),
            node: None,
            piece: Vec::new(),
            op_types: Vec::new(),
            outputs: Vec::new(),
            inputs: Vec::new(),
            model_bytes: 0,
            thresholds: Vec::new(),
            simple_thresholds: Vec::new(),
            limit: None,
            steps: vec![steps.into()],
            sizes: Vec::new(),
            interrupted: interrupted(),
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
        let stored = relative_to(&files.folder, &files.inputs);
        let feed = |feed: &Feed| ShrinkFeed {
            file: stored.get(&feed.name).map(|path| path.display().to_string()).unwrap_or_default(),
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
            piece: shrunk.piece.clone(),
            op_types: model.nodes().map(|node| node.op_type.to_owned()).collect(),
            outputs: model.outputs().iter().map(ValueName::to_string).collect(),
            inputs: shrunk.specimen.feeds.iter().map(feed).collect(),
            model_bytes: bytes,
            thresholds: shrunk.thresholds.clone(),
            simple_thresholds: shrunk.simple_thresholds.clone(),
            limit: shrunk.limit.clone(),
            steps: shrunk.steps.iter().skip(1).map(|step| step.words.clone()).collect(),
            sizes: shrunk.steps.clone(),
            candidate_runs: shrunk.runs + PROOFS,
            reproduced: proven,
            of: PROOFS,
            folder: files.folder.display().to_string(),
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
