//! Draws a fault that only decoding shows: a kind, a network, a layer and a node.

use offby::graph::Model;
use offby::inputs::Random;
use offby::sim::{Condition, Device, Extent, Fault, Planted, StorageRules};
use offby::tensor::Format;

/// The kinds of faults.
pub(crate) const KINDS: &[&str] = &[
    "only in decode",
    "only beyond 64 tokens",
    "only in one head",
    "stale slot",
    "rotary position off by one",
    "mask one short",
    "cache in f16",
];
/// The cache length beyond which a fault happens.
const LONG: usize = 64;
/// Faults that change values a little or a lot.
const CHANGES: &[(Fault, Option<f32>)] = &[
    (Fault::Scale, Some(1.1)),
    (Fault::NegativeOnly, Some(1.2)),
    (Fault::OneElement, Some(3.0)),
    (Fault::Shifted, None),
    (Fault::Clipped, None),
];

/// A device with a fault, and where it must be found.
pub(crate) struct Trial {
    pub(crate) number: usize,
    pub(crate) network: usize,
    pub(crate) kind: &'static str,
    pub(crate) device: Device,
    pub(crate) steps: usize,
    /// The first step with the fault.
    pub(crate) step: usize,
    /// The nodes with the fault.
    pub(crate) nodes: Vec<String>,
    pub(crate) layer: Option<usize>,
}

/// A device without faults.
pub(crate) fn honest(format: Format) -> Device {
    let storage = StorageRules { format, ..StorageRules::default() };
    Device {
        name: format!("honest-{}", format.name()),
        describes: "a device without faults".into(),
        storage,
        ..Device::honest()
    }
}

/// The trial of this number.
pub(crate) fn draw(seed: usize, number: usize, models: &[Model], prompt: usize) -> Trial {
    let mut random = Random::new((seed * 100_000 + number) as u64);
    let mut below = |count: usize| (random.unit() * count as f64) as usize;
    let kind = KINDS[number % KINDS.len()];
    let is_rotary = kind == "rotary position off by one";
    // The last decoder has no rotary positions.
    let network = below(models.len() - usize::from(is_rotary));
    let model = &models[network];
    let layers = 1 + model.nodes().filter_map(|node| layer_of(node.name)).max().unwrap_or(0);
    let layer = below(layers);
    let nodes = |module: &str, op: &[&str]| -> Vec<String> {
        let start = format!("/layers.{layer}/{module}");
        let of_type = model.nodes().filter(|node| op.contains(&node.op_type));
        of_type.filter(|n| n.name.starts_with(&start)).map(|n| n.name.to_owned()).collect()
    };
    let one = |nodes: Vec<String>, below: &mut dyn FnMut(usize) -> usize| -> String {
        nodes[below(nodes.len())].clone()
    };
    let begins = 1 + below(6);
    let planted = |fault, factor, format, name: &str, extent| Planted {
        factor,
        format,
        at: Condition { name: Some(name.to_owned()), extent, ..Condition::default() },
        ..Planted::of(fault)
    };
    let only = |axis: i64, from: usize, to: Option<usize>| Some(Extent { axis, from, to });
    let (step, name, fault) = match kind {
        "only in decode" => {
            let (fault, factor) = CHANGES[below(CHANGES.len())];
            let name = one(nodes("mlp/", &["MatMul", "Mul", "Add"]), &mut below);
            (1, name.clone(), planted(fault, factor, None, &name, only(1, 0, Some(1))))
        }
        "only beyond 64 tokens" => {
            let name = one(nodes("attention", &["Softmax"]), &mut below);
            let fault = [Fault::Scale, Fault::Shifted][below(2)];
            let factor = (fault == Fault::Scale).then_some(1.1);
            let step = LONG + 1 - prompt;
            (step, name.clone(), planted(fault, factor, None, &name, only(3, LONG + 1, None)))
        }
        "only in one head" => {
            let name = one(nodes("attention", &["Softmax"]), &mut below);
            (
                1,
                name.clone(),
                planted(Fault::OneChannel, Some(1.1), None, &name, only(2, 0, Some(1))),
            )
        }
        "stale slot" => {
            let name = one(present(model, layer), &mut below);
            let from = only(2, prompt + begins, None);
            (begins, name.clone(), planted(Fault::StaleSlot, None, None, &name, from))
        }
        "rotary position off by one" => {
            let name = model.nodes().find(|node| node.name.starts_with("/rotary/Cast"));
            let name = name.map_or_else(String::new, |node| node.name.to_owned());
            (1, name.clone(), planted(Fault::PlusOne, None, None, &name, only(1, 0, Some(1))))
        }
        "mask one short" => {
            let name = one(nodes("attention", &["Softmax"]), &mut below);
            let from = only(3, prompt + begins, None);
            (begins, name.clone(), planted(Fault::TermLost, None, None, &name, from))
        }
        _ => {
            let name = one(present(model, layer), &mut below);
            let half = Some(Format::F16);
            (0, name.clone(), planted(Fault::DigitsLost, None, half, &name, None))
        }
    };
    // A cache in f16 is no fault on a device that stores everything in f16.
    let format = [Format::F32, Format::F16][if kind == "cache in f16" { 0 } else { below(2) }];
    let mut device = honest(format);
    device.name = format!("trial-{number}");
    device.faults = vec![fault];
    let steps = if step > 12 { step + 3 } else { 12 };
    let layer = (!is_rotary).then_some(layer);
    Trial { number, network, kind, device, steps, step, nodes: vec![name], layer }
}

/// The nodes that write a layer's keys and values.
fn present(model: &Model, layer: usize) -> Vec<String> {
    let outputs = ["key", "value"].map(|part| format!("present.{layer}.{part}"));
    let writes = |outputs_of: &[String]| outputs_of.iter().any(|name| outputs.contains(name));
    model.nodes().filter(|node| writes(node.outputs)).map(|node| node.name.to_owned()).collect()
}

fn layer_of(name: &str) -> Option<usize> {
    name.strip_prefix("/layers.")?.split('/').next()?.parse().ok()
}
