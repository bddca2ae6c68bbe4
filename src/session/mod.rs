//! One network, its feeds, a reference, its referees and the targets: the steps that all commands share.
//!
//! The **reference** computes the outputs that targets are compared with. The **referees** are asked if a
//! target differs from it: offby's own kernels and tract in `f64`, ONNX Runtime, and the command's other
//! engines. `run` and `walk` reach their verdicts here, by the same judgement.

mod audit;
mod environment;
mod examine;
mod facade;
mod failure;
mod feeding;
mod finite;
mod inheritance;
mod judge;
mod known;
mod moved;
mod node;
mod origin;
mod outputs;
mod overflow;
mod reference;
mod registry;
mod saved;
mod search;
mod spread;
mod walk;

pub use examine::{examine_against, judged_by, tolerance_of};
pub use facade::{Session, SessionBuilder};
pub use failure::Failure;
pub use feeding::Feeding;
pub use moved::MovedRuns;
pub use node::node_names;
pub use reference::{Reference, no_reference};
pub use registry::{Registry, this_program};
pub use saved::saved_report;
pub use search::{Engines, Search, arithmetic_of};
pub use walk::not_walkable;

use crate::choice::Source;
use crate::compare::Tolerance;
use crate::engine::{Execution, Output, Request, Target};
use crate::report::TargetReport;
use crate::verdict::News;
use crate::walk::NonfiniteOutput;
use std::cell::{OnceCell, RefCell};
use std::path::PathBuf;

/// The user's options beyond the network, its feeds and the targets.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// A tolerance that replaces the table's.
    pub user: Option<Tolerance>,
    /// The largest relative L2 error of an output that the engine's converter may cause.
    pub allow_converter: Option<f64>,
    /// Whether values that the target's storage cannot hold are accepted.
    pub allow_overflow: bool,
    /// The command's targets. An engine with different code than the reference's is also a referee.
    pub targets: Vec<Target>,
    /// Whether NaN and infinities are bad news even if the reference has them.
    pub no_nan: bool,
    /// The folder for the searches' journals.
    pub folder: Option<PathBuf>,
}

/// One network with its feeds, and the reference's outputs.
pub struct Evaluator<'a> {
    request: Request<'a>,
    registry: &'a Registry,
    reference: &'a Reference,
    settings: Settings,
    source: Source<'a>,
    /// The reference's non-finite outputs, computed on first use.
    nonfinite: OnceCell<Vec<NonfiniteOutput>>,
    /// Journals that could not be written.
    unwritten: RefCell<Vec<Failure>>,
}

impl<'a> Evaluator<'a> {
    /// A session on the reference's outputs for the same request.
    pub fn new(
        request: Request<'a>,
        registry: &'a Registry,
        reference: &'a Reference,
        settings: Settings,
    ) -> Self {
        let source = Source::new(request, registry.engine(&reference.target));
        Evaluator {
            request,
            registry,
            reference,
            settings,
            source,
            nonfinite: OnceCell::new(),
            unwritten: RefCell::default(),
        }
    }

    /// The reference.
    pub fn reference(&self) -> &Reference {
        self.reference
    }

    /// The target that is the reference.
    pub fn reference_target(&self) -> Target {
        self.reference.target.clone()
    }

    /// The reference's outputs.
    pub fn truth(&self) -> &[Output] {
        &self.reference.execution.outputs
    }

    /// Runs a target and judges its outputs.
    pub fn run(&self, target: &Target) -> TargetReport {
        let execution = self.registry.engine(target).execute(&self.request);
        self.judge_run(target, execution)
    }

    /// Judges the outputs of a run. Only a walk shows whether the engine's converter caused an error. So the
    /// session walks if the user accepts such errors.
    pub fn judge_run(&self, target: &Target, execution: Execution) -> TargetReport {
        self.held_to_finite(self.judge_executed(target, &execution))
    }

    fn judge_executed(&self, target: &Target, execution: &Execution) -> TargetReport {
        let report = self.judge(target, execution);
        let is_bad = report.verdict.kind.news() == News::Bad;
        if self.settings.allow_converter.is_none() || !is_bad {
            return report;
        }
        let Ok(walked) = self.follow(target, None, &mut |_| ()) else { return report };
        let walked = self.judge_walked(target, walked);
        match walked.verdict.kind.news() {
            News::Good => TargetReport { verdict: walked.verdict, origin: walked.origin, ..report },
            _ => report,
        }
    }

    /// Judges a target's outputs; the referees are asked if the outputs differ from the reference's.
    fn judge(&self, target: &Target, execution: &Execution) -> TargetReport {
        judge::judge(self, target, execution)
    }

    /// The journals that could not be written since the last call.
    pub fn take_unwritten(&self) -> Vec<Failure> {
        self.unwritten.take()
    }
}
