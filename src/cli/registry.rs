//! Every engine by its target: the one place that knows them all.

use super::failure::Failure;
use crate::engine::{Engine, Target, Tract};
use crate::worker::{Converter, MnnEngine, WorkerProgram};

/// What engines need beyond their target.
#[derive(Debug, Clone)]
pub(super) struct Registry {
    /// How MNN models are made.
    pub(super) converter: Converter,
    /// The program that serves engines in a child process.
    pub(super) worker: WorkerProgram,
}

impl Registry {
    /// The registry that starts this very program as its worker.
    pub(super) fn new(converter: Converter) -> Result<Self, Failure> {
        Ok(Registry { converter, worker: this_program()? })
    }

    /// The engine of a target.
    pub(super) fn engine(&self, target: &Target) -> Box<dyn Engine> {
        match target {
            Target::Tract => Box::new(Tract { f64: false }),
            Target::TractF64 => Box::new(Tract { f64: true }),
            Target::Mnn(target) => Box::new(MnnEngine {
                target: target.clone(),
                converter: self.converter.clone(),
                worker: self.worker.clone(),
            }),
        }
    }
}

/// This program, to be started again as a worker.
pub(super) fn this_program() -> Result<WorkerProgram, Failure> {
    let path = std::env::current_exe().map_err(|error| {
        Failure::new(
            format!("find this program's own file: {error}"),
            "call offby by its full path",
        )
    })?;
    Ok(WorkerProgram::offby(path))
}
