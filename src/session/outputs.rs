//! Walking an engine that shows no operators: every value becomes an output of the network, and one run gives them
//! all. The walk then is one of a dump.

use super::registry::not_walkable;
use super::shown::{showing, values};
use super::{Evaluator, Failure};
use crate::engine::{Engine, Execution, Outcome, Request, Target, Values};
use crate::graph::Boundary;
use crate::inputs::Dump;
use crate::report::TargetReport;
use crate::verdict::{Kind, News, Verdict};

impl Evaluator<'_> {
    /// Whether the target takes ONNX files, so truncated networks can be put to it.
    pub fn can_be_searched(&self, target: &Target) -> bool {
        target.takes_onnx()
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
        let known = values(&self.request, target, self.second())
            .map_err(|reason| refused(target, &reason))?;
        let asked = Asked { target, engine, known, plain: execution };
        match self.settings.sampling {
            Some(sampling) => self.walk_sampled_outputs(&asked, sampling, announce),
            None => self.walk_all_outputs(&asked, announce),
        }
    }

    fn walk_all_outputs(
        &self,
        asked: &Asked<'_>,
        announce: &mut dyn FnMut(&str),
    ) -> Result<TargetReport, Failure> {
        let Asked { target, engine, known, plain: execution } = asked;
        announce("the network with every value as an output");
        let tapped =
            self.run_showing(engine.as_ref(), known).map_err(|reason| refused(target, &reason))?;
        let values = by_name(tapped);
        let changed = is_changed(execution, &values);
        let mut report = self.judge_dumped(target, execution, &Dump::from(values))?;
        let mut runs = execution.runs.as_ref().map_or(1, |runs| runs.repeats) + 1;
        let mut splits_fusions = changed;
        if changed && hides_the_fault(&report) {
            announce("the values that can be outputs without a change of the result");
            let (values, asked) = self.undisturbing(engine.as_ref(), execution, known);
            runs += asked;
            let again = self.judge_dumped(target, execution, &Dump::from(values))?;
            if again.sources().next().is_some() {
                (report, splits_fusions) = (again, false);
            }
        }
        if let Some(walk) = &mut report.walk {
            walk.candidate_runs = runs;
            walk.splits_fusions = splits_fusions;
        }
        Ok(report)
    }

    /// The values that the engine shows without a change of its outputs, in all or in part. It computes the others
    /// inside fused operators. Groups that change the outputs are halved. Also returns the number of runs.
    fn undisturbing(
        &self,
        engine: &dyn Engine,
        plain: &Execution,
        known: &[Boundary],
    ) -> (Values, usize) {
        let mut kept: Vec<Boundary> =
            known.iter().filter(|value| is_output(plain, value)).cloned().collect();
        let inner: Vec<Boundary> =
            known.iter().filter(|value| !is_output(plain, value)).cloned().collect();
        let mut shown = Values::new();
        let (mut open, mut runs) = (vec![inner.as_slice()], 0);
        while let Some(group) = open.pop().filter(|_| runs < MOST_GROUPS) {
            runs += 1;
            let asked: Vec<Boundary> = kept.iter().chain(group).cloned().collect();
            let values = self.run_showing(engine, &asked).ok().map(by_name);
            match values.filter(|values| !is_changed(plain, values)) {
                Some(values) => (kept, shown) = (asked, values),
                None if group.len() > 1 => {
                    let (first, second) = group.split_at(group.len() / 2);
                    open.extend([second, first]);
                }
                None => {}
            }
        }
        (shown, runs)
    }

    /// Runs the network with these values as outputs, or says why it does not run.
    pub(super) fn run_showing(
        &self,
        engine: &dyn Engine,
        values: &[Boundary],
    ) -> Result<Execution, String> {
        let model = showing(self.request.model, values)?;
        let ran = engine.execute(&Request { model: &model, repeats: 1, ..self.request });
        match ran.outcome {
            Outcome::Completed => Ok(ran),
            outcome => Err(ran.reason.unwrap_or_else(|| outcome.to_string())),
        }
    }
}

/// A target that shows values as outputs, and what is known of it before the walk.
pub(super) struct Asked<'a> {
    pub(super) target: &'a Target,
    pub(super) engine: Box<dyn Engine>,
    /// Every value that the target can show.
    pub(super) known: Vec<Boundary>,
    /// The run of the network as it is.
    pub(super) plain: Execution,
}

/// The most runs that look for values to show.
const MOST_GROUPS: usize = 64;

/// Whether the target is wrong, but no operator is wrong once all values are outputs.
fn hides_the_fault(report: &TargetReport) -> bool {
    let Verdict { kind, .. } = report.verdict;
    kind.news() == News::Bad && kind != Kind::Precision && report.sources().next().is_none()
}

fn is_output(execution: &Execution, value: &Boundary) -> bool {
    execution.outputs.iter().any(|output| output.name == value.name)
}

pub(super) fn by_name(execution: Execution) -> Values {
    let outputs = execution.outputs.into_iter();
    outputs.map(|output| (output.name.to_string(), output.tensor)).collect()
}

/// Whether the network's own outputs are other bytes if all values are asked for.
pub(super) fn is_changed(execution: &Execution, values: &Values) -> bool {
    execution.outputs.iter().any(|output| {
        values.get(output.name.as_str()).is_some_and(|shown| shown.bytes() != output.tensor.bytes())
    })
}

pub(super) fn refused(target: &Target, reason: &str) -> Failure {
    Failure::new(
        format!("walk {target} with every value as an output: {reason}"),
        "search it from outside: --strategy cut or --strategy isolate",
    )
}
