//! Whatever engine a worker has, as an engine: it is given the ONNX network as it is.

use super::contents::Message;
use super::conversation::{Conversation, KeptWorker};
use super::program::WorkerProgram;
use super::protocol::Ask;
use crate::engine::{Engine, Execution, Request, Session};

/// An engine that only its worker knows.
#[derive(Debug, Clone)]
pub struct ExtEngine {
    /// The worker to start.
    pub worker: WorkerProgram,
}

impl Engine for ExtEngine {
    fn execute(&self, request: &Request<'_>) -> Execution {
        let request = self.worker.within(request);
        match message(&request) {
            Ok(message) => {
                let held = Conversation::hold(&self.worker, message, request.deadline, &mut |_| ());
                held.conclude(None, request.deadline).0
            }
            Err(execution) => *execution,
        }
    }

    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(ExtSession { engine: self, worker: KeptWorker::new(&self.worker) })
    }
}

/// One worker for many networks.
struct ExtSession<'e> {
    engine: &'e ExtEngine,
    worker: KeptWorker,
}

impl Session for ExtSession<'_> {
    fn execute(&mut self, request: &Request<'_>) -> Execution {
        let request = self.engine.worker.within(request);
        match message(&request) {
            Ok(message) => {
                let conversation = self.worker.converse(message, request.deadline, &mut |_| ());
                conversation.conclude(None, request.deadline).0
            }
            Err(execution) => *execution,
        }
    }
}

fn message(request: &Request<'_>) -> Result<Message, Box<Execution>> {
    let repeats = request.repeats;
    Message::about(request, |model, feeds, _| Ask::RunOnnx { model, feeds, repeats })
}
