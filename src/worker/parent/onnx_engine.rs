//! Engines that take an ONNX network as it is: ONNX Runtime, or the worker's own engine.

use super::conversation::{Conversation, KeptWorker};
use super::program::WorkerProgram;
use crate::engine::{Engine, Execution, OrtTarget, Request, Session};
use crate::worker::wire::contents::Message;
use crate::worker::wire::protocol::Ask;

/// An engine in a child process that takes the network as it is.
#[derive(Debug, Clone)]
pub struct OnnxEngine {
    /// The target of ONNX Runtime; `None` for an engine that only the worker knows.
    pub ort: Option<OrtTarget>,
    /// The worker to start.
    pub worker: WorkerProgram,
}

impl OnnxEngine {
    fn message(&self, request: &Request<'_>) -> Result<Message, Box<Execution>> {
        let repeats = request.repeats;
        // ONNX Runtime needs no numbers for open dimensions, and fails on some numbers if a file has branches.
        let declared = request.model.as_declared();
        let model = if self.ort.is_some() { &declared } else { request.model };
        Message::about(&Request { model, ..*request }, |model, feeds, _| match self.ort.clone() {
            Some(target) => Ask::RunOrt { model, target, feeds, repeats },
            None => Ask::RunOnnx { model, feeds, repeats },
        })
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
        let message = match self.engine.ort {
            Some(_) => Ok(Message::bare(Ask::Again { repeats: request.repeats })),
            // A worker with its own engine need not keep a network open.
            None => self.engine.message(&request),
        };
        self.worker.execute(message, None, request.deadline)
    }

    fn next(&mut self, request: &Request<'_>) -> Execution {
        let request = self.engine.worker.within(request);
        let message = match self.engine.ort {
            Some(_) => Ok(Message::next(&request)),
            None => self.engine.message(&request),
        };
        self.worker.execute(message, None, request.deadline)
    }
}
