//! The reference of a session: the target whose outputs the other targets are compared with.

use super::{Failure, Registry};
use crate::engine::{Execution, OrtTarget, Outcome, Output, Request, Target};
use crate::verdict::Ruling;
use std::sync::{Arc, OnceLock};

/// A reference that ran.
#[derive(Clone)]
pub struct Reference {
    /// The target.
    pub target: Target,
    /// The outcome and the outputs of its run.
    pub execution: Execution,
    /// Why the reference is not the target that the user asked for.
    pub note: Option<String>,
    /// The referees' rulings on the operators that its code is known to compute wrongly.
    pub(super) known: Arc<OnceLock<Audit>>,
    /// Whether ONNX Runtime produces the same outputs.
    pub(super) confirmed: Arc<OnceLock<bool>>,
    /// The referees' rulings on every node; filled if a target differs from the reference.
    pub(super) whole: Arc<OnceLock<Audit>>,
}

impl Reference {
    /// Runs the reference. If tract cannot run the network, ONNX Runtime becomes the reference.
    ///
    /// # Errors
    /// If no reference runs: why, and what to install.
    pub fn run(
        registry: &Registry,
        request: &Request<'_>,
        target: &Target,
    ) -> Result<Self, Failure> {
        let request = Request { repeats: 1, ..*request };
        Reference::run_by(&mut |target| registry.engine(target).execute(&request), target)
    }

    /// The same with a function that runs the network on a target.
    ///
    /// # Errors
    /// As [`Reference::run`].
    pub(super) fn run_by(
        execute: &mut dyn FnMut(&Target) -> Execution,
        target: &Target,
    ) -> Result<Self, Failure> {
        let execution = execute(target);
        if execution.outcome == Outcome::Completed {
            return Ok(Reference::of(target.clone(), execution));
        }
        let refuses = matches!(execution.outcome, Outcome::Rejected | Outcome::Crashed);
        if !refuses || !matches!(target, Target::Tract | Target::TractF64) {
            return Err(no_reference(target, &execution));
        }
        let other = Target::Ort(OrtTarget::REFEREE);
        let second = execute(&other);
        let reason = execution.reason.clone().unwrap_or_default();
        if second.outcome != Outcome::Completed {
            return Err(neither(target, &reason, &second));
        }
        let note = format!(
            "ONNX Runtime is the reference, because {target} cannot run this network: {reason}"
        );
        Ok(Reference { note: Some(note), ..Reference::of(other, second) })
    }

    /// The engine of a different code that produces the same outputs, if one was asked.
    pub fn confirmed_by(&self) -> Option<&'static str> {
        self.confirmed.get().filter(|confirmed| **confirmed).map(|_| "ONNX Runtime")
    }

    /// A reference that ran as requested.
    pub fn of(target: Target, execution: Execution) -> Self {
        Reference {
            target,
            execution,
            note: None,
            known: Arc::default(),
            confirmed: Arc::default(),
            whole: Arc::default(),
        }
    }
}

/// The failure if tract refuses the network, and ONNX Runtime is missing or also refuses it.
fn neither(target: &Target, reason: &str, second: &Execution) -> Failure {
    let said = second.reason.clone().unwrap_or_else(|| second.outcome.to_string());
    let hint = match (second.outcome, &second.hint) {
        (Outcome::Unavailable, Some(hint)) => {
            format!("ONNX Runtime can be the reference instead: {hint}")
        }
        _ => format!(
            "ONNX Runtime does not run it either ({said}): the network itself may be broken"
        ),
    };
    Failure::new(format!("run the reference {target}: {reason}"), hint)
}

/// The failure of a reference without outputs.
pub fn no_reference(reference: &Target, truth: &Execution) -> Failure {
    let reason = truth.reason.clone().unwrap_or_else(|| truth.outcome.to_string());
    let hint = truth.hint.clone().unwrap_or_else(|| {
        "without a reference no output can be compared; choose a different one, such as --reference ort:cpu or --reference mnn:cpu:high".into()
    });
    Failure::new(format!("run the reference {reference}: {reason}"), hint)
}

/// The referees' rulings on the reference.
#[derive(Debug, Clone, Default)]
pub(super) struct Audit {
    /// The nodes where the reference is wrong or disputed, in the order of evaluation.
    pub(super) rulings: Vec<Ruling>,
    /// The outputs with the right value at each node where the reference is wrong. A disputed node keeps the
    /// reference's value.
    pub(super) corrected: Vec<Output>,
    /// The outputs with a second dissenter's value at each of those nodes.
    pub(super) other: Vec<Output>,
}
