//! A trial watched from inside: which faults can be seen at all, and what the comparison rules of
//! others make of them.

use crate::plant::Trial;
use offby::engine::{Device, DeviceRun, NodeSteps, Simulator};
use offby::graph::Model;
use offby::inputs::Feed;
use offby::tensor::Tensor;
use offby::walk::gauge;
use std::collections::BTreeSet;

/// What was seen from inside.
pub(crate) struct Watched {
    /// Nodes whose output has other numbers than without the fault, on the same inputs: NaN is NaN
    /// whatever its payload, and 0 is -0.
    pub(crate) observable: BTreeSet<String>,
    /// Those of them whose output differs by more than the storage format is allowed
    /// (`compare::STORAGE`: 1e-4 for f32, 1e-2 for f16).
    pub(crate) beyond: BTreeSet<String>,
    /// The first node at which a rule says no: `d > 5 % of the largest reference value`, NaN passing.
    pub(crate) five_percent: Option<String>,
}

/// Runs a trial's device beside the same device without faults, and beside the reference.
pub(crate) fn watch(trial: &Trial, model: &Model, feeds: &[Feed]) -> Result<Watched, String> {
    let honest = Device { faults: Vec::new(), ..trial.device.clone() };
    let mut faulty = DeviceRun::new(model, feeds, Simulator::new(trial.device.clone()))?;
    let mut without = DeviceRun::new(model, feeds, Simulator::new(honest))?;
    let mut reference = NodeSteps::new(model)?;
    reference.start(feeds)?;
    faulty.begin(false)?;
    without.begin(false)?;
    let mut seen =
        Watched { observable: BTreeSet::new(), beyond: BTreeSet::new(), five_percent: None };
    for step in 0..reference.len() {
        let (inputs, outputs) = faulty.advance(step).map_err(|stop| format!("{stop:?}"))?;
        let label = faulty.facts()[step].label.clone();
        if trial.planted.iter().any(|(_, planted)| *planted == label) {
            let right = without.pass(step, &inputs).map_err(|stop| format!("{stop:?}"))?;
            if !right.iter().zip(&outputs).all(same_numbers) {
                seen.observable.insert(label.clone());
                let storage = trial.device.storage.format;
                let allowed = |(right, found)| {
                    gauge(right, found)
                        .is_some_and(|gauge| gauge.disagreeing == 0 && gauge.is_within(storage))
                };
                if !right.iter().zip(&outputs).all(allowed) {
                    seen.beyond.insert(label.clone());
                }
            }
        }
        let clean = reference.inputs(step)?;
        let clean = reference.compute(step, &clean, &Tensor::clone)?;
        if seen.five_percent.is_none()
            && clean.iter().zip(&outputs).any(|(clean, found)| beyond_five_percent(clean, found))
        {
            seen.five_percent = Some(label);
        }
        reference.store(step, &clean);
        reference.forget(step);
    }
    Ok(seen)
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

/// The rule of MNN's own backend test: the largest difference against the largest value. A NaN
/// makes every comparison false, and so passes.
fn beyond_five_percent(clean: &Tensor, found: &Tensor) -> bool {
    let (Tensor::F32(clean), Tensor::F32(found)) = (clean, found) else { return false };
    let largest = clean.iter().fold(0.0f32, |max, value| max.max(value.abs()));
    clean.iter().zip(found).any(|(clean, found)| (clean - found).abs() > 0.05 * largest)
}
