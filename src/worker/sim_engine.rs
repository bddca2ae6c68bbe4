//! A simulated device as an engine: in a child process, for it may be told to crash or hang.

use super::conversation::{Announced, Conversation, Walked, Walker};
use super::protocol::{Ask, pack};
use super::supervise::WorkerProgram;
use crate::engine::{Backend, Engine, Execution, Request, SimTarget};

/// A simulated device.
#[derive(Debug, Clone)]
pub struct SimEngine {
    /// What is wrong with it.
    pub target: SimTarget,
    /// The worker to start.
    pub worker: WorkerProgram,
}

impl Engine for SimEngine {
    fn execute(&self, request: &Request<'_>) -> Execution {
        self.walk(request, &mut |_| ()).execution
    }
}

impl Walker for SimEngine {
    fn walk(&self, request: &Request<'_>, announced: &mut dyn FnMut(&Announced)) -> Walked {
        let model = request.model.path().to_owned();
        let (feeds, body) = pack(request.feeds.iter().map(|feed| (&feed.name, &feed.tensor)));
        let (target, repeats) = (self.target.clone(), request.repeats);
        let message = (Ask::WalkSimulated { model, target, feeds, repeats }, body);
        let conversation =
            Conversation::hold(&self.worker, &[], message, request.deadline, announced);
        conversation.walked(Backend::Cpu, request.deadline)
    }
}
