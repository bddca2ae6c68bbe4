//! `offby compare A B`: two networks that should compute the same, such as before and after an optimizer.
//!
//! The reference computes every value of both. B's values are walked along A's nodes: the first piece of A whose
//! values B does not have is where the two part.

use super::compare_args::CompareArgs;
use super::passes::{Applied, Optimizer, apply};
use super::prepare::Prepared;
use super::screen;
use super::walk_dump::{answer_dump, execution};
use crate::engine::{DumpTarget, NodeSteps, Second, Target, Values};
use crate::graph::{Cut, Model, Node, ValueName};
use crate::inputs::{Dump, Feed, shapes_of};
use crate::report::{TargetReport, run_text};
use crate::session::{Evaluator, Failure};
use crate::verdict::{Kind, exit_code};
use crate::walk::{Role, WalkReport, align};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Compares, reports; returns the exit code.
pub(super) fn compare(args: &CompareArgs) -> Result<u8, Failure> {
    let network = &args.network;
    let prepared = Prepared::new(network)?;
    let reference = prepared.reference()?;
    let session = prepared.session(&reference, &[]);
    let progress = screen::progress(network.output.quiet);
    progress.set_message("computing the values of both networks".to_owned());
    let first = First::new(&prepared, &session)?;
    match (&args.second, args.passes) {
        (Some(second), _) => {
            let name = second.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let target = first.against(second, name)?;
            progress.finish_and_clear();
            answer_dump(&prepared, &session, "compare", args.all, vec![target])
        }
        (None, Some(optimizer)) => {
            let passes = first.against_passes(optimizer, &network.model.path)?;
            progress.finish_and_clear();
            answer_passes(&prepared, &session, passes)
        }
        (None, None) => Err(Failure::new("compare with nothing", "name a second network")),
    }
}

/// The first network, its values computed.
struct First<'a> {
    prepared: &'a Prepared<'a>,
    session: &'a Evaluator<'a>,
    values: Values,
    /// The names of the values that nodes compute of initializers alone.
    folded: BTreeSet<String>,
}

impl<'a> First<'a> {
    fn new(prepared: &'a Prepared<'a>, session: &'a Evaluator<'a>) -> Result<Self, Failure> {
        let (values, steps) = all_values(&prepared.model, &prepared.feeds, session.second())?;
        Ok(First { prepared, session, values, folded: steps.folded() })
    }

    /// Compares with another form of the network.
    fn against(&self, path: &Path, name: String) -> Result<TargetReport, Failure> {
        let First { prepared, session, values: ours, .. } = self;
        let (second, feeds) = second_network(path, prepared)?;
        let (theirs, steps) = all_values(&second, &feeds, session.second())?;
        let folded = self.folded.iter();
        let folded =
            folded.filter_map(|name| Some((name.clone(), steps.constant(name)?.into_owned())));
        let folded: Values = folded.collect();
        let (mut aligned, mut by_numbers) = align(ours, &theirs);
        for (our, their) in prepared.model.outputs().iter().zip(second.outputs()) {
            if let Some(tensor) = theirs.get(their.as_str()) {
                by_numbers.remove(our.as_str());
                aligned.insert(our.to_string(), tensor.clone());
            }
        }
        let target = Target::Dump(DumpTarget { name, storage: None });
        let mut report = self.judge(&target, &aligned, &folded, &second)?;
        loop {
            let Some(walk) = &report.walk else { return Ok(report) };
            let doubtful = doubtful(walk, &prepared.model, &by_numbers);
            let mut fewer = aligned.clone();
            fewer.retain(|value, _| !doubtful.contains(value));
            if fewer.len() == aligned.len() {
                return Ok(report);
            }
            let again = self.judge(&target, &fewer, &folded, &second)?;
            let accused =
                |report: &TargetReport| report.walk.as_ref().map_or(0, |walk| walk.sources.len());
            if accused(&again) >= accused(&report) {
                return Ok(report);
            }
            (report, aligned) = (again, fewer);
        }
    }

    /// Walks the second network's values under the names of the first.
    fn judge(
        &self,
        target: &Target,
        aligned: &Values,
        folded: &Values,
        second: &Model,
    ) -> Result<TargetReport, Failure> {
        let all = aligned.iter().chain(folded);
        let values = Dump::from(
            all.map(|(name, tensor)| (name.clone(), tensor.clone())).collect::<Values>(),
        );
        let execution = execution(Path::new(&target.to_string()), &values, self.session.truth())?;
        let mut report = self.session.judge_dumped(target, &execution, &values)?;
        report.evidence = described(&report.walk, aligned, &self.values, second);
        Ok(report)
    }

    /// Compares with what each pass of an optimizer makes of the network.
    fn against_passes(&self, optimizer: Optimizer, path: &Path) -> Result<Passes, Failure> {
        let folder = tempfile::tempdir().map_err(|error| Failure::write(path, error))?;
        let mut passes = Passes::default();
        for Applied { name, file, problem } in apply(optimizer, path, folder.path())? {
            match (file, problem) {
                (_, Some(problem)) => passes.failed.push((name, problem)),
                (None, None) => passes.idle += 1,
                (Some(file), None) => match self.against(&file, name.clone()) {
                    Ok(target) => passes.targets.push(target),
                    Err(failure) => passes.failed.push((name, failure.to_string())),
                },
            }
        }
        Ok(passes)
    }
}

/// The accused values that may not be the first network's.
///
/// An optimizer may keep the name of a value for a different value, such as a Conv's that now has the BatchNormalization
/// in it. Then the piece before and the piece after the value seem wrong, and are right together. A value that was
/// found by its numbers alone may be a neighbour with similar numbers.
fn doubtful(walk: &WalkReport, model: &Model, by_numbers: &BTreeSet<String>) -> BTreeSet<String> {
    let nodes: BTreeMap<String, Node<'_>> =
        model.nodes().map(|node| (node.label().to_owned(), node)).collect();
    let sources = walk.ops.iter().filter(|op| op.role == Role::Source);
    let pieces: Vec<Vec<&Node<'_>>> = sources
        .map(|op| {
            let labels =
                if op.piece.is_empty() { std::slice::from_ref(&op.name) } else { &op.piece };
            labels.iter().filter_map(|label| nodes.get(label)).collect()
        })
        .collect();
    let read: BTreeSet<&String> =
        pieces.iter().flatten().flat_map(|node| node.inputs.iter()).collect();
    let ends = pieces.iter().filter_map(|piece| piece.last());
    let written: BTreeSet<&String> = ends.flat_map(|node| node.outputs.iter()).collect();
    let outputs: BTreeSet<&str> = model.outputs().iter().map(ValueName::as_str).collect();
    let between = read.intersection(&written).copied();
    let found = read.union(&written).copied().filter(|value| by_numbers.contains(*value));
    let doubtful = between.chain(found).filter(|value| !outputs.contains(value.as_str()));
    doubtful.cloned().collect()
}

/// What the passes of an optimizer did.
#[derive(Default)]
struct Passes {
    /// The passes that changed the network.
    targets: Vec<TargetReport>,
    /// The number of passes that changed nothing.
    idle: usize,
    /// The passes that failed, or whose network the reference cannot compute, with the reasons.
    failed: Vec<(String, String)>,
}

impl Passes {
    fn lines(&self) -> String {
        let mut text = match self.idle {
            0 => String::new(),
            1 => "1 pass leaves the network as it is\n".to_owned(),
            n => format!("{n} passes leave the network as it is\n"),
        };
        for (name, problem) in &self.failed {
            text.push_str(&format!("not compared: `{name}`: {problem}\n"));
        }
        text
    }
}

fn answer_passes(
    prepared: &Prepared<'_>,
    session: &Evaluator<'_>,
    passes: Passes,
) -> Result<u8, Failure> {
    let lines = passes.lines();
    let kinds = passes.targets.iter().map(|target| target.verdict.kind);
    // A pass that changes nothing agrees, and one that fails has no verdict.
    let others = (passes.idle > 0).then_some(Kind::Agrees);
    let failed = (!passes.failed.is_empty()).then_some(Kind::Inconclusive);
    let code = exit_code(kinds.chain(others).chain(failed));
    let mut report = prepared.report("compare", session.reference(), passes.targets);
    prepared.remark(&mut report, session);
    prepared.answer(&report, || {
        run_text(&report, screen::width(), screen::painter()) + "\n" + &lines
    })?;
    Ok(code)
}

/// The second network, fed like the first: inputs of the same name, or else in the same order.
fn second_network(path: &Path, first: &Prepared<'_>) -> Result<(Model, Vec<Feed>), Failure> {
    let mut model = Model::load(path)?;
    if model.inputs().len() > first.feeds.len() {
        // An optimizer may leave inputs that no node reads any more.
        model = model.cut(&Cut { to: model.outputs().to_vec(), ..Cut::default() })?;
    }
    let inputs: Vec<ValueName> = model.inputs().iter().map(|input| input.name.clone()).collect();
    if inputs.len() != first.feeds.len() || model.outputs().len() != first.model.outputs().len() {
        return Err(Failure::new(
            format!(
                "compare with {}: it has {} inputs and {} outputs, the first network has {} and {}",
                path.display(),
                inputs.len(),
                model.outputs().len(),
                first.feeds.len(),
                first.model.outputs().len()
            ),
            "compare two forms of the same network; `offby cut` makes parts with the same ends",
        ));
    }
    let by_name = |name: &ValueName| first.feeds.iter().find(|feed| feed.name == *name);
    let fed = inputs.iter().zip(&first.feeds).map(|(name, in_order)| {
        let feed = by_name(name).unwrap_or(in_order);
        Feed { name: name.clone(), ..feed.clone() }
    });
    let feeds: Vec<Feed> = fed.collect();
    model.fix_shapes(&shapes_of(&feeds))?;
    Ok((model, feeds))
}

/// The values of a network that depend on its inputs, and the steps that know its constants.
fn all_values(
    model: &Model,
    feeds: &[Feed],
    second: Option<Second>,
) -> Result<(Values, NodeSteps), Failure> {
    let failed = |reason: String| {
        Failure::new(
            format!("compute {}: {reason}", model.path().display()),
            "the reference must be able to compute each node of both networks",
        )
    };
    let mut steps = NodeSteps::with_second(model, second).map_err(failed)?;
    let values = steps.capture_all(feeds).map_err(failed)?;
    Ok((values, steps))
}

/// How the networks were matched, and which node of the second writes the value of each source.
fn described(
    walk: &Option<WalkReport>,
    aligned: &Values,
    ours: &Values,
    second: &Model,
) -> Vec<String> {
    let mut lines =
        vec![format!("{} of {} values are in both networks", aligned.len(), ours.len())];
    for op in
        walk.iter().flat_map(|walk| walk.ops.iter().filter(|op| walk.sources.contains(&op.name)))
    {
        let node =
            second.nodes().find(|node| node.outputs.contains(&op.name) || node.label() == op.name);
        lines.extend(node.map(|node| {
            format!(
                "the second network writes the value of `{}` by `{}` ({})",
                op.name,
                node.label(),
                node.op_type
            )
        }));
    }
    lines
}
