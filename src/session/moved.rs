//! Runs of the reference with every rounding moved at random, by as much as a target's storage costs.

use super::registry::arithmetic_of;
use crate::bounds::{
    Activations, Approximation, ApproximationError, Arithmetic, MNN_CPU, ONNX_RUNTIME, Products,
};
use crate::engine::{Backend, MnnTarget, NodeSteps, Output, Request, Second, Target};
use crate::graph::{Attribute, ValueName};
use crate::inputs::{Feed, Random};
use crate::tensor::{Format, Rounding, Tensor, round_tensor};
use crate::walk::Exactness;
use std::cell::{RefCell, RefMut};

/// The most runs. Five put an element's spread within a factor of two of its limit, nineteen times in twenty:
/// chi squared with five degrees of exactness.
pub(super) const RUNS: usize = 5;
/// One unit in the last place of a number just above a power of two, relative: 2⁻²³. Rounding would undo a move
/// by less than half a unit.
const ULP: f64 = 1.0 / 8_388_608.0;
/// How many times its own spread an element of an honest 16-bit device may be off. The measured maximum was 8.6
/// on 20 networks of 10 to 20 layers. Devices that store `f32` and add in a different order reached the same.
pub(super) const ELEMENT: f64 = 10.0;
/// Runs with roundings moved by [`ELEMENT`] units. A value within one unit of a threshold stays on its side
/// in all runs with a probability of 2e-4: 0.58 to the 16th.
const FAR_RUNS: usize = 16;

/// Moved runs of one request, each made on first use and kept.
pub struct MovedRuns<'a> {
    request: Request<'a>,
    arithmetic: Arithmetic,
    approximations: &'static [Approximation],
    /// How the engine quantizes activations, if it does.
    activations: Option<(Activations, Products)>,
    second: Option<Second>,
    near: RefCell<Vec<Vec<Output>>>,
    far: RefCell<Vec<Vec<Output>>>,
}

impl<'a> MovedRuns<'a> {
    /// Starts without runs, with the target's arithmetic. `second` computes the nodes that tract refuses.
    pub fn of(target: &Target, request: Request<'a>, second: Option<Second>) -> Self {
        let arithmetic = arithmetic_of(target, request.model);
        let approximations = match target {
            Target::Ort(_) => ONNX_RUNTIME,
            Target::Mnn(MnnTarget { backend: Backend::Cpu, .. }) => MNN_CPU,
            _ => &[],
        };
        let (near, far) = (RefCell::default(), RefCell::default());
        MovedRuns { request, arithmetic, approximations, activations: None, second, near, far }
    }

    /// The same runs with quantized activations.
    pub(super) fn quantized(&self, way: (Activations, Products)) -> Self {
        let (near, far) = (RefCell::default(), RefCell::default());
        let (second, activations) = (self.second.clone(), Some(way));
        MovedRuns { activations, second, near, far, ..*self }
    }

    /// The ways in which the engine may quantize activations, if it does not declare its arithmetic.
    pub(super) fn ways(&self) -> Vec<(Activations, Products)> {
        match NodeSteps::with_second(self.request.model, self.second.clone()) {
            Ok(steps) if self.arithmetic.rounding.is_none() => steps.ways().collect(),
            _ => Vec::new(),
        }
    }

    /// The outputs without any move.
    pub(super) fn still(&self) -> Result<Vec<Output>, String> {
        let same = &Tensor::clone;
        self.run(&Moving { value: same, inside: None, exact: same, approximate: None })
    }

    /// By how much honest engines of this arithmetic may change the difference of two elements of an output. The right
    /// elements are one row of the output, at this place.
    pub fn parting(
        &self,
        output: &ValueName,
        (right, place): (&Tensor, usize),
        [a, b]: [usize; 2],
    ) -> Option<f64> {
        let numbers = right.numbers(1);
        let start = place * numbers.len();
        let difference = |values: &[f64]| Some(values.get(a)? - values.get(b)?);
        let right = difference(&numbers)?;
        let runs = self.near(RUNS)?;
        let mut squares = 0.0;
        for run in runs.iter() {
            let moved = run.iter().find(|moved| moved.name == *output)?;
            squares += (difference(moved.tensor.numbers(1).get(start..)?)? - right).powi(2);
        }
        // Storing rounds once more.
        let stored = self.arithmetic.format.epsilon() * (numbers[a].abs() + numbers[b].abs());
        Some(ELEMENT * (squares / RUNS as f64).sqrt() + stored)
    }

    /// One run with roundings moved by a unit, drawn from a seed.
    pub(super) fn drawn(&self, seed: u64) -> Option<Vec<Output>> {
        self.moved(seed, 1.0).ok()
    }

    /// The format of the values.
    pub(super) fn format(&self) -> Format {
        self.arithmetic.format
    }

    /// Whether the engine approximates any operator of the network.
    pub(super) fn are_approximate(&self) -> bool {
        let Ok(steps) = NodeSteps::with_second(self.request.model, self.second.clone()) else {
            return false;
        };
        (0..steps.len()).any(|step| self.approximation(&steps, step).is_some())
    }

    /// The first `runs` runs.
    pub(super) fn near(&self, runs: usize) -> Option<RefMut<'_, Vec<Vec<Output>>>> {
        self.kept(&self.near, runs, 1.0)
    }

    /// Runs with roundings moved by several units.
    pub(super) fn far(&self) -> Option<RefMut<'_, Vec<Vec<Output>>>> {
        self.kept(&self.far, FAR_RUNS, ELEMENT)
    }

    fn kept<'k>(
        &self,
        kept: &'k RefCell<Vec<Vec<Output>>>,
        runs: usize,
        units: f64,
    ) -> Option<RefMut<'k, Vec<Vec<Output>>>> {
        let mut kept = kept.borrow_mut();
        while kept.len() < runs {
            let next = self.moved(kept.len() as u64, units).ok()?;
            kept.push(next);
        }
        Some(kept)
    }

    /// The outputs if the storage cuts off every digit that it cannot hold.
    pub(super) fn cut_off(&self) -> Result<Vec<Output>, String> {
        let cut = |tensor: &Tensor| cut(tensor, self.arithmetic.format);
        self.run(&Moving { value: &cut, inside: None, exact: &cut, approximate: None })
    }

    /// The outputs with every rounding moved. Operators that round have moved outputs. In `f32`, operators that
    /// sum or approximate also have moved inputs, because they round inside. Operators that only move values,
    /// or round once, have exact inputs.
    fn moved(&self, seed: u64, units: f64) -> Result<Vec<Output>, String> {
        let random = RefCell::new(Random::new(seed));
        let noise = Noise::of(self.arithmetic.format, units);
        let move_all = |tensor: &Tensor| noise.moved(tensor, &mut random.borrow_mut());
        // In 16 bits a device rounds all values that it stores, including its feeds and its weights.
        let (inside, exact): (Option<TensorChange<'_>>, TensorChange<'_>) =
            match self.arithmetic.format {
                Format::F32 => (Some(&move_all), &Tensor::clone),
                _ => (None, &move_all),
            };
        let approximate = |error: ApproximationError, tensor: &Tensor| {
            let noise = match error {
                ApproximationError::Absolute(least) => {
                    Noise { least: units * least, ..Noise::of(self.arithmetic.format, units) }
                }
                ApproximationError::Units(more) => Noise::of(self.arithmetic.format, units * more),
            };
            noise.moved(tensor, &mut random.borrow_mut())
        };
        self.run(&Moving { value: &move_all, inside, exact, approximate: Some(&approximate) })
    }

    /// The engine's approximation error for a step, if it approximates the operator.
    fn approximation(&self, steps: &NodeSteps, step: usize) -> Option<ApproximationError> {
        let (_, op_type) = steps.node(step);
        let mut of_type =
            self.approximations.iter().filter(|row| row.op_type == op_type).peekable();
        of_type.peek()?;
        let (attributes, _) = steps.attributes(step);
        let ints = |name: &str| match attributes.get(name) {
            Some(Attribute::Ints(ints)) => ints.clone(),
            _ => Vec::new(),
        };
        let is_dense = !matches!(attributes.get("group"), Some(Attribute::Int(2..)));
        let moves_by_one = ints("strides").iter().chain(&ints("dilations")).all(|&by| by == 1);
        let sides = ints("kernel_shape");
        let has_kernel = |side: i64| is_dense && moves_by_one && sides == [side, side];
        of_type.find(|row| row.kernel.is_none_or(has_kernel)).map(|row| row.error)
    }

    fn run(&self, change: &Moving<'_>) -> Result<Vec<Output>, String> {
        let mut steps = NodeSteps::with_second(self.request.model, self.second.clone())?;
        let feed = |feed: &Feed| Feed { tensor: (change.exact)(&feed.tensor), ..feed.clone() };
        let feeds: Vec<Feed> = self.request.feeds.iter().map(feed).collect();
        steps.start(&feeds)?;
        for step in 0..steps.len() {
            let exactness = Exactness::of(&steps.node(step).1);
            let mut inputs = steps.inputs(step)?;
            if let Some(way) = self.activations {
                inputs = steps.quantized(step, inputs, way);
            }
            let approximated =
                change.approximate.and_then(|by| Some((by, self.approximation(&steps, step)?)));
            let inside = |tensor: &Tensor| match (approximated, change.inside) {
                (Some((by, error @ ApproximationError::Units(_))), _) => by(error, tensor),
                (_, Some(inside)) => inside(tensor),
                (_, None) => (change.exact)(tensor),
            };
            let outputs = match (exactness, change.inside) {
                (Exactness::Approximate, Some(_)) => {
                    let inputs: Vec<Option<Tensor>> =
                        inputs.iter().map(|input| input.as_ref().map(inside)).collect();
                    steps.compute(step, &inputs, &inside)?
                }
                _ => steps.compute(step, &inputs, change.exact)?,
            };
            let outputs: Vec<Tensor> = match (exactness, approximated) {
                (Exactness::Exact, _) => outputs,
                (_, Some((by, error @ ApproximationError::Absolute(_)))) => {
                    outputs.iter().map(|output| by(error, output)).collect()
                }
                _ => outputs.iter().map(change.value).collect(),
            };
            steps.store(step, &outputs);
            steps.forget(step);
        }
        steps.outputs()
    }
}

/// Cuts off every digit that a format cannot hold. A value beyond its range stays: that is a loss, not
/// rounding.
fn cut(tensor: &Tensor, format: Format) -> Tensor {
    match (tensor, round_tensor(tensor, format, Rounding::TowardZero)) {
        (Tensor::F32(array), Tensor::F32(mut kept)) => {
            kept.zip_mut_with(array, |kept, &value| {
                if f64::from(value.abs()) > format.max() {
                    *kept = value;
                }
            });
            Tensor::F32(kept)
        }
        (_, kept) => kept,
    }
}

/// A change of a tensor.
type TensorChange<'a> = &'a dyn Fn(&Tensor) -> Tensor;

/// A change of a tensor by an approximation.
type Approximate<'a> = &'a dyn Fn(ApproximationError, &Tensor) -> Tensor;

/// The changes in a run of the reference.
struct Moving<'a> {
    /// Changes a value that an operator rounds and stores.
    value: TensorChange<'a>,
    /// Changes the inputs and constants of an operator that rounds inside, if its roundings count.
    inside: Option<TensorChange<'a>>,
    /// Changes feeds and all other constants.
    exact: TensorChange<'a>,
    /// Changes a value that the engine approximates, by the given error.
    approximate: Option<Approximate<'a>>,
}

/// How far a rounding moves a value.
struct Noise {
    format: Format,
    /// The relative distance.
    unit: f64,
    /// The least distance, in `f16`, whose smallest values are far apart.
    least: f64,
}

impl Noise {
    fn of(format: Format, units: f64) -> Self {
        let unit = format.epsilon() * units;
        match format {
            Format::F32 => Noise { format, unit: ULP * units, least: 0.0 },
            Format::F16 => Noise { format, unit, least: units * format.step_at(0.0) / 2.0 },
            _ => Noise { format, unit, least: 0.0 },
        }
    }

    /// Moves every element at random.
    fn moved(&self, tensor: &Tensor, random: &mut Random) -> Tensor {
        let mut moved = |value: f64| {
            let way = 2.0 * random.unit() - 1.0;
            // A value that a narrow format holds stays unchanged: a zero, a whole number, an exponent, a factor
            // of two that scales a picture.
            let narrow = if self.format == Format::F32 { Format::Bf16 } else { self.format };
            match narrow.holds(value as f32) {
                true => value,
                false => value + way * (self.unit * value.abs()).max(self.least),
            }
        };
        match tensor {
            Tensor::F32(array) => Tensor::F32(array.mapv(|value| moved(f64::from(value)) as f32)),
            // A reference in f64 has the values that engines round.
            Tensor::F64(array) => Tensor::F64(array.mapv(moved)),
            other => other.clone(),
        }
    }
}
