//! One network, its feeds, a reference, its referees and the targets: what every command does with them.
//!
//! The **reference** computes the outputs that targets are held to. **Referees** are asked if a target
//! parts from it: offby's own kernels and tract in `f64`, ONNX Runtime, and the other engines of the
//! command. `run` and `walk` come to their verdicts here, by the same judgement.

mod audit;
mod examine;
mod failure;
mod finite;
mod inheritance;
mod judge;
mod known;
mod moved;
mod node;
mod origin;
mod overflow;
mod reference;
mod registry;
mod search;
mod spread;
mod walk;

pub use examine::{examine_against, judged_by, tolerance_of};
pub use failure::Failure;
pub use moved::MovedRuns;
pub use node::node_names;
pub use reference::{Reference, no_reference};
pub use registry::{Registry, this_program};
pub use search::{Engines, Strategy, arithmetic_of};
pub use walk::not_walkable;

use crate::choice::Source;
use crate::compare::Tolerance;
use crate::engine::{Execution, Output, Request, Target};
use crate::report::TargetReport;
use crate::verdict::News;
use crate::walk::NonfiniteOutput;
use std::cell::{OnceCell, RefCell};
use std::path::PathBuf;

/// What a user may ask for beyond the network, its feeds and the targets.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// A tolerance in place of the table's.
    pub user: Option<Tolerance>,
    /// The relative L2 error of an output that the engine's converter may cause.
    pub allow_converter: Option<f64>,
    /// Whether values that the target's storage cannot hold are accepted.
    pub allow_overflow: bool,
    /// The targets of the command: engines of another code than the reference's are referees, too.
    pub targets: Vec<Target>,
    /// Whether NaN and infinities that the reference has, too, are bad news.
    pub no_nan: bool,
    /// Where the searches keep their journals.
    pub folder: Option<PathBuf>,
}

/// One network with its feeds, and the reference's outputs.
pub struct Session<'a> {
    request: Request<'a>,
    registry: &'a Registry,
    reference: &'a Reference,
    settings: Settings,
    source: Source<'a>,
    /// The reference's outputs that are not finite, once that was asked.
    nonfinite: OnceCell<Vec<NonfiniteOutput>>,
    /// Journals that could not be written.
    unwritten: RefCell<Vec<Failure>>,
}

impl<'a> Session<'a> {
    /// A session on what the reference computed for this very request.
    pub fn new(
        request: Request<'a>,
        registry: &'a Registry,
        reference: &'a Reference,
        settings: Settings,
    ) -> Self {
        let source = Source::new(request, registry.engine(&reference.target));
        Session {
            request,
            registry,
            reference,
            settings,
            source,
            nonfinite: OnceCell::new(),
            unwritten: RefCell::default(),
        }
    }

    /// The target that is the reference.
    pub fn reference_target(&self) -> Target {
        self.reference.target.clone()
    }

    /// The reference's outputs.
    pub fn truth(&self) -> &[Output] {
        &self.reference.execution.outputs
    }

    /// Runs a target and says what its outputs are worth.
    pub fn run(&self, target: &Target) -> TargetReport {
        let execution = self.registry.engine(target).execute(&self.request);
        self.judge_run(target, execution)
    }

    /// Says what the outputs of a run are worth. Whether the engine's converter is to blame for an error,
    /// only a walk can tell: it is made if the user accepts such errors.
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

    /// Says what a target's outputs are worth; referees are asked if they part from the reference.
    fn judge(&self, target: &Target, execution: &Execution) -> TargetReport {
        judge::judge(self, target, execution)
    }

    /// What could not be written since the last call.
    pub fn take_unwritten(&self) -> Vec<Failure> {
        self.unwritten.take()
    }
}
