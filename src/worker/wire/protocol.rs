//! The messages between parent and worker. `docs/worker-protocol.md` documents them.
//!
//! Models and feeds are named by the digest of their bytes. A worker reports which of them it lacks, and receives
//! these once. Outputs travel in a frame's body, one after the other.

use crate::engine::{MnnTarget, OrtTarget, Output, RanOn, Runs};
use crate::graph::ValueName;
use crate::tensor::{Digest, Dtype, Tensor, TensorError, element_count};
use crate::walk::{By, Fallback, Goal, Trace, Trust};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Raised when a message changes its meaning. `Hello` never changes.
pub(in crate::worker) const PROTOCOL: u32 = 4;

/// Our name and version in a `Hello`.
pub(in crate::worker) const VERSION: &str = concat!("offby ", env!("CARGO_PKG_VERSION"));

/// Messages from parent to worker. The first message is always `Hello`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(in crate::worker) enum Ask {
    /// The greeting.
    Hello { protocol: u32 },
    /// Restart with these variables in the environment. The parent must then send everything again.
    Environment { variables: BTreeMap<String, String> },
    /// Keep the contents in the body, one after the other, for the asks that name them.
    Keep { contents: Vec<ContentHead> },
    /// Open an MNN model on a backend and run it.
    Run {
        model: Digest,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weights: Option<PathBuf>,
        target: MnnTarget,
        feeds: Vec<SentTensor>,
        repeats: usize,
    },
    /// Open an MNN model on a backend and walk its operators, then search as planned. `half_model` has 16-bit weights.
    /// `full_model` has the weights of the ONNX file, if the model under test has different weights.
    Walk {
        onnx: Option<Digest>,
        model: Digest,
        half_model: Digest,
        full_model: Option<Digest>,
        #[serde(default)]
        weights: SecondFiles,
        target: MnnTarget,
        feeds: Vec<SentTensor>,
        repeats: usize,
        plan: Option<PlanHead>,
    },
    /// Run an ONNX model on the worker's own engine, or on tract's CUDA.
    RunOnnx {
        #[serde(flatten)]
        network: SentNetwork,
        feeds: Vec<SentTensor>,
        repeats: usize,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cuda: bool,
    },
    /// Run an ONNX model on ONNX Runtime.
    RunOrt {
        #[serde(flatten)]
        network: SentNetwork,
        target: OrtTarget,
        feeds: Vec<SentTensor>,
        repeats: usize,
    },
    /// Run an ONNX model on a simulated device.
    RunSimulated {
        #[serde(flatten)]
        network: SentNetwork,
        device: crate::sim::Device,
        feeds: Vec<SentTensor>,
        repeats: usize,
    },
    /// Walk an ONNX model on a simulated device.
    WalkSimulated {
        #[serde(flatten)]
        network: SentNetwork,
        device: crate::sim::Device,
        feeds: Vec<SentTensor>,
        repeats: usize,
        plan: Option<PlanHead>,
    },
    /// Run the open network of the last `Run`, `RunOrt` or `RunSimulated` again, on the same feeds.
    Again { repeats: usize },
    /// Run the open network on other feeds of the same shapes.
    Next { feeds: Vec<SentTensor>, repeats: usize },
    /// Report the device that a backend would run on.
    Probe { target: MnnTarget },
}

impl Ask {
    /// The contents that this ask names.
    pub(in crate::worker) fn named(&self) -> BTreeSet<Digest> {
        let models = match self {
            Ask::Walk { onnx, model, half_model, full_model, .. } => {
                onnx.iter().chain(full_model).chain([model, half_model]).collect()
            }
            Ask::Run { model, .. } => vec![model],
            Ask::RunOnnx { network, .. }
            | Ask::RunOrt { network, .. }
            | Ask::RunSimulated { network, .. }
            | Ask::WalkSimulated { network, .. } => vec![&network.model],
            Ask::Hello { .. }
            | Ask::Environment { .. }
            | Ask::Keep { .. }
            | Ask::Again { .. }
            | Ask::Next { .. }
            | Ask::Probe { .. } => Vec::new(),
        };
        let expected = self.plan().map_or(&[][..], |plan| &plan.expected);
        let tensors = self.feeds().iter().chain(expected).map(|tensor| &tensor.digest);
        models.into_iter().chain(tensors).cloned().collect()
    }

    /// The feeds of this ask.
    pub(in crate::worker) fn feeds(&self) -> &[SentTensor] {
        match self {
            Ask::Run { feeds, .. }
            | Ask::Walk { feeds, .. }
            | Ask::RunOnnx { feeds, .. }
            | Ask::RunOrt { feeds, .. }
            | Ask::RunSimulated { feeds, .. }
            | Ask::Next { feeds, .. }
            | Ask::WalkSimulated { feeds, .. } => feeds,
            _ => &[],
        }
    }

    /// The plan of the search after a walk.
    pub(in crate::worker) fn plan(&self) -> Option<&PlanHead> {
        match self {
            Ask::Walk { plan, .. } | Ask::WalkSimulated { plan, .. } => plan.as_ref(),
            _ => None,
        }
    }

    /// The MNN target of this ask.
    pub(in crate::worker) fn mnn_target(&self) -> Option<&MnnTarget> {
        match self {
            Ask::Run { target, .. } | Ask::Walk { target, .. } | Ask::Probe { target } => {
                Some(target)
            }
            _ => None,
        }
    }
}

/// Messages from worker to parent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub(in crate::worker) enum Reply {
    /// The answer to `Hello`.
    Hello {
        protocol: u32,
        version: String,
        /// Whether a network of `RunOnnx` stays open, and takes feeds of other shapes.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stays_open: bool,
    },
    /// The answer to `Environment`, from the restarted worker.
    Restarted,
    /// The worker lacks these contents: send `Keep`, then the same ask again.
    Wanted { digests: BTreeSet<Digest> },
    /// The answer to `Keep`.
    Kept,
    /// The session is open and runs on this device. If this is not the requested backend, the exchange ends.
    Opened { ran_on: RanOn, as_asked: bool },
    /// The runs are done. The body contains the outputs.
    Ran { outputs: Vec<TensorHead>, runs: Runs, ran_on: RanOn },
    /// The journal of a walk: this operator runs next.
    Op { index: usize, name: String, op_type: String },
    /// The measurements of a walk's first run, which is over. The walk continues.
    Traced { trace: Trace },
    /// A search begins its next run, which may take as long as the first.
    Trial { number: usize },
    /// The walk is done. The body contains the candidate's outputs, then the reference's.
    Walked {
        trace: Trace,
        trust: Trust,
        runs: Runs,
        ran_on: RanOn,
        fallback: Option<Box<Fallback>>,
        outputs: Vec<TensorHead>,
        reference: Vec<TensorHead>,
    },
    /// The report on a backend.
    Probed(ProbeReport),
    /// The engine refused, or the worker does not know the ask.
    Rejected { reason: String },
    /// This build, or this machine, lacks the engine.
    Unavailable { reason: String, hint: String },
}

/// The known facts about a backend before any model runs on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeReport {
    /// The engine's version.
    pub engine_version: String,
    /// The device that a session would get; `None` if there is none.
    pub device: Option<DriverDevice>,
}

/// A device as its driver describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverDevice {
    /// The device's name.
    pub name: String,
    /// The driver and its version.
    pub driver: String,
}

/// A tensor in a frame's body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::worker) struct TensorHead {
    name: ValueName,
    dtype: Dtype,
    shape: Vec<usize>,
}

/// The heads and the body for a row of named tensors.
pub(in crate::worker) fn pack<'a>(
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
pub(in crate::worker) fn unpack(
    heads: Vec<TensorHead>,
    mut body: &[u8],
) -> Result<Vec<Output>, TensorError> {
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

/// One content in the body of a `Keep`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::worker) struct ContentHead {
    pub(in crate::worker) digest: Digest,
    pub(in crate::worker) bytes: usize,
}

/// An ONNX network. Its file is a content.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::worker) struct SentNetwork {
    pub(in crate::worker) model: Digest,
    /// The folder of its external data, on the worker's machine. Without a folder, the file has all data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::worker) folder: Option<PathBuf>,
}

/// The second files of an MNN model's forms, with their weights, on the worker's machine. A form that has its weights
/// itself has no second file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::worker) struct SecondFiles {
    pub(in crate::worker) model: Option<PathBuf>,
    pub(in crate::worker) half: Option<PathBuf>,
    pub(in crate::worker) full: Option<PathBuf>,
}

/// A tensor whose elements are a content: an input, or an expected output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::worker) struct SentTensor {
    pub(in crate::worker) name: ValueName,
    pub(in crate::worker) dtype: Dtype,
    pub(in crate::worker) shape: Vec<usize>,
    /// The digest of the elements alone, little-endian and in row-major order.
    pub(in crate::worker) digest: Digest,
}

/// A search for the operators that must run elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::worker) struct PlanHead {
    pub(in crate::worker) by: By,
    pub(in crate::worker) goal: Goal,
    pub(in crate::worker) raise: bool,
    /// The expected outputs.
    pub(in crate::worker) expected: Vec<SentTensor>,
}
