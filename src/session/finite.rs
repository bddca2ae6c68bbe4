//! Finds non-finite outputs of the reference, and walks the reference to the nodes that made them so.

use super::{Evaluator, Failure, node_names};
use crate::bounds::Arithmetic;
use crate::engine::NodeSteps;
use crate::report::TargetReport;
use crate::verdict::{Kind, News};
use crate::walk::{
    Blind, NodeReference, NonfiniteOutput, Strategy, Trust, conclude, find_births, find_blind,
    watch,
};

impl Evaluator<'_> {
    /// The reference's outputs with non-finite elements, and the nodes at which those begin. If there are any,
    /// the session steps through the reference.
    pub fn nonfinite(&self) -> &[NonfiniteOutput] {
        self.nonfinite.get_or_init(|| {
            let mut found: Vec<_> = self.truth().iter().filter_map(NonfiniteOutput::of).collect();
            if !found.is_empty() {
                let steps = NodeSteps::with_second(self.request.model, self.second());
                // The outputs are not finite, even if the steps cannot say why.
                let _ = steps
                    .and_then(|mut steps| find_births(&mut steps, self.request.feeds, &mut found));
            }
            found
        })
    }

    /// The feeds and outputs that cannot show whether elements are at the right positions.
    pub fn blind(&self) -> Vec<Blind> {
        find_blind(self.request.feeds, self.truth())
    }

    /// With `--no-nan`, a target fails even if it agrees with the reference in NaN or infinities.
    pub(super) fn held_to_finite(&self, mut report: TargetReport) -> TargetReport {
        let is_good = report.verdict.kind.news() == News::Good;
        if self.settings.no_nan && is_good && !self.nonfinite().is_empty() {
            let words: Vec<String> = self.nonfinite().iter().map(NonfiniteOutput::words).collect();
            report.verdict.kind = Kind::Nonfinite;
            report.verdict.sentence = format!(
                "{}; but --no-nan allows no NaN and no infinities: {}",
                report.verdict.sentence,
                words.join("; ")
            );
        }
        report
    }

    /// Walks the reference itself, and marks the operators that make NaN or infinities of finite inputs.
    ///
    /// # Errors
    /// If the reference refuses to run node by node.
    pub fn walk_reference(&self) -> Result<TargetReport, Failure> {
        let refused = |reason: String| {
            Failure::new(
                format!("walk the reference {}: {reason}", self.reference.target),
                "choose a different reference with --reference",
            )
        };
        let (model, feeds) = (self.request.model, self.request.feeds);
        let steps = || NodeSteps::with_second(model, self.second());
        let mut reference = steps()
            .and_then(|steps| NodeReference::of(steps, feeds, Arithmetic::default()))
            .map_err(refused)?;
        let watched = steps()
            .and_then(|mut steps| watch(&mut steps, feeds, &mut reference))
            .map_err(refused)?;
        let trust = Trust::of_one_run();
        let walk = conclude(Strategy::Reference, &watched, &trust, &node_names(model));
        let born = walk.ops.iter().filter(|op| op.born.is_some()).count();
        let mut report = self.judge(&self.reference.target, &self.reference.execution);
        report.verdict.sentence = match born {
            0 => "it is the reference itself; no node of it makes NaN or infinities of finite inputs"
                .into(),
            1 => "it is the reference itself; one node of it makes NaN or infinities of finite inputs"
                .into(),
            n => format!(
                "it is the reference itself; {n} nodes of it make NaN or infinities of finite inputs"
            ),
        };
        report.walk = Some(walk);
        Ok(self.held_to_finite(report))
    }
}
