//! tract on an NVIDIA card. tract compiles its kernels on the machine with the card, so the build needs no CUDA.

use super::{Tract, VERSION, guarded, load, named, wide};
use crate::engine::{
    CPU, Engine, Execution, Output, RanOn, Request, Runs, nvidia_driver, same_bytes,
};
use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{Runnable, runtime_for_name};

/// tract without offby's kernels, because those run on the processor.
const ENGINE: Tract = Tract { f64: false, plain: true };
const CUDA: &str = "cuda";

/// tract on CUDA.
#[derive(Debug, Clone, Copy)]
pub struct TractCuda;

impl Engine for TractCuda {
    fn execute(&self, request: &Request<'_>) -> Execution {
        guarded(|| run(request))
    }
}

/// The reason why this machine cannot run tract on CUDA.
pub fn missing() -> Option<String> {
    // Also keeps the crate in the program: it registers its runtime by name.
    if let Err(error) = tract_cuda::utils::ensure_cuda_runtime_dependencies("tract on CUDA") {
        return Some(format!("{error:#}").replace('\n', " "));
    }
    match runtime_for_name(CUDA) {
        Ok(Some(_)) => None,
        Ok(None) => Some("this build of tract has no CUDA".to_owned()),
        Err(error) => Some(format!("{error:#}").replace('\n', " ")),
    }
}

fn run(request: &Request<'_>) -> TractResult<Execution> {
    let started = Instant::now();
    let model = load(&*wide(request.model, ENGINE)?, ENGINE)?.into_decluttered()?;
    let inputs: Vec<String> =
        model.input_outlets()?.iter().map(|outlet| model.node(outlet.node).name.clone()).collect();
    let runtime = runtime_for_name(CUDA)?.ok_or_else(|| TractError::msg("there is no CUDA"))?;
    let runnable = runtime.prepare(model)?;
    let open_seconds = started.elapsed().as_secs_f64();
    let (mut outputs, mut seconds, mut identical) = (Vec::<Output>::new(), Vec::new(), true);
    for repeat in 0..request.repeats.max(1) {
        let started = Instant::now();
        let values = runnable.run(feeds(&inputs, request)?)?;
        seconds.push(started.elapsed().as_secs_f64());
        let again = named(request.model, values)?;
        if repeat == 0 {
            outputs = again;
        } else {
            identical &= same_bytes(&outputs, &again);
        }
    }
    let runs = Runs { repeats: request.repeats.max(1), identical, open_seconds, seconds };
    Ok(Execution::completed(ran_on(runnable.as_ref()), outputs, runs))
}

fn feeds(inputs: &[String], request: &Request<'_>) -> TractResult<TVec<TValue>> {
    let value = |name: &String| {
        let feed = request.feeds.iter().find(|feed| feed.name.as_str() == name);
        let feed =
            feed.ok_or_else(|| TractError::msg(format!("there is no feed for input {name}")))?;
        Ok(ENGINE.as_tract(&feed.tensor)?.into_tvalue())
    };
    inputs.iter().map(value).collect()
}

fn ran_on(runnable: &dyn Runnable) -> RanOn {
    let mut operators = BTreeMap::new();
    for node in runnable.typed_model().map(|model| model.nodes()).unwrap_or_default() {
        // tract begins the names of its device operators like this. All others run on the processor.
        let on_card = ["Cuda", "Gpu"].iter().any(|start| node.op.name().starts_with(start));
        *operators.entry(if on_card { CUDA } else { CPU }.to_owned()).or_default() += 1;
    }
    RanOn {
        engine: "tract".into(),
        engine_version: VERSION.into(),
        backend: CUDA.into(),
        device: card().unwrap_or_else(|| "an NVIDIA card".into()),
        driver: nvidia_driver().unwrap_or_default(),
        api: None,
        operators,
    }
}

/// The first card, as NVIDIA's kernel module names it.
fn card() -> Option<String> {
    let entry = fs::read_dir("/proc/driver/nvidia/gpus").ok()?.flatten().next()?;
    let text = fs::read_to_string(entry.path().join("information")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
    Some(line.trim().to_owned())
}
