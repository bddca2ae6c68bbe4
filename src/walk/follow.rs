//! Following: one candidate run, each operator measured as it comes and its tensors dropped.

use super::cause::Cause;
use super::contract::{Clean, Executed, Operand, Reference};
use super::floor::{StorageCensus, round_operands, round_to_f16};
use super::freedom::Freedom;
use super::gauge::{Gauge, gauge};
use super::handover::Written;
use super::nonfinite::Case;
use super::role::is_accused;
use super::trace::{Measured, WeightCost};
use super::{movement, nonfinite};
use crate::bounds::{Arithmetic, Excess, weigh_moved};
use crate::compare::{Pattern, Portrait, portrait, recognize};
use crate::tensor::Tensor;
use crate::with_array;

/// Portraits that one walk draws: which operators are sources is known only at its end.
const MOST_PORTRAITS: usize = 32;

/// Operators that move all elements of one input, as ONNX and MNN name them.
const PERMUTING: &[&str] = &["DepthToSpace", "Permute", "SpaceToDepth", "Transpose"];

/// Measures the operators of one tapped run against a reference.
pub(super) struct Follow<'a> {
    reference: &'a mut dyn Reference,
    storage: StorageCensus,
    measured: Vec<Measured>,
    /// Of a network that runs as a whole: an operator by itself reads what no other one wrote.
    written: Option<Written>,
}

impl<'a> Follow<'a> {
    /// A walk that has seen nothing yet, of a candidate that declares its storage.
    pub(super) fn new(reference: &'a mut dyn Reference, storage: StorageCensus) -> Self {
        Follow { reference, storage, measured: Vec::new(), written: None }
    }

    /// The same of a network that runs as a whole, each operator on what others wrote.
    pub(super) fn whole(reference: &'a mut dyn Reference, storage: StorageCensus) -> Self {
        Follow { written: Some(Written::default()), ..Follow::new(reference, storage) }
    }

    /// Measures one operator. Call in the order of execution.
    pub(super) fn observe(&mut self, executed: &Executed) {
        let clean = self.reference.advance(&executed.operator);
        let measured = self.measure(executed, clean);
        self.measured.push(measured);
    }

    /// Measures one operator of a run without the clean stream, which was at its end already.
    pub(super) fn observe_again(&mut self, executed: &Executed) {
        let measured = self.measure(executed, Err("the clean stream ran before".to_owned()));
        self.measured.push(measured);
    }

    /// The last measurement.
    pub(super) fn last(&self) -> Option<&Measured> {
        self.measured.last()
    }

    /// The last measurement, to say more of it.
    pub(super) fn last_mut(&mut self) -> Option<&mut Measured> {
        self.measured.last_mut()
    }

    /// Takes over a measurement that was made before.
    pub(super) fn push(&mut self, measured: Measured) {
        self.measured.push(measured);
    }

    /// All measurements and what the values say of the storage.
    pub(super) fn finish(self) -> (Vec<Measured>, StorageCensus) {
        (self.measured, self.storage)
    }

    fn measure(&mut self, executed: &Executed, clean: Result<Clean, String>) -> Measured {
        let outputs: Result<Vec<&Tensor>, String> =
            executed.outputs.iter().map(|output| output.as_ref().map_err(Clone::clone)).collect();
        let mut measured = blank(executed);
        let outputs = match outputs {
            Ok(outputs) => outputs,
            Err(reason) => {
                measured.unchecked = Some(reason);
                return measured;
            }
        };
        outputs.iter().for_each(|output| self.storage.observe(output));
        measured.absmax = outputs.iter().map(|output| absmax(output)).fold(0.0, f64::max);
        measured.float = outputs.iter().any(|output| output.dtype().is_float());
        if let Ok(clean) = &clean {
            measured.cumulative = worst(clean.outputs.iter().zip(outputs.iter().copied()));
            measured.inherited = inherited(clean, &executed.inputs);
            self.hand_over(executed, clean, &outputs, &mut measured);
            measured.conversion = clean.conversion;
            measured.kernel = clean.kernel;
            measured.weights = self.weights(executed, clean, &outputs);
        }
        match self.recompute(executed, &outputs) {
            Ok(expected) => {
                let known = clean.as_ref().ok();
                self.compare(executed, known, &expected, &outputs, &mut measured);
                measured.blind = self.is_blind(executed, &expected);
                if let Some(clean) = known {
                    self.arbitrate(executed, clean, &outputs, &mut measured);
                    self.look_for_births(executed, clean, &outputs, &mut measured);
                }
            }
            Err(reason) => measured.unchecked = Some(reason),
        }
        measured
    }

    /// Whether an operator reads what others wrote, and what it is now known of those by what it reads.
    fn hand_over(
        &mut self,
        executed: &Executed,
        clean: &Clean,
        outputs: &[&Tensor],
        measured: &mut Measured,
    ) {
        let Some(written) = &mut self.written else { return };
        measured.handover = written.changed(clean, executed);
        for at in written.misread(clean, executed) {
            let why = "it was read back wrongly: the operator that reads it has the right values";
            disregard(&mut self.measured[at], why);
        }
        written.remember(&measured.name, self.measured.len(), clean, outputs);
    }

    /// What the stored weights cost, where the reference knows the original ones.
    fn weights(
        &mut self,
        executed: &Executed,
        clean: &Clean,
        outputs: &[&Tensor],
    ) -> Option<WeightCost> {
        let full = self.reference.recompute_full(&executed.operator, &executed.inputs)?;
        let stored = self.reference.recompute(&executed.operator, &executed.inputs);
        let introduced = full.ok().zip(stored.ok());
        let introduced = introduced.filter(|(full, stored)| full.len() == stored.len());
        let cumulative = || worst(clean.full.iter().zip(&clean.outputs));
        let together = || worst(clean.full.iter().zip(outputs.iter().copied()));
        let known = clean.full.len() == outputs.len();
        Some(WeightCost {
            introduced: introduced.and_then(|(full, stored)| worst(full.iter().zip(&stored))),
            cumulative: known.then(cumulative).flatten(),
            together: known.then(together).flatten(),
        })
    }

    /// The operator on the candidate's own inputs.
    fn recompute(
        &mut self,
        executed: &Executed,
        outputs: &[&Tensor],
    ) -> Result<Vec<Tensor>, String> {
        if let (Some(blocks), [output]) = (&executed.moves, outputs)
            && let Ok(moved) = movement::apply(blocks, &executed.inputs, output.shape())
        {
            return Ok(vec![moved]);
        }
        self.reference.recompute(&executed.operator, &executed.inputs)
    }

    fn compare(
        &mut self,
        executed: &Executed,
        clean: Option<&Clean>,
        expected: &[Tensor],
        outputs: &[&Tensor],
        measured: &mut Measured,
    ) {
        if expected.len() != outputs.len() {
            measured.unchecked = Some(format!(
                "the reference gives {} outputs, not {}",
                expected.len(),
                outputs.len()
            ));
            return;
        }
        measured.introduced = worst(expected.iter().zip(outputs.iter().copied()));
        if measured.introduced.is_none() {
            measured.unchecked =
                Some("shapes or element types differ from the reference's".to_owned());
            return;
        }
        if measured.introduced.is_some_and(|introduced| introduced.mismatched > 0) {
            measured.half = self.half(executed, expected);
            measured.excess = self.weigh(executed, clean, expected, outputs);
        }
        let pairs = expected.iter().zip(outputs.iter().copied());
        measured.zero_signs = pairs.map(|(right, found)| nonfinite::zero_signs(right, found)).sum();
        if measured.introduced.is_some_and(|introduced| introduced.disagreeing > 0) {
            self.explain(executed, expected, outputs, measured);
        }
        // Where the inputs explain NaN and infinities, their places in the output tell no more.
        let explained = measured.nonfinite.as_ref().is_some_and(|f| f.cause != Cause::Unexplained);
        if !explained && measured.introduced.is_some_and(|introduced| !introduced.within_f32) {
            measured.patterns = patterns(&measured.op_type, &executed.inputs, expected, outputs);
        }
        let drawn = self.measured.iter().filter(|measured| measured.portrait.is_some()).count();
        if drawn < MOST_PORTRAITS && is_accused(measured, self.storage.storage()) {
            measured.portrait =
                worst_portrait(expected, outputs, measured.introduced).map(Box::new);
        }
    }

    /// The operator's elements, held to their bounds. One that moves values has the exact ones in any case.
    fn weigh(
        &mut self,
        executed: &Executed,
        clean: Option<&Clean>,
        expected: &[Tensor],
        outputs: &[&Tensor],
    ) -> Option<Excess> {
        if executed.moves.is_some() {
            return weigh_moved(expected, outputs, &Arithmetic::storing(self.storage.declared()));
        }
        let (operator, inputs) = (&executed.operator, &executed.inputs);
        self.reference.weigh(operator, inputs, clean, expected, outputs)
    }

    /// Whether an operator that moves elements leaves these where they lie, and would not leave others.
    fn is_blind(&mut self, executed: &Executed, expected: &[Tensor]) -> bool {
        let ([Operand::Value(input), ..], [output]) = (&executed.inputs[..], expected) else {
            return false;
        };
        let permutes = PERMUTING.contains(&&*executed.operator.op_type);
        let moves = executed.moves.is_some() && executed.inputs.len() == 1;
        let (Tensor::F32(before), Tensor::F32(after)) = (input, output) else { return false };
        if !(permutes || moves) || before.len() != after.len() || !before.iter().eq(after.iter()) {
            return false;
        }
        // Along axes of one element nothing moves, whatever it is.
        let count = (0..before.len()).map(|at| at as f32).collect();
        let Ok(count) = Tensor::from_f32(input.shape(), count) else { return false };
        let inputs = vec![Operand::Value(count.clone())];
        let counted = Executed { inputs, ..executed.clone() };
        let moved = self.recompute(&counted, &[output]).unwrap_or_default();
        moved.first().is_some_and(|moved| moved.to_bytes() != count.to_bytes())
    }

    /// Whence the operator's NaN and infinities come, and which of the reference's it lost.
    fn explain(
        &mut self,
        executed: &Executed,
        expected: &[Tensor],
        outputs: &[&Tensor],
        measured: &mut Measured,
    ) {
        let anatomy = self.reference.anatomy(&executed.operator, &executed.inputs);
        let (op, op_type) = (&*measured.name, &*measured.op_type);
        let case = Case { op, op_type, anatomy: &anatomy, format: self.storage.storage() };
        let pairs = || expected.iter().zip(outputs.iter().copied());
        let found = pairs().find_map(|(right, found)| case.brought_about(right, found));
        measured.nonfinite = found;
        measured.lost = pairs().find_map(|(right, found)| nonfinite::lost(right, found));
    }

    /// NaN and infinities of an operator that is right on its inputs, where the clean stream has numbers.
    fn look_for_births(
        &mut self,
        executed: &Executed,
        clean: &Clean,
        outputs: &[&Tensor],
        measured: &mut Measured,
    ) {
        let disagrees = |gauge: Option<Gauge>| gauge.is_some_and(|gauge| gauge.disagreeing > 0);
        if !disagrees(measured.cumulative) || disagrees(measured.introduced) {
            return;
        }
        let anatomy = self.reference.anatomy(&executed.operator, &executed.inputs);
        let (op, op_type) = (&*measured.name, &*measured.op_type);
        let case = Case { op, op_type, anatomy: &anatomy, format: self.storage.storage() };
        let mut pairs = clean.outputs.iter().zip(outputs);
        measured.born = pairs.find_map(|(right, found)| case.born(Some(right), found));
    }

    /// Before an operator is accused: does the reference of the session accuse it, too, or does the witness
    /// stand alone?
    fn arbitrate(
        &mut self,
        executed: &Executed,
        clean: &Clean,
        outputs: &[&Tensor],
        measured: &mut Measured,
    ) {
        let storage = self.storage.storage();
        if executed.moves.is_some() || !is_accused(measured, storage) {
            return;
        }
        let (operator, inputs) = (&executed.operator, &executed.inputs);
        let Some(right) = self.reference.arbitrate(operator, inputs, clean, outputs) else {
            return;
        };
        let mut again = blank(executed);
        again.half = measured.half;
        self.compare(executed, Some(clean), &right, outputs, &mut again);
        if again.introduced.is_some() && !is_accused(&again, storage) {
            measured.witness = measured.introduced;
            measured.introduced = again.introduced;
            measured.excess = again.excess;
            measured.nonfinite = again.nonfinite;
            measured.lost = again.lost;
            measured.patterns = again.patterns;
            measured.portrait = None;
        }
    }

    /// What an honest 16-bit backend would have made of the same operator.
    fn half(&mut self, executed: &Executed, expected: &[Tensor]) -> Option<Gauge> {
        if executed.moves.is_some() {
            return worst(expected.iter().zip(&rounded(expected)));
        }
        let inputs = round_operands(&executed.inputs);
        let outputs = self.reference.recompute_half(&executed.operator, &inputs).ok()?;
        worst(expected.iter().zip(&rounded(&outputs)))
    }
}

/// Takes back what was measured of an operator.
fn disregard(measured: &mut Measured, why: &str) {
    measured.unchecked = Some(why.to_owned());
    (measured.introduced, measured.cumulative, measured.excess) = (None, None, None);
    (measured.nonfinite, measured.lost, measured.portrait) = (None, None, None);
    measured.patterns.clear();
}

fn rounded(tensors: &[Tensor]) -> Vec<Tensor> {
    tensors.iter().map(round_to_f16).collect()
}

fn blank(executed: &Executed) -> Measured {
    let operator = &executed.operator;
    let name = match operator.occurrence {
        0 => operator.name.clone(),
        again => format!("{}#{}", operator.name, again + 1),
    };
    Measured {
        index: executed.index,
        name,
        op_type: operator.op_type.clone(),
        backend: executed.backend.clone(),
        cumulative: None,
        inherited: None,
        conversion: None,
        weights: None,
        introduced: None,
        excess: None,
        kernel: None,
        witness: None,
        half: None,
        absmax: 0.0,
        nonfinite: None,
        lost: None,
        born: None,
        zero_signs: 0,
        handover: None,
        blind: false,
        patterns: Vec::new(),
        portrait: None,
        unchecked: None,
        float: true,
        freedom: match executed.moves {
            Some(_) => Freedom::Moves,
            None => Freedom::of(&operator.op_type),
        },
    }
}

/// The worst gauge of several pairs; `None` where any of them cannot be compared.
fn worst<'t>(pairs: impl Iterator<Item = (&'t Tensor, &'t Tensor)>) -> Option<Gauge> {
    let mut worst = None;
    for (reference, candidate) in pairs {
        let gauge = gauge(reference, candidate)?;
        worst = Some(worst.map_or(gauge, |worst: Gauge| worst.worse(gauge)));
    }
    worst
}

/// How wrong the candidate's inputs were already.
fn inherited(clean: &Clean, inputs: &[Operand]) -> Option<Gauge> {
    let pairs = clean.inputs.iter().zip(inputs).filter_map(|(clean, input)| match (clean, input) {
        (Some(clean), Operand::Value(input)) => gauge(clean, input),
        _ => None,
    });
    pairs.reduce(Gauge::worse)
}

/// Operators that put two operands together element by element, as ONNX and MNN name them.
const OF_TWO: &[&str] =
    &["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "BinaryOp", "Eltwise", "Scale", "While"];
/// Patterns that speak of a second operand; of any other operator they would be invented.
const OF_OPERANDS: &[&str] = &["wrong broadcast", "operand missing"];

fn patterns(
    op_type: &str,
    inputs: &[Operand],
    expected: &[Tensor],
    outputs: &[&Tensor],
) -> Vec<Pattern> {
    let has_two = OF_TWO.contains(&op_type);
    let values: Vec<&Tensor> = inputs
        .iter()
        .filter_map(|input| match input {
            Operand::Value(tensor) => Some(tensor),
            _ => None,
        })
        .collect();
    expected
        .iter()
        .zip(outputs)
        .flat_map(|(reference, candidate)| recognize(&values, reference, candidate))
        .filter(|pattern| has_two || !OF_OPERANDS.contains(&pattern.name.as_str()))
        .collect()
}

/// The portrait of the output whose error is the operator's.
fn worst_portrait(
    expected: &[Tensor],
    outputs: &[&Tensor],
    introduced: Option<Gauge>,
) -> Option<Portrait> {
    let mut pairs = expected.iter().zip(outputs);
    let (reference, candidate) = pairs.find(|(r, c)| gauge(r, c) == introduced)?;
    portrait(reference, candidate)
}

fn absmax(tensor: &Tensor) -> f64 {
    match tensor {
        Tensor::F32(array) => {
            array.iter().filter(|v| v.is_finite()).fold(0.0, |max, v| f64::from(v.abs()).max(max))
        }
        other => with_array!(other, array => if array.is_empty() { 0.0 } else { 1.0 }),
    }
}
