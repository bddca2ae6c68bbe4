//! Screening: a sample of every value chooses the values that are compared whole.
//!
//! The reference runs freely, once exactly and once with every value rounded to `f16`. Three samples of each value
//! then say how far the target is from the reference, in units of what rounding costs up to there. An operator whose
//! outputs are much further off than its inputs is suspected. Whether it is wrong is decided on whole values.

use super::rounding_floor::round_to_f16;
use super::sampling::{SampledDistance, Sampling, ValueSample};
use crate::engine::{NodeSteps, Second};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::tensor::{Format, Tensor};
use std::collections::{BTreeMap, BTreeSet};

/// An operator is suspected if its outputs are this many times further off than its inputs, in units of rounding. A
/// suspicion costs time only, and an honest operator that is suspected is found to be right.
const JUMP: f64 = 4.0;

/// Sums in a different order and fast functions make honest `f32` engines differ by more than one rounding does.
const F32_MARGIN: f64 = 4.0;

/// The most bytes of values that are chosen to be compared whole, unless one operator has more.
pub const MOST_BYTES: usize = 256 << 20;

/// The network whose values are screened.
pub struct Screened<'a> {
    /// The network, its input shapes resolved.
    pub model: &'a Model,
    /// The target's feeds.
    pub feeds: &'a [Feed],
    /// Computes the nodes that tract refuses.
    pub second: Option<Second>,
    /// The format that the target stores.
    pub storage: Format,
    /// Which elements are kept.
    pub sampling: Sampling,
}

/// The values to compare whole.
#[derive(Debug)]
pub struct Suspicion {
    /// Their names.
    pub values: BTreeSet<String>,
    /// How many values were compared by their samples.
    pub sampled: usize,
    /// How many suspected operators have values that did not fit.
    pub left: usize,
}

/// The target's sample of a value; `None` if the target does not show it.
pub type FoundSample<'l> = dyn Fn(&str) -> Option<ValueSample> + 'l;

/// Compares samples of all values.
///
/// # Errors
/// If the reference refuses a node.
pub fn screen(screened: &Screened<'_>, found: &FoundSample<'_>) -> Result<Suspicion, String> {
    let stream = || -> Result<NodeSteps, String> {
        let mut steps = NodeSteps::with_second(screened.model, screened.second.clone())?;
        steps.start(screened.feeds)?;
        Ok(steps)
    };
    let (mut exact, mut half) = (stream()?, stream()?);
    let (mut seen, mut suspects) = (Seen::default(), Vec::new());
    for step in 0..exact.len() {
        exact.advance(step, &Tensor::clone)?;
        half.advance(step, &round_to_f16)?;
        let before = seen.before(exact.reads(step));
        let mut worst = 0.0f64;
        for name in exact.writes(step).to_vec() {
            let Some(right) = exact.value(&name) else { continue };
            let rounded = half.value(&name);
            let target = found(&name);
            let off = target.map(|target| {
                let sample = |tensor: &Tensor| ValueSample::of(tensor, screened.sampling);
                let right_sample = sample(right);
                let cost = rounded.and_then(|half| sample(half).distance(&right_sample));
                let cost = Cost::of(cost, right, screened.storage);
                // A value in another form has no distance.
                let apart = target.distance(&right_sample);
                apart.map_or(f64::INFINITY, |apart| cost.times(apart))
            });
            if off.is_some() {
                seen.bytes.insert(name.clone(), right.len() * right.dtype().size());
            }
            seen.off.insert(name, off.unwrap_or(before));
            worst = worst.max(off.unwrap_or(0.0));
        }
        if worst > JUMP * before {
            suspects.push((worst / before, step));
        }
    }
    Ok(seen.choose(&exact, suspects))
}

/// What was seen of the values so far.
#[derive(Default)]
struct Seen {
    /// How far each value is off, in units of rounding.
    off: BTreeMap<String, f64>,
    /// The bytes of each value that the target shows.
    bytes: BTreeMap<String, usize>,
}

impl Seen {
    /// How far the worst of these values is off; at least what rounding costs.
    fn before(&self, names: &[String]) -> f64 {
        names.iter().filter_map(|name| self.off.get(name)).copied().fold(1.0, f64::max)
    }

    fn is_shown(&self, name: &str) -> bool {
        self.bytes.contains_key(name)
    }

    /// The nearest shown values that a step is computed from.
    fn shown_behind(&self, steps: &NodeSteps, step: usize) -> BTreeSet<String> {
        let (mut shown, mut seen, mut open) = (BTreeSet::new(), BTreeSet::from([step]), vec![step]);
        while let Some(step) = open.pop() {
            for name in steps.reads(step) {
                match steps.step_of(name) {
                    _ if self.is_shown(name) => _ = shown.insert(name.clone()),
                    Some(writer) if seen.insert(writer) => open.push(writer),
                    _ => {}
                }
            }
        }
        shown
    }

    /// The values of the steps with the largest jumps, as many as fit.
    fn choose(&self, steps: &NodeSteps, mut suspects: Vec<(f64, usize)>) -> Suspicion {
        suspects.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut values, mut bytes, mut left) = (BTreeSet::new(), 0, 0);
        for (_, step) in suspects {
            let mut new = self.shown_behind(steps, step);
            new.extend(steps.writes(step).iter().filter(|name| self.is_shown(name)).cloned());
            new.retain(|name| !values.contains(name));
            let more: usize = new.iter().map(|name| self.bytes[name]).sum();
            if more == 0 || values.is_empty() || bytes + more <= MOST_BYTES {
                values.extend(new);
                bytes += more;
            } else {
                left += 1;
            }
        }
        Suspicion { values, sampled: self.bytes.len(), left }
    }
}

/// What rounding costs at a value.
struct Cost {
    drawn: f64,
    mean: f64,
    largest: f64,
}

impl Cost {
    /// From the distance of the run that rounds to `f16`. Rounding errors are of first order in epsilon.
    fn of(half: Option<SampledDistance>, right: &Tensor, storage: Format) -> Self {
        let margin = if storage == Format::F32 { F32_MARGIN } else { 1.0 };
        let scale = margin * storage.epsilon() / Format::F16.epsilon();
        // A mean error of half an ulp: no storage is more exact. Whole numbers are exact.
        let least = if right.dtype().is_float() { Format::F16.epsilon() / 2.0 } else { 0.0 };
        let half = half.map_or([least; 3], |half| [half.drawn, half.mean, half.largest]);
        let drawn = half[0].max(least).min(1.0);
        let mean = half[1].max(drawn / (right.len().max(1) as f64).sqrt()).min(1.0);
        let largest = half[2].max(drawn).min(1.0);
        Cost { drawn: scale * drawn, mean: scale * mean, largest: scale * largest }
    }

    /// How many times this cost a value is off.
    fn times(&self, apart: SampledDistance) -> f64 {
        if !apart.same_nonfinite {
            return f64::INFINITY;
        }
        let times = |apart: f64, cost: f64| if apart == 0.0 { 0.0 } else { apart / cost };
        times(apart.drawn, self.drawn)
            .max(times(apart.mean, self.mean))
            .max(times(apart.largest, self.largest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Network;
    use crate::tensor::Dtype;

    /// x → exp → a → neg → b → tanh → c, with 10,000 elements.
    fn model() -> Model {
        Network::new("screened")
            .input("x", Dtype::F32, &[10_000])
            .node("exp", "Exp", &["x"], &["a"], &[])
            .node("neg", "Neg", &["a"], &["b"], &[])
            .node("tanh", "Tanh", &["b"], &["c"], &[])
            .output("c", Dtype::F32, &[10_000])
            .finish()
            .unwrap()
    }

    /// What is suspected if the target's values are the reference's, changed by `change`.
    fn suspected(change: impl Fn(&str, usize, f32) -> f32) -> Vec<String> {
        let model = model();
        let elements: Vec<f32> = (0..10_000).map(|at| (at % 17) as f32 / 9.0 - 1.0).collect();
        let tensor = Tensor::from_f32(&[10_000], elements.clone()).unwrap();
        let feeds = [Feed::new("x", "", tensor)];
        let sampling = Sampling { elements: 256, seed: 3 };
        let (model, feeds, storage) = (&model, &feeds[..], Format::F32);
        let screened = Screened { model, feeds, second: None, storage, sampling };
        let found = |name: &str| {
            let value = |(at, x): (usize, &f32)| {
                let a = change("a", at, x.exp());
                let b = change("b", at, -a);
                [("a", a), ("b", b), ("c", change("c", at, b.tanh()))]
                    .into_iter()
                    .find_map(|(value, element)| (value == name).then_some(element))
            };
            let elements = elements.iter().enumerate().map(value).collect::<Option<Vec<f32>>>();
            let tensor = elements.map(|all| Tensor::from_f32(&[10_000], all).unwrap());
            tensor.map(|tensor| ValueSample::of(&tensor, sampling))
        };
        let suspicion = screen(&screened, &found).unwrap();
        assert_eq!((suspicion.sampled, suspicion.left), (3, 0));
        suspicion.values.into_iter().collect()
    }

    #[test]
    fn the_operator_at_which_the_error_jumps_is_suspected() {
        let wrong = |at: &'static str| {
            move |name: &str, _, right: f32| {
                if name == at { right * 1.001 } else { right }
            }
        };
        assert!(suspected(|_, _, right| right).is_empty());
        assert!(suspected(|_, _, right| right * (1.0 + f32::EPSILON)).is_empty());
        assert_eq!(suspected(wrong("a")), ["a"]);
        assert_eq!(suspected(wrong("b")), ["a", "b"]);
        assert_eq!(suspected(wrong("c")), ["b", "c"]);
    }

    #[test]
    fn an_outlier_or_a_nan_outside_the_sample_is_seen() {
        let one = |element: f32| {
            move |name: &str, at, right: f32| {
                if name == "b" && at == 4321 { element } else { right }
            }
        };
        assert_eq!(suspected(one(f32::NAN)), ["a", "b"]);
        assert_eq!(suspected(one(-9.0)), ["a", "b"]);
    }
}
