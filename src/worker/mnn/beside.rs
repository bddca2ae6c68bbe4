//! Compares MNN's streams with tract's.
//!
//! If an operator has the name of an ONNX value, MNN's clean value can be compared with tract's. The converter or a
//! CPU kernel causes each difference. Before an operator of a backend is accused, tract computes its node on the same
//! inputs.

use crate::bounds::{Arithmetic, Excess};
use crate::engine::{NodeSteps, Output};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use crate::walk::{Clean, Gauge, KernelError, Operand, gauge};
use crate::worker::contents::NETWORK;
use std::collections::BTreeMap;
use std::path::Path;

/// How many operators a converter may have fused after the operator whose name remains.
const FUSED: usize = 6;

/// How many steps back values are kept, because an engine runs operators in its own order.
const KEPT: usize = 3 * FUSED;

/// How far MNN's clean value may be from tract's to count as the same value: errors add up on the way.
const NEAR: f64 = 1e-2;

/// tract's stream of the ONNX model, computed up to the last requested step.
pub(super) struct Beside {
    steps: Option<NodeSteps>,
    feeds: Vec<Feed>,
    cursor: usize,
    /// The inputs of the last compared steps, which the stream drops.
    entered: BTreeMap<usize, Vec<Option<Tensor>>>,
    /// The first outputs of those steps.
    written: BTreeMap<usize, Tensor>,
    /// The last compared operator, the step of its name, and the step of its value.
    last: Option<(String, usize, usize)>,
}

impl Beside {
    /// The stream of a model. If tract does not accept the model, there is no stream and no comparison.
    pub(super) fn new(onnx: Option<Vec<u8>>, feeds: &[Output]) -> Self {
        let model = onnx.and_then(|onnx| Model::from_bytes(&onnx, Path::new(NETWORK)).ok());
        let steps = model.and_then(|model| NodeSteps::new(&model).ok());
        let feeds = feeds.iter().cloned().map(Feed::from).collect();
        Beside {
            steps,
            feeds,
            cursor: 0,
            entered: BTreeMap::new(),
            written: BTreeMap::new(),
            last: None,
        }
    }

    /// Starts again with the feeds.
    pub(super) fn restart(&mut self) {
        self.cursor = 0;
        self.entered.clear();
        self.written.clear();
        self.last = None;
        // Feeds that do not fit end the comparison, not the walk.
        let feeds = &self.feeds;
        self.steps =
            self.steps.take().and_then(|mut steps| steps.start(feeds).ok().map(|()| steps));
    }

    /// How far MNN's clean value is from tract's value of the same name. A converter that fuses operators gives the
    /// last value the first operator's name. If the named value does not fit, the values right after it are tried.
    pub(super) fn gauge(&mut self, name: &str, clean: &Tensor) -> Option<Gauge> {
        let first = self.steps.as_ref()?.step_of(name)?;
        self.entered.retain(|step, _| *step + KEPT > first);
        self.written.retain(|step, _| *step + KEPT > first);
        let mut step = first;
        let mut best = self.gauge_step(step, clean);
        let mut best_step = step;
        for _ in 0..FUSED {
            if best.is_some_and(|gauge| gauge.within_f32) {
                break;
            }
            let Some(next) = self.steps.as_ref()?.only_consumer(step) else { break };
            step = next;
            let gauge = self.gauge_step(step, clean);
            if gauge.is_some_and(|gauge| best.is_none_or(|best| gauge.rel_l2 < best.rel_l2)) {
                (best, best_step) = (gauge, step);
            }
        }
        let is_fused = best.is_some_and(|gauge| gauge.within_f32);
        self.last = Some((name.to_owned(), first, if is_fused { best_step } else { first }));
        best
    }

    fn gauge_step(&mut self, step: usize, clean: &Tensor) -> Option<Gauge> {
        let steps = self.steps.as_mut()?;
        while self.cursor <= step {
            if let Ok(inputs) = steps.inputs(self.cursor) {
                self.entered.insert(self.cursor, inputs);
            }
            steps.advance(self.cursor, &Tensor::clone).ok()?;
            // The stream drops values without further readers, and a search for a fused operator may have gone further.
            let written = steps.output(self.cursor).cloned();
            self.written.extend(written.map(|written| (self.cursor, written)));
            self.cursor += 1;
        }
        let written = self.written.get(&step).or_else(|| steps.output(step))?;
        gauge(written, clean)
    }

    /// tract's results for the operator's nodes on the candidate's inputs. `None` if the node's inputs cannot be
    /// identified among these.
    pub(super) fn arbitrate(
        &self,
        name: &str,
        inputs: &[Operand],
        clean: &Clean,
        outputs: &[&Tensor],
    ) -> Option<Vec<Tensor>> {
        let steps = self.steps.as_ref()?;
        let (_, first, last) = self.last.as_ref().filter(|(known, ..)| known == name)?;
        let given = self.given(*first, inputs, clean)?;
        let mut values = steps.compute(*first, &given, &Tensor::clone).ok()?;
        let mut step = *first;
        while step != *last {
            let next = steps.only_consumer(step)?;
            let written = steps.writes(step).first()?;
            let input = |name: &String| match name == written {
                true => Some(values.first().cloned()),
                false => steps.constant(name).map(|_| None),
            };
            let given: Vec<Option<Tensor>> =
                steps.reads(next).iter().map(input).collect::<Option<_>>()?;
            values = steps.compute(next, &given, &Tensor::clone).ok()?;
            step = next;
        }
        if values.len() != outputs.len() {
            return None;
        }
        values.iter().zip(outputs).map(|(value, output)| shaped(value, output.shape())).collect()
    }
}

impl Beside {
    /// The candidate's inputs of a node; `None` if the node's inputs cannot be identified.
    fn given(&self, step: usize, inputs: &[Operand], clean: &Clean) -> Option<Vec<Option<Tensor>>> {
        let given = self.entered.get(&step)?.iter().map(|wanted| match wanted {
            Some(wanted) => candidate_of(wanted, inputs, clean).map(Some),
            None => Some(None),
        });
        given.collect()
    }

    /// The elements of a one-node operator, compared with their bounds. `None` if the operator is not one node, or if
    /// the witness does not compute the node itself.
    pub(super) fn weigh(
        &self,
        name: &str,
        inputs: &[Operand],
        clean: &Clean,
        outputs: &[&Tensor],
        arithmetic: &Arithmetic,
    ) -> Option<Excess> {
        let steps = self.steps.as_ref()?;
        let (_, first, last) = self.last.as_ref().filter(|(known, ..)| known == name)?;
        let is_same = clean.conversion.is_some_and(|gauge| gauge.within_f32);
        if first != last || !is_same {
            return None;
        }
        let given = self.given(*first, inputs, clean)?;
        let written = self.written.get(first).or_else(|| steps.output(*first))?;
        let [output] = outputs else { return None };
        let output = shaped(output, written.shape())?;
        steps.weigh(*first, &given, &[], &[&output], arithmetic)
    }

    /// The error of the witness at an operator on its own inputs. `None` if the node's inputs cannot be identified
    /// among these.
    pub(super) fn kernel(
        &self,
        name: &str,
        clean: &Clean,
        constants: &[bool],
    ) -> Option<KernelError> {
        let operand = |(input, is_constant): (&Option<Tensor>, &bool)| match input {
            Some(tensor) if !is_constant => Operand::Value(tensor.clone()),
            _ => Operand::Constant,
        };
        let inputs: Vec<Operand> = clean.inputs.iter().zip(constants).map(operand).collect();
        let outputs: Vec<&Tensor> = clean.outputs.iter().collect();
        let right = self.arbitrate(name, &inputs, clean, &outputs)?;
        let gauges = right.iter().zip(outputs).map(|(right, output)| gauge(right, output));
        let gauge = gauges.collect::<Option<Vec<Gauge>>>()?.into_iter().reduce(Gauge::worse)?;
        Some(KernelError { gauge, same_constants: self.has_constants_of(name, clean) })
    }

    /// Whether the operator is the node alone, and has each constant of the node among its inputs.
    fn has_constants_of(&self, name: &str, clean: &Clean) -> bool {
        let (Some(steps), Some((known, first, last))) = (&self.steps, &self.last) else {
            return false;
        };
        let is_there = |constant: &Tensor| {
            clean.inputs.iter().flatten().any(|input| {
                shaped(input, constant.shape()).is_some_and(|input| input == *constant)
            })
        };
        known == name
            && first == last
            && steps.reads(*first).iter().all(|read| steps.constant(read).is_none_or(is_there))
    }
}

/// The candidate's value for a node's input: the input whose clean value matches the node's.
fn candidate_of(wanted: &Tensor, inputs: &[Operand], clean: &Clean) -> Option<Tensor> {
    let apart = |at: usize| {
        let clean = shaped(clean.inputs.get(at)?.as_ref()?, wanted.shape())?;
        let gauge = gauge(wanted, &clean).filter(|gauge| gauge.disagreeing == 0)?;
        Some(gauge.rel_l2).filter(|apart| *apart <= NEAR)
    };
    let near = (0..inputs.len()).filter_map(|at| Some((apart(at)?, at)));
    let found = near.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, at)| at);
    // An operator may replace several nodes and read the inputs of the first node.
    match &inputs[found?] {
        Operand::Value(tensor) => shaped(tensor, wanted.shape()),
        _ => None,
    }
}

/// The same elements in a different shape.
fn shaped(tensor: &Tensor, shape: &[usize]) -> Option<Tensor> {
    if tensor.shape() == shape {
        return Some(tensor.clone());
    }
    let fits = tensor.len() == shape.iter().product::<usize>();
    fits.then(|| Tensor::from_bytes(tensor.dtype(), shape, &tensor.to_bytes()).ok())?
}
