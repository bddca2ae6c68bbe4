//! `offby walk --got DUMP`: walks the tensors that a device dumped; no engine runs but the reference.

use super::args::{Stored, WalkArgs};
use super::prepare::{Prepared, load_given};
use super::screen;
use crate::engine::{DUMP, DumpTarget, Execution, Output, RanOn, Runs, Target};
use crate::graph::{Cut, Model, Topology, ValueName};
use crate::inputs::{Dump, NamePlan, plan_names};
use crate::report::{TargetReport, walk_text};
use crate::session::{Evaluator, Failure};
use crate::tensor::{Dtype, Format, Tensor};
use crate::verdict::exit_code;
use crate::walk::fitted;
use std::collections::BTreeMap;
use std::path::Path;

/// How many names a message lists.
const MOST: usize = 8;

/// Reads, matches, walks and reports; returns the exit code.
pub(super) fn walk_dump(args: &WalkArgs, dump: &Path) -> Result<u8, Failure> {
    let network = &args.network;
    let model = Model::load(&network.model.path)?;
    let (values, plan) = named(&model, args, dump)?;
    let (whole, feeds) =
        load_given(&network.model.path, &network.model.feed, &given(&model, &values)?)?;
    let model = up_to_dumped(&whole, &values)?;
    let mut prepared = Prepared::of(network, model, feeds)?.with_finite(args.finite);
    prepared.feeds.retain(|feed| prepared.model.inputs().iter().any(|i| i.name == feed.name));
    let storage = args.storage.map(Stored::format).or_else(|| shown(&values));
    let target = Target::Dump(DumpTarget { name: "dump".into(), storage });
    let reference = prepared.reference()?;
    // No target is asked: the device is elsewhere.
    let session = prepared.session(&reference, &[]);
    let progress = screen::progress(network.output.quiet);
    progress.set_message(format!("walking {}", dump.display()));
    let execution = execution(dump, &values, session.truth())?;
    let mut target_report = session.judge_dumped(&target, &execution, &values)?;
    progress.finish_and_clear();
    target_report.evidence = described(&plan, &values);
    target_report.evidence.extend(left_out(&whole, &values));
    answer_dump(&prepared, &session, "walk", args.all, target_report)
}

/// Reports a walk of tensors that no engine computed now. The evidence, which is on how they were matched, is shown.
pub(super) fn answer_dump(
    prepared: &Prepared<'_>,
    session: &Evaluator<'_>,
    command: &str,
    all: bool,
    target: TargetReport,
) -> Result<u8, Failure> {
    let lines: String = target.evidence.iter().map(|line| format!("{line}\n")).collect();
    let code = exit_code([target.verdict.kind]);
    let mut report = prepared.report(command, session.reference(), vec![target]);
    prepared.remark(&mut report, session);
    prepared.answer(&report, || {
        walk_text(&report, all, screen::width(), screen::painter()) + "\n" + &lines
    })?;
    Ok(code)
}

impl Stored {
    fn format(self) -> Format {
        match self {
            Stored::F32 => Format::F32,
            Stored::F16 => Format::F16,
            Stored::Bf16 => Format::Bf16,
            Stored::Tf32 => Format::Tf32,
        }
    }
}

/// The dumped tensors by ONNX value.
fn named(model: &Model, args: &WalkArgs, dump: &Path) -> Result<(Dump, NamePlan), Failure> {
    let tensors = Dump::open(dump)?;
    let inputs = model.inputs().iter().map(|input| input.name.to_string());
    let written = model.nodes().flat_map(|node| node.outputs.to_vec());
    let names: Vec<String> = inputs.chain(written).filter(|name| !name.is_empty()).collect();
    let plan = plan_names(tensors.names(), &names, &mapped(&args.map)?);
    if let Some((name, values)) = plan.ambiguous.first_key_value() {
        return Err(Failure::new(
            format!("match `{name}` of the dump: it may be {}", listed(values)),
            format!("say which one with --map '{name}=VALUE'"),
        ));
    }
    let values = tensors.renamed(&plan.matched);
    if values.is_empty() {
        return Err(Failure::new(
            format!(
                "match the dump with the network: no name is one of its values, such as {}",
                listed(&plan.unmatched)
            ),
            format!(
                "say which value a tensor is with --map DUMPED=VALUE; the network has {}",
                listed(&names)
            ),
        ));
    }
    Ok((values, plan))
}

/// The dumped inputs of the network.
fn given(model: &Model, values: &Dump) -> Result<BTreeMap<ValueName, Tensor>, Failure> {
    let mut given = BTreeMap::new();
    for input in model.inputs() {
        given.extend(values.read(input.name.as_str())?.map(|tensor| (input.name.clone(), tensor)));
    }
    Ok(given)
}

fn mapped(texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| {
        let (dumped, value) = text.rsplit_once('=').ok_or_else(|| {
            Failure::new(format!("read --map {text}"), "write --map DUMPED=VALUE")
        })?;
        Ok((dumped.to_owned(), value.to_owned()))
    };
    texts.iter().map(pair).collect()
}

fn listed(names: &[String]) -> String {
    let some: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    match names.len() - some.len() {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}

/// The network up to the last dumped values, if its own outputs were not all dumped.
fn up_to_dumped(model: &Model, values: &Dump) -> Result<Model, Failure> {
    let is_dumped = |name: &ValueName| values.contains(name.as_str());
    if model.outputs().iter().all(is_dumped) {
        return Ok(model.clone());
    }
    let topology = Topology::of(model);
    let computed: Vec<ValueName> = values
        .names()
        .map(|name| ValueName::from(name.as_str()))
        .filter(|name| topology.is_computed(name))
        .collect();
    let is_last = |name: &&ValueName| {
        !computed.iter().any(|other| topology.values_behind(other).contains(name))
    };
    let to: Vec<ValueName> = computed.iter().filter(is_last).cloned().collect();
    Ok(model.cut(&Cut { to, ..Cut::default() })?)
}

/// The network's outputs that the dump does not have: the verdict says nothing about them.
fn left_out(whole: &Model, values: &Dump) -> Option<String> {
    let outputs = whole.outputs().iter().map(ValueName::to_string);
    let missing: Vec<String> = outputs.filter(|name| !values.contains(name)).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "dump: it lacks these outputs of the network, which were not compared: {}",
            listed(&missing)
        )
    })
}

/// The storage that the tensors' own types show.
fn shown(values: &Dump) -> Option<Format> {
    let mut floats = values.dtypes().filter(|dtype| dtype.is_float());
    let first = floats.next()?;
    let format = match first {
        Dtype::F16 => Format::F16,
        Dtype::Bf16 => Format::Bf16,
        _ => return None,
    };
    floats.all(|dtype| dtype == first).then_some(format)
}

/// The device's outputs, as if it had run just now.
pub(super) fn execution(
    dump: &Path,
    values: &Dump,
    right: &[Output],
) -> Result<Execution, Failure> {
    let mut outputs = Vec::new();
    for right in right {
        let Some(tensor) = values.read(right.name.as_str())? else { continue };
        let tensor = fitted(&tensor, &right.tensor).unwrap_or(tensor);
        outputs.push(Output { name: right.name.clone(), tensor });
    }
    let ran_on = RanOn {
        engine: "dump".into(),
        engine_version: String::new(),
        backend: DUMP.into(),
        device: dump.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        driver: String::new(),
        api: None,
        operators: BTreeMap::new(),
    };
    let runs = Runs { repeats: 1, identical: true, open_seconds: 0.0, seconds: Vec::new() };
    Ok(Execution::completed(ran_on, outputs, runs))
}

/// How the dump was read.
fn described(plan: &NamePlan, values: &Dump) -> Vec<String> {
    let renamed: Vec<String> = plan
        .matched
        .iter()
        .filter(|(name, value)| name != value)
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let mut lines = vec![format!("dump: {} tensors are values of the network", values.len())];
    if !renamed.is_empty() {
        lines.push(format!("dump: by form: {}", listed(&renamed)));
    }
    if !plan.unmatched.is_empty() {
        lines.push(format!("dump: not in the network: {}", listed(&plan.unmatched)));
    }
    lines
}
