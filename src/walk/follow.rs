//! Following: one candidate run. Each operator is measured as it arrives, and its tensors are dropped.

use super::cause::Cause;
use super::contract::{Clean, Executed, Operand, OperatorReference};
use super::error_summary::{ErrorSummary, error_summary};
use super::exactness::Exactness;
use super::handover::{PassedValues, WrittenValues};
use super::measured::{MeasuredOp, WeightCost};
use super::nonfinite::NonfiniteCase;
use super::role::{is_accused, is_source};
use super::rounding_floor::{StorageCensus, round_operands, round_to_f16};
use super::{movement, nonfinite};
use crate::bounds::{Arithmetic, Excess, weigh_moved};
use crate::compare::{ErrorProfile, Pattern, error_profile, recognize};
use crate::tensor::{Format, Tensor};
use crate::with_array;

/// The most profiles that one walk draws. Only the end of the walk shows which operators are sources.
const MOST_PROFILES: usize = 32;

/// Operators that move all elements of one input, as ONNX and MNN name them.
const PERMUTING: &[&str] = &["DepthToSpace", "Permute", "SpaceToDepth", "Transpose"];

/// Measures the operators of one tapped run against a reference.
pub(super) struct Follow<'a> {
    reference: &'a mut dyn OperatorReference,
    storage: StorageCensus,
    measured: Vec<MeasuredOp>,
    /// Set if the network runs as a whole. An operator run alone reads no value that a different operator wrote.
    written: Option<WrittenValues>,
}

impl<'a> Follow<'a> {
    /// Starts a walk of a candidate that declares its storage.
    pub(super) fn new(reference: &'a mut dyn OperatorReference, storage: StorageCensus) -> Self {
        Follow { reference, storage, measured: Vec::new(), written: None }
    }

    /// The same for a network that runs as a whole, each operator on other operators' outputs.
    pub(super) fn whole(reference: &'a mut dyn OperatorReference, storage: StorageCensus) -> Self {
        Follow { written: Some(WrittenValues::default()), ..Follow::new(reference, storage) }
    }

    /// Measures one operator. Call in the order of execution.
    pub(super) fn observe(&mut self, executed: &Executed) {
        let clean = self.reference.advance(&executed.operator);
        let measured = self.measure(executed, clean);
        self.measured.push(measured);
    }

    /// Measures one operator of a run without the clean stream, which is already at its end.
    pub(super) fn observe_again(&mut self, executed: &Executed) {
        let measured = self.measure(executed, Err("the clean stream ran before".to_owned()));
        self.measured.push(measured);
    }

    /// The last measurement.
    pub(super) fn last(&self) -> Option<&MeasuredOp> {
        self.measured.last()
    }

    /// The last measurement, for adding to it.
    pub(super) fn last_mut(&mut self) -> Option<&mut MeasuredOp> {
        self.measured.last_mut()
    }

    /// Adds a measurement that was made before.
    pub(super) fn push(&mut self, measured: MeasuredOp) {
        self.measured.push(measured);
    }

    /// All measurements, and the storage that the values show.
    pub(super) fn finish(self) -> (Vec<MeasuredOp>, StorageCensus) {
        (self.measured, self.storage)
    }

    fn measure(&mut self, executed: &Executed, clean: Result<Clean, String>) -> MeasuredOp {
        let outputs: Result<Vec<&Tensor>, String> =
            executed.outputs.iter().map(|output| output.as_ref().map_err(Clone::clone)).collect();
        let mut measured = blank(executed);
        let passed = clean.as_ref().ok().map(|clean| PassedValues::of(clean, &executed.inputs));
        if let (Some(written), Some(passed)) = (&mut self.written, &passed) {
            measured.reads = written.reads(self.measured.len(), passed);
        }
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
        if let (Ok(clean), Some(passed)) = (&clean, &passed) {
            let pairs = clean.outputs.iter().zip(outputs.iter().copied());
            let errors: Vec<_> = pairs.map(|(right, found)| error_summary(right, found)).collect();
            measured.cumulative = worst_of(errors.iter().copied());
            measured.inherited = passed.inherited();
            self.hand_over(clean, passed, &errors, &mut measured);
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

    /// Checks whether an operator reads what was written. Disregards writers whose outputs were only read back wrongly.
    fn hand_over(
        &mut self,
        clean: &Clean,
        passed: &PassedValues,
        errors: &[Option<ErrorSummary>],
        measured: &mut MeasuredOp,
    ) {
        let Some(written) = &mut self.written else { return };
        measured.handover = written.changed(passed);
        for at in written.misread(passed) {
            let why = "it was read back wrongly: the operator that reads it has the right values";
            self.measured[at].withdraw(why);
            self.measured[at].cumulative = None;
        }
        written.remember((&measured.name, self.measured.len()), clean, passed, errors);
    }

    /// The error from the stored weights, if the reference knows the original weights.
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

    /// Recomputes the operator on the candidate's own inputs.
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
        measured: &mut MeasuredOp,
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
            let declared = self.storage.declared();
            measured.mixed = declared != Format::F32
                && measured.introduced.is_some_and(|error| !is_source(&error, measured, declared));
        }
        let pairs = expected.iter().zip(outputs.iter().copied());
        measured.zero_signs = pairs.map(|(right, found)| nonfinite::zero_signs(right, found)).sum();
        if measured.introduced.is_some_and(|introduced| introduced.disagreeing > 0) {
            self.explain(executed, expected, outputs, measured);
        }
        // If the inputs explain NaN and infinities, the positions of these in the output add no information.
        let explained = measured.nonfinite.as_ref().is_some_and(|f| f.cause != Cause::Unexplained);
        if !explained && measured.introduced.is_some_and(|introduced| !introduced.within_f32) {
            measured.patterns = patterns(&measured.op_type, &executed.inputs, expected, outputs);
        }
        if is_accused(measured, self.storage.storage()) && self.has_room_for_a_profile() {
            draw(expected, outputs, measured);
        }
    }

    fn has_room_for_a_profile(&self) -> bool {
        let drawn = self.measured.iter().filter(|measured| measured.error_profile.is_some());
        drawn.take(MOST_PROFILES).count() < MOST_PROFILES
    }

    /// Compares the operator's elements with their bounds. An operator that only moves values must be exact.
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

    /// Whether an operator that moves elements leaves these elements in place, but would move others.
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
        // Axes of length 1 move no elements, regardless of the values. Distinct values show that.
        let count = (0..before.len()).map(|at| at as f32).collect();
        let Ok(count) = Tensor::from_f32(input.shape(), count) else { return false };
        let inputs = vec![Operand::Value(count.clone())];
        let counted = Executed { inputs, ..executed.clone() };
        let moved = self.recompute(&counted, &[output]).unwrap_or_default();
        moved.first().is_some_and(|moved| moved.bytes() != count.bytes())
    }

    /// Finds the cause of the operator's NaN and infinities, and the reference's non-finite elements that it lost.
    fn explain(
        &mut self,
        executed: &Executed,
        expected: &[Tensor],
        outputs: &[&Tensor],
        measured: &mut MeasuredOp,
    ) {
        let anatomy = self.reference.anatomy(&executed.operator, &executed.inputs);
        let (op, op_type) = (&*measured.name, &*measured.op_type);
        let case = NonfiniteCase { op, op_type, anatomy: &anatomy, format: self.storage.storage() };
        let pairs = || expected.iter().zip(outputs.iter().copied());
        let found = pairs().find_map(|(right, found)| case.brought_about(right, found));
        measured.nonfinite = found;
        measured.lost = pairs().find_map(|(right, found)| nonfinite::lost(right, found));
    }

    /// Finds NaN and infinities of an operator that is right on its inputs, if the clean stream has numbers.
    fn look_for_births(
        &mut self,
        executed: &Executed,
        clean: &Clean,
        outputs: &[&Tensor],
        measured: &mut MeasuredOp,
    ) {
        let disagrees = |error_summary: Option<ErrorSummary>| {
            error_summary.is_some_and(|error_summary| error_summary.disagreeing > 0)
        };
        if !disagrees(measured.cumulative) || disagrees(measured.introduced) {
            return;
        }
        let anatomy = self.reference.anatomy(&executed.operator, &executed.inputs);
        let (op, op_type) = (&*measured.name, &*measured.op_type);
        let case = NonfiniteCase { op, op_type, anatomy: &anatomy, format: self.storage.storage() };
        let mut pairs = clean.outputs.iter().zip(outputs);
        measured.born = pairs.find_map(|(right, found)| case.born(Some(right), found));
    }

    /// Before an operator is accused: asks whether the session's reference also accuses it, or only the witness does.
    fn arbitrate(
        &mut self,
        executed: &Executed,
        clean: &Clean,
        outputs: &[&Tensor],
        measured: &mut MeasuredOp,
    ) {
        let storage = self.storage.storage();
        if executed.moves.is_some() || !is_accused(measured, storage) {
            return;
        }
        let (operator, inputs) = (&executed.operator, &executed.inputs);
        let right = self.reference.arbitrate(operator, inputs, clean, outputs);
        let again = right.map(|right| {
            let mut again = MeasuredOp { half: measured.half, ..blank(executed) };
            self.compare(executed, Some(clean), &right, outputs, &mut again);
            again
        });
        let Some(again) = again.filter(|again| again.introduced.is_some()) else {
            measured.by_witness = clean.conversion.is_some_and(|error| error.is_off());
            return;
        };
        let is_innocent = !is_accused(&again, storage);
        if is_innocent {
            measured.witness = measured.introduced;
        } else if !clean.kernel.is_some_and(|own| own.same_constants && own.error_summary.is_off())
        {
            return;
        }
        // The witness is wrong here, so the reference's measurements replace its own.
        measured.introduced = again.introduced;
        measured.mixed = again.mixed;
        measured.excess = again.excess;
        measured.nonfinite = again.nonfinite;
        measured.lost = again.lost;
        measured.patterns = again.patterns;
        measured.error_profile = again.error_profile.filter(|_| !is_innocent);
    }

    /// The error that an honest 16-bit backend would have at the same operator.
    fn half(&mut self, executed: &Executed, expected: &[Tensor]) -> Option<ErrorSummary> {
        if executed.moves.is_some() {
            return worst(expected.iter().zip(&rounded(expected)));
        }
        let inputs = round_operands(&executed.inputs);
        let outputs = self.reference.recompute_half(&executed.operator, &inputs).ok()?;
        worst(expected.iter().zip(&rounded(&outputs)))
    }
}

fn rounded(tensors: &[Tensor]) -> Vec<Tensor> {
    tensors.iter().map(round_to_f16).collect()
}

fn blank(executed: &Executed) -> MeasuredOp {
    let operator = &executed.operator;
    let name = match operator.occurrence {
        0 => operator.name.clone(),
        again => format!("{}#{}", operator.name, again + 1),
    };
    MeasuredOp {
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
        by_witness: false,
        half: None,
        absmax: 0.0,
        nonfinite: None,
        lost: None,
        born: None,
        zero_signs: 0,
        handover: None,
        mixed: false,
        reads: Vec::new(),
        blind: false,
        patterns: Vec::new(),
        error_profile: None,
        unchecked: None,
        float: true,
        exactness: match executed.moves {
            Some(_) => Exactness::Exact,
            None => Exactness::of(&operator.op_type),
        },
    }
}

/// The worst error summary of several pairs; `None` if any pair cannot be compared.
fn worst<'t>(pairs: impl Iterator<Item = (&'t Tensor, &'t Tensor)>) -> Option<ErrorSummary> {
    worst_of(pairs.map(|(reference, candidate)| error_summary(reference, candidate)))
}

/// The worst of several error summaries; `None` if there is none, or if any pair could not be compared.
fn worst_of(mut errors: impl Iterator<Item = Option<ErrorSummary>>) -> Option<ErrorSummary> {
    let first = errors.next()??;
    errors.try_fold(first, |worst, error| Some(worst.worse(error?)))
}

/// Operators that combine two operands element by element, as ONNX and MNN name them.
const OF_TWO: &[&str] =
    &["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "BinaryOp", "Eltwise", "Scale", "While"];
/// Patterns that involve a second operand. For any other operator they would be invented.
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

/// Adds the profile of the worst output. The wrong elements that are kept are shown in its map.
fn draw(expected: &[Tensor], outputs: &[&Tensor], measured: &mut MeasuredOp) {
    let worst = worst_error_profile(expected, outputs, measured.introduced);
    if let (Some((output, _)), Some(excess)) = (&worst, &mut measured.excess) {
        excess.parts.retain(|part| part.output == *output);
    }
    measured.error_profile = worst.map(|(_, profile)| Box::new(profile));
}

/// The number and the error profile of the output that has the operator's error.
fn worst_error_profile(
    expected: &[Tensor],
    outputs: &[&Tensor],
    introduced: Option<ErrorSummary>,
) -> Option<(usize, ErrorProfile)> {
    let mut pairs = expected.iter().zip(outputs).enumerate();
    let (number, (reference, candidate)) =
        pairs.find(|(_, (r, c))| error_summary(r, c) == introduced)?;
    Some((number, error_profile(reference, candidate)?))
}

fn absmax(tensor: &Tensor) -> f64 {
    match tensor {
        Tensor::F32(array) => {
            // Magnitudes are ordered like their bits, and integers vectorise.
            let finite = |v: &f32| if v.is_finite() { v.abs().to_bits() } else { 0 };
            let largest = |max: u32, v: &f32| max.max(finite(v));
            let bits = match array.as_slice() {
                Some(elements) => elements.iter().fold(0, largest),
                None => array.iter().fold(0, largest),
            };
            f32::from_bits(bits).into()
        }
        other => with_array!(other, array => if array.is_empty() { 0.0 } else { 1.0 }),
    }
}
