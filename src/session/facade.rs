//! The session that programs use: a network with its inputs and a reference, against which targets are compared
//! and walked. The command line does the same in its own steps, because it shows progress and stores files.

use super::{Evaluator, Failure, Feeding, Reference, Registry, Settings, saved_report};
use crate::compare::Tolerance;
use crate::engine::{Request, Target};
use crate::graph::{Model, ValueName};
use crate::inputs::Feed;
use crate::report::{Report, TargetReport};
use crate::tensor::Tensor;
use crate::worker::{Converter, Interrupt, WorkerProgram, find_converter};
use std::path::PathBuf;
use std::time::Duration;

/// The time that one run of a target may take, as on the command line.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How often a target runs in a comparison.
const REPEATS: usize = 3;

/// What a session needs before its reference runs.
///
/// ```no_run
/// # fn main() -> Result<(), offby::Error> {
/// let model = offby::Model::load("levit.onnx".as_ref())?;
/// let session = offby::Session::of(model).input("sine").open()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SessionBuilder {
    model: Model,
    feeding: Feeding,
    reference: Target,
    worker: PathBuf,
    converter: Option<Converter>,
    timeout: Duration,
    repeats: usize,
    tolerance: Option<Tolerance>,
    interrupt: Interrupt,
}

impl SessionBuilder {
    /// An input spec as on the command line: `NAME=SPEC`, or `SPEC` for all inputs, such as `normal:0`, `arange` or a
    /// file.
    pub fn input(mut self, spec: impl Into<String>) -> Self {
        self.feeding.specs.push(spec.into());
        self
    }

    /// The tensor of an input.
    pub fn feed(mut self, name: impl Into<ValueName>, tensor: Tensor) -> Self {
        self.feeding.given.insert(name.into(), tensor);
        self
    }

    /// The shape of an input whose extents the network leaves open.
    pub fn shape(mut self, name: impl Into<ValueName>, shape: &[usize]) -> Self {
        self.feeding.shapes.insert(name.into(), shape.to_vec());
        self
    }

    /// The reference; tract in `f32` unless another target is given.
    pub fn reference(mut self, target: Target) -> Self {
        self.reference = target;
        self
    }

    /// The program that serves engines: `offby` on the `PATH`, unless another file is given. All targets but tract
    /// need it.
    pub fn worker(mut self, program: impl Into<PathBuf>) -> Self {
        self.worker = program.into();
        self
    }

    /// How MNN models are made; the converter that offby finds, unless another is given.
    pub fn converter(mut self, converter: Converter) -> Self {
        self.converter = Some(converter);
        self
    }

    /// The time that one run of a target may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a target runs. Runs that differ are a finding of their own.
    pub fn repeats(mut self, repeats: usize) -> Self {
        self.repeats = repeats.max(1);
        self
    }

    /// A tolerance in place of the one that follows from element types and storage formats.
    pub fn tolerance(mut self, tolerance: Tolerance) -> Self {
        self.tolerance = Some(tolerance);
        self
    }

    /// A token that stops the session's runs when it is set, such as by a signal handler or another thread.
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt;
        self
    }

    /// Feeds the network and runs the reference once.
    ///
    /// # Errors
    /// If the inputs do not fit the network, or if no reference can run it.
    pub fn open(self) -> Result<Session, Failure> {
        let path = self.model.path().to_owned();
        let (model, feeds) = self.feeding.feed(self.model)?;
        let worker = WorkerProgram::offby(self.worker).with_interrupt(self.interrupt);
        let registry =
            Registry::with_program(self.converter.unwrap_or_else(find_converter), worker);
        let request =
            Request { model: &model, feeds: &feeds, repeats: self.repeats, deadline: self.timeout };
        let reference = Reference::run(&registry, &request, &self.reference)?;
        let SessionBuilder { timeout, repeats, tolerance, .. } = self;
        Ok(Session { path, model, feeds, registry, reference, timeout, repeats, tolerance })
    }
}

/// A network with its inputs, and the outputs of the reference.
///
/// Two modes of tract agree on a small network:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let model = offby::Model::load("debug-models/small_mlp.onnx".as_ref())?;
/// let session = offby::Session::of(model).input("normal:1").open()?;
/// let report = session.compare(&["tract:f64".parse()?])?;
/// assert_eq!(report.targets[0].verdict.kind, offby::verdict::Kind::Agrees);
/// # Ok(())
/// # }
/// ```
///
/// A walk names the operators of a GPU backend that introduce error:
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let model = offby::Model::load("levit.onnx".as_ref())?;
/// let session = offby::Session::of(model).worker("/usr/local/bin/offby").open()?;
/// let report = session.walk(&"mnn:vulkan:high".parse()?)?;
/// for source in report.targets[0].sources() {
///     println!("{} introduces {:?}", source.name, source.introduced);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Session {
    path: PathBuf,
    model: Model,
    feeds: Vec<Feed>,
    registry: Registry,
    reference: Reference,
    timeout: Duration,
    repeats: usize,
    tolerance: Option<Tolerance>,
}

impl Session {
    /// The settings of a session on a network.
    pub fn of(model: Model) -> SessionBuilder {
        SessionBuilder {
            model,
            feeding: Feeding::default(),
            reference: Target::Tract,
            worker: PathBuf::from("offby"),
            converter: None,
            timeout: TIMEOUT,
            repeats: REPEATS,
            tolerance: None,
            interrupt: Interrupt::default(),
        }
    }

    /// The tensors that every engine is fed.
    pub fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    /// Runs targets and compares their outputs with the reference's.
    ///
    /// # Errors
    /// If the session itself fails. What goes wrong in a target is a verdict in the report.
    pub fn compare(&self, targets: &[Target]) -> Result<Report, Failure> {
        let evaluator = self.evaluator(targets);
        let reports = targets.iter().map(|target| evaluator.run(target)).collect();
        Ok(self.report("run", &evaluator, reports))
    }

    /// Compares every operator of a target. An engine that exposes no operators is asked for every value as an output,
    /// or is searched by truncated networks.
    ///
    /// # Errors
    /// If the target cannot be walked at all.
    pub fn walk(&self, target: &Target) -> Result<Report, Failure> {
        let evaluator = self.evaluator(std::slice::from_ref(target));
        let walked = evaluator.walk(target, &mut |_| (), &mut |_| ())?;
        Ok(self.report("walk", &evaluator, vec![walked]))
    }

    fn evaluator(&self, targets: &[Target]) -> Evaluator<'_> {
        let settings =
            Settings { user: self.tolerance, targets: targets.to_vec(), ..Settings::default() };
        Evaluator::new(self.request(), &self.registry, &self.reference, settings)
    }

    fn request(&self) -> Request<'_> {
        let Session { model, feeds, repeats, timeout, .. } = self;
        Request { model, feeds, repeats: *repeats, deadline: *timeout }
    }

    fn report(
        &self,
        command: &str,
        evaluator: &Evaluator<'_>,
        targets: Vec<TargetReport>,
    ) -> Report {
        let Session { path, registry, reference, .. } = self;
        let report = saved_report(command, path, &self.request(), registry, reference, targets);
        Report { nonfinite: evaluator.nonfinite().to_vec(), blind: evaluator.blind(), ..report }
    }
}
