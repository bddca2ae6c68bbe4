//! `offby walk --got DUMP`: walks the tensors that a device dumped; no engine runs but the reference.

use super::args::{Stored, WalkArgs};
use super::prepare::{Prepared, load_given};
use super::screen;
use crate::engine::{DUMP, DumpTarget, Execution, Output, RanOn, Runs, Target};
use crate::graph::{Cut, Dim, Model, Topology, ValueInfo, ValueName};
use crate::inputs::{Dump, Feed, NamePlan, plan_names};
use crate::report::{TargetReport, walk_text};
use crate::session::{Evaluator, Failure, Reference};
use crate::tensor::{Dtype, Format, Tensor};
use crate::verdict::{News, exit_code};
use crate::walk::fitted;
use std::collections::BTreeMap;
use std::path::Path;

/// How many names a message lists.
const MOST: usize = 8;

/// Reads, matches, walks and reports; returns the exit code.
pub(super) fn walk_dump(args: &WalkArgs, dump: &Path) -> Result<u8, Failure> {
    let path = &args.network.model.path;
    let model = Model::load(path)?;
    let got = Given::read("dump", &model, args, dump)?;
    let want = args.want.as_deref().map(|want| Given::read("want", &model, args, want));
    let want = want.transpose()?;
    let fed = fed(&model, &got, want.as_ref())?;
    let (whole, feeds) = load_given(path, &args.network.model.feed, &fed)?;
    let progress = screen::progress(args.network.output.quiet);
    progress.set_message(format!("walking {}", dump.display()));
    let ground = Ground::new(args, &whole, &feeds, &got)?;
    let session = ground.session();
    let mut targets = vec![walked(&session, args, &whole, &got)?];
    if let Some(want) = &want {
        // The two dumps may end at different values.
        let ground = Ground::new(args, &whole, &feeds, want)?;
        targets.push(of_framework(walked(&ground.session(), args, &whole, want)?));
    }
    progress.finish_and_clear();
    answer_dump(&ground.prepared, &session, "walk", args.all, targets)
}

/// A dump, its tensors by ONNX value.
struct Given<'a> {
    /// The target's name in the report.
    name: &'static str,
    path: &'a Path,
    values: Dump,
    plan: NamePlan,
}

impl<'a> Given<'a> {
    fn read(
        name: &'static str,
        model: &Model,
        args: &WalkArgs,
        path: &'a Path,
    ) -> Result<Self, Failure> {
        let (values, plan) = named(model, args, path)?;
        Ok(Given { name, path, values, plan })
    }
}

/// The network as far as a dump has its values, and the reference's run.
struct Ground<'a> {
    prepared: Prepared<'a>,
    reference: Reference,
}

impl<'a> Ground<'a> {
    fn new(
        args: &'a WalkArgs,
        whole: &Model,
        feeds: &[Feed],
        given: &Given<'_>,
    ) -> Result<Self, Failure> {
        let model = up_to_dumped(whole, &given.values)?;
        let mut prepared =
            Prepared::of(&args.network, model, feeds.to_vec())?.with_finite(args.finite);
        prepared.feeds.retain(|feed| prepared.model.inputs().iter().any(|i| i.name == feed.name));
        let reference = prepared.reference()?;
        Ok(Ground { prepared, reference })
    }

    fn session(&self) -> Evaluator<'_> {
        // No target is asked: the device is elsewhere.
        self.prepared.session(&self.reference, &[])
    }
}

fn walked(
    session: &Evaluator<'_>,
    args: &WalkArgs,
    whole: &Model,
    given: &Given<'_>,
) -> Result<TargetReport, Failure> {
    let values = &given.values;
    let storage = args.storage.map(Stored::format).or_else(|| shown(values));
    let target = Target::Dump(DumpTarget { name: given.name.into(), storage });
    let execution = execution(given.path, values, session.truth())?;
    let mut report = session.judge_dumped(&target, &execution, values)?;
    report.evidence = described(given);
    report.evidence.extend(left_out(whole, given));
    Ok(report)
}

/// The report on the framework's own values: an error is the export's, not the device's.
fn of_framework(mut report: TargetReport) -> TargetReport {
    if report.verdict.kind.news() == News::Bad {
        report.verdict.hint = Some(
            "the ONNX network computes other values than the framework: report it to the exporter; the other dump is compared with the ONNX network"
                .into(),
        );
    }
    report
}

/// The dumped inputs of the network.
fn fed(
    model: &Model,
    got: &Given<'_>,
    want: Option<&Given<'_>>,
) -> Result<BTreeMap<ValueName, Tensor>, Failure> {
    let mut fed = BTreeMap::new();
    for input in model.inputs() {
        let name = input.name.as_str();
        let read = |given: &Given<'_>| -> Result<Option<Tensor>, Failure> {
            let is_flat = given.values.is_flat(name);
            let tensor = given.values.read(name)?;
            Ok(tensor.map(|tensor| in_declared_form(tensor, is_flat, input)))
        };
        let ours = read(got)?;
        let theirs = want.map_or(Ok(None), read)?;
        if let (Some(ours), Some(theirs)) = (&ours, &theirs)
            && fitted(theirs, false, ours).is_none_or(|theirs| theirs.tensor != *ours)
        {
            return Err(Failure::new(
                format!("walk both dumps: their tensors of the input `{name}` differ"),
                "dump both runs with the same input",
            ));
        }
        fed.extend(ours.or(theirs).map(|tensor| (input.name.clone(), tensor)));
    }
    Ok(fed)
}

/// A dumped input in the shape that the network declares, if the network leaves no dimension of it open.
fn in_declared_form(tensor: Tensor, is_flat: bool, input: &ValueInfo) -> Tensor {
    let known = |dim: &Dim| match dim {
        Dim::Known(extent) => Some(*extent),
        _ => None,
    };
    let shape =
        input.shape.as_ref().and_then(|dims| dims.iter().map(known).collect::<Option<Vec<_>>>());
    let zeros = |shape: Vec<usize>| {
        let bytes = vec![0; shape.iter().product::<usize>() * input.dtype.size()];
        (tensor.len() * input.dtype.size() == bytes.len())
            .then(|| Tensor::from_bytes(input.dtype, &shape, &bytes).ok())?
    };
    let form = shape.and_then(zeros);
    form.and_then(|form| fitted(&tensor, is_flat, &form)).map_or(tensor, |fitted| fitted.tensor)
}

/// Reports a walk of tensors that no engine computed now. The evidence, which is on how they were matched, is shown.
pub(super) fn answer_dump(
    prepared: &Prepared<'_>,
    session: &Evaluator<'_>,
    command: &str,
    all: bool,
    targets: Vec<TargetReport>,
) -> Result<u8, Failure> {
    let evidence = targets.iter().flat_map(|target| &target.evidence);
    let lines: String = evidence.map(|line| format!("{line}\n")).collect();
    let code = exit_code(targets.iter().map(|target| target.verdict.kind));
    let mut report = prepared.report(command, session.reference(), targets);
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
    let plan = plan_names(tensors.names(), &names, &mapped(&args.map)?, &model.values_of_modules());
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
    let topology = Topology::of(model);
    if !values.names().any(|name| topology.is_computed(&ValueName::from(name.as_str()))) {
        return Err(Failure::new(
            "walk the dump: it has only inputs of the network".to_owned(),
            format!(
                "dump values that nodes compute, or name them with --map DUMPED=VALUE; unmatched: {}",
                listed(&plan.unmatched)
            ),
        ));
    }
    Ok((values, plan))
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
fn left_out(whole: &Model, given: &Given<'_>) -> Option<String> {
    let outputs = whole.outputs().iter().map(ValueName::to_string);
    let missing: Vec<String> = outputs.filter(|name| !given.values.contains(name)).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "{}: it lacks these outputs of the network, which were not compared: {}",
            given.name,
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
        let is_flat = values.is_flat(right.name.as_str());
        let tensor = fitted(&tensor, is_flat, &right.tensor).map_or(tensor, |fitted| fitted.tensor);
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
fn described(Given { name: dump, values, plan, .. }: &Given<'_>) -> Vec<String> {
    let renamed: Vec<String> = plan
        .matched
        .iter()
        .filter(|(name, value)| name != value)
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let mut lines = vec![format!("{dump}: {} tensors are values of the network", values.len())];
    if !renamed.is_empty() {
        lines.push(format!("{dump}: by form: {}", listed(&renamed)));
    }
    if !plan.unmatched.is_empty() {
        lines.push(format!("{dump}: not in the network: {}", listed(&plan.unmatched)));
    }
    lines
}
