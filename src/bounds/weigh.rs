//! A candidate's tensors, each element held to its bound.

use super::composite;
use super::element::{Element, NOTHING};
use super::formula::{Formula, formula, is_approximated};
use super::mode::{Arithmetic, Mode};
use crate::kernels::{Call, Sums, compute};
use crate::tensor::{Format, Tensor, multi_index};
use serde::{Deserialize, Serialize};

/// Beyond this many bounds an element is no rounding. A device that cuts digits off, though it declares to round,
/// has exactly 2; the weakest of the faults measured, one unit in the last place of `f16`, has 2.8.
const SOURCE: f64 = 2.0;

/// The same for a device that does not declare how it computes. MNN's Vulkan and OpenCL backends, on llvmpipe and
/// rusticl, need at most 1.
const UNDECLARED: f64 = 8.0;

/// The same for operators that engines approximate: functions (a GELU by MNN's CPU is 100 bounds off), and
/// convolutions in tiles (Winograd 6x6 by MNN's CPU: 65 to 250 bounds).
const APPROXIMATED: f64 = 1000.0;

/// Multiplications that one operator may cost. Beyond that only the most suspicious elements are computed in `f64`.
const BUDGET: usize = 1 << 26;

/// What was found of one operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Excess {
    /// The largest |d| / B; 0 if every element is exact.
    pub excess: f64,
    /// The element that has it.
    pub worst: Option<Worst>,
    /// Elements beyond their bound.
    pub beyond: u64,
    /// Elements beyond twice their bound.
    pub far: u64,
    /// Elements that were held to their bounds.
    pub weighed: u64,
    /// Elements there are.
    pub elements: u64,
    /// Elements whose exact value the format cannot hold, and whose value is another.
    #[serde(default)]
    pub overflown: u64,
    /// The way of computing and storing under which the tensors fit best.
    pub mode: Mode,
    /// Whether the device declares all of that.
    #[serde(default)]
    pub declared: bool,
    /// Whether engines approximate operators of this type.
    #[serde(default)]
    pub approximated: bool,
    /// The format to which constants and feeds had been rounded before, if they had been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operands: Option<Format>,
}

/// An element, and how far it is from what it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worst {
    /// Which output of the operator.
    pub output: usize,
    /// Where in it.
    pub index: Vec<usize>,
    /// What is right, in `f64`.
    pub right: f64,
    /// What the candidate has.
    pub found: f64,
    /// How far it may differ.
    pub bound: f64,
}

impl Excess {
    /// Whether it is no rounding.
    pub fn is_source(&self) -> bool {
        let limit = match (self.declared, self.approximated) {
            (true, _) => SOURCE,
            (false, false) => UNDECLARED,
            (false, true) => APPROXIMATED,
        };
        self.excess > limit
    }
}

/// Holds the outputs of a node, on its own inputs, to their bounds. `None` if offby cannot compute the node.
///
/// `near` are results of a right implementation in `f32`, if there are any: an element that is as near to those as
/// storing costs needs no further look.
pub fn weigh(
    call: &Call<'_>,
    near: Option<&[Tensor]>,
    outputs: &[&Tensor],
    arithmetic: &Arithmetic,
) -> Option<Excess> {
    let mut scales = Scales::of(arithmetic);
    match Sums::of(call) {
        Some(sums) => by_sums(&sums.ok()?, near, outputs, &mut scales)?,
        None => by_formula(call, outputs, &mut scales)?,
    }
    let approximated = is_approximated(call.op_type);
    Some(Excess { declared: arithmetic.is_declared(), approximated, ..scales.best(outputs)? })
}

/// Holds values that were only moved to what they should be. Storing may round them, once.
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
            scales.put(&Element::once(right), found, (number, place, output), is_whole);
        }
    }
    // However a device computes, this needs no guess.
    Some(Excess { declared: true, ..scales.best(outputs)? })
}

fn by_sums(
    sums: &Sums,
    near: Option<&[Tensor]>,
    outputs: &[&Tensor],
    scales: &mut Scales,
) -> Option<()> {
    let [output] = outputs else { return None };
    let found = output.numbers(1);
    let near = near.and_then(|near| near.first()).filter(|near| near.len() == found.len());
    let places = match near {
        Some(near) => suspects(&near.numbers(1), &found, sums.most(), &scales.0[0].mode),
        None => (0..found.len()).collect(),
    };
    let most = (BUDGET / sums.most().max(1)).max(64);
    let step = places.len().div_ceil(most).max(1);
    let mut addends = Vec::new();
    for (turn, &place) in places.iter().enumerate() {
        // The worst come first; of the rest each so many-th.
        if turn >= most / 2 && turn % step != 0 {
            continue;
        }
        sums.addends(place, &mut addends);
        scales.put(&Element::sum(&addends), found[place], (0, place, output), false);
    }
    if near.is_some() {
        let passed = (found.len() - places.len()) as u64;
        scales.0.iter_mut().for_each(|scale| scale.found.weighed += passed);
    }
    Some(())
}

/// The elements that are further from a right implementation than storing and a short sum cost, the furthest first.
///
/// A is at least √n u |r|, for the largest partial sum is no less than the sum.
fn suspects(near: &[f64], found: &[f64], terms: usize, mode: &Mode) -> Vec<usize> {
    let root = (terms as f64).sqrt();
    let apart = |place: usize| {
        let (near, found) = (near[place], found[place]);
        let bound = Element::rounded(near, root * near.abs(), 1.0).bound(mode);
        // Written so that NaN is looked at, too.
        let is_near = (found - near).abs() <= bound.allowed && !bound.overflows;
        (!is_near).then(|| (place, (found - near).abs() / bound.allowed))
    };
    let mut suspects: Vec<(usize, f64)> = (0..found.len()).filter_map(apart).collect();
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
        let pairs = right.numbers(1).into_iter().zip(output.numbers(1));
        for (place, (right, found)) in pairs.enumerate() {
            let element = match is_whole {
                true => Some(Element::exact(right)),
                false => rule.element(number, place, right),
            };
            if let Some(element) = element {
                scales.put(&element, found, (number, place, output), is_whole);
            }
        }
    }
    Some(())
}

/// A formula, with what it needs of one node.
enum Rule {
    Exact,
    Once,
    /// A function of an element of the first input, and those elements.
    Each(fn(f64, f64) -> f64, Vec<f64>),
    /// A over u for the elements of each output that has a formula, and the roundings one after the other.
    Units(Vec<Vec<f64>>, f64),
}

impl Rule {
    /// The rule of a node whose results are these.
    fn of(call: &Call<'_>, right: &[Tensor]) -> Option<Self> {
        Some(match formula(call.op_type) {
            Some(Formula::Exact) => Rule::Exact,
            Some(Formula::Once) => Rule::Once,
            Some(Formula::Each(unit)) => {
                Rule::Each(*unit, call.inputs.first()?.as_ref()?.numbers(1))
            }
            // Means and deviations, which a norm gives as further outputs, have no formula.
            Some(Formula::All(of)) => {
                let (units, terms) = of(call, &right.first()?.numbers(1))?;
                Rule::Units(vec![units], terms)
            }
            None => Rule::Units(composite::units(call, right)?, 1.0),
        })
    }

    /// An element of an output, given its exact result; `None` if there is no formula for it.
    fn element(&self, output: usize, place: usize, right: f64) -> Option<Element> {
        Some(match self {
            Rule::Exact => Element::exact(right),
            Rule::Once => Element::once(right),
            // Broadcast operands have no element of the same place.
            Rule::Each(unit, input) => {
                let x = input.get(place).copied().unwrap_or(right);
                Element::rounded(right, unit(x, right), 1.0)
            }
            Rule::Units(units, terms) => {
                Element::rounded(right, *units.get(output)?.get(place)?, *terms)
            }
        })
    }
}

/// Every way of computing and storing that fits a device, and what is found under it.
struct Scales(Vec<Scale>);

impl Scales {
    fn of(arithmetic: &Arithmetic) -> Self {
        Scales(arithmetic.modes().into_iter().map(Scale::new).collect())
    }

    fn put(&mut self, element: &Element, found: f64, place: Place<'_>, is_whole: bool) {
        self.0.iter_mut().for_each(|scale| scale.put(element, found, place, is_whole));
    }

    /// What is found under the way in which these outputs fit best.
    fn best(self, outputs: &[&Tensor]) -> Option<Excess> {
        let found = self.0.into_iter().map(|scale| scale.found);
        let best = found.min_by(|a, b| a.excess.total_cmp(&b.excess))?;
        let elements = outputs.iter().map(|output| output.len() as u64).sum();
        Some(Excess { elements, ..best })
    }
}

/// An output's number, a flat place in it, and the output.
type Place<'a> = (usize, usize, &'a Tensor);

/// What is found under one way of computing and storing.
struct Scale {
    mode: Mode,
    found: Excess,
}

impl Scale {
    fn new(mode: Mode) -> Self {
        let found = Excess {
            excess: 0.0,
            worst: None,
            beyond: 0,
            far: 0,
            weighed: 0,
            elements: 0,
            overflown: 0,
            mode,
            declared: false,
            approximated: false,
            operands: None,
        };
        Scale { mode, found }
    }

    fn put(
        &mut self,
        element: &Element,
        found: f64,
        (output, place, tensor): Place<'_>,
        is_whole: bool,
    ) {
        let right = element.right;
        self.found.weighed += 1;
        if right.is_nan() || right.is_infinite() || found.is_nan() || right == found {
            // What is not finite is judged by itself.
            return;
        }
        // Whole numbers are held in any format that an engine has for them.
        let mode = if is_whole { Mode { format: Format::F32, ..self.mode } } else { self.mode };
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
        if excess > self.found.excess {
            self.found.excess = excess;
            let index = multi_index(place, tensor.shape());
            self.found.worst = Some(Worst { output, index, right, found, bound: allowed });
        }
    }
}
