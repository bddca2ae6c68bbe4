//! Compares each element of a candidate's tensors with its bound.

use super::activations::Activations;
use super::composite;
use super::element::{Clamp, ComputedElement, NOTHING};
use super::formula::{Formula, formula, is_approximated};
use super::mode::{Arithmetic, DeviceMode};
use super::reads::Reads;
use super::resum::Resummed;
use super::worst::{ElementBeyond, WorstElement, WorstOfParts};
use crate::kernels::{Call, SumOperator, compute};
use crate::tensor::{Format, Tensor, flat_index, multi_index};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Beyond this many bounds a difference is not rounding. A device that declares to round but cuts digits off has
/// exactly 2. The weakest measured fault, one unit in the last place of `f16`, has 2.8.
const SOURCE: f64 = 2.0;

/// The same for a device that does not declare how it computes. MNN's Vulkan and OpenCL backends, on llvmpipe and
/// rusticl, need at most 1.
const UNDECLARED: f64 = 8.0;

/// The same for operators that engines approximate: functions (a GELU by MNN's CPU is 100 bounds off), and
/// convolutions in tiles (Winograd 6x6 by MNN's CPU: 65 to 250 bounds).
const APPROXIMATED: f64 = 1000.0;

/// The most multiplications for one operator. Beyond that only the most suspicious elements are computed in `f64`.
const BUDGET: usize = 1 << 26;

/// Elements, or addends, that one processor takes at once.
const CHUNK: usize = 1 << 13;

/// The differences of one operator's elements in units of their bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Excess {
    /// The largest |d| / B; 0 if every element is exact.
    pub excess: f64,
    /// The element with the largest excess.
    pub worst: Option<WorstElement>,
    /// The worst element beyond its bound in each part of the output, if the excess is too large for rounding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<WorstElement>,
    /// The number of elements beyond their bound.
    pub beyond: u64,
    /// The number of elements beyond twice their bound.
    pub far: u64,
    /// The number of elements that were compared with their bounds.
    pub weighed: u64,
    /// The number of all elements.
    pub elements: u64,
    /// The number of elements whose exact value the format cannot hold, and whose value differs from it.
    #[serde(default)]
    pub overflown: u64,
    /// The mode that fits the tensors best.
    pub mode: DeviceMode,
    /// Whether the device declares the whole mode.
    #[serde(default)]
    pub declared: bool,
    /// Whether engines approximate operators of this type.
    #[serde(default)]
    pub approximated: bool,
    /// The format that constants and feeds were rounded to before, if they were rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operands: Option<Format>,
    /// How the engine quantized the activations before, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activations: Option<Activations>,
}

impl Excess {
    /// Whether the engine computed with other operands than it was given: rounded or quantized ones.
    pub fn has_other_operands(&self) -> bool {
        self.operands.is_some() || self.activations.is_some()
    }

    /// Forgets the parts if they are of no interest.
    fn keep_parts_of_sources(&mut self) {
        if !self.is_source() {
            self.parts.clear();
        }
    }

    /// Whether the excess is too large for rounding.
    pub fn is_source(&self) -> bool {
        let limit = match (self.declared, self.approximated) {
            (true, _) => SOURCE,
            (false, false) => UNDECLARED,
            (false, true) => APPROXIMATED,
        };
        self.excess > limit
    }
}

/// Compares the outputs of a node, on its own inputs, with their bounds. `None` if offby cannot compute the node.
///
/// `near` contains results of a correct implementation in `f32`, if there are any. An element that differs from
/// these only by the error of storing is not checked further. `clamp` is an activation fused into the node.
pub fn weigh(
    call: &Call<'_>,
    clamp: Clamp,
    near: Option<&[Tensor]>,
    outputs: &[&Tensor],
    arithmetic: &Arithmetic,
) -> Option<Excess> {
    let mut scales = Scales { clamp, ..Scales::of(arithmetic) };
    let sums = SumOperator::of(call).transpose().ok()?;
    match &sums {
        Some(sums) => by_sums(sums, near, outputs, &mut scales)?,
        None => by_formula(call, outputs, &mut scales)?,
    }
    let approximated = is_approximated(call.op_type);
    let best = scales.best(outputs)?;
    let mut excess = Excess { declared: arithmetic.is_declared(), approximated, ..best };
    excess.keep_parts_of_sources();
    if let ([output, ..], true) = (outputs, excess.excess > 1.0) {
        explain(&mut excess, (call, sums.as_ref()), clamp, output.shape());
    }
    Some(excess)
}

/// Adds to the worst elements what they are computed from.
fn explain(
    excess: &mut Excess,
    (call, sums): (&Call<'_>, Option<&SumOperator>),
    clamp: Clamp,
    shape: &[usize],
) {
    let worst = excess.worst.iter_mut().chain(&mut excess.parts);
    let of_first_output = worst.filter(|element| element.output == 0);
    let Some(sums) = sums else {
        let reads = Reads::of(call);
        of_first_output.for_each(|element| {
            element.reads = reads.boxes(&element.index, flat_index(&element.index, shape), shape);
        });
        return;
    };
    of_first_output.for_each(|element| {
        let at = flat_index(&element.index, shape);
        element.sum = Resummed::of(sums, at, clamp, (element.found, element.bound)).map(Box::new);
    });
    // The page draws the sum of the worst element only.
    excess.parts.iter_mut().filter_map(|part| part.sum.as_mut()).for_each(|sum| sum.shorten());
}

/// Compares values that were only moved with the right values. Storing may round them once.
pub fn weigh_moved(
    right: &[Tensor],
    outputs: &[&Tensor],
    arithmetic: &Arithmetic,
) -> Option<Excess> {
    let mut scales = Scales::of(arithmetic);
    for (number, (right, output)) in right.iter().zip(outputs).enumerate() {
        let is_whole = !right.dtype().is_float();
        let pairs = right.numbers(1).into_iter().zip(output.numbers(1));
        for (place, (right, found)) in pairs.enumerate() {
            scales.put(&ComputedElement::once(right), found, (number, place, output), is_whole);
        }
    }
    // Moved values need no guess about the device's arithmetic.
    let mut excess = Excess { declared: true, ..scales.best(outputs)? };
    excess.keep_parts_of_sources();
    Some(excess)
}

fn by_sums(
    sums: &SumOperator,
    near: Option<&[Tensor]>,
    outputs: &[&Tensor],
    scales: &mut Scales,
) -> Option<()> {
    let [output] = outputs else { return None };
    let found = output.numbers(1);
    let near = near.and_then(|near| near.first()).filter(|near| near.len() == found.len());
    let places = match near {
        Some(near) => suspects(&near.numbers(1), &found, sums.most(), &scales.modes[0].mode),
        None => (0..found.len()).collect(),
    };
    let most = (BUDGET / sums.most().max(1)).max(64);
    let step = places.len().div_ceil(most).max(1);
    // All of the worst elements are computed, then one in `step` of the rest.
    let is_computed = |turn: &usize| *turn < most / 2 || turn.is_multiple_of(step);
    let turns: Vec<usize> = (0..places.len()).filter(is_computed).collect();
    let chunk = (CHUNK / sums.most().max(1)).max(1);
    scales.put_all(turns.len(), chunk, |part, turns_of_part| {
        let mut addends = Vec::new();
        for &turn in &turns[turns_of_part] {
            let place = places[turn];
            sums.addends(place, &mut addends);
            part.put(&ComputedElement::sum(&addends), found[place], (0, place, output), false);
        }
    });
    if near.is_some() {
        let passed = (found.len() - places.len()) as u64;
        scales.modes.iter_mut().for_each(|scale| scale.found.weighed += passed);
    }
    Some(())
}

/// The elements further from a correct implementation than the error of storing and of a short sum, furthest first.
///
/// A is at least √n u |r|, because the largest partial sum is no less than the sum.
fn suspects(near: &[f64], found: &[f64], terms: usize, mode: &DeviceMode) -> Vec<usize> {
    let root = (terms as f64).sqrt();
    let apart = |place: usize| {
        let (near, found) = (near[place], found[place]);
        let bound = ComputedElement::rounded(near, root * near.abs(), 1.0).bound(mode);
        // With NaN this comparison is false, so the element stays a suspect.
        let is_near = (found - near).abs() <= bound.allowed && !bound.overflows;
        (!is_near).then(|| (place, (found - near).abs() / bound.allowed))
    };
    let places = (0..found.len()).into_par_iter().with_min_len(CHUNK);
    let mut suspects: Vec<(usize, f64)> = places.filter_map(apart).collect();
    suspects.sort_by(|a, b| b.1.total_cmp(&a.1));
    suspects.into_iter().map(|(place, _)| place).collect()
}

fn by_formula(call: &Call<'_>, outputs: &[&Tensor], scales: &mut Scales) -> Option<()> {
    let right = compute(call)?.ok()?;
    let fits = right.len() >= outputs.len()
        && right.iter().zip(outputs).all(|(right, output)| right.shape() == output.shape());
    if !fits {
        return None;
    }
    let rule = Rule::of(call, &right)?;
    for (number, (right, output)) in right.iter().zip(outputs).enumerate() {
        let is_whole = !right.dtype().is_float();
        let (right, found) = (right.numbers(1), output.numbers(1));
        scales.put_all(right.len(), CHUNK, |part, places| {
            for place in places {
                let element = match is_whole {
                    true => Some(ComputedElement::exact(right[place])),
                    false => rule.element(number, place, right[place]),
                };
                if let Some(element) = element {
                    part.put(&element, found[place], (number, place, output), is_whole);
                }
            }
        });
    }
    Some(())
}

/// A formula with its arguments from one node.
enum Rule {
    Exact,
    Once,
    /// A function of an element of the first input, and those elements.
    Each(fn(f64, f64) -> f64, Vec<f64>),
    /// A over u for the elements of each output that has a formula, and the number of consecutive roundings.
    Units(Vec<Vec<f64>>, f64),
}

impl Rule {
    /// The rule of a node with these results.
    fn of(call: &Call<'_>, right: &[Tensor]) -> Option<Self> {
        Some(match formula(call.op_type) {
            Some(Formula::Exact) => Rule::Exact,
            Some(Formula::Once) => Rule::Once,
            Some(Formula::Each(unit)) => {
                Rule::Each(*unit, call.inputs.first()?.as_ref()?.numbers(1))
            }
            // The means and deviations among a norm's further outputs have no formula.
            Some(Formula::All(of)) => {
                let (units, terms) = of(call, &right.first()?.numbers(1))?;
                Rule::Units(vec![units], terms)
            }
            None => Rule::Units(composite::units(call, right)?, 1.0),
        })
    }

    /// An element of an output, from its exact result; `None` if the output has no formula.
    fn element(&self, output: usize, place: usize, right: f64) -> Option<ComputedElement> {
        Some(match self {
            Rule::Exact => ComputedElement::exact(right),
            Rule::Once => ComputedElement::once(right),
            // Broadcast operands have no element at the same place.
            Rule::Each(unit, input) => {
                let x = input.get(place).copied().unwrap_or(right);
                ComputedElement::rounded(right, unit(x, right), 1.0)
            }
            Rule::Units(units, terms) => {
                ComputedElement::rounded(right, *units.get(output)?.get(place)?, *terms)
            }
        })
    }
}

/// Every mode that fits a device, and the result for each mode.
struct Scales {
    modes: Vec<Scale>,
    /// What happens to an element before it is stored.
    clamp: Clamp,
}

impl Scales {
    fn of(arithmetic: &Arithmetic) -> Self {
        let modes = arithmetic.modes().into_iter().map(Scale::new).collect();
        Scales { modes, clamp: Clamp::NONE }
    }

    /// Puts elements on all processors. `put` gets an empty result and the numbers of its elements.
    fn put_all(
        &mut self,
        count: usize,
        chunk: usize,
        put: impl Fn(&mut Scales, Range<usize>) + Sync,
    ) {
        let chunks = (0..count.div_ceil(chunk)).into_par_iter();
        let parts: Vec<Scales> = chunks
            .map(|number| {
                let mut part = self.empty();
                put(&mut part, number * chunk..count.min((number + 1) * chunk));
                part
            })
            .collect();
        // In the order of the elements, so that the first of equally bad elements is the worst.
        for part in parts {
            self.modes.iter_mut().zip(part.modes).for_each(|(scale, part)| scale.add(part));
        }
    }

    fn empty(&self) -> Scales {
        Scales { modes: self.modes.iter().map(|scale| Scale::new(scale.mode)).collect(), ..*self }
    }

    fn put(
        &mut self,
        element: &ComputedElement,
        found: f64,
        place: OutputPosition<'_>,
        is_whole: bool,
    ) {
        let element = element.clamped(self.clamp);
        self.modes.iter_mut().for_each(|scale| scale.put(&element, found, place, is_whole));
    }

    /// The result for the first mode that explains these outputs, or else for the mode that fits them best.
    fn best(self, outputs: &[&Tensor]) -> Option<Excess> {
        let found: Vec<Excess> =
            self.modes.into_iter().map(|scale| scale.result(outputs)).collect();
        let explains = found.iter().find(|found| found.excess <= 1.0 && found.overflown == 0);
        let fits = || found.iter().min_by(|a, b| a.excess.total_cmp(&b.excess));
        let best = explains.or_else(fits)?.clone();
        let elements = outputs.iter().map(|output| output.len() as u64).sum();
        Some(Excess { elements, ..best })
    }
}

/// An output's number, a flat position in the output, and the output.
type OutputPosition<'a> = (usize, usize, &'a Tensor);

/// The result for one mode.
struct Scale {
    mode: DeviceMode,
    found: Excess,
    parts: WorstOfParts,
}

impl Scale {
    fn new(mode: DeviceMode) -> Self {
        let parts = WorstOfParts::default();
        let found = Excess {
            excess: 0.0,
            worst: None,
            parts: Vec::new(),
            beyond: 0,
            far: 0,
            weighed: 0,
            elements: 0,
            overflown: 0,
            mode,
            declared: false,
            approximated: false,
            operands: None,
            activations: None,
        };
        Scale { mode, found, parts }
    }

    fn result(self, outputs: &[&Tensor]) -> Excess {
        Excess { parts: self.parts.elements(outputs), ..self.found }
    }

    /// Adds the result of later elements.
    fn add(&mut self, later: Scale) {
        self.parts.merge(later.parts);
        let (mine, later) = (&mut self.found, later.found);
        mine.weighed += later.weighed;
        mine.beyond += later.beyond;
        mine.far += later.far;
        mine.overflown += later.overflown;
        if later.excess > mine.excess {
            (mine.excess, mine.worst) = (later.excess, later.worst);
        }
    }

    fn put(
        &mut self,
        element: &ComputedElement,
        found: f64,
        (output, place, tensor): OutputPosition<'_>,
        is_whole: bool,
    ) {
        let right = element.right;
        self.found.weighed += 1;
        if right.is_nan() || right.is_infinite() || found.is_nan() || right == found {
            // Non-finite values are judged separately.
            return;
        }
        // Whole numbers may have any format that an engine uses for them.
        let mode =
            if is_whole { DeviceMode { format: Format::F32, ..self.mode } } else { self.mode };
        let bound = element.bound(&mode);
        let allowed = if is_whole { NOTHING } else { bound.allowed };
        let apart = (found - right).abs();
        if bound.overflows && apart > allowed && found.abs() >= mode.format.max() {
            self.found.overflown += 1;
            return;
        }
        if found.is_infinite() {
            return;
        }
        let excess = apart / allowed;
        self.found.beyond += u64::from(excess > 1.0);
        self.found.far += u64::from(excess > SOURCE);
        if excess > 1.0 {
            let beyond = ElementBeyond { excess, place, right, found, bound: allowed };
            self.parts.put(output, tensor.shape(), beyond);
        }
        if excess > self.found.excess {
            self.found.excess = excess;
            let index = multi_index(place, tensor.shape());
            self.found.worst = Some(WorstElement::new(output, index, [right, found, allowed]));
        }
    }
}
