//! The reference checked node by node: the referees compute each node again on the reference's inputs.
//!
//! If the reference is wrong at a node, the audit stores the right value before the next node is computed. So
//! the audit ends with corrected outputs, and one fault does not hide the next.

use super::known::is_known;
use super::node::{run_node, second};
use super::reference::{Audit, Reference};
use super::registry::on_cpu;
use super::{Evaluator, judged_by};
use crate::compare::{CompareOptions, compare_with, judge};
use crate::engine::EngineSession;
use crate::engine::{Engine, NodeSteps, OrtTarget, Outcome, Request, Second, Target, Tract};
use crate::graph::{Cut, ValueName};
use crate::tensor::{Tensor, narrowed};
use crate::verdict::{Code, Party, Ruling};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl Evaluator<'_> {
    /// The referees' rulings, asked once for each scope.
    pub(super) fn audit(&self, scope: Scope) -> &Audit {
        let Reference { known, whole, .. } = self.reference;
        let kept = if scope == Scope::Known { known } else { whole };
        kept.get_or_init(|| {
            let is_needed = match scope {
                Scope::Known => {
                    !self.settings.is_checked && self.has_known_operator() && !self.is_confirmed()
                }
                Scope::Whole => !self.is_confirmed(),
            };
            let shown = || if scope == Scope::Known { self.check_shown() } else { None };
            let audit = || shown().unwrap_or_else(|| self.check(scope).unwrap_or_default());
            if is_needed { audit() } else { Audit::default() }
        })
    }

    fn has_known_operator(&self) -> bool {
        let code = Code::of(&self.reference.target);
        self.request.model.nodes().any(|node| is_known(&code, node.op_type))
    }

    /// Whether ONNX Runtime, with its different code, produces the reference's outputs.
    fn is_confirmed(&self) -> bool {
        *self.reference.confirmed.get_or_init(|| self.confirm())
    }

    fn confirm(&self) -> bool {
        if Code::of(&self.reference.target) == Code::OnnxRuntime {
            return false;
        }
        let referee = Target::Ort(OrtTarget::REFEREE);
        let request = Request { repeats: 1, ..self.request };
        let execution = self.registry.engine(&referee).execute(&request);
        execution.outcome == Outcome::Completed
            && self.truth().iter().all(|right| {
                let found = execution.outputs.iter().find(|output| output.name == right.name);
                found.is_some_and(|found| agrees(&referee, &right.tensor, &found.tensor))
            })
    }

    /// The engine that computes single nodes for the reference together with tract, if there is one.
    pub fn second(&self) -> Option<Second> {
        let target = &self.reference.target;
        let first = !matches!(target, Target::Tract);
        let computes = match target {
            Target::Tract => Target::Ort(OrtTarget::REFEREE),
            other => other.clone(),
        };
        Some(second(self.registry.engine(&computes), self.request.deadline, first))
    }

    /// Checks the known operators on values that the reference shows in one more run. `None` if it shows no values, or
    /// if it is wrong at one of them: then the whole network is computed node by node.
    fn check_shown(&self) -> Option<Audit> {
        let Request { model, feeds, .. } = self.request;
        let engines = NodeEngines::engines(self);
        let mut asked = NodeEngines::new(self, &engines);
        let steps = NodeSteps::with_second(model, self.second()).ok()?;
        let known: Vec<usize> =
            (0..steps.len()).filter(|step| is_known(&asked.code, &steps.node(*step).1)).collect();
        let values =
            known.iter().flat_map(|&step| steps.reads(step).iter().chain(steps.writes(step)));
        let is_fed = |name: &str| feeds.iter().any(|feed| feed.name.as_str() == name);
        let values: BTreeSet<ValueName> = values
            .filter(|name| !name.is_empty() && !steps.is_constant(name) && !is_fed(name))
            .map(|name| name.as_str().into())
            .collect();
        let to = values.into_iter().chain(model.outputs().iter().cloned()).collect();
        let shown = model.cut(&Cut { to, ..Cut::default() }).ok().filter(|_| !model.is_narrow())?;
        let quick = match &self.reference.target {
            Target::Ort(_) => &Target::Ort(OrtTarget::REFEREE),
            target => target,
        };
        let engine = self.registry.engine(quick);
        let ran = engine.execute(&Request { model: &shown, repeats: 1, ..self.request });
        let fed = feeds.iter().map(|feed| (feed.name.as_str(), &feed.tensor));
        let found = ran.outputs.iter().map(|output| (output.name.as_str(), &output.tensor));
        let found: BTreeMap<&str, &Tensor> = fed.chain(found).collect();
        let value = |name: &String| found.get(name.as_str()).map(|tensor| (*tensor).clone());
        for step in known {
            let inputs: Vec<Option<Tensor>> = steps.reads(step).iter().map(value).collect();
            let outputs = steps.writes(step).iter().map(value).collect::<Option<Vec<Tensor>>>()?;
            if asked.rule(&steps, step, &inputs, &outputs).is_some() {
                return None;
            }
        }
        Some(Audit::default())
    }

    /// Steps through the network and checks its nodes.
    fn check(&self, scope: Scope) -> Result<Audit, String> {
        let engines = NodeEngines::engines(self);
        let mut asked = NodeEngines::new(self, &engines);
        // Only known operators must come from the reference itself. tract computes what is between them.
        let is_quick = scope == Scope::Known;
        let second = self.second();
        let by_second = second.as_ref().is_some_and(|second| second.first);
        let second = second.map(|second| Second { first: second.first && !is_quick, ..second });
        let mut steps = NodeSteps::with_second(self.request.model, second)?;
        steps.start(self.request.feeds)?;
        let mut rulings = Vec::new();
        // The values with a second dissenter's outputs, from the first ruling on.
        let mut other: Option<BTreeMap<String, Tensor>> = None;
        for step in 0..steps.len() {
            if self.registry.interrupt().is_set() {
                return Ok(Audit::default());
            }
            let inputs = steps.inputs(step)?;
            let (_, op_type) = steps.node(step);
            let looked_at = scope == Scope::Whole || is_known(&asked.code, &op_type);
            let outputs = match is_quick && looked_at && by_second {
                true => steps.compute_on_second(step, &inputs)?,
                false => steps.compute(step, &inputs, &Tensor::clone)?,
            };
            let found = looked_at.then(|| asked.rule(&steps, step, &inputs, &outputs)).flatten();
            let mine = found.as_ref().map_or(outputs, |found| found.corrected.clone());
            if found.is_some() && other.is_none() {
                other = Some(steps.values().clone());
            }
            if let Some(values) = &mut other {
                let theirs = match &found {
                    Some(found) => Ok(found.other.clone()),
                    None => with_values(&mut steps, values, |steps| {
                        let inputs = steps.inputs(step)?;
                        steps.compute(step, &inputs, &Tensor::clone)
                    }),
                }?;
                with_values(&mut steps, values, |steps| {
                    steps.store(step, &theirs);
                    steps.forget(step);
                });
            }
            steps.store(step, &mine);
            steps.forget(step);
            rulings.extend(found.map(|found| found.ruling));
        }
        let corrected = steps.outputs()?;
        let other = match &mut other {
            Some(values) => with_values(&mut steps, values, |steps| steps.outputs())?,
            None => corrected.clone(),
        };
        Ok(Audit { rulings, corrected, other })
    }
}

/// Runs a function on the steps while they hold other values.
fn with_values<T>(
    steps: &mut NodeSteps,
    values: &mut BTreeMap<String, Tensor>,
    run: impl FnOnce(&mut NodeSteps) -> T,
) -> T {
    let mine = steps.values().clone();
    steps.resume(std::mem::take(values));
    let result = run(steps);
    *values = steps.values().clone();
    steps.resume(mine);
    result
}

/// Whether two values agree by the table of tolerances.
pub(super) fn agrees(target: &Target, reference: &Tensor, candidate: &Tensor) -> bool {
    if reference.is_empty() && reference.shape() == candidate.shape() {
        return true;
    }
    let judging = judged_by(target, [reference.dtype(), candidate.dtype()], None).judging();
    let compared = compare_with(reference, candidate, &CompareOptions::default());
    compared.is_ok_and(|compared| {
        judge(&compared, &judging).agreement == crate::compare::Agreement::Agrees
    })
}

/// A ruling, and the values that follow from it.
struct Ruled {
    ruling: Ruling,
    corrected: Vec<Tensor>,
    other: Vec<Tensor>,
}

/// The engines that compute single nodes for the audit.
struct NodeEngines<'e> {
    code: Code,
    /// Each engine with its code, and whether it is only a referee.
    sessions: Vec<(Code, bool, Box<dyn EngineSession + 'e>)>,
    deadline: Duration,
}

impl<'e> NodeEngines<'e> {
    /// ONNX Runtime, and one engine for each other code among the targets.
    fn engines(session: &Evaluator<'_>) -> Vec<(Code, bool, Box<dyn Engine>)> {
        let mine = Code::of(&session.reference.target);
        let mut engines = Vec::new();
        if mine != Code::OnnxRuntime {
            let referee = Target::Ort(OrtTarget::REFEREE);
            engines.push((Code::OnnxRuntime, true, session.registry.engine(&referee)));
        }
        let mut seen = BTreeSet::from([mine, Code::Tract, Code::OnnxRuntime]);
        for target in &session.settings.targets {
            let code = Code::of(target);
            if seen.insert(code.clone()) {
                engines.push((code, false, session.registry.engine(&on_cpu(target))));
            }
        }
        engines
    }

    fn new(session: &Evaluator<'_>, engines: &'e [(Code, bool, Box<dyn Engine>)]) -> Self {
        let sessions = engines
            .iter()
            .map(|(code, is_referee, engine)| (code.clone(), *is_referee, engine.session()));
        NodeEngines {
            code: Code::of(&session.reference.target),
            sessions: sessions.collect(),
            deadline: session.request.deadline,
        }
    }

    /// The ruling on one node, if a party differs from the reference.
    fn rule(
        &mut self,
        steps: &NodeSteps,
        step: usize,
        inputs: &[Option<Tensor>],
        outputs: &[Tensor],
    ) -> Option<Ruled> {
        let reference =
            Party { code: self.code.clone(), is_referee: true, outputs: outputs.to_vec() };
        let own = own(steps, step, inputs, outputs);
        let open = steps.left_open(step, inputs).map(str::to_owned);
        let mut parties: Vec<Party> = own.clone().ok().flatten().into_iter().collect();
        // Two codes agree, so no third is needed.
        let is_supported = parties.iter().any(|party| {
            party.code == Code::Offby && crate::verdict::is_within(outputs, &party.outputs)
        });
        if is_supported && open.is_none() {
            return None;
        }
        parties.extend(self.tract(steps, step, inputs, outputs));
        if let Ok((model, feeds)) = steps.alone(step, inputs, outputs) {
            for (code, is_referee, session) in &mut self.sessions {
                let found = run_node(session.as_mut(), &model, &feeds, self.deadline);
                let party =
                    |outputs| Party { code: code.clone(), is_referee: *is_referee, outputs };
                parties.extend(found.ok().map(party));
            }
        }
        if open.is_some() {
            // The other side of an open question is what a real engine does; tract in f64 is none.
            parties.sort_by_key(|party| party.code == Code::TractF64);
        }
        let ruling = Ruling::of(steps.node(step), &reference, &parties, own.err().or(open))?;
        let mut dissenters = parties.iter().filter(|party| {
            ruling.opinions.iter().any(|one| one.code == party.code && one.with_dissent)
        });
        let first = dissenters.next()?.outputs.clone();
        let second = dissenters.next().map(|party| party.outputs.clone());
        let (corrected, other) = match ruling.is_wrong {
            true => (first.clone(), second.unwrap_or(first)),
            false => (outputs.to_vec(), first),
        };
        Some(Ruled { ruling, corrected, other })
    }

    /// tract's own opinion: in `f64` if the reference is tract, in `f32` for any other reference.
    fn tract(
        &self,
        steps: &NodeSteps,
        step: usize,
        inputs: &[Option<Tensor>],
        outputs: &[Tensor],
    ) -> Option<Party> {
        let (code, engine) = match self.code {
            Code::Tract => (Code::TractF64, Tract { f64: true, plain: true }),
            _ => (Code::Tract, Tract::default()),
        };
        let computed = steps.compute_as(step, inputs, engine).ok()?;
        Some(Party { code, is_referee: true, outputs: like(computed, outputs) })
    }
}

/// offby's own kernel, if it has one for the node; the error names a case that the standard leaves open.
fn own(
    steps: &NodeSteps,
    step: usize,
    inputs: &[Option<Tensor>],
    outputs: &[Tensor],
) -> Result<Option<Party>, String> {
    let computed = match steps.compute_own(step, inputs) {
        Some(Ok(computed)) => computed,
        Some(Err(refused)) => {
            return refused.strip_prefix("undefined: ").map_or(Ok(None), |what| Err(what.into()));
        }
        None => return Ok(None),
    };
    let outputs = like(computed, outputs);
    Ok(Some(Party { code: Code::Offby, is_referee: true, outputs }))
}

/// Values in the element types of the reference's outputs.
fn like(computed: Vec<Tensor>, outputs: &[Tensor]) -> Vec<Tensor> {
    let types = outputs.iter().map(Tensor::dtype);
    computed.into_iter().zip(types).map(|(tensor, dtype)| narrowed(tensor, dtype)).collect()
}

/// Which nodes the audit checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Operators that the reference's code is known to compute wrongly.
    Known,
    /// Every node.
    Whole,
}
