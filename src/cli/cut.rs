//! `offby cut`: truncates the network, and declares its new inputs and outputs with the reference's shapes.

use super::answer;
use super::args::{CutArgs, LimitArgs, PlaceArgs};
use super::capture::{Captured, capture};
use super::place::read_reference;
use super::prepare::load_fed;
use super::screen;
use crate::engine::{Request, Target};
use crate::graph::{Boundary, Cut, Dim, Model, Topology, ValueName};
use crate::inputs::{Feed, InputError};
use crate::session::{Failure, Reference, Registry};
use crate::tensor::{Digest, Dtype, ShapeText, Tensor};
use crate::worker::find_converter;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// Time limit for the reference to compute the values of a cut.
const DEADLINE: Duration = Duration::from_secs(600);

/// The output of `offby cut --json`.
#[derive(Debug, Serialize)]
struct CutReport {
    schema: &'static str,
    model: FileReport,
    cut: FileReport,
    inputs: Vec<ValueReport>,
    outputs: Vec<ValueReport>,
    /// Computed shapes that became constants.
    constants: Vec<ValueName>,
    /// The remaining nodes: name and operator.
    nodes: Vec<(String, String)>,
    /// Why element types and shapes do not come from the reference, if they do not.
    undetermined: Option<String>,
    captured: Option<Captured>,
}

#[derive(Debug, Serialize)]
struct FileReport {
    path: PathBuf,
    digest: Digest,
    nodes: usize,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct ValueReport {
    name: ValueName,
    dtype: Option<Dtype>,
    shape: Option<Vec<usize>>,
}

/// The reference that computes values, and its time limit.
#[derive(Clone, Copy)]
pub(super) struct AskedReference<'a> {
    pub(super) registry: &'a Registry,
    pub(super) target: &'a Target,
    pub(super) deadline: Duration,
}

/// The truncated network and its feeds: for original inputs the given feeds, and for new inputs the
/// reference's values.
pub(super) fn truncate(
    reference: AskedReference<'_>,
    model: &Model,
    to: &[ValueName],
    from: &[ValueName],
    feeds: Vec<Feed>,
) -> Result<(Model, Vec<Feed>), Failure> {
    let mut cut = resolve(model, to, from)?;
    let shapes = foreign_shapes(&model.cut(&cut)?, &cut);
    let (made, known) = make(reference, model, &mut cut, &shapes, feeds, true)?;
    let feed = |input: &crate::graph::ValueInfo| {
        let tensor = known.tensors.get(&input.name)?.clone();
        Some(Feed::new(input.name.clone(), "reference", tensor))
    };
    let feeds = made.inputs().iter().filter_map(feed).collect();
    Ok((made, feeds))
}

/// The cut model, declared with all facts that the reference knows. Adds them to the cut itself.
fn make<'a>(
    reference: AskedReference<'_>,
    model: &'a Model,
    cut: &mut Cut,
    shapes: &[ValueName],
    feeds: Vec<Feed>,
    numbers: bool,
) -> Result<(Model, Known<'a>), Failure> {
    let known = Known::find(reference, model, cut, shapes, feeds)?;
    known.check_needs(numbers, shapes)?;
    cut.constants = shapes.iter().filter_map(|name| known.numbers(name)).collect();
    cut.from =
        cut.from.iter().map(|boundary| known.boundary(&boundary.name)).collect::<Result<_, _>>()?;
    let mut made = model.cut(cut)?;
    let outputs = cut.to.iter().map(|name| known.boundary(name)).collect::<Result<Vec<_>, _>>()?;
    made.declare(&outputs);
    Ok((made, known))
}

/// Cuts, writes and reports; returns the exit code.
pub(super) fn cut(args: &CutArgs) -> Result<u8, Failure> {
    let (model, fed) = load_fed(&args.model.path, &args.model.feed)?;
    let names = |texts: &[String]| texts.iter().map(|t| ValueName::from(t.as_str())).collect();
    let (to, from): (Vec<ValueName>, Vec<ValueName>) = (names(&args.to), names(&args.from));
    let mut cut = resolve(&model, &to, &from)?;
    // Checks before the reference runs that the cut is possible, and that its file can be written.
    let draft = model.cut(&cut)?;
    let file = claim(&args.destination, &args.model.path)?;
    let shapes = foreign_shapes(&draft, &cut);
    let progress = screen::progress(args.output.quiet);
    progress.set_message(format!("{} (reference)", args.reference));
    let here = PlaceArgs { via: None, targets: None, limits: LimitArgs::default() };
    let target = read_reference(&args.reference, &here)?;
    let registry = Registry::new(find_converter(), None)?;
    let asked = AskedReference { registry: &registry, target: &target, deadline: DEADLINE };
    let (made, known) = make(asked, &model, &mut cut, &shapes, fed, args.capture)?;
    progress.finish_and_clear();
    write(file, &args.destination, &made.as_written().to_whole_bytes()?)?;
    let captured = match args.capture {
        true => Some(capture(&args.destination, &made, &args.model.path, &known.tensors)?),
        false => None,
    };
    let report = report(args, &model, &made, &cut, &known, captured);
    answer::give(&args.output, &report, || text(&report, args.output.verbose))?;
    Ok(0)
}

/// The cut that the user asks for. Types and shapes of its new inputs are placeholders so far.
fn resolve(model: &Model, to: &[ValueName], from: &[ValueName]) -> Result<Cut, Failure> {
    let find = |name: &ValueName| Ok(model.find_value(name.as_str())?);
    let made_up = |name: ValueName| Boundary { name, dtype: Dtype::F32, shape: Vec::new() };
    let from: Vec<ValueName> = from.iter().map(find).collect::<Result<_, Failure>>()?;
    Ok(Cut {
        to: to.iter().map(find).collect::<Result<_, Failure>>()?,
        from: from.into_iter().map(made_up).collect(),
        constants: Vec::new(),
    })
}

/// Shapes that need an original input which the rest of the cut does not need. They become constants.
fn foreign_shapes(draft: &Model, cut: &Cut) -> Vec<ValueName> {
    let topology = Topology::of(draft);
    let mut stay: BTreeSet<&ValueName> = cut.from.iter().map(|boundary| &boundary.name).collect();
    stay.extend(cut.to.iter().flat_map(|name| topology.values_behind(name)));
    let foreign = |value: &&ValueName| {
        !cut.to.contains(value)
            && draft.inputs_behind(value).iter().any(|input| !stay.contains(input))
    };
    topology.shape_values().iter().filter(foreign).cloned().collect()
}

/// Known facts about the values at the edges of a cut.
struct Known<'a> {
    model: &'a Model,
    /// Feeds, constants, and values that the reference computed.
    tensors: BTreeMap<ValueName, Tensor>,
    /// Why the reference computed no values.
    failed: Option<Failure>,
}

impl<'a> Known<'a> {
    /// Takes feeds and constants, and runs the reference for the other values, as far as needed.
    fn find(
        reference: AskedReference<'_>,
        model: &'a Model,
        cut: &Cut,
        shapes: &[ValueName],
        feeds: Vec<Feed>,
    ) -> Result<Self, Failure> {
        let topology = Topology::of(model);
        let mut known = Known { model, tensors: BTreeMap::new(), failed: None };
        let mut computed = Cut::default();
        let from = cut.from.iter().map(|boundary| &boundary.name);
        for name in cut.to.iter().chain(from).chain(shapes) {
            if topology.is_computed(name) {
                computed.to.push(name.clone());
            } else if let Some(tensor) = model.constant(name).map_err(InputError::from)? {
                known.tensors.insert(name.clone(), tensor);
            }
        }
        known.run(&reference, &model.cut(&computed)?, &feeds);
        known.tensors.extend(feeds.into_iter().map(|feed| (feed.name, feed.tensor)));
        Ok(known)
    }

    fn run(&mut self, reference: &AskedReference<'_>, model: &Model, feeds: &[Feed]) {
        let request = Request { model, feeds, repeats: 1, deadline: reference.deadline };
        match Reference::run(reference.registry, &request, reference.target) {
            Ok(ran) => {
                let outputs = ran.execution.outputs.into_iter();
                self.tensors.extend(outputs.map(|output| (output.name, output.tensor)));
            }
            Err(failure) => self.failed = Some(failure),
        }
    }

    fn numbers(&self, name: &ValueName) -> Option<(ValueName, Tensor)> {
        Some((name.clone(), self.tensors.get(name)?.clone()))
    }

    /// Element type and shape: the reference's, otherwise those that the file declares.
    fn boundary(&self, name: &ValueName) -> Result<Boundary, Failure> {
        let made = |dtype, shape| Ok(Boundary { name: name.clone(), dtype, shape });
        if let Some(tensor) = self.tensors.get(name) {
            return made(tensor.dtype(), tensor.shape().to_vec());
        }
        let known = |dim: &Dim| match dim {
            Dim::Known(extent) => Some(*extent),
            Dim::Symbol(_) => None,
        };
        let declared = self.model.value_info(name);
        let shape = declared.as_ref().and_then(|info| info.shape.as_ref());
        match (&declared, shape.and_then(|dims| dims.iter().map(known).collect())) {
            (Some(info), Some(shape)) => made(info.dtype, shape),
            _ => {
                let hint = format!(
                    "nor does the file declare the shape of `{name}`: have onnx.shape_inference do that"
                );
                Err(self.failure(&hint).unwrap_or_else(Failure::bug))
            }
        }
    }

    /// Fails if the cut needs numbers and the reference computed none.
    fn check_needs(&self, capture: bool, shapes: &[ValueName]) -> Result<(), Failure> {
        let hint = match shapes.first() {
            _ if capture => "only the reference has the numbers to capture: leave --capture out",
            Some(_) => "shapes are computed before the cut: leave --from out",
            None => return Ok(()),
        };
        self.failure(hint).map_or(Ok(()), Err)
    }

    /// Why the reference computed no values, if it failed.
    fn failure(&self, hint: &str) -> Option<Failure> {
        let failed = self.failed.as_ref()?.line();
        Some(Failure::new(failed.trim_start_matches("failed to "), hint))
    }
}

/// The new file, open under a temporary name. A partial file never appears under the final name.
fn claim(destination: &Path, model: &Path) -> Result<NamedTempFile, Failure> {
    let same = |a: &Path, b: &Path| a.canonicalize().ok().zip(b.canonicalize().ok());
    if same(destination, model).is_some_and(|(a, b)| a == b) {
        let what = format!("write {}: it is the model itself", destination.display());
        return Err(Failure::new(what, "name a different file with -o"));
    }
    if destination.is_dir() {
        let hint = format!("name a file in it: -o {}", destination.join("cut.onnx").display());
        return Err(Failure::new(format!("write {}: it is a folder", destination.display()), hint));
    }
    let folder = destination.parent().filter(|folder| !folder.as_os_str().is_empty());
    tempfile::Builder::new()
        .prefix(".offby-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(|error| Failure::write(destination, error))
}

fn write(mut file: NamedTempFile, destination: &Path, bytes: &[u8]) -> Result<(), Failure> {
    file.write_all(bytes).map_err(|error| Failure::write(destination, error))?;
    file.persist(destination).map_err(|error| Failure::write(destination, error.error))?;
    Ok(())
}

fn report(
    args: &CutArgs,
    model: &Model,
    made: &Model,
    cut: &Cut,
    known: &Known<'_>,
    captured: Option<Captured>,
) -> CutReport {
    let file = |path: &Path, model: &Model| FileReport {
        path: path.to_owned(),
        digest: model.digest().clone(),
        nodes: model.as_written().node_count(),
        bytes: fs::metadata(path).map_or(0, |file| file.len()),
    };
    let value = |name: &ValueName| {
        let boundary = known.boundary(name).ok();
        let (dtype, shape) = boundary.map(|b| (b.dtype, b.shape)).unzip();
        ValueReport { name: name.clone(), dtype, shape }
    };
    let label = |node: crate::graph::Node<'_>| (node.label().to_owned(), node.op_type.to_owned());
    CutReport {
        schema: "offby.cut/1",
        model: file(&args.model.path, model),
        cut: file(&args.destination, made),
        inputs: made.inputs().iter().map(|input| value(&input.name)).collect(),
        outputs: made.outputs().iter().map(value).collect(),
        constants: cut.constants.iter().map(|(name, _)| name.clone()).collect(),
        nodes: made.nodes().map(label).collect(),
        undetermined: known.failed.as_ref().map(Failure::line),
        captured,
    }
}

fn text(report: &CutReport, verbose: bool) -> String {
    let mut text = format!(
        "{}: {} of {} nodes, {}\n",
        report.cut.path.display(),
        report.cut.nodes,
        report.model.nodes,
        size(report.cut.bytes)
    );
    // Writing to a string cannot fail.
    for (role, values) in [("input", &report.inputs), ("output", &report.outputs)] {
        for ValueReport { name, dtype, shape } in values {
            let shape = shape.as_ref().map_or("?".to_owned(), |shape| ShapeText(shape).to_string());
            let dtype = dtype.map_or("", Dtype::name);
            let _ = writeln!(text, "{role} `{name}` {shape} {dtype}");
        }
    }
    if let [first, others @ ..] = report.constants.as_slice() {
        let others = if others.is_empty() { "" } else { ", ..." };
        let count = report.constants.len();
        let _ = writeln!(
            text,
            "shapes: {count} computed before the cut, now constant: `{first}`{others}"
        );
    }
    if let Some(why) = &report.undetermined {
        let _ = writeln!(text, "shapes are those the file declares: {why}");
    }
    if let Some(captured) = &report.captured {
        let _ = writeln!(text, "case {}", captured.case.display());
    }
    if verbose {
        for name in &report.constants {
            let _ = writeln!(text, "constant `{name}`");
        }
        for (name, op_type) in &report.nodes {
            let _ = writeln!(text, "node `{name}` {op_type}");
        }
    }
    text
}

/// Bytes in a readable unit: `812 bytes`, `1.4 kB`, `31.7 MB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
