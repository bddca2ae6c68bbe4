//! Engines that take an ONNX network as it is: ONNX Runtime, or the worker's own engine.

use super::conversation::{Conversation, KeptWorker};
use super::program::WorkerProgram;
use crate::engine::{Engine, EngineSession, Execution, OrtTarget, Request};
use crate::graph::Model;
use crate::worker::wire::contents::Message;
use crate::worker::wire::protocol::Ask;

/// Who runs the network in the child process.
#[derive(Debug, Clone)]
pub enum OnnxBy {
    /// The worker's own engine: an engine that only the worker knows, or tract.
    Own,
    /// ONNX Runtime.
    Ort(OrtTarget),
    /// tract on CUDA.
    TractCuda,
}

/// An engine in a child process that takes the network as it is.
#[derive(Debug, Clone)]
pub struct OnnxEngine {
    /// Who runs the network.
    pub by: OnnxBy,
    /// The worker to start.
    pub worker: WorkerProgram,
}

impl OnnxEngine {
    /// The ask to run a network. An engine that keeps it open needs no numbers for open dimensions, and fails on some
    /// numbers if a file has branches.
    fn message(&self, request: &Request<'_>, stays_open: bool) -> Result<Message, Box<Execution>> {
        let repeats = request.repeats;
        let declared = request.model.as_declared();
        let model: &Model = if stays_open { &declared } else { request.model };
        // Only ONNX Runtime has all of its own operators.
        let model = if matches!(self.by, OnnxBy::Ort(_)) { model.as_written() } else { model };
        let is_here = self.worker.is_here();
        let request = Request { model, ..*request };
        Message::about(&request, is_here, |network, feeds, _| match self.by.clone() {
            OnnxBy::Ort(target) => Ask::RunOrt { network, target, feeds, repeats },
            OnnxBy::Own => Ask::RunOnnx { network, feeds, repeats, cuda: false },
            OnnxBy::TractCuda => Ask::RunOnnx { network, feeds, repeats, cuda: true },
        })
    }

    /// Whether every worker keeps the network open for the next ask. A worker with its own engine says if it does.
    fn stays_open(&self) -> bool {
        matches!(self.by, OnnxBy::Ort(_))
    }
}

impl Engine for OnnxEngine {
    fn execute(&self, request: &Request<'_>) -> Execution {
        let request = self.worker.within(request);
        match self.message(&request, self.stays_open()) {
            Ok(message) => {
                let held = Conversation::hold(&self.worker, message, request.deadline, &mut |_| ());
                held.conclude(None, request.deadline).0
            }
            Err(execution) => *execution,
        }
    }

    fn session(&self) -> Box<dyn EngineSession + '_> {
        let worker = KeptWorker::new(&self.worker);
        Box::new(OnnxSession { engine: self, worker, stays_open: self.stays_open() })
    }
}

/// One worker for many networks.
struct OnnxSession<'e> {
    engine: &'e OnnxEngine,
    worker: KeptWorker,
    /// Whether the worker keeps the network of the last ask open.
    stays_open: bool,
}

impl OnnxSession<'_> {
    /// Asks about the open network, or about the network again if the worker keeps none open.
    fn ask(&mut self, open: impl FnOnce() -> Message, request: &Request<'_>) -> Execution {
        let message = match self.stays_open {
            true => Ok(open()),
            false => self.engine.message(request, false),
        };
        self.worker.execute(message, None, request.deadline)
    }
}

impl EngineSession for OnnxSession<'_> {
    fn execute(&mut self, request: &Request<'_>) -> Execution {
        let request = self.engine.worker.within(request);
        self.stays_open = self.engine.stays_open()
            || matches!(self.engine.by, OnnxBy::Own) && self.worker.stays_open(request.deadline);
        let message = self.engine.message(&request, self.stays_open);
        self.worker.execute(message, None, request.deadline)
    }

    fn again(&mut self, request: &Request<'_>) -> Execution {
        let request = self.engine.worker.within(request);
        self.ask(|| Message::bare(Ask::Again { repeats: request.repeats }), &request)
    }

    fn next(&mut self, request: &Request<'_>) -> Execution {
        let request = self.engine.worker.within(request);
        self.ask(|| Message::next(&request), &request)
    }

    fn takes_other_shapes(&self) -> bool {
        self.stays_open
    }
}
