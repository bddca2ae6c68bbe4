//! An ONNX network on the worker's own engine, which is tract. A worker in a different place runs tract on a different
//! processor. tract on CUDA runs here as well, because drivers crash.

use super::onnx_file::OnnxFile;
use super::reply::Send;
use crate::engine::{Engine as _, Execution, Output, Request, Tract};
use crate::inputs::Feed;
use crate::worker::wire::protocol::{Reply, pack};
use std::io;
use std::time::Duration;

/// Runs the network and answers.
pub(in crate::worker) fn run(
    network: OnnxFile<'_>,
    feeds: Vec<Output>,
    repeats: usize,
    cuda: bool,
    send: &mut Send<'_>,
) -> io::Result<()> {
    let model = match network.model() {
        Ok(model) => model,
        Err(error) => return send(&Reply::Rejected { reason: error.to_string() }, &[]),
    };
    let feeds: Vec<Feed> = feeds.into_iter().map(Feed::from).collect();
    // The parent enforces the deadline.
    let request = Request { model: &model, feeds: &feeds, repeats, deadline: Duration::MAX };
    let execution = match cuda {
        #[cfg(feature = "tract-cuda")]
        true => crate::engine::TractCuda.execute(&request),
        _ => Tract::default().execute(&request),
    };
    match execution {
        Execution { ran_on: Some(ran_on), runs: Some(runs), outputs, .. } => {
            let (outputs, body) = pack(outputs.iter().map(|o| (&o.name, &o.tensor)));
            send(&Reply::Ran { outputs, runs, ran_on }, &body)
        }
        refused => {
            let reason = refused.reason.unwrap_or_else(|| refused.outcome.to_string());
            send(&Reply::Rejected { reason }, &[])
        }
    }
}
