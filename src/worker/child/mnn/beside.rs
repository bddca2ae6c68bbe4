//! Compares MNN's streams with tract's.
//!
//! If an operator has the name of an ONNX value, MNN's clean value can be compared with tract's. The converter or a
//! CPU kernel causes each difference. Before an operator of a backend is accused, tract computes its node on the same
//! inputs.

use crate::bounds::{Arithmetic, Clamp, Excess};
use crate::engine::{NodeSteps, Output, StepsAhead};
use crate::graph::Attribute;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use crate::walk::{
    Clean, ErrorSummary, KernelError, Operand, Operator, TILES, error_summary, without_suffixes,
};
use crate::worker::child::onnx_file::OnnxFile;
use std::collections::BTreeMap;
use std::rc::Rc;

/// How many operators a converter may have fused after the operator whose name remains.
const FUSED: usize = 6;

/// How many steps back values are kept, because an engine runs operators in its own order.
const KEPT: usize = 3 * FUSED;

/// The most memory for the values of steps that were compared.
const MOST_BYTES: usize = 64 << 20;

/// How often dropped values are computed again in one walk. Each time costs a part of a run of the reference.
const RECALLS: usize = 8;

/// How far MNN's clean value may be from tract's to count as the same value: errors add up on the way.
const NEAR: f64 = 1e-2;
/// MNN's operators that replace many nodes, unless the network has the operator as one of these nodes. MNN names such
/// an operator like the last of its nodes, which it is not: after a norm of normalised values, an addend of the last
/// node can look like the input of the norm.
const WHOLE: [(&str, &[&str]); 1] = [(
    "LayerNorm",
    &[
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "RMSNormalization",
        "SimplifiedLayerNormalization",
    ],
)];

/// Operators whose elements are sums of many products: a first result in `f32` saves most of the sums in `f64`.
const SUMS: [&str; 4] = ["Conv", "ConvTranspose", "Gemm", "MatMul"];

/// tract's stream of the ONNX model, read up to the last requested step.
pub(super) struct Beside {
    steps: Option<NodeSteps>,
    feeds: Vec<Feed>,
    /// What is ahead of the cursor.
    stream: Option<StepsAhead>,
    cursor: usize,
    /// The values that later steps read, and those of the last step.
    live: BTreeMap<String, Rc<Tensor>>,
    /// The inputs of the last compared steps.
    entered: BTreeMap<usize, Vec<Option<Rc<Tensor>>>>,
    /// The first outputs of those steps.
    written: BTreeMap<usize, Rc<Tensor>>,
    /// The last compared operator, the step of its name, and the step of its value.
    last: Last,
    /// How often the stream was run again for a value that it had dropped.
    recalls: usize,
    /// The last operator whose value was found so to be the step's.
    recalled: Option<String>,
}

/// An operator, and the first and the last of the nodes that it is.
type Last = Option<(String, usize, usize)>;

impl Beside {
    /// The stream of a model. If tract does not accept the model, there is no stream and no comparison.
    pub(super) fn new(onnx: Option<Vec<u8>>, feeds: &[Output]) -> Self {
        let model = onnx.and_then(|onnx| OnnxFile { bytes: &onnx, folder: None }.model().ok());
        let steps = model.and_then(|model| NodeSteps::new(&model).ok());
        let feeds = feeds.iter().cloned().map(Feed::from).collect();
        Beside {
            steps,
            feeds,
            stream: None,
            cursor: 0,
            live: BTreeMap::new(),
            entered: BTreeMap::new(),
            written: BTreeMap::new(),
            last: None,
            recalls: 0,
            recalled: None,
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
        self.stream = self.steps.as_ref().map(|steps| StepsAhead::start(steps, feeds));
        self.live = match &mut self.steps {
            Some(steps) => {
                let fed = steps.values().clone();
                steps.resume(BTreeMap::new());
                fed.into_iter().map(|(name, value)| (name, Rc::new(value))).collect()
            }
            None => BTreeMap::new(),
        };
    }

    /// How far MNN's clean value is from tract's value of the same name. A converter that fuses operators gives the
    /// last value the first operator's name. If the named value does not fit, the values right after it are tried.
    ///
    /// A converter that changes layouts appends a suffix to the name. Such an operator is compared only if its value
    /// is the named one.
    pub(super) fn error_summary(
        &mut self,
        operator: &Operator,
        clean: &Tensor,
    ) -> Option<ErrorSummary> {
        let name = &operator.name;
        let steps = self.steps.as_ref()?;
        let suffixed = || without_suffixes(name).into_iter().find_map(|value| steps.step_of(value));
        let (first, is_named) = match steps.step_of(name) {
            Some(step) => (step, true),
            None if operator.op_type == "Raster" => return None,
            None => (suffixed()?, false),
        };
        self.drop_before((first + 1).saturating_sub(KEPT));
        let mut step = first;
        let mut best = self.summarize_step(step, clean);
        let mut best_step = step;
        for _ in 0..FUSED {
            if best.is_some_and(|error_summary| error_summary.within_f32) {
                break;
            }
            let Some(next) = self.steps.as_ref()?.only_consumer(step) else { break };
            step = next;
            let error_summary = self.summarize_step(step, clean);
            if error_summary.is_some_and(|error_summary| {
                best.is_none_or(|best| error_summary.rel_l2 < best.rel_l2)
            }) {
                (best, best_step) = (error_summary, step);
            }
        }
        // A value near this one is this value: an engine's own CPU may sum in tiles.
        if best.is_none() && first < self.cursor && !self.written.contains_key(&first) {
            // The stream dropped the value. It is compared if the operator is accused.
            self.last = self.nodes_of(operator, first, first);
            return None;
        }
        let is_fused = best.is_some_and(|error_summary| {
            error_summary.rel_l2 <= NEAR && error_summary.disagreeing == 0
        });
        if !is_named && !is_fused {
            return None;
        }
        self.last = self.nodes_of(operator, first, if is_fused { best_step } else { first });
        best
    }

    /// The operator with the nodes that it is, from the first to the last. `None` if it replaces more nodes than these.
    fn nodes_of(&self, operator: &Operator, first: usize, last: usize) -> Last {
        let node = self.steps.as_ref()?.node(first).1;
        let replaces = WHOLE.iter().any(|(op_type, nodes)| {
            *op_type == operator.op_type && !nodes.contains(&node.as_str())
        });
        (!replaces).then(|| (operator.name.clone(), first, last))
    }

    fn summarize_step(&mut self, step: usize, clean: &Tensor) -> Option<ErrorSummary> {
        while self.cursor <= step {
            self.go_on()?;
        }
        let found = error_summary(self.first_output(step)?, clean);
        self.drop_most();
        found
    }

    /// Takes the next step from the stream.
    fn go_on(&mut self) -> Option<()> {
        let (steps, step) = (self.steps.as_ref()?, self.cursor);
        let outputs = self.stream.as_mut()?.next_step()?;
        let live = &mut self.live;
        let inputs = steps.reads(step).iter().map(|name| live.get(name).cloned()).collect();
        self.entered.insert(step, inputs);
        live.extend(steps.writes(step).iter().cloned().zip(outputs.into_iter().map(Rc::new)));
        // A search for a fused operator may go further, and the value is then no longer alive.
        if let Some(output) = steps.writes(step).first().and_then(|name| live.get(name)) {
            self.written.insert(step, output.clone());
        }
        live.retain(|name, _| steps.is_needed_after(name, step));
        self.cursor += 1;
        Some(())
    }

    /// The first output of a step, if it is still held.
    fn first_output(&self, step: usize) -> Option<&Tensor> {
        let alive = || self.live.get(self.steps.as_ref()?.writes(step).first()?);
        self.written.get(&step).or_else(alive).map(Rc::as_ref)
    }

    /// Drops what is held of the steps before this one.
    fn drop_before(&mut self, step: usize) {
        self.entered.retain(|held, _| *held >= step);
        self.written.retain(|held, _| *held >= step);
    }

    /// Drops the oldest steps while their values need more memory than they may, except those that a fused operator
    /// may need.
    fn drop_most(&mut self) {
        while self.held_bytes() > MOST_BYTES {
            let Some(oldest) = self.entered.keys().next().copied() else { return };
            if oldest + FUSED / 2 >= self.cursor {
                return;
            }
            self.drop_before(oldest + 1);
        }
    }

    /// The bytes of the values of compared steps. Steps share values.
    fn held_bytes(&self) -> usize {
        let values = self.entered.values().flatten().flatten().chain(self.written.values());
        let unique: BTreeMap<*const Tensor, usize> =
            values.map(|value| (Rc::as_ptr(value), value.len() * value.dtype().size())).collect();
        unique.values().sum()
    }

    /// tract's results for the operator's nodes on the candidate's inputs. `None` if the node's inputs cannot be
    /// identified among these.
    pub(super) fn arbitrate(
        &mut self,
        name: &str,
        inputs: &[Operand],
        clean: &Clean,
        outputs: &[&Tensor],
    ) -> Option<Vec<Tensor>> {
        self.recall(name, clean)?;
        self.computed(name, inputs, clean, outputs)
    }

    /// Runs the stream again up to the operator's step, if its inputs were dropped. `None` if that is not possible, or
    /// if the operator's value is not the step's.
    fn recall(&mut self, name: &str, clean: &Clean) -> Option<()> {
        let (_, step, _) = *self.last.as_ref().filter(|(known, ..)| known == name)?;
        if self.entered.contains_key(&step) {
            return Some(());
        }
        if self.recalls == RECALLS {
            return None;
        }
        self.recalls += 1;
        let steps = self.steps.as_mut()?;
        let (inputs, written) = values_at(steps, &self.feeds, step)?;
        let is_same = error_summary(&written, clean.outputs.first()?)?.rel_l2 <= NEAR;
        if !is_same {
            return None;
        }
        let inputs = inputs.into_iter().map(|input| input.map(Rc::new)).collect();
        self.entered.insert(step, inputs);
        self.written.insert(step, Rc::new(written));
        self.recalled = Some(name.to_owned());
        Some(())
    }

    fn computed(
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
                false => steps.is_constant(name).then_some(None),
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

    /// The elements of an operator, compared with their bounds. `None` if the operator is not one node, perhaps with
    /// activations that clamp, or if the witness does not compute the node itself.
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
        let clamp = self.clamp(*first, *last)?;
        if !self.is_witnessed(name, clean) {
            return None;
        }
        let given = self.given(*first, inputs, clean)?;
        let written = self.first_output(*first)?;
        let [output] = outputs else { return None };
        let output = shaped(output, written.shape())?;
        let is_sum = SUMS.contains(&steps.node(*first).1.as_str());
        let near = is_sum.then(|| self.computed(name, inputs, clean, &[&output])).flatten();
        let near = near.unwrap_or_default();
        steps.weigh_fused((*first, clamp), &given, &near, &[&output], arithmetic)
    }

    /// Whether the witness computes the node: its value is tract's, or its error on its own inputs is that of tiles.
    fn is_witnessed(&self, name: &str, clean: &Clean) -> bool {
        let Some(conversion) = clean.conversion else {
            return self.recalled.as_deref() == Some(name);
        };
        if conversion.within_f32 {
            return true;
        }
        let constants = vec![false; clean.inputs.len()];
        conversion.rel_l2 <= NEAR
            && self
                .kernel(name, clean, &constants)
                .is_some_and(|kernel| kernel.error_summary.rel_l2 <= TILES)
    }

    /// The activations from one step to a later one as one clamp; `None` if a step between is no clamp.
    fn clamp(&self, first: usize, last: usize) -> Option<Clamp> {
        let steps = self.steps.as_ref()?;
        let (mut step, mut clamp) = (first, Clamp::NONE);
        while step != last {
            step = steps.only_consumer(step)?;
            clamp = clamp.then(activation(steps, step)?);
        }
        Some(clamp)
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
        let right = self.computed(name, &inputs, clean, &outputs)?;
        let summaries =
            right.iter().zip(outputs).map(|(right, output)| error_summary(right, output));
        let error_summary = summaries
            .collect::<Option<Vec<ErrorSummary>>>()?
            .into_iter()
            .reduce(ErrorSummary::worse)?;
        Some(KernelError { error_summary, same_constants: self.has_constants_of(name, clean) })
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
            && steps
                .reads(*first)
                .iter()
                .all(|read| steps.constant(read).is_none_or(|constant| is_there(&constant)))
    }
}

/// The inputs of a step and its first output, from a run of the stream.
fn values_at(
    steps: &mut NodeSteps,
    feeds: &[Feed],
    step: usize,
) -> Option<(Vec<Option<Tensor>>, Tensor)> {
    steps.start(feeds).ok()?;
    for before in 0..step {
        steps.advance(before, &Tensor::clone).ok()?;
    }
    let inputs = steps.inputs(step).ok()?;
    steps.resume(BTreeMap::new());
    let written = steps.compute(step, &inputs, &Tensor::clone).ok()?;
    Some((inputs, written.into_iter().next()?))
}

/// A step that clamps its first input between constants.
fn activation(steps: &NodeSteps, step: usize) -> Option<Clamp> {
    let (attributes, _) = steps.attributes(step);
    match steps.node(step).1.as_str() {
        "Identity" => Some(Clamp::NONE),
        "Relu" => Some(Clamp::RELU),
        "Clip" => {
            let limit = |at: usize, name: &str, unlimited: f64| match steps.reads(step).get(at) {
                Some(read) if !read.is_empty() => steps.constant(read)?.numbers(1).first().copied(),
                _ => match attributes.get(name) {
                    Some(Attribute::Float(value)) => Some(f64::from(*value)),
                    _ => Some(unlimited),
                },
            };
            let low = limit(1, "min", f64::NEG_INFINITY)?;
            Some(Clamp { low, high: limit(2, "max", f64::INFINITY)? })
        }
        _ => None,
    }
}

/// The candidate's value for a node's input: the input whose clean value matches the node's.
fn candidate_of(wanted: &Tensor, inputs: &[Operand], clean: &Clean) -> Option<Tensor> {
    let apart = |at: usize| {
        let clean = shaped(clean.inputs.get(at)?.as_ref()?, wanted.shape())?;
        let error_summary =
            error_summary(wanted, &clean).filter(|error_summary| error_summary.disagreeing == 0)?;
        Some(error_summary.rel_l2).filter(|apart| *apart <= NEAR)
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
    fits.then(|| Tensor::from_bytes(tensor.dtype(), shape, &tensor.bytes()).ok())?
}
