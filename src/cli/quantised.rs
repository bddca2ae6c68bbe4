//! `offby fallback --quantised`: the smallest set of layers of a quantised network that must stay in float.

use super::agree_opened::guess;
use super::answer::{self, Unwritten};
use super::args::FallbackArgs;
use super::matrix_from::public;
use super::place::read_target;
use super::place_for_results::can_hold_results;
use super::prepare::{load, load_fed};
use super::screen;
use crate::agree::Task;
use crate::graph::{Model, QuantisedPair, ValueName};
use crate::inputs::{Dataset, Framing, Normalization, Preparation, Sample};
use crate::quantised::{QUANTISED_SCHEMA, QuantisedDocument, QuantisedGoal};
use crate::report::{plural, quantised_html, quantised_markdown, quantised_text};
use crate::session::{Failure, QuantisedFound, QuantisedSearch, Registry};
use crate::worker::{find_converter, interrupted};
use std::path::Path;
use std::time::Duration;

/// The share of inputs that must keep their class if the user names none: MLPerf's rule of 99 % of the float
/// network's quality.
const SAME_CLASS: f64 = 0.99;

/// Searches and reports; returns exit code 0 if a set of layers reaches the goal.
pub(super) fn quantised(args: &FallbackArgs, file: &Path) -> Result<u8, Failure> {
    let network = &args.network;
    network.out.as_deref().map_or(Ok(()), can_hold_results)?;
    network.output.can_be_written()?;
    let target = read_target(&args.on, &network.place)?;
    let (float, samples, scores) = read(args)?;
    let quantised = load(file, &network.model.feed.shape)?;
    let pair = QuantisedPair::of(&float, &quantised).map_err(|why| no_pair(file, &why))?;
    let goal = goal(args, scores.is_some())?;
    let registry = Registry::new(find_converter(), network.place.limits.memory)?;
    let search = QuantisedSearch {
        registry: &registry,
        target: &target,
        float: &float,
        pair: &pair,
        samples: &samples,
        scores,
        goal,
        deadline: Duration::from_secs(network.timeout),
    };
    let progress = screen::progress(network.output.quiet);
    let found = search.look(&mut |text| progress.set_message(text.to_owned()));
    progress.finish_and_clear();
    let found = found?;
    let mut unwritten = Unwritten::default();
    let mixed = found.kept.as_ref().map(|(set, _)| pair.with_float(set));
    let document = document(args, file, goal, samples.len(), found, &pair);
    if let Some(folder) = &network.out {
        let forms = [("md", quantised_markdown(&document)), ("html", quantised_html(&document))];
        unwritten.note(answer::write_forms(folder, "quantised", &document, forms));
        if let Some(mixed) = mixed {
            let mixed = mixed.map_err(|why| no_pair(file, &why))?;
            unwritten.note(answer::write(&folder.join("mixed.onnx"), mixed.to_whole_bytes()?));
        }
    }
    unwritten.note(answer::give(&network.output, &document, || {
        quantised_text(&document, screen::columns(), network.output.verbose)
    }));
    unwritten.told()?;
    Ok(document.exit_code())
}

fn no_pair(file: &Path, why: &str) -> Failure {
    Failure::new(
        format!("find the layers of the network in {}: {why}", file.display()),
        "give the float network and its QDQ form with the same node names, as onnxruntime.quantization.quantize_static writes it with quant_format=QuantFormat.QDQ",
    )
}

/// The float network, its inputs, and the output with class scores.
fn read(args: &FallbackArgs) -> Result<(Model, Vec<Sample>, Option<ValueName>), Failure> {
    let (asked, model) = (&args.quantised, &args.network.model);
    let Some(data) = &asked.data else {
        let (float, feeds) = load_fed(&model.path, &model.feed)?;
        let sample = Sample { id: String::new(), feeds, label: None, expected: Vec::new() };
        return Ok((float, vec![sample], None));
    };
    let float = load(&model.path, &model.feed.shape)?;
    let preparation = Preparation {
        framing: Framing { resize: asked.resize, crop: asked.crop },
        normalization: Normalization::new(&model.feed.mean, &model.feed.std)?,
    };
    let values = (&*float.resolved_inputs()?, float.outputs());
    let dataset = Dataset::open(data, values, asked.labels.as_deref(), preparation)?;
    let samples =
        (0..dataset.len()).map(|at| Ok(dataset.read(at)?)).collect::<Result<Vec<_>, Failure>>()?;
    let has_classes =
        guess(&float, dataset.labels()) == Task::Classify || asked.same_class.is_some();
    let mut outputs = float.outputs().iter();
    let scores = outputs.find(|output| has_classes && may_be_scores(&float, output)).cloned();
    Ok((float, samples, scores))
}

/// Whether an output may have the shape [C] or [1, C]. A text recognizer has scores for each position.
fn may_be_scores(model: &Model, output: &ValueName) -> bool {
    let shape = model.value_info(output).and_then(|info| info.shape);
    shape.is_none_or(|shape| shape.len() <= 2)
}

fn goal(args: &FallbackArgs, has_classes: bool) -> Result<QuantisedGoal, Failure> {
    match (args.quantised.error, args.quantised.same_class) {
        (Some(error), _) => Ok(QuantisedGoal::Error(error)),
        (None, Some(share)) => Ok(QuantisedGoal::SameClass(share)),
        (None, None) if has_classes => Ok(QuantisedGoal::SameClass(SAME_CLASS)),
        (None, None) => Err(Failure::new(
            "choose a goal: no output is known to hold class scores",
            "--error 0.01 asks for outputs within 1 % of the float network's (relative L2), --same-class 0.99 for the same class",
        )),
    }
}

fn document(
    args: &FallbackArgs,
    file: &Path,
    goal: QuantisedGoal,
    inputs: usize,
    found: QuantisedFound,
    pair: &QuantisedPair<'_>,
) -> QuantisedDocument {
    let name =
        |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let label = |layer: &usize| pair.layers()[*layer].label.clone();
    let (kept, proven) = match &found.kept {
        Some((set, proven)) => (Some(set.iter().map(label).collect::<Vec<_>>()), *proven),
        None => (None, 0),
    };
    let model = &args.network.model;
    let data = args.quantised.data.as_ref().map_or_else(
        || if model.feed.input.is_empty() { "sine".into() } else { model.feed.input.join(", ") },
        |path| path.display().to_string(),
    );
    let all = plural(pair.layers().len(), "layer");
    let sentence = match &kept {
        None if interrupted() => {
            format!("The search was interrupted; {} were run.", plural(found.networks, "network"))
        }
        Some(kept) if kept.is_empty() => {
            format!("The quantised network reaches the goal as it is: {}.", goal.words())
        }
        Some(kept) => format!(
            "{} of {all} must stay in float to reach the goal: {}.",
            kept.len(),
            goal.words()
        ),
        None => format!("Even with {all} in float the goal is missed: {}.", goal.words()),
    };
    QuantisedDocument {
        schema: QUANTISED_SCHEMA.into(),
        made_by: env!("CARGO_PKG_VERSION").into(),
        float: name(&model.path),
        quantised: name(file),
        target: public(&args.on),
        ran_on: found.ran_on,
        data: public(&data),
        inputs,
        goal,
        layers: found.layers,
        unmovable: found.unmovable,
        kept,
        proven,
        front: found.front,
        networks: found.networks,
        no_ranges: found.no_ranges.map(|why| public(&why)),
        interrupted: interrupted(),
        sentence,
    }
}
