//! The reference: tract, on the un-decluttered typed plan, in `f32` or `f64`.
//!
//! The plan fuses, renames and reorders no operators, so every ONNX value keeps its name. Only this
//! folder uses tract.

mod ahead;
mod alone;
mod constants;
#[cfg(feature = "tract-cuda")]
mod cuda;
mod element;
mod kept;
mod operands;
mod own;
mod piece;
mod replaced;
mod steps;
mod tiles;

pub use ahead::StepsAhead;
#[cfg(feature = "tract-cuda")]
pub use cuda::{TractCuda, missing as missing_cuda};
pub use piece::Values;
pub use steps::{ComputeNode, NodeSteps, Second};

use super::panics::{panic_text, quietly};
use super::unary::f64_kernel;
use super::{Engine, EngineSession, Execution, Outcome, Output, RanOn, Request, Runs, same_bytes};
use crate::graph::{Model, widened};
use crate::inputs::Feed;
use crate::tensor::Tensor;
use element::{from_tract, to_tract};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::floats::FloatPrecisionTranslator;
use tract_onnx::tract_core::internal::{EvalContext, OpState};
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::plan::eval;
use tract_onnx::tract_core::transform::ModelTransform as _;

/// The version of tract this crate is pinned to (Cargo.toml).
pub const VERSION: &str = "0.23.9";

/// The tract engine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tract {
    /// Whether floating-point values are computed in `f64`.
    pub f64: bool,
    /// Whether tract runs as published, without offby's replacements for its wrong kernels.
    pub plain: bool,
}

impl Engine for Tract {
    fn execute(&self, request: &Request<'_>) -> Execution {
        guarded(|| self.run(&self.open(request.model)?, request))
    }

    fn session(&self) -> Box<dyn EngineSession + '_> {
        Box::new(TractSession { engine: *self, open: None })
    }
}

/// Runs tract and catches panics, which hostile models can cause: such a panic is tract's crash, not offby's.
fn guarded(run: impl FnOnce() -> TractResult<Execution>) -> Execution {
    match quietly(run) {
        Ok(Ok(execution)) => execution,
        Ok(Err(error)) => Execution::without_outputs(Outcome::Rejected, describe(&error)),
        Err(panic) => Execution::without_outputs(Outcome::Crashed, panic_text(panic.as_ref())),
    }
}

/// A plan, and the seconds spent on building it.
struct Open {
    plan: Arc<TypedRunnableModel>,
    seconds: f64,
}

/// The plan of the last network.
struct TractSession {
    engine: Tract,
    open: Option<Open>,
}

impl EngineSession for TractSession {
    fn execute(&mut self, request: &Request<'_>) -> Execution {
        self.open = None;
        self.next(request)
    }

    fn again(&mut self, request: &Request<'_>) -> Execution {
        self.next(request)
    }

    fn next(&mut self, request: &Request<'_>) -> Execution {
        let TractSession { engine, open } = self;
        guarded(|| {
            let open = match open {
                Some(open) => {
                    open.seconds = 0.0;
                    open
                }
                None => open.insert(engine.open(request.model)?),
            };
            engine.run(open, request)
        })
    }
}

impl Tract {
    fn open(&self, model: &Model) -> TractResult<Open> {
        let started = Instant::now();
        let model = wide(model, *self)?;
        let plan = load(&model, *self)?.into_runnable()?;
        Ok(Open { plan, seconds: started.elapsed().as_secs_f64() })
    }

    fn run(&self, open: &Open, request: &Request<'_>) -> TractResult<Execution> {
        let Open { plan, seconds: open_seconds } = open;
        let open_seconds = *open_seconds;
        let mut seconds = Vec::new();
        let mut outputs: Vec<Output> = Vec::new();
        let mut identical = true;
        for repeat in 0..request.repeats.max(1) {
            let started = Instant::now();
            let values = self.run_once(plan, request.feeds)?;
            seconds.push(started.elapsed().as_secs_f64());
            if repeat == 0 {
                outputs = named(request.model, values)?;
            } else {
                let again = named(request.model, values)?;
                identical &= same_bytes(&outputs, &again);
            }
        }
        let runs = Runs { repeats: request.repeats.max(1), identical, open_seconds, seconds };
        Ok(Execution::completed(self.ran_on(plan.model().nodes().len()), outputs, runs))
    }

    fn run_once(
        &self,
        plan: &Arc<TypedRunnableModel>,
        feeds: &[Feed],
    ) -> TractResult<TVec<TValue>> {
        let inputs = plan.model().input_outlets()?.to_vec();
        let mut values = tvec![];
        for outlet in inputs {
            let name = &plan.model().node(outlet.node).name;
            let feed = feeds.iter().find(|feed| feed.name.as_str() == name);
            let feed =
                feed.ok_or_else(|| TractError::msg(format!("there is no feed for input {name}")))?;
            values.push(self.as_tract(&feed.tensor)?.into_tvalue());
        }
        self.evaluate(plan, values)
    }

    /// Runs a plan; in `f64` with offby's kernels for operators that tract lacks.
    fn evaluate(
        &self,
        plan: &Arc<TypedRunnableModel>,
        values: TVec<TValue>,
    ) -> TractResult<TVec<TValue>> {
        let with_f64 = self.f64;
        plan.spawn()?.run_plan_with_eval(values, |context, state, node, inputs| {
            match tiles::in_tiles(node, &inputs)? {
                Some(outputs) => Ok(outputs),
                None if with_f64 => eval_f64(context, state, node, inputs),
                None => eval(context, state, node, inputs),
            }
        })
    }

    fn ran_on(&self, nodes: usize) -> RanOn {
        RanOn {
            engine: "tract".into(),
            engine_version: VERSION.into(),
            backend: super::CPU.into(),
            device: if self.f64 { "host, f64" } else { "host, f32" }.into(),
            driver: String::new(),
            api: None,
            operators: BTreeMap::from([(super::CPU.to_owned(), nodes)]),
        }
    }

    fn as_tract(self, tensor: &Tensor) -> TractResult<tract_onnx::prelude::Tensor> {
        match tensor {
            Tensor::F32(array) if self.f64 => Ok(array.mapv(f64::from).into()),
            Tensor::F16(_) | Tensor::Bf16(_) if !self.plain => self.as_tract(&widened(tensor)),
            other => to_tract(other.clone()),
        }
    }
}

/// Widens a network of 16-bit numbers to 32-bit numbers, because engines compute in 32 bits.
fn wide(model: &Model, engine: Tract) -> TractResult<Cow<'_, Model>> {
    match model.is_narrow() && !engine.plain {
        true => {
            Ok(Cow::Owned(model.widened().map_err(|error| TractError::msg(error.to_string()))?))
        }
        false => Ok(Cow::Borrowed(model)),
    }
}

/// The typed plan of a model, not decluttered, in `f32` or `f64`.
fn load(model: &Model, engine: Tract) -> TractResult<TypedModel> {
    if let Some(node) = model.nodes().find(|node| !is_known(node.domain, node.op_type)) {
        return Err(TractError::msg(format!(
            "node `{}`: tract has no {} of the domain {}",
            node.label(),
            node.op_type,
            node.domain
        )));
    }
    let folder = model.path().parent().and_then(|folder| folder.to_str());
    let parsed = replaced::framework(engine.plain).parse(model.proto(), folder)?;
    if !parsed.unresolved_inputs.is_empty() {
        let names = parsed.unresolved_inputs.join(", ");
        return Err(TractError::msg(format!("no node or input gives the value {names}")));
    }
    let mut typed = parsed.model.into_typed()?;
    if engine.f64 {
        FloatPrecisionTranslator::new(f32::datum_type(), f64::datum_type())
            .transform(&mut typed)?;
    }
    Ok(typed)
}

/// ONNX Runtime's own operators that tract computes as ONNX Runtime does, and that have no definition in ONNX's own
/// operators here.
const CONTRIBUTED: [&str; 1] = ["GatherBlockQuantized"];

/// Whether tract has the operator of a domain. tract itself looks only at the operator's name, and would compute ONNX's
/// Conv for an operator of the same name in any domain.
fn is_known(domain: &str, op_type: &str) -> bool {
    match domain {
        "" | "ai.onnx" | "ai.onnx.ml" => true,
        "com.microsoft" => CONTRIBUTED.contains(&op_type),
        _ => false,
    }
}

/// Evaluates one node in `f64`, with offby's kernel if tract has none.
fn eval_f64(
    context: &EvalContext<'_>,
    state: Option<&mut (dyn OpState + 'static)>,
    node: &TypedNode,
    inputs: TVec<TValue>,
) -> TractResult<TVec<TValue>> {
    let kernel = node.op_as::<ElementWiseOp>().and_then(|op| f64_kernel(&op.0.name()));
    match (kernel, inputs.as_slice()) {
        (Some(kernel), [input]) if input.datum_type() == f64::datum_type() => {
            let mapped = input.to_plain_array_view::<f64>()?.mapv(kernel);
            Ok(tvec![tract_onnx::prelude::Tensor::from(mapped).into_tvalue()])
        }
        _ => eval(context, state, node, inputs),
    }
}

fn named(model: &Model, values: TVec<TValue>) -> TractResult<Vec<Output>> {
    let names = model.outputs().iter().cloned();
    names
        .zip(values)
        .map(|(name, value)| Ok(Output { tensor: from_tract(&name, &value)?, name }))
        .collect()
}

/// tract's error causes on one line, the outermost cause first.
fn describe(error: &TractError) -> String {
    let causes: Vec<String> =
        error.chain().map(|cause| cause.to_string().replace('\n', " ")).collect();
    format!("tract refuses the model: {}", causes.join(": "))
}
