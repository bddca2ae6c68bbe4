//! A simulated device as an engine: in a child process, for it may be told to crash or hang.

use super::conversation::{Announced, Conversation, KeptWorker, Walked, Walker};
use super::protocol::{Ask, ModelHead, TensorHead, pack, pack_plan};
use super::supervise::WorkerProgram;
use crate::engine::{Backend, Device, Engine, Execution, Outcome, Request, Session, SimTarget};
use crate::walk::Plan;

/// A simulated device.
#[derive(Debug, Clone)]
pub struct SimEngine {
    /// What it is; without a device that was read it is not there.
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
}

fn run_message(device: Device, request: &Request<'_>) -> (Ask, Vec<u8>) {
    let (model, feeds, body) = pack_request(request);
    (Ask::RunSimulated { model, device, feeds, repeats: request.repeats }, body)
}

fn pack_request(request: &Request<'_>) -> (ModelHead, Vec<TensorHead>, Vec<u8>) {
    let (model, mut body) = ModelHead::pack(request.model);
    let (feeds, tensors) = pack(request.feeds.iter().map(|feed| (&feed.name, &feed.tensor)));
    body.extend(tensors);
    (model, feeds, body)
}

impl Engine for SimEngine {
    fn execute(&self, request: &Request<'_>) -> Execution {
        let message = match self.device() {
            Ok(device) => run_message(device, request),
            Err(execution) => return *execution,
        };
        let conversation =
            Conversation::hold(&self.worker, &[], message, request.deadline, &mut |_| ());
        conversation.conclude(Backend::Cpu, request.deadline).0
    }

    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(SimSession { engine: self, worker: KeptWorker::new(&self.worker, Vec::new()) })
    }
}

/// One worker for many small networks.
struct SimSession<'e> {
    engine: &'e SimEngine,
    worker: KeptWorker,
}

impl Session for SimSession<'_> {
    fn execute(&mut self, request: &Request<'_>) -> Execution {
        let message = match self.engine.device() {
            Ok(device) => run_message(device, request),
            Err(execution) => return *execution,
        };
        let conversation = self.worker.converse(message, request.deadline, &mut |_| ());
        conversation.conclude(Backend::Cpu, request.deadline).0
    }

    fn again(&mut self, request: &Request<'_>) -> Execution {
        let message = (Ask::Again { repeats: request.repeats }, Vec::new());
        let conversation = self.worker.converse(message, request.deadline, &mut |_| ());
        conversation.conclude(Backend::Cpu, request.deadline).0
    }
}

impl Walker for SimEngine {
    fn walk(
        &self,
        request: &Request<'_>,
        plan: Option<&Plan>,
        announced: &mut dyn FnMut(&Announced),
    ) -> Walked {
        let device = match self.device() {
            Ok(device) => device,
            Err(execution) => return Walked::without(*execution),
        };
        let (model, feeds, mut body) = pack_request(request);
        let plan = pack_plan(plan, &mut body);
        let repeats = request.repeats;
        let message = (Ask::WalkSimulated { model, device, feeds, repeats, plan }, body);
        let conversation =
            Conversation::hold(&self.worker, &[], message, request.deadline, announced);
        conversation.walked(Backend::Cpu, request.deadline)
    }
}
