//! The parts that `run` and `walk` share: the network, its feeds, the engines, and the results folder.

use super::answer::{self, Unwritten};
use super::args::{FeedArgs, FiniteArgs, NetworkArgs, ToleranceArgs};
use super::place::read_reference;
use super::place_for_results::can_hold_results;
use super::stored::{file_name, store_tensors};
use crate::compare::Tolerance;
use crate::engine::{Output, Request, Target};
use crate::graph::{Model, ValueName};
use crate::inputs::{Feed, Normalization};
use crate::report::{ModelReport, Report, TargetReport, report_html, report_markdown};
use crate::session::{Evaluator, Failure, Feeding, Reference, Registry, Settings, saved_report};
use crate::tensor::Tensor;
use crate::walk::Sampling;
use crate::worker::{Converter, find_converter};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The arguments, network, feeds and engines, read and checked before any run.
pub(super) struct Prepared<'a> {
    pub(super) args: &'a NetworkArgs,
    /// The network, with resolved input shapes.
    pub(super) model: Model,
    /// One tensor for each input.
    pub(super) feeds: Vec<Feed>,
    /// The engines.
    pub(super) registry: Registry,
    /// The user's own tolerance, which replaces the table's.
    pub(super) user: Option<Tolerance>,
    /// Whether NaN and infinities are bad even if the reference output contains them.
    pub(super) no_nan: bool,
    /// Whether samples choose the values that a walk compares whole.
    pub(super) sampling: Option<Sampling>,
    /// The failed writes so far.
    unwritten: RefCell<Unwritten>,
}

impl<'a> Prepared<'a> {
    /// Reads and checks all arguments, and makes the output folder before any run.
    pub(super) fn new(args: &'a NetworkArgs) -> Result<Self, Failure> {
        let (model, feeds) = load_fed(&args.model.path, &args.model.feed)?;
        Prepared::of(args, model, feeds)
    }

    /// The same for a network that is read and fed already.
    pub(super) fn of(
        args: &'a NetworkArgs,
        model: Model,
        feeds: Vec<Feed>,
    ) -> Result<Self, Failure> {
        let user = user_tolerance(&args.tolerance)?;
        args.out.as_deref().map_or(Ok(()), can_hold_results)?;
        args.output.can_be_written()?;
        let registry = Registry::new(converter(args), args.place.limits.memory)?;
        let unwritten = RefCell::default();
        let (no_nan, sampling) = (false, None);
        Ok(Prepared { args, model, feeds, registry, user, no_nan, sampling, unwritten })
    }

    /// The same, with the user's requirement for NaN and infinities.
    pub(super) fn with_finite(self, asked: FiniteArgs) -> Self {
        Prepared { no_nan: asked.no_nan, ..self }
    }

    /// The same, with samples that choose the values to compare whole.
    pub(super) fn sampled(self, sampling: Option<Sampling>) -> Self {
        Prepared { sampling, ..self }
    }

    /// Adds remarks on the reference's outputs and on the feeds.
    pub(super) fn remark(&self, report: &mut Report, session: &Evaluator<'_>) {
        report.nonfinite = session.nonfinite().to_vec();
        report.blind = session.blind();
    }

    /// The request for every engine.
    pub(super) fn request(&self) -> Request<'_> {
        Request {
            model: &self.model,
            feeds: &self.feeds,
            repeats: self.args.repeat.max(1),
            deadline: Duration::from_secs(self.args.timeout),
        }
    }

    /// The user's settings beyond the network, for a session with these targets.
    pub(super) fn settings(&self, targets: &[Target]) -> Settings {
        Settings {
            no_nan: self.no_nan,
            user: self.user,
            allow_converter: self.args.allow_converter,
            allow_overflow: self.args.allow_overflow,
            is_checked: false,
            sampling: self.sampling,
            targets: targets.to_vec(),
            folder: self.args.out.clone(),
        }
    }

    /// Runs the reference that the user names.
    pub(super) fn reference(&self) -> Result<Reference, Failure> {
        let target = read_reference(&self.args.reference, &self.args.place)?;
        Reference::run(&self.registry, &self.request(), &target)
    }

    /// A session on the network.
    pub(super) fn session<'s>(
        &'s self,
        reference: &'s Reference,
        targets: &[Target],
    ) -> Evaluator<'s> {
        Evaluator::new(self.request(), &self.registry, reference, self.settings(targets))
    }

    /// The folder for results, if the user named one.
    pub(super) fn out(&self) -> Option<&Path> {
        self.args.out.as_deref()
    }

    /// Stores outputs under `--out`, if given. The command reports a failed write at the end, because the
    /// finding must not be lost with it.
    pub(super) fn keep(&self, who: &str, outputs: &[Output]) {
        let Some(folder) = &self.args.out else { return };
        let tensors: Vec<_> = outputs.iter().map(|o| (&o.name, &o.tensor)).collect();
        self.note(store_tensors(&folder.join(file_name(who)), &tensors).map(|_| ()));
    }

    /// Notes a failed write, to report it at the end.
    pub(super) fn note(&self, written: Result<(), Failure>) {
        self.unwritten.borrow_mut().note(written);
    }

    /// The complete report of a command.
    pub(super) fn report(
        &self,
        command: &str,
        reference: &Reference,
        targets: Vec<TargetReport>,
    ) -> Report {
        let path = &self.args.model.path;
        saved_report(command, path, &self.request(), &self.registry, reference, targets)
    }

    /// The network, for a report.
    pub(super) fn model_report(&self) -> ModelReport {
        ModelReport::of(&self.args.model.path, &self.model)
    }

    /// Writes the report to `--out`, as JSON, and to the screen. Earlier failed writes become a failure
    /// only after that.
    pub(super) fn answer(
        &self,
        report: &Report,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if let Some(folder) = &self.args.out {
            link_network(folder, &self.args.model.path);
            self.note(answer::write_json(&folder.join("report.json"), report));
            let renderings =
                [("report.md", report_markdown(report)), ("report.html", report_html(report))];
            for (name, rendering) in renderings {
                self.note(answer::write(&folder.join(name), rendering));
            }
        }
        self.note(answer::give(&self.args.output, report, text));
        self.unwritten.borrow_mut().told()
    }
}

/// Keeps a link to the network next to its results: a report has no absolute path, and `report bundle` needs the
/// file. A folder that cannot hold links has none.
fn link_network(folder: &Path, network: &Path) {
    if let (Ok(file), Some(name)) = (network.canonicalize(), network.file_name()) {
        let _ = std::os::unix::fs::symlink(file, folder.join(name));
    }
}

/// The network, with the shapes that the user gives.
pub(super) fn load(path: &Path, texts: &[String]) -> Result<Model, Failure> {
    let mut model = Model::load(path)?;
    model.fix_shapes(&parse_shapes(texts)?)?;
    Ok(model)
}

/// The network and its feeds. Shapes come from the user, otherwise from the input files.
pub(super) fn load_fed(path: &Path, args: &FeedArgs) -> Result<(Model, Vec<Feed>), Failure> {
    load_given(path, args, &BTreeMap::new())
}

/// The same for inputs whose tensors are given: they are fed unless the user says otherwise.
pub(super) fn load_given(
    path: &Path,
    args: &FeedArgs,
    given: &BTreeMap<ValueName, Tensor>,
) -> Result<(Model, Vec<Feed>), Failure> {
    let feeding = Feeding {
        specs: args.input.clone(),
        shapes: parse_shapes(&args.shape)?,
        normalization: Normalization::new(&args.mean, &args.std)?,
        given: given.clone(),
    };
    feeding.feed(Model::load(path)?)
}

fn parse_shapes(texts: &[String]) -> Result<BTreeMap<ValueName, Vec<usize>>, Failure> {
    texts.iter().map(|text| parse_shape(text)).collect()
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

fn converter(args: &NetworkArgs) -> Converter {
    match (&args.mnn, &args.converter) {
        (Some(ready), _) => Converter::Ready(ready.clone()),
        (None, Some(native)) => Converter::Native(native.clone()),
        (None, None) => find_converter(),
    }
}

/// The user's own tolerance, which replaces the table's.
pub(super) fn user_tolerance(args: &ToleranceArgs) -> Result<Option<Tolerance>, Failure> {
    for (name, value) in [("atol", args.atol), ("rtol", args.rtol)] {
        // The negated comparison also refuses NaN.
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
