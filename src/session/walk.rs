//! Walks a target: which operators introduce error, and what that means for its outputs.

use super::inheritance::follow_inheritance;
use super::judge::all_agree;
use super::origin::{ConvertedWalk as Followed, find_origin};
use super::registry::{arithmetic_of, not_walkable, on_cpu};
use super::{Evaluator, Failure, Search, node_names};
use crate::compare::Agreement;
use crate::engine::{CPU, Execution, NodeSteps, Outcome, Output, Target};
use crate::graph::{Model, ValueName};
use crate::inputs::Dump;
use crate::report::{BegunReport, TargetReport};
use crate::verdict::{Kind, News, Origin, OriginKind, Ruling, accept_converter, refine};
use crate::walk::{
    DumpedNetwork, FallbackPlan, Misshapen, OpReport, Role, Strategy, WalkReport, conclude,
    error_summary, fitted_last, walk_dumped,
};
use crate::worker::{Announced, WorkerWalk};

impl Evaluator<'_> {
    /// Follows the operators of a target.
    ///
    /// # Errors
    /// If the target does not expose its operators.
    pub fn follow(
        &self,
        target: &Target,
        plan: Option<&FallbackPlan>,
        announced: &mut dyn FnMut(&Announced),
    ) -> Result<WorkerWalk, Failure> {
        let engine = self.registry.walker(target).ok_or_else(|| not_walkable(target))?;
        Ok(engine.walk(&self.request, plan, announced))
    }

    /// Walks a target: follows its operators, or asks for every value as an output, or searches from outside.
    /// `walked` receives the values of a target that was followed.
    ///
    /// # Errors
    /// If the target cannot be walked at all.
    pub fn walk(
        &self,
        target: &Target,
        announce: &mut dyn FnMut(&str),
        walked: &mut dyn FnMut(&WorkerWalk),
    ) -> Result<TargetReport, Failure> {
        if self.registry.walker(target).is_none() {
            return match self.walk_by_outputs(target, announce) {
                // What cannot be asked for its values is searched from outside.
                Err(why) if self.can_be_searched(target) => {
                    let mut report = self.search(target, Search::Cut, announce)?;
                    let reason = why.line();
                    report.evidence.push(format!("{reason}; searched by truncations instead"));
                    if let Some(walk) = &mut report.walk {
                        walk.searched_because = Some(reason);
                    }
                    Ok(report)
                }
                found => found,
            };
        }
        announce("opening");
        let found = self.follow(target, None, &mut |operator| {
            announce(&format!("{} {} {}", operator.index, operator.op_type, operator.name));
        })?;
        walked(&found);
        Ok(self.judge_walked(target, found))
    }

    /// Judges a walk's findings like a run: with the same reference and the same judgement.
    pub fn judge_walked(&self, target: &Target, mut walked: WorkerWalk) -> TargetReport {
        let names = node_names(self.request.model);
        let found = walked.found.as_ref();
        let walk = found.map(|(trace, trust)| conclude(Strategy::Follow, trace, trust, &names));
        if let (Some(reason), Some(last)) = (&mut walked.execution.reason, &walked.last) {
            let when = match (walked.in_reference, walked.after_last) {
                (true, _) => "; the last operator was",
                (false, true) => ", in the middle of a message after operator",
                (false, false) => ", in operator",
            };
            let at = format!("{when} {}, {} `{}`", last.index, last.op_type, last.name);
            reason.push_str(&at);
        }
        let mut report = self.judge(target, &walked.execution);
        if report.outcome != Outcome::Completed {
            report.begun = begun(&walked);
        }
        for output in &mut report.outputs {
            let pair = (
                self.truth().iter().find(|right| right.name == output.name),
                walked.reference.iter().find(|clean| clean.name == output.name),
            );
            output.conversion = match pair {
                (Some(right), Some(clean)) => error_summary(&right.tensor, &clean.tensor),
                _ => None,
            };
        }
        self.refined(target, report, walk, Some(&walked))
    }

    /// Searches from outside, on the ONNX graph.
    ///
    /// # Errors
    /// If the reference refuses a node on the way.
    pub fn search(
        &self,
        target: &Target,
        search: Search,
        announce: &mut dyn FnMut(&str),
    ) -> Result<TargetReport, Failure> {
        let (execution, walk) = self.run_search(target, search, announce)?;
        let report = self.judge(target, &execution);
        Ok(self.refined(target, report, walk, None))
    }

    /// Judges the values that a device dumped, and walks them.
    ///
    /// # Errors
    /// If a tensor of the dump cannot be read, or the reference refuses a node.
    pub fn judge_dumped(
        &self,
        target: &Target,
        execution: &Execution,
        values: &Dump,
    ) -> Result<TargetReport, Failure> {
        let walk = self.walk_values(target, values)?;
        Ok(self.judge_values(target, execution, values, walk))
    }

    /// Walks values of a target, without a judgement of its outputs.
    pub(super) fn walk_values(
        &self,
        target: &Target,
        values: &Dump,
    ) -> Result<WalkReport, Failure> {
        let model = self.request.model;
        let dumped = DumpedNetwork {
            model,
            feeds: self.request.feeds,
            values,
            arithmetic: arithmetic_of(target, model),
            second: self.second(),
        };
        Ok(walk_dumped(&dumped, &node_names(model))?)
    }

    /// Judges a target's outputs with the walk of its values.
    pub(super) fn judge_values(
        &self,
        target: &Target,
        execution: &Execution,
        values: &Dump,
        mut walk: WalkReport,
    ) -> TargetReport {
        if let Some(ran_on) = &execution.ran_on {
            walk.ops.iter_mut().for_each(|op| op.backend.clone_from(&ran_on.backend));
        }
        let report = self.judge(target, &in_layout(execution, &walk, values, self.truth()));
        let mut report = self.refined(target, report, Some(walk), None);
        name_misshapen(&mut report);
        report
    }

    /// The report with its walk, and the verdict that the walk refines.
    fn refined(
        &self,
        target: &Target,
        mut report: TargetReport,
        walk: Option<WalkReport>,
        walked: Option<&WorkerWalk>,
    ) -> TargetReport {
        report.walk = walk;
        if let Some(walk) = &mut report.walk {
            walk.bodies = self.request.model.nodes_in_bodies();
            follow_inheritance(walk, self.request.model);
            name_modules(walk, self.request.model);
            withdraw(walk, &report.rulings);
            if report.verdict.kind.news() == News::Good {
                excuse_loops(walk);
            }
            if self.settings.allow_overflow {
                allow_overflow(walk);
            }
            if report.verdict.kind == Kind::Precision {
                excuse_quantized(walk, self.request.model);
            }
        }
        if let Some(walked) = walked {
            self.compare_with_own_cpu(target, &mut report, walked);
        }
        report.verdict = refine(&report.verdict, &self.facts(&report));
        self.accept_converter(&mut report);
        self.held_to_finite(report)
    }

    /// Looks at what the engine's own CPU makes of the network, and why it differs from the reference.
    fn compare_with_own_cpu(
        &self,
        target: &Target,
        report: &mut TargetReport,
        walked: &WorkerWalk,
    ) {
        let (Some(walk), clean) = (&mut report.walk, &walked.reference) else { return };
        if !clean.is_empty() && all_agree(self, &on_cpu(target), self.truth(), clean) {
            // Names are the converter's: if the end result is right, a differing value on the way is a
            // different value under the same name.
            walk.first_converted = None;
            return;
        }
        // Without a single output, the walk came to its end only if the converted network has none.
        let is_known = !clean.is_empty() || walked.found.is_some();
        if !is_known || report.verdict.kind.news() != News::Bad {
            return;
        }
        let wrong: Vec<ValueName> = report
            .outputs
            .iter()
            .filter(|output| output.agreement == Agreement::Diverges)
            .map(|output| output.name.clone())
            .collect();
        let found = walked.found.as_ref().map(|found| &found.0);
        let followed = Followed { walk, found, wrong: &wrong, clean };
        let is_alone = walk.sources.is_empty();
        let explains_outputs =
            is_alone || all_agree(self, target, clean, &walked.execution.outputs);
        // A backend that introduces error has kernels of its own. It does not inherit a wrong kernel of the CPU, but a
        // changed network.
        report.origin = find_origin(self, target, &followed)
            .map(|origin| Origin { explains_outputs, ..origin })
            .filter(|origin| is_alone || origin.kind == OriginKind::Converter);
        if walk.first_converted.is_none() {
            walk.first_converted = report.origin.as_ref().map(|origin| origin.node.clone());
        }
    }

    fn facts<'r>(&self, report: &'r TargetReport) -> crate::verdict::Facts<'r> {
        crate::verdict::Facts {
            outcome: report.outcome,
            findings: report.outputs.iter().map(crate::report::OutputReport::finding).collect(),
            walk: report.walk.as_ref(),
            origin: report.origin.as_ref(),
            engine: report.ran_on.as_ref().map_or("the engine", |ran_on| &ran_on.engine),
        }
    }

    /// Accepts a converter's error up to the size that the user allows.
    fn accept_converter(&self, report: &mut TargetReport) {
        let Some(allowed) = self.settings.allow_converter else { return };
        let error = worst_error(report);
        accept_converter(&mut report.verdict, allowed, error);
    }
}

/// The outputs in the order of axes that the walk found: the shape of a value with equal extents shows none.
fn in_layout(
    execution: &Execution,
    walk: &WalkReport,
    values: &Dump,
    truth: &[Output],
) -> Execution {
    let mut execution = execution.clone();
    for output in &mut execution.outputs {
        let name = output.name.as_str();
        let right = truth.iter().find(|right| right.name == output.name);
        let is_last = walk.channels_last.iter().any(|last| last == name);
        if let (Some(right), true, Ok(Some(dumped))) = (right, is_last, values.read(name))
            && let Some(fitted) = fitted_last(&dumped, &right.tensor)
        {
            output.tensor = fitted.tensor;
        }
    }
    execution
}

/// Withdraws accusations at nodes where the reference is wrong or disputed.
fn withdraw(walk: &mut WalkReport, rulings: &[Ruling]) {
    let is_ruled = |node: &str| rulings.iter().any(|ruling| ruling.node == node);
    for op in &mut walk.ops {
        let node = op.onnx_node.as_deref().unwrap_or(&op.name);
        if op.role == Role::Source && (is_ruled(node) || is_ruled(&op.name)) {
            op.role = Role::Propagator;
            let name = op.name.clone();
            walk.sources.retain(|source| *source != name);
        }
    }
    walk.sources.retain(|source| !is_ruled(source));
}

/// Adds what the exporter wrote of each operator's node.
fn name_modules(walk: &mut WalkReport, model: &Model) {
    for op in &mut walk.ops {
        let label = op.onnx_node.as_ref().unwrap_or(&op.name);
        op.exported = model.exported(label).cloned();
    }
}

/// Names the first value of a wrong form, if no other operator explains the outputs.
fn name_misshapen(report: &mut TargetReport) {
    let is_bad = report.verdict.kind.news() == News::Bad;
    let Some(walk) = report.walk.as_mut().filter(|walk| is_bad && walk.sources.is_empty()) else {
        return;
    };
    let Some(Misshapen { node, op_type, found, right }) = walk.misshapen.first() else { return };
    report.verdict.sentence = format!(
        "`{node}` ({op_type}) is the first operator to write a value of the wrong form: {found}, and the reference has {right}"
    );
    report.verdict.hint =
        Some(format!("in the ONNX file this is {node}; attach this report to the engine's issue"));
    walk.sources.push(node.clone());
}

/// Operators whose bodies are operators of their own.
const LOOPS: [&str; 2] = ["If", "While"];

/// Withdraws accusations of loops and branches if the outputs are right. MNN leaves unread parts of their results
/// unwritten, so each run has other numbers there. The operators in their bodies are judged by themselves.
fn excuse_loops(walk: &mut WalkReport) {
    let is_loop = |op: &&mut OpReport| {
        op.role == Role::Source && op.backend == CPU && LOOPS.contains(&op.op_type.as_str())
    };
    for op in walk.ops.iter_mut().filter(is_loop) {
        op.role = Role::Propagator;
        walk.sources.retain(|source| *source != op.name);
    }
}

/// Withdraws accusations of products that a search made from outside, if quantized activations explain the outputs. A
/// search compares whole outputs, and cannot weigh a product's elements.
fn excuse_quantized(walk: &mut WalkReport, model: &Model) {
    if ![Strategy::Cut, Strategy::Isolate].contains(&walk.strategy) {
        return;
    }
    let Ok(steps) = NodeSteps::new(model) else { return };
    let products = steps.quantizable();
    let is_product = |op: &OpReport| {
        products.contains(&op.name) || op.onnx_node.as_ref().is_some_and(|n| products.contains(n))
    };
    for op in walk.ops.iter_mut().filter(|op| op.role == Role::Source) {
        if is_product(op) {
            op.role = Role::Propagator;
            walk.sources.retain(|source| *source != op.name);
        }
    }
    walk.sources.retain(|source| !products.contains(source));
    if walk.sources.is_empty() {
        walk.confirmation = None;
    }
}

/// Withdraws accusations for values that the storage cannot hold, if the user accepts the loss.
fn allow_overflow(walk: &mut WalkReport) {
    let lost = |op: &&mut OpReport| {
        op.role == Role::Source
            && op.excess.as_ref().is_some_and(|found| found.overflown > 0 && !found.is_source())
    };
    for op in walk.ops.iter_mut().filter(lost) {
        op.role = Role::Propagator;
        walk.sources.retain(|source| *source != op.name);
    }
}

/// The largest relative L2 error of the outputs.
fn worst_error(report: &TargetReport) -> f64 {
    let errors = report.outputs.iter().map(|output| {
        output.comparison.as_ref().map_or(f64::INFINITY, |comparison| comparison.rel_l2)
    });
    errors.fold(0.0, f64::max)
}

fn begun(walked: &WorkerWalk) -> Vec<BegunReport> {
    let one = |announced: &Announced| BegunReport {
        index: announced.index,
        op_type: announced.op_type.clone(),
        name: announced.name.clone(),
    };
    walked.begun.iter().map(one).collect()
}
