//! Watches a trial from inside: which faults are observable, how large they are, and the verdicts of other
//! tools' comparison rules.

use crate::plant::Trial;
use offby::engine::NodeSteps;
use offby::graph::Model;
use offby::inputs::Feed;
use offby::sim::{Device, Fault, Simulator};
use offby::tensor::Tensor;
use offby::worker::DeviceRun;
use std::collections::BTreeMap;

/// A rule of a different tool: whether a candidate's tensor fails, given the right tensor.
type Fails = fn(&Tensor, &Tensor) -> bool;

/// Rules that compare every node's value with the reference's from the same feed, and name the first failing
/// node.
pub(crate) const RULES: [(&str, Fails); 2] = [
    ("MNN's backend test: difference above 5 % of the largest value, NaN passing", five_percent),
    ("Polygraphy's default: difference above 1e-5 + 1e-5 |r|", polygraphy),
];

/// The observations from inside.
#[derive(Default)]
pub(crate) struct Watched {
    /// Nodes whose output has other numbers than without the fault, on the same inputs, and the size of the
    /// fault. NaN payloads and the sign of 0 do not count.
    pub(crate) observable: BTreeMap<String, Size>,
    /// The first node that each of [`RULES`] names.
    pub(crate) named: [Option<String>; RULES.len()],
}

/// The size of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Size {
    /// Every element is within its bound: the fault looks like rounding.
    Rounding,
    /// 1 to 4 bounds, for the worst element.
    Small,
    /// 4 to 16 bounds.
    Medium,
    /// More than 16 bounds, or a non-finite value.
    Large,
    /// The element's bound is unknown.
    Unknown,
}

impl Size {
    /// All sizes, with their names.
    pub(crate) const ALL: [(Size, &str); 5] = [
        (Size::Rounding, "within bounds"),
        (Size::Small, "1 to 4 bounds"),
        (Size::Medium, "4 to 16 bounds"),
        (Size::Large, "beyond 16 bounds"),
        (Size::Unknown, "no bound known"),
    ];

    fn of(excess: f64) -> Self {
        match excess {
            _ if excess <= 1.0 => Size::Rounding,
            _ if excess <= 4.0 => Size::Small,
            _ if excess <= 16.0 => Size::Medium,
            _ => Size::Large,
        }
    }

    /// Whether a strategy must find the fault.
    pub(crate) fn is_beyond_four(self) -> bool {
        matches!(self, Size::Medium | Size::Large)
    }
}

/// Runs a trial's device together with the same device without faults, and with the reference.
pub(crate) fn watch(trial: &Trial, model: &Model, feeds: &[Feed]) -> Result<Watched, String> {
    let honest = Device { faults: Vec::new(), ..trial.device.clone() };
    let arithmetic = honest.arithmetic();
    let mut faulty = DeviceRun::new(model, feeds, Simulator::new(trial.device.clone()))?;
    let mut without = DeviceRun::new(model, feeds, Simulator::new(honest))?;
    let mut reference = NodeSteps::new(model)?;
    reference.start(feeds)?;
    without.begin(false)?;
    let mut seen = Watched::default();
    let again = trial.planted.iter().any(|(kind, _)| *kind == Fault::SecondRun);
    for run in 1..=if again { 2 } else { 1 } {
        faulty.begin(false)?;
        for step in 0..reference.len() {
            let (inputs, outputs) = faulty.advance(step).map_err(|stop| format!("{stop:?}"))?;
            let label = faulty.facts()[step].label.clone();
            let planted = trial.planted.iter().find(|(_, planted)| *planted == label);
            if planted.is_some_and(|(kind, _)| run == 1 || *kind == Fault::SecondRun) {
                let right = without.pass(step, &inputs).map_err(|stop| format!("{stop:?}"))?;
                let found: Vec<&Tensor> = outputs.iter().collect();
                if !right.iter().zip(&outputs).all(same_numbers) {
                    let weighed = reference.weigh(step, &inputs, &right, &found, &arithmetic);
                    let size = match right.iter().zip(&outputs).any(differs_in_kind) {
                        true => Size::Large,
                        false => weighed.map_or(Size::Unknown, |found| Size::of(found.excess)),
                    };
                    seen.observable.insert(label.clone(), size);
                }
            }
            if run == 1 {
                seen.hold(&mut reference, step, &outputs, &label)?;
            }
        }
    }
    Ok(seen)
}

impl Watched {
    /// Compares a node's outputs with the reference's, by the rules of other tools.
    fn hold(
        &mut self,
        reference: &mut NodeSteps,
        step: usize,
        outputs: &[Tensor],
        label: &str,
    ) -> Result<(), String> {
        let clean = reference.inputs(step)?;
        let clean = reference.compute(step, &clean, &Tensor::clone)?;
        for (named, (_, fails)) in self.named.iter_mut().zip(RULES) {
            if named.is_none() && clean.iter().zip(outputs).any(|(clean, out)| fails(clean, out)) {
                *named = Some(label.to_owned());
            }
        }
        reference.store(step, &clean);
        reference.forget(step);
        Ok(())
    }
}

fn same_numbers((right, found): (&Tensor, &Tensor)) -> bool {
    match (right, found) {
        (Tensor::F32(right), Tensor::F32(found)) => {
            let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
            right.shape() == found.shape() && right.iter().zip(found).all(same)
        }
        _ => right.to_bytes() == found.to_bytes(),
    }
}

/// Whether a number became NaN or an infinity, or the reverse.
fn differs_in_kind((right, found): (&Tensor, &Tensor)) -> bool {
    let pairs = right.numbers(1).into_iter().zip(found.numbers(1));
    pairs.into_iter().any(|(right, found)| right.is_finite() != found.is_finite())
}

/// The rule of MNN's own backend test: the largest difference relative to the largest value. A NaN makes every
/// comparison false, and so passes.
fn five_percent(clean: &Tensor, found: &Tensor) -> bool {
    let (Tensor::F32(clean), Tensor::F32(found)) = (clean, found) else { return false };
    let largest = clean.iter().fold(0.0f32, |max, value| max.max(value.abs()));
    clean.iter().zip(found).any(|(clean, found)| (clean - found).abs() > 0.05 * largest)
}

/// `polygraphy run --rtol 1e-5 --atol 1e-5`, with its default tolerances.
fn polygraphy(clean: &Tensor, found: &Tensor) -> bool {
    let (Tensor::F32(clean), Tensor::F32(found)) = (clean, found) else { return false };
    let passes = |(clean, found): (&f32, &f32)| {
        (clean - found).abs() <= 1e-5 + 1e-5 * clean.abs() || (clean.is_nan() && found.is_nan())
    };
    !clean.iter().zip(found).all(passes)
}
