//! The evaluator: one network with its feeds and its reference, and the settings of the user.

use super::{Failure, Reference, Registry};
use crate::choice::ReferenceSource;
use crate::compare::Tolerance;
use crate::engine::{Output, Request, Target};
use crate::walk::{NonfiniteOutput, Sampling};
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
    /// Whether the reference was checked on the same network with other inputs. Then the operators that its code is
    /// known to compute wrongly are only checked if a target differs.
    pub is_checked: bool,
    /// Whether samples choose the values that a walk compares whole, and which elements are drawn.
    pub sampling: Option<Sampling>,
    /// The folder for the searches' journals.
    pub folder: Option<PathBuf>,
}

/// One network with its feeds, and the reference's outputs.
pub struct Evaluator<'a> {
    pub(super) request: Request<'a>,
    pub(super) registry: &'a Registry,
    pub(super) reference: &'a Reference,
    pub(super) settings: Settings,
    pub(super) source: ReferenceSource<'a>,
    /// The reference's non-finite outputs, computed on first use.
    pub(super) nonfinite: OnceCell<Vec<NonfiniteOutput>>,
    /// Journals that could not be written.
    pub(super) unwritten: RefCell<Vec<Failure>>,
}

impl<'a> Evaluator<'a> {
    /// A session on the reference's outputs for the same request.
    pub fn new(
        request: Request<'a>,
        registry: &'a Registry,
        reference: &'a Reference,
        settings: Settings,
    ) -> Self {
        let source = ReferenceSource::new(request, registry.engine(&reference.target));
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

    /// The journals that could not be written since the last call.
    pub fn take_unwritten(&self) -> Vec<Failure> {
        self.unwritten.take()
    }
}
