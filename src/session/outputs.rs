//! Walking an engine that shows no operators: every value becomes an output of the network, and one run gives them
//! all. The walk then is one of a dump.

use super::registry::not_walkable;
use super::{Evaluator, Failure};
use crate::engine::{Execution, NodeSteps, Outcome, Request, Target, Values};
use crate::graph::{Boundary, Cut, Model};
use crate::inputs::Dump;
use crate::report::TargetReport;

impl Evaluator<'_> {
    /// Whether the target takes ONNX files, so truncated networks can be put to it.
    pub fn can_be_searched(&self, target: &Target) -> bool {
        matches!(target.itself(), Target::Ort(_) | Target::Ext(_))
    }

    /// Runs the network as it is, for the verdict, and once more with every value as an output, for the walk.
    ///
    /// # Errors
    /// If the target runs in no engine that takes ONNX files, or refuses the network with these outputs.
    pub fn walk_by_outputs(
        &self,
        target: &Target,
        announce: &mut dyn FnMut(&str),
    ) -> Result<TargetReport, Failure> {
        if !self.can_be_searched(target) {
            return Err(not_walkable(target));
        }
        announce("the network as it is");
        let engine = self.registry.engine(target);
        let execution = engine.execute(&self.request);
        if execution.outcome != Outcome::Completed {
            return Ok(self.judge_run(target, execution));
        }
        announce("the network with every value as an output");
        let shown = self.every_value_shown().map_err(|reason| refused(target, &reason))?;
        let request = Request { model: &shown, repeats: 1, ..self.request };
        let tapped = engine.execute(&request);
        if tapped.outcome != Outcome::Completed {
            let reason = tapped.reason.unwrap_or_else(|| tapped.outcome.to_string());
            return Err(refused(target, &reason));
        }
        let values: Values = tapped
            .outputs
            .iter()
            .map(|output| (output.name.to_string(), output.tensor.clone()))
            .collect();
        let changed = is_changed(&execution, &values);
        let mut report = self.judge_dumped(target, &execution, &Dump::from(values))?;
        if let Some(walk) = &mut report.walk {
            walk.candidate_runs = execution.runs.as_ref().map_or(1, |runs| runs.repeats) + 1;
            walk.splits_fusions = changed;
        }
        Ok(report)
    }

    /// The network with every value that depends on the inputs as an output, of the reference's type and shape.
    fn every_value_shown(&self) -> Result<Model, String> {
        let model = self.request.model;
        let mut steps = NodeSteps::with_second(model, self.second())?;
        let values = steps.capture_all(self.request.feeds)?;
        let known: Vec<Boundary> =
            values.iter().map(|(name, tensor)| Boundary::of(name.as_str(), tensor)).collect();
        let to = known.iter().map(|value| value.name.clone()).collect();
        let mut shown =
            model.cut(&Cut { to, ..Cut::default() }).map_err(|error| error.to_string())?;
        shown.declare(&known);
        Ok(shown)
    }
}

/// Whether the network's own outputs are other bytes if all values are asked for.
fn is_changed(execution: &Execution, values: &Values) -> bool {
    execution.outputs.iter().any(|output| {
        values
            .get(output.name.as_str())
            .is_some_and(|shown| shown.to_bytes() != output.tensor.to_bytes())
    })
}

fn refused(target: &Target, reason: &str) -> Failure {
    Failure::new(
        format!("walk {target} with every value as an output: {reason}"),
        "search it from outside: --strategy cut or --strategy isolate",
    )
}
