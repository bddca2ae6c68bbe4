//! Why an engine's own CPU differs from the reference: its converter, or one of its CPU kernels.
//!
//! The first value of the converted network that differs leads to an ONNX node. The search runs that node alone
//! on the engine's CPU, on the reference's inputs. If the node is right alone, the converted network differs:
//! the converter is to blame. If the node is wrong alone, the search removes attributes and inputs one by one.
//! A part whose removal changes the node's meaning but not its conversion is dropped by the converter.
//! Otherwise the kernel is to blame.

use super::Evaluator;
use super::examine::names_of;
use super::node::run_node;
use super::registry::on_cpu;
use crate::engine::{Engine, EngineSession, NodeSteps, Output, Target};
use crate::graph::{Model, ValueName};
use crate::inputs::Feed;
use crate::tensor::{ShapeText, Tensor};
use crate::verdict::{Code, Origin, OriginKind, ROUNDING, distance, is_within};
use crate::walk::{Trace, WalkReport, map_to_nodes};
use crate::worker::{Converter, Interrupt, compare_converted, converted_operators, find_converter};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The most nodes before the first differing value that run alone: a converter fuses no more than a handful of
/// nodes into one operator.
const MOST_NODES: usize = 24;
/// The most nodes that run alone if no named value differs.
const MOST_SEARCHED: usize = 400;

/// The walk's findings about the converted network.
pub(super) struct ConvertedWalk<'a> {
    /// The walk, concluded.
    pub(super) walk: &'a WalkReport,
    /// The walk's measurements.
    pub(super) found: Option<&'a Trace>,
    /// The target's wrong outputs.
    pub(super) wrong: &'a [ValueName],
    /// The outputs of the engine's own CPU.
    pub(super) clean: &'a [Output],
}

/// Why the engine's own CPU differs from the reference; `None` if the search finds no reason.
pub(super) fn find_origin(
    session: &Evaluator<'_>,
    target: &Target,
    walked: &ConvertedWalk<'_>,
) -> Option<Origin> {
    if Code::of(target) != Code::Mnn {
        return None;
    }
    let ready = match session.registry.converter() {
        Converter::Ready(path) => Some(path.clone()),
        _ => None,
    };
    // Single nodes must be converted, even if the whole network came from a converted file.
    let converter =
        if ready.is_some() { find_converter() } else { session.registry.converter().clone() };
    let registry = session.registry.with_converter(converter.clone());
    let engine = registry.engine(&on_cpu(target));
    let mut search = OriginSearch::new(session, engine.as_ref(), converter)?;
    if let Some(origin) = search.lost_output(walked) {
        return Some(origin);
    }
    search.concern(walked.wrong);
    let suspects = search.suspects(walked);
    if let Some(path) = &ready
        && let Some(origin) = search.edited(path, walked)
    {
        return Some(origin);
    }
    let origin = search.wrong_in_place(walked).or_else(|| search.wrong_alone(&suspects));
    origin.or_else(|| search.rewritten(walked, suspects.last().copied()))
}

struct OriginSearch<'e> {
    steps: NodeSteps,
    feeds: &'e [Feed],
    cpu: Box<dyn EngineSession + 'e>,
    converter: Converter,
    model: &'e Model,
    deadline: Duration,
    interrupt: Interrupt,
    /// The step of each node's label.
    numbers: BTreeMap<String, usize>,
    /// The steps behind the wrong outputs.
    concerned: BTreeSet<usize>,
}

impl<'e> OriginSearch<'e> {
    fn new(session: &Evaluator<'e>, engine: &'e dyn Engine, converter: Converter) -> Option<Self> {
        let request = session.request;
        let steps = NodeSteps::with_second(request.model, session.second()).ok()?;
        let numbers = (0..steps.len()).map(|step| (steps.node(step).0, step)).collect();
        Some(OriginSearch {
            steps,
            feeds: request.feeds,
            cpu: engine.session(),
            converter,
            model: request.model,
            deadline: request.deadline,
            interrupt: session.registry.interrupt().clone(),
            numbers,
            concerned: BTreeSet::new(),
        })
    }

    /// An output that the converted network does not have.
    fn lost_output(&self, walked: &ConvertedWalk<'_>) -> Option<Origin> {
        let is_there = |name: &ValueName| walked.clean.iter().any(|output| output.name == *name);
        let lost = walked.wrong.iter().find(|name| !is_there(name))?;
        let (node, op_type) = self.steps.node(self.steps.step_of(lost.as_str())?);
        let others = names_of(walked.clean);
        let others = others.map_or(", and no other".to_owned(), |given| format!(", only {given}"));
        Some(Origin {
            kind: OriginKind::Converter,
            node,
            op_type,
            operator: None,
            item: None,
            error: None,
            grounds: format!("the converted network has no output `{lost}`{others}"),
            explains_outputs: true,
        })
    }

    /// Restricts the search to the steps behind these outputs.
    fn concern(&mut self, outputs: &[ValueName]) {
        let mut open: Vec<usize> =
            outputs.iter().filter_map(|name| self.steps.step_of(name.as_str())).collect();
        while let Some(step) = open.pop() {
            if self.concerned.insert(step) {
                let writers =
                    self.steps.reads(step).iter().filter_map(|name| self.steps.step_of(name));
                open.extend(writers);
            }
        }
    }

    /// The steps that may be to blame, in order: the node of the first differing value, and the nodes before it
    /// back to right values.
    fn suspects(&self, walked: &ConvertedWalk<'_>) -> Vec<usize> {
        let names = super::node_names(self.model);
        let measured = walked.found.map(|trace| trace.measured.as_slice()).unwrap_or_default();
        let operators: Vec<String> = measured.iter().map(|op| op.name.clone()).collect();
        let (nodes, _) = map_to_nodes(&operators, &names);
        let step = |at: usize| self.numbers.get(nodes[at].as_deref()?).copied();
        let right: BTreeSet<usize> = (0..measured.len())
            .filter(|&at| {
                measured[at].conversion.is_some_and(|error_summary| error_summary.within_f32)
            })
            .filter_map(step)
            .collect();
        let is_off = |at: &usize| {
            measured[*at].conversion.is_some_and(|error_summary| !error_summary.within_f32)
        };
        let first = (0..measured.len())
            .filter(is_off)
            .filter_map(step)
            .find(|step| self.concerned.contains(step));
        match first {
            Some(first) => self.behind(first, &right),
            None => self.concerned.iter().copied().take(MOST_SEARCHED).collect(),
        }
    }

    fn behind(&self, first: usize, right: &BTreeSet<usize>) -> Vec<usize> {
        let mut found = BTreeSet::from([first]);
        let mut open = vec![first];
        while let Some(step) = open.pop() {
            for name in self.steps.reads(step) {
                let Some(writer) = self.steps.step_of(name) else { continue };
                let is_new = found.len() < MOST_NODES && !right.contains(&writer);
                if is_new && found.insert(writer) {
                    open.push(writer);
                }
            }
        }
        found.into_iter().collect()
    }

    /// The first operator that the engine's CPU computes wrongly on its own inputs.
    fn wrong_in_place(&mut self, walked: &ConvertedWalk<'_>) -> Option<Origin> {
        let names = super::node_names(self.model);
        let measured = &walked.found?.measured;
        let (step, op) = measured
            .iter()
            .filter(|op| op.kernel.is_some_and(|kernel| kernel.error_summary.is_off()))
            .filter_map(|op| {
                let (nodes, _) = map_to_nodes(std::slice::from_ref(&op.name), &names);
                Some((*self.numbers.get(nodes.first()?.as_deref()?)?, op))
            })
            .find(|(step, _)| self.concerned.contains(step))?;
        if let Some(origin) = self.wrong_alone(&[step]) {
            return Some(origin);
        }
        let kernel = op.kernel.filter(|kernel| kernel.same_constants)?;
        let (node, op_type) = self.steps.node(step);
        Some(Origin {
            kind: OriginKind::CpuKernel,
            node,
            op_type,
            operator: Some(op.op_type.clone()),
            item: None,
            error: Some(kernel.error_summary.rel_l2)
                .filter(|_| kernel.error_summary.disagreeing == 0),
            explains_outputs: true,
            grounds: format!(
                "in the network, on the operator's own inputs and with the node's own constants, {} of {} elements are otherwise; by itself the node is right, so the fault needs what is around it (layouts, reused memory)",
                kernel.error_summary.mismatched, kernel.error_summary.elements
            ),
        })
    }

    /// The first suspect that the engine's CPU computes wrongly when it runs alone.
    fn wrong_alone(&mut self, suspects: &[usize]) -> Option<Origin> {
        self.steps.start(self.feeds).ok()?;
        let last = *suspects.last()?;
        for step in 0..=last {
            let inputs = self.steps.inputs(step).ok()?;
            let outputs = self.steps.compute(step, &inputs, &Tensor::clone).ok()?;
            if suspects.contains(&step)
                && let Some(origin) = self.try_alone(step, &inputs, &outputs)
            {
                return Some(origin);
            }
            self.steps.store(step, &outputs);
            self.steps.forget(step);
        }
        None
    }

    fn try_alone(
        &mut self,
        step: usize,
        inputs: &[Option<Tensor>],
        outputs: &[Tensor],
    ) -> Option<Origin> {
        let (model, feeds) = self.steps.alone(step, inputs, outputs).ok()?;
        let found = run_node(self.cpu.as_mut(), &model, &feeds, self.deadline).ok()?;
        if is_within(outputs, &found) {
            return None;
        }
        let (node, op_type) = self.steps.node(step);
        let dropped = self.dropped(step, &model, inputs, outputs, &found);
        let (kind, grounds) = match &dropped {
            Some(item) => (
                OriginKind::Converter,
                format!("it drops {item}, which changes what the node computes"),
            ),
            None => (
                OriginKind::CpuKernel,
                format!("by itself, on the same inputs, it gives {}", differences(outputs, &found)),
            ),
        };
        let error = Some(distance(outputs, &found)).filter(|error| error.is_finite());
        Some(Origin {
            kind,
            node,
            op_type,
            operator: None,
            item: dropped,
            error,
            grounds,
            explains_outputs: true,
        })
    }

    /// An attribute or an input that matters, but whose removal leaves the conversion unchanged.
    fn dropped(
        &self,
        step: usize,
        alone: &Model,
        inputs: &[Option<Tensor>],
        outputs: &[Tensor],
        found: &[Tensor],
    ) -> Option<String> {
        let whole =
            converted_operators(&self.converter, alone, self.deadline, &self.interrupt).ok()?;
        let without = alone.without_each_part();
        without.into_iter().find_map(|(part, changed)| {
            let other =
                converted_operators(&self.converter, &changed, self.deadline, &self.interrupt)
                    .ok()?;
            // Whether the engine computes the node as if the part were missing.
            let is_that = || {
                let other = self.means(step, &changed, inputs);
                other.is_some_and(|other| !is_within(outputs, &other) && is_within(&other, found))
            };
            (other == whole && is_that()).then_some(part)
        })
    }

    /// The reference's outputs for the changed node.
    fn means(
        &self,
        step: usize,
        changed: &Model,
        inputs: &[Option<Tensor>],
    ) -> Option<Vec<Tensor>> {
        let names = self.steps.reads(step).iter().zip(inputs);
        let fed: BTreeMap<&String, &Tensor> =
            names.filter_map(|(name, input)| Some((name, input.as_ref()?))).collect();
        let mut steps = NodeSteps::new(changed).ok()?;
        let feeds: Vec<Feed> = changed
            .inputs()
            .iter()
            .filter_map(|input| {
                let tensor = (*fed.get(&input.name.to_string())?).clone();
                Some(Feed::new(input.name.clone(), "", tensor))
            })
            .collect();
        steps.start(&feeds).ok()?;
        let inputs = steps.inputs(0).ok()?;
        steps.compute(0, &inputs, &Tensor::clone).ok()
    }

    /// Compares the given file with a fresh conversion, and names the first difference.
    fn edited(&self, ready: &std::path::Path, walked: &ConvertedWalk<'_>) -> Option<Origin> {
        let change =
            compare_converted(&self.converter, self.model, ready, self.deadline, &self.interrupt)
                .ok()??;
        let names = super::node_names(self.model);
        let (nodes, _) = map_to_nodes(std::slice::from_ref(&change.operator), &names);
        let label = nodes.into_iter().flatten().next()?;
        let node = self.model.nodes().find(|node| node.label() == label)?;
        // A convolution's weight is the node's second input in ONNX, its bias the third.
        let input = match change.field.rsplit('.').next() {
            Some("weight") => node.inputs.get(1),
            Some("bias") => node.inputs.get(2),
            _ => None,
        };
        let item = match input {
            Some(input) => format!("`{input}` ({} of {})", change.field, change.operator),
            None => format!("{} of {}", change.field, change.operator),
        };
        let conversion = walked.walk.ops.iter().find(|op| op.name == change.operator);
        Some(Origin {
            kind: OriginKind::Converter,
            node: label.clone(),
            op_type: node.op_type.to_owned(),
            operator: Some(change.operator),
            explains_outputs: true,
            grounds: format!(
                "in the given .mnn file, {item} is not what a fresh conversion has: {}",
                change.words
            ),
            item: Some(item),
            error: conversion.and_then(|op| op.conversion),
        })
    }

    /// Every node is right alone, so the converter replaced several nodes with one different operator.
    fn rewritten(&self, walked: &ConvertedWalk<'_>, step: Option<usize>) -> Option<Origin> {
        let first = walked.walk.first_converted.as_ref()?;
        let op = walked.walk.ops.iter().find(|op| op.name == *first)?;
        let (node, op_type) = self.steps.node(step?);
        Some(Origin {
            kind: OriginKind::Converter,
            node,
            op_type,
            operator: Some(op.op_type.clone()),
            item: None,
            error: op.conversion,
            explains_outputs: true,
            grounds: format!(
                "every node here is right by itself, but in the converted network one `{}` operator takes the place of several nodes and computes something else",
                op.op_type
            ),
        })
    }
}

/// How many elements differ, and the element that is furthest off.
fn differences(outputs: &[Tensor], found: &[Tensor]) -> String {
    let shapes = |tensors: &[Tensor]| -> Vec<Vec<usize>> {
        tensors.iter().map(|tensor| tensor.shape().to_vec()).collect()
    };
    if shapes(outputs) != shapes(found) {
        let extents = |tensors: &[Tensor]| -> String {
            let one = |tensor: &Tensor| ShapeText(tensor.shape()).to_string();
            tensors.iter().map(one).collect::<Vec<_>>().join(" and ")
        };
        return format!("the shape {} instead of {}", extents(found), extents(outputs));
    }
    let pairs: Vec<(f64, f64)> = outputs
        .iter()
        .zip(found)
        .flat_map(|(right, found)| right.numbers(1).into_iter().zip(found.numbers(1)))
        .collect();
    let apart = |(r, f): &(f64, f64)| match r == f || (r.is_nan() && f.is_nan()) {
        true => 0.0,
        // An element that is NaN on one side only is furthest off.
        false => Some((r - f).abs()).filter(|apart| !apart.is_nan()).unwrap_or(f64::INFINITY),
    };
    // A difference that rounding may cause does not count. The limit is NaN or infinite if the right value is.
    let is_wrong = |pair: &&(f64, f64)| match pair.0.is_finite() {
        true => apart(pair) > ROUNDING * pair.0.abs(),
        false => apart(pair) > 0.0,
    };
    let differing = pairs.iter().filter(is_wrong).count();
    let worst = pairs.iter().max_by(|a, b| apart(a).total_cmp(&apart(b)));
    let example = worst.map_or(String::new(), |(r, f)| {
        format!(", as in {} where {} is right", *f as f32, *r as f32)
    });
    format!("{differing} of {} elements wrong{example}", pairs.len())
}
