//! Checks whether a specimen still shows the finding: one run on the target against the reference.

use super::Specimen;
use crate::bounds::Arithmetic;
use crate::compare::{CompareOptions, Comparison, compare_with};
use crate::engine::{EngineSession, Execution, NodeSteps, Outcome, Output, Request, Second};
use crate::graph::ValueName;
use crate::inputs::Feed;
use crate::tensor::{Format, Tensor};
use crate::walk::{NodeReference, OperatorReference as _, error_summary, is_honest, round_to_f16};
use std::time::Duration;

/// The result of a specimen on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The target agrees with the reference.
    Agrees,
    /// The target differs by exactly the rounding of a format.
    Explained,
    /// The target computes different values.
    Divergent,
    /// The target returns NaN or infinities for finite numbers of the reference.
    Nonfinite,
    /// The run did not complete.
    Ended(Outcome),
    /// The reference refuses the network, or an output is missing.
    Invalid,
}

/// The result of one run.
#[derive(Debug)]
pub struct RunResult {
    /// The finding of the run.
    pub finding: Finding,
    /// The worst output: the reference's and the target's.
    pub worst: Option<(Output, Output)>,
    /// Why the run did not complete, if it did not.
    pub reason: Option<String>,
}

impl Finding {
    /// Whether there is something to shrink.
    pub(super) fn is_wrong(self) -> bool {
        !matches!(self, Finding::Agrees | Finding::Invalid)
    }
}

impl RunResult {
    const INVALID: RunResult = RunResult { finding: Finding::Invalid, worst: None, reason: None };
}

/// Asks the target and the reference.
pub struct Oracle<'a> {
    /// The target.
    pub session: Box<dyn EngineSession + 'a>,
    /// Computes the nodes that tract refuses.
    pub second: Option<Second>,
    /// How the target computes and stores, as far as declared.
    pub arithmetic: Arithmetic,
    /// The time limit of one run.
    pub deadline: Duration,
    /// Number of runs of the target so far.
    pub runs: usize,
    /// The outputs of the whole network. Other outputs may have more or fewer axes of length 1, because an
    /// engine holds them in that form.
    pub own: Vec<ValueName>,
    /// Whether the user has ended the search. Then no specimen shows a finding any more.
    pub interrupted: fn() -> bool,
}

impl Oracle<'_> {
    /// Whether the specimen shows exactly this finding, twice.
    pub fn shows(&mut self, specimen: &Specimen, finding: Finding) -> bool {
        if (self.interrupted)() {
            return false;
        }
        let Ok(right) = Right::of(specimen, self.second.as_ref()) else { return false };
        (0..2).all(|_| self.run(specimen, &right).finding == finding)
    }

    /// Whether the reference accepts the specimen as a network.
    pub fn takes(&self, specimen: &Specimen) -> bool {
        !(self.interrupted)() && exact(specimen, self.second.as_ref()).is_ok()
    }

    /// The target's result on a specimen.
    pub fn ask(&mut self, specimen: &Specimen) -> RunResult {
        if (self.interrupted)() {
            return RunResult::INVALID;
        }
        match Right::of(specimen, self.second.as_ref()) {
            Ok(right) => self.run(specimen, &right),
            Err(_) => RunResult::INVALID,
        }
    }

    fn run(&mut self, specimen: &Specimen, right: &Right) -> RunResult {
        self.runs += 1;
        let execution = self.session.execute(&Request {
            model: &specimen.model,
            feeds: &specimen.feeds,
            repeats: 1,
            deadline: self.deadline,
        });
        self.compare_all(right, execution)
    }

    /// The result of an execution of the specimen.
    pub fn judge(&self, specimen: &Specimen, execution: Execution) -> RunResult {
        match Right::of(specimen, self.second.as_ref()) {
            Ok(right) => self.compare_all(&right, execution),
            Err(_) => RunResult::INVALID,
        }
    }

    fn compare_all(&self, right: &Right, mut execution: Execution) -> RunResult {
        if execution.outcome == Outcome::Interrupted {
            return RunResult::INVALID;
        }
        if execution.outcome != Outcome::Completed {
            let finding = Finding::Ended(execution.outcome);
            return RunResult { finding, worst: None, reason: execution.reason };
        }
        for output in execution.outputs.iter_mut().filter(|output| !self.own.contains(&output.name))
        {
            let expected = right.exact.iter().find(|expected| expected.name == output.name);
            if let Some(same) = expected.and_then(|right| output.tensor.in_shape_of(&right.tensor))
            {
                output.tensor = same;
            }
        }
        let alone =
            right.alone.as_ref().and_then(|alone| alone.finding(&execution, &self.arithmetic));
        let mut seen = RunResult { finding: Finding::Agrees, worst: None, reason: None };
        for expected in &right.exact {
            let same = |outputs: &[Output]| -> Option<Output> {
                outputs.iter().find(|output| output.name == expected.name).cloned()
            };
            // A missing output was not compared, so it does not agree.
            let Some(found) = same(&execution.outputs) else { return RunResult::INVALID };
            let floor = same(&right.honest)
                .and_then(|honest| error_summary(&expected.tensor, &honest.tensor));
            let finding = match (alone, self.compare(expected, &found, floor)) {
                (Some(Finding::Divergent), _) => Finding::Divergent,
                // Elements decide, not a norm.
                (Some(_), Finding::Divergent) => Finding::Agrees,
                (_, finding) => finding,
            };
            if severity(finding) > severity(seen.finding) || seen.worst.is_none() {
                seen.finding = finding;
                seen.worst = Some((expected.clone(), found));
            }
        }
        seen
    }

    fn compare(
        &self,
        expected: &Output,
        found: &Output,
        honest: Option<crate::walk::ErrorSummary>,
    ) -> Finding {
        let options = CompareOptions { worst: 0, extra_rtol: None };
        let comparison = compare_with(&expected.tensor, &found.tensor, &options);
        let measured = error_summary(&expected.tensor, &found.tensor);
        let (Ok(comparison), Some(measured)) = (comparison, measured) else {
            return Finding::Divergent;
        };
        if measured.disagreeing > 0 {
            Finding::Nonfinite
        } else if is_explained(&comparison) && self.arithmetic.format != Format::F32 {
            Finding::Explained
        } else if is_honest(&measured, honest, self.arithmetic.format) {
            Finding::Agrees
        } else {
            Finding::Divergent
        }
    }
}

fn is_explained(comparison: &Comparison) -> bool {
    comparison.mismatched > 0
        && comparison.explained_by.is_some_and(|explanation| explanation.share == 1.0)
}

fn severity(finding: Finding) -> u8 {
    match finding {
        Finding::Agrees | Finding::Invalid => 0,
        Finding::Explained => 1,
        Finding::Divergent => 2,
        Finding::Nonfinite => 3,
        Finding::Ended(_) => 4,
    }
}

/// The reference's outputs, exact and as an honest 16-bit backend would compute them.
struct Right {
    exact: Vec<Output>,
    honest: Vec<Output>,
    /// The node, if the specimen has only one. Then each of its elements has a bound.
    alone: Option<OneNode>,
}

/// A specimen of one node, with its inputs and its right outputs.
struct OneNode {
    steps: NodeSteps,
    inputs: Vec<Option<Tensor>>,
    expected: Vec<Tensor>,
}

impl OneNode {
    fn of(specimen: &Specimen, second: Option<&Second>) -> Option<Self> {
        let mut steps = NodeSteps::with_second(&specimen.model, second.cloned()).ok()?;
        if steps.len() != 1 {
            return None;
        }
        steps.start(&specimen.feeds).ok()?;
        let inputs = steps.inputs(0).ok()?;
        let expected = steps.compute(0, &inputs, &Tensor::clone).ok()?;
        Some(OneNode { steps, inputs, expected })
    }

    /// The result by the bounds of the elements: diverges or agrees. `None` if no bound is known.
    fn finding(&self, execution: &Execution, arithmetic: &Arithmetic) -> Option<Finding> {
        let writes = self.steps.writes(0).iter();
        let output = |name: &String| {
            execution.outputs.iter().find(|output| output.name.as_str() == name).map(|o| &o.tensor)
        };
        let outputs: Vec<&Tensor> = writes.map(output).collect::<Option<_>>()?;
        let fits = self.expected.iter().zip(&outputs).all(|(e, o)| e.shape() == o.shape());
        let is_lost = |(right, found): (&Tensor, &&Tensor)| {
            let pairs = right.numbers(1).into_iter().zip(found.numbers(1));
            pairs.into_iter().any(|(right, found)| right.is_finite() && !found.is_finite())
        };
        if !fits || self.expected.iter().zip(&outputs).any(is_lost) {
            return None;
        }
        let found = self.steps.weigh(0, &self.inputs, &self.expected, &outputs, arithmetic)?;
        match found.is_source() || found.overflown > 0 {
            true => Some(Finding::Divergent),
            false => Some(Finding::Agrees),
        }
    }
}

impl Right {
    fn of(specimen: &Specimen, second: Option<&Second>) -> Result<Self, String> {
        let rounded: Vec<Feed> = specimen
            .feeds
            .iter()
            .map(|feed| Feed { tensor: round_to_f16(&feed.tensor), ..feed.clone() })
            .collect();
        let exact = exact(specimen, second)?;
        let honest = reference(specimen, &rounded, second)?.half_outputs()?;
        Ok(Right { exact, honest, alone: OneNode::of(specimen, second) })
    }
}

fn reference<'f>(
    specimen: &Specimen,
    feeds: &'f [Feed],
    second: Option<&Second>,
) -> Result<NodeReference<'f>, String> {
    let steps = NodeSteps::with_second(&specimen.model, second.cloned())?;
    NodeReference::of(steps, feeds, Arithmetic::default())
}

fn exact(specimen: &Specimen, second: Option<&Second>) -> Result<Vec<Output>, String> {
    let outputs = reference(specimen, &specimen.feeds, second)?.complete()?;
    if outputs.iter().any(|output| output.tensor.is_empty()) {
        return Err("an output has no elements".into());
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{RanOn, Runs};
    use crate::graph::Network;
    use crate::tensor::Dtype;
    use std::collections::BTreeMap;

    /// A target that completes without any output.
    struct Silent;

    impl EngineSession for Silent {
        fn execute(&mut self, _: &Request<'_>) -> Execution {
            let text = String::new;
            let ran_on = RanOn {
                engine: text(),
                engine_version: text(),
                backend: text(),
                device: text(),
                driver: text(),
                api: None,
                operators: BTreeMap::new(),
            };
            let runs = Runs { repeats: 1, identical: true, open_seconds: 0.0, seconds: Vec::new() };
            Execution::completed(ran_on, Vec::new(), runs)
        }
    }

    #[test]
    fn an_output_that_is_missing_does_not_agree() {
        let network = Network::new("one").input("x", Dtype::F32, &[2]);
        let network = network.node("relu", "Relu", &["x"], &["y"], &[]);
        let model = network.output("y", Dtype::F32, &[2]).finish().unwrap();
        let tensor = Tensor::from_f32(&[2], vec![1.0, -1.0]).unwrap();
        let feeds = vec![Feed::new("x", "", tensor)];
        let (session, deadline) = (Box::new(Silent), Duration::from_secs(1));
        let (arithmetic, interrupted) = (Arithmetic::default(), || false);
        let second = None;
        let mut oracle =
            Oracle { session, second, arithmetic, deadline, runs: 0, own: Vec::new(), interrupted };
        assert_eq!(oracle.ask(&Specimen { model, feeds }).finding, Finding::Invalid);
    }
}
