//! Engines that take an ONNX network as it is: ONNX Runtime, or the worker's own engine.

use super::conversation::{Conversation, KeptWorker};
use super::program::WorkerProgram;
use crate::engine::{Engine, Execution, OrtTarget, Request, Session};
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
    fn message(&self, request: &Request<'_>) -> Result<Message, Box<Execution>> {
        let repeats = request.repeats;
        // ONNX Runtime needs no numbers for open dimensions, and fails on some numbers if a file has branches.
        let declared = request.model.as_declared();
        let model = if self.stays_open() { &declared } else { request.model };
        Message::about(&Request { model, ..*request }, |model, feeds, _| match self.by.clone() {
            OnnxBy::Ort(target) => Ask::RunOrt { model, target, feeds, repeats },
            OnnxBy::Own => Ask::RunOnnx { model, feeds, repeats, cuda: false },
            OnnxBy::TractCuda => Ask::RunOnnx { model, feeds, repeats, cuda: true },
        })
    }

    /// Whether the worker keeps the network open for the next ask. A worker with its own engine need not.
    fn stays_open(&self) -> bool {
        matches!(self.by, OnnxBy::Ort(_))
    }
}

impl Engine for OnnxEngine {
    fn execute(&self, request: &Request<'_>) -> Execution {
        let request = self.worker.within(request);
        match self.message(&request) {
            Ok(message) => {
                let held = Conversation::hold(&self.worker, message, request.deadline, &mut |_| ());
                held.conclude(None, request.deadline).0
            }
            Err(execution) => *execution,
        }
    }

    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(OnnxSession { engine: self, worker: KeptWorker::new(&self.worker) })
    }
}

/// One worker for many networks.
struct OnnxSession<'e> {
    engine: &'e OnnxEngine,
    worker: KeptWorker,
}

impl Session for OnnxSession<'_> {
    fn execute(&mut self, request: &Request<'_>) -> Execution {
        let request = self.engine.worker.within(request);
        let message = self.engine.message(&request);
        self.worker.execute(message, None, request.deadline)
    }

    fn again(&mut self, request: &Request<'_>) -> Execution {
        let request = self.engine.worker.within(request);
        let message = match self.engine.stays_open() {
            true => Ok(Message::bare(Ask::Again { repeats: request.repeats })),
            false => self.engine.message(&request),
        };
        self.worker.execute(message, None, request.deadline)
    }

    fn next(&mut self, request: &Request<'_>) -> Execution {
        let request = self.engine.worker.within(request);
        let message = match self.engine.stays_open() {
            true => Ok(Message::next(&request)),
            false => self.engine.message(&request),
        };
        self.worker.execute(message, None, request.deadline)
    }

    fn takes_other_shapes(&self) -> bool {
        self.engine.stays_open()
    }
}
