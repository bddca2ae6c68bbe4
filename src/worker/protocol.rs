//! What parent and child say to each other. Tensors travel in a frame's body, one after the other.

use crate::engine::{self, MnnTarget, Output, RanOn, Runs};
use crate::graph::{Model, ValueName};
use crate::tensor::{Dtype, Tensor, TensorError, element_count};
use crate::walk::{By, Fallback, Goal, Plan, Trace, Trust};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Raised whenever a message changes its meaning.
pub(super) const PROTOCOL: u32 = 3;

/// Parent to child. The first is always `Hello`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(super) enum Ask {
    /// Who speaks.
    Hello { protocol: u32 },
    /// Open a model on a backend and run it on the tensors in the body.
    Run { model: PathBuf, target: MnnTarget, feeds: Vec<TensorHead>, repeats: usize },
    /// Open a model on a backend and walk its operators; `half_model` has 16-bit weights.
    Walk {
        onnx: PathBuf,
        model: PathBuf,
        half_model: PathBuf,
        target: MnnTarget,
        feeds: Vec<TensorHead>,
        repeats: usize,
        plan: Option<PlanHead>,
    },
    /// Run an ONNX model on a simulated device; the body holds the model, then the feeds.
    RunSimulated {
        model: ModelHead,
        device: engine::Device,
        feeds: Vec<TensorHead>,
        repeats: usize,
    },
    /// Walk one; the body is the same, and the plan's tensors.
    WalkSimulated {
        model: ModelHead,
        device: engine::Device,
        feeds: Vec<TensorHead>,
        repeats: usize,
        plan: Option<PlanHead>,
    },
    /// Run the network of the last `Run` or `RunSimulated` again, on the same feeds: it is still open.
    Again { repeats: usize },
    /// Tell what would run on a backend.
    Probe { target: MnnTarget },
}

/// Child to parent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub(super) enum Reply {
    /// The answer to `Hello`.
    Hello { protocol: u32, version: String },
    /// The session stands; this is where it runs.
    Opened { ran_on: RanOn, as_asked: bool },
    /// Done; the outputs are in the body.
    Ran { outputs: Vec<TensorHead>, runs: Runs, ran_on: RanOn },
    /// The journal of a walk: this operator comes next.
    Op { index: usize, name: String, op_type: String },
    /// A search begins another run, which may take as long as the first.
    Trial { number: usize },
    /// The walk is done; the candidate's outputs are in the body, then the reference's.
    Walked {
        trace: Trace,
        trust: Trust,
        runs: Runs,
        ran_on: RanOn,
        fallback: Option<Box<Fallback>>,
        outputs: Vec<TensorHead>,
        reference: Vec<TensorHead>,
    },
    /// What the backend is.
    Probed(ProbeReport),
    /// The engine refused.
    Rejected { reason: String },
    /// This build, or this machine, lacks the engine.
    Unavailable { reason: String, hint: String },
}

/// A search for what must run elsewhere; its tensors, the outputs as they should be, end the body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PlanHead {
    by: By,
    goal: Goal,
    raise: bool,
    expected: Vec<TensorHead>,
}

/// The head of a plan; its tensors go to the end of the body.
pub(super) fn pack_plan(plan: Option<&Plan>, body: &mut Vec<u8>) -> Option<PlanHead> {
    let plan = plan?;
    let (expected, bytes) = pack(plan.expected.iter().map(|output| (&output.name, &output.tensor)));
    body.extend(bytes);
    Some(PlanHead { by: plan.by, goal: plan.goal, raise: plan.raise, expected })
}

/// The feeds of a walk, and its plan where it has one.
pub(super) fn unpack_walk(
    feeds: Vec<TensorHead>,
    plan: Option<PlanHead>,
    body: &[u8],
) -> Result<(Vec<Output>, Option<Plan>), TensorError> {
    let count = feeds.len();
    let expected = plan.iter().flat_map(|plan| plan.expected.clone());
    let mut tensors = unpack(feeds.into_iter().chain(expected).collect(), body)?;
    let expected = tensors.split_off(count);
    let plan = plan.map(|plan| Plan { by: plan.by, goal: plan.goal, raise: plan.raise, expected });
    Ok((tensors, plan))
}

/// What is known of one backend before any model runs on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeReport {
    /// The engine's version.
    pub engine_version: String,
    /// The device a session would get, `None` where there is none.
    pub device: Option<Device>,
}

/// A device as its driver describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The device's name.
    pub name: String,
    /// The driver and its version.
    pub driver: String,
}

/// A model at the start of a frame's body, as it is in memory: its file may not exist, or may have
/// other shapes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ModelHead {
    path: PathBuf,
    bytes: usize,
}

impl ModelHead {
    /// Head and bytes of a model.
    pub(super) fn pack(model: &Model) -> (Self, Vec<u8>) {
        let bytes = model.to_bytes();
        (ModelHead { path: model.path().to_owned(), bytes: bytes.len() }, bytes)
    }

    /// The model, and the rest of the body.
    pub(super) fn read<'b>(&self, body: &'b [u8]) -> Result<(Model, &'b [u8]), String> {
        let (model, rest) = body.split_at(self.bytes.min(body.len()));
        let model = Model::from_bytes(model, &self.path).map_err(|error| error.to_string())?;
        Ok((model, rest))
    }
}

/// A tensor in a frame's body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TensorHead {
    name: ValueName,
    dtype: Dtype,
    shape: Vec<usize>,
}

/// Heads and body of a row of named tensors.
pub(super) fn pack<'a>(
    tensors: impl IntoIterator<Item = (&'a ValueName, &'a Tensor)>,
) -> (Vec<TensorHead>, Vec<u8>) {
    let mut heads = Vec::new();
    let mut body = Vec::new();
    for (name, tensor) in tensors {
        heads.push(TensorHead {
            name: name.clone(),
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
        });
        body.extend(tensor.to_bytes());
    }
    (heads, body)
}

/// The tensors that heads and body describe.
pub(super) fn unpack(heads: Vec<TensorHead>, mut body: &[u8]) -> Result<Vec<Output>, TensorError> {
    let mut outputs = Vec::new();
    for TensorHead { name, dtype, shape } in heads {
        let size = element_count(&shape).and_then(|count| count.checked_mul(dtype.size()));
        let size = size.ok_or_else(|| TensorError::TooLarge(shape.clone()))?;
        let (bytes, rest) = body.split_at(size.min(body.len()));
        body = rest;
        outputs.push(Output { name, tensor: Tensor::from_bytes(dtype, &shape, bytes)? });
    }
    Ok(outputs)
}
