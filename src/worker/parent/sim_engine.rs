//! A simulated device as an engine, in a child process: the device may be made to crash or hang.

use super::conversation::{Announced, Conversation, KeptWorker, Walker, WorkerWalk};
use super::program::WorkerProgram;
use crate::engine::{Engine, EngineSession, Execution, Outcome, Request, SimTarget};
use crate::sim::Device;
use crate::walk::FallbackPlan;
use crate::worker::wire::contents::Message;
use crate::worker::wire::protocol::Ask;

/// A simulated device.
#[derive(Debug, Clone)]
pub struct SimEngine {
    /// The simulated target. If its device was not read, the target is unavailable.
    pub target: SimTarget,
    /// The worker to start.
    pub worker: WorkerProgram,
}

impl SimEngine {
    fn device(&self) -> Result<Device, Box<Execution>> {
        self.target.device.clone().ok_or_else(|| {
            let reason = format!("the document of the device `{}` was not read", self.target.name);
            Box::new(Execution::without_outputs(Outcome::Unavailable, reason))
        })
    }

    fn run_message(&self, request: &Request<'_>) -> Result<Message, Box<Execution>> {
        let (device, repeats) = (self.device()?, request.repeats);
        Message::about(request, true, |network, feeds, _| Ask::RunSimulated {
            network,
            device,
            feeds,
            repeats,
        })
    }

    fn walk_message(
        &self,
        request: &Request<'_>,
        plan: Option<&FallbackPlan>,
    ) -> Result<Message, Box<Execution>> {
        let (device, repeats) = (self.device()?, request.repeats);
        Message::about(request, true, |network, feeds, contents| {
            let plan = plan.map(|plan| contents.add_plan(plan));
            Ask::WalkSimulated { network, device, feeds, repeats, plan }
        })
    }
}

impl Engine for SimEngine {
    fn execute(&self, request: &Request<'_>) -> Execution {
        let request = self.worker.within(request);
        match self.run_message(&request) {
            Ok(message) => {
                let held = Conversation::hold(&self.worker, message, request.deadline, &mut |_| ());
                held.conclude(None, request.deadline).0
            }
            Err(execution) => *execution,
        }
    }

    fn session(&self) -> Box<dyn EngineSession + '_> {
        Box::new(SimSession { engine: self, worker: KeptWorker::new(&self.worker) })
    }
}

/// One worker for many small networks.
struct SimSession<'e> {
    engine: &'e SimEngine,
    worker: KeptWorker,
}

impl SimSession<'_> {
    /// Asks about the open network.
    fn ask(&mut self, message: Message, request: &Request<'_>) -> Execution {
        let request = self.engine.worker.within(request);
        self.worker.execute(Ok(message), None, request.deadline)
    }
}

impl EngineSession for SimSession<'_> {
    fn execute(&mut self, request: &Request<'_>) -> Execution {
        let request = self.engine.worker.within(request);
        self.worker.execute(self.engine.run_message(&request), None, request.deadline)
    }

    fn again(&mut self, request: &Request<'_>) -> Execution {
        self.ask(Message::bare(Ask::Again { repeats: request.repeats }), request)
    }

    fn next(&mut self, request: &Request<'_>) -> Execution {
        self.ask(Message::next(request), request)
    }
}

impl Walker for SimEngine {
    fn walk(
        &self,
        request: &Request<'_>,
        plan: Option<&FallbackPlan>,
        announced: &mut dyn FnMut(&Announced),
    ) -> WorkerWalk {
        let request = self.worker.within(request);
        match self.walk_message(&request, plan) {
            Ok(message) => {
                let deadline = request.deadline;
                Conversation::hold(&self.worker, message, deadline, announced)
                    .walked(None, deadline)
            }
            Err(execution) => WorkerWalk::without(*execution),
        }
    }
}
