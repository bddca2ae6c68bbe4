//! The engine for each target: the only module that knows all engines.

use super::Failure;
use crate::bounds::Arithmetic;
use crate::engine::{Backend, Engine, MnnTarget, Place, Precision, SimTarget, Target, Tract};
use crate::graph::Model;
use crate::tensor::Format;
use crate::worker::{
    Converter, Interrupt, MnnEngine, OnnxBy, OnnxEngine, SimEngine, Walker, WorkerProgram,
};

/// Settings that engines need beyond their target.
#[derive(Debug, Clone)]
pub struct Registry {
    /// How MNN models are made.
    converter: Converter,
    /// The program that serves engines in a child process.
    worker: WorkerProgram,
}

impl Registry {
    /// The registry that starts this program as its worker.
    ///
    /// `memory` is the most bytes that a worker on this machine may use.
    ///
    /// # Errors
    /// If this program's own file cannot be found.
    pub fn new(converter: Converter, memory: Option<u64>) -> Result<Self, Failure> {
        Ok(Registry { converter, worker: this_program()?.with_memory(memory) })
    }

    /// The registry that starts a given program as its worker.
    pub fn with_program(converter: Converter, worker: WorkerProgram) -> Self {
        Registry { converter, worker }
    }

    /// How MNN models are made.
    pub fn converter(&self) -> &Converter {
        &self.converter
    }

    /// The token that stops the engines' work.
    pub fn interrupt(&self) -> &Interrupt {
        self.worker.interrupt()
    }

    /// The same engines with a different converter.
    pub(super) fn with_converter(&self, converter: Converter) -> Self {
        Registry { converter, worker: self.worker.clone() }
    }

    /// The engine of a target.
    pub fn engine(&self, target: &Target) -> Box<dyn Engine> {
        match target {
            Target::Tract => Box::new(Tract::default()),
            Target::TractF64 => Box::new(Tract { f64: true, plain: false }),
            Target::TractPlain => Box::new(Tract { f64: false, plain: true }),
            Target::Mnn(target) => Box::new(self.mnn(target)),
            Target::Sim(target) => Box::new(self.sim(target)),
            Target::TractCuda => Box::new(self.onnx(OnnxBy::TractCuda)),
            Target::Ort(target) => Box::new(self.onnx(OnnxBy::Ort(target.clone()))),
            Target::Ext(_) | Target::Dump(_) => Box::new(self.onnx(OnnxBy::Own)),
            Target::At(placed) => self.at(&placed.place).engine(&placed.target),
        }
    }

    /// The engine of a target whose operators can be walked.
    pub fn walker(&self, target: &Target) -> Option<Box<dyn Walker>> {
        match target {
            Target::Tract
            | Target::TractF64
            | Target::TractPlain
            | Target::TractCuda
            | Target::Ort(_)
            | Target::Ext(_)
            | Target::Dump(_) => None,
            Target::At(placed) => self.at(&placed.place).walker(&placed.target),
            Target::Mnn(target) => Some(Box::new(self.mnn(target))),
            Target::Sim(target) => Some(Box::new(self.sim(target))),
        }
    }

    /// The registry for a place.
    fn at(&self, place: &Place) -> Self {
        Registry { converter: self.converter.clone(), worker: self.worker.at(place) }
    }

    fn mnn(&self, target: &MnnTarget) -> MnnEngine {
        let (converter, worker) = (self.converter.clone(), self.worker.clone());
        MnnEngine { target: target.clone(), converter, worker }
    }

    fn onnx(&self, by: OnnxBy) -> OnnxEngine {
        OnnxEngine { by, worker: self.worker.clone() }
    }

    fn sim(&self, target: &SimTarget) -> SimEngine {
        SimEngine { target: target.clone(), worker: self.worker.clone() }
    }
}

/// This program, ready to be started again as a worker.
pub fn this_program() -> Result<WorkerProgram, Failure> {
    let path = std::env::current_exe().map_err(|error| {
        Failure::new(
            format!("find this program's own file: {error}"),
            "call offby by its full path",
        )
    })?;
    Ok(WorkerProgram::offby(path))
}

/// An engine's own CPU in full precision, which runs most of the engine's code.
pub(super) fn on_cpu(target: &Target) -> Target {
    let cpu = |weights| {
        Target::Mnn(MnnTarget {
            backend: Backend::Cpu,
            precision: Precision::High,
            threads: None,
            memory: None,
            tune: None,
            weights,
        })
    };
    match target {
        Target::Mnn(target) => cpu(target.weights),
        Target::At(placed) => match placed.target.as_ref() {
            Target::Mnn(target) => cpu(target.weights).at(placed.place.clone()),
            _ => target.clone(),
        },
        other => other.clone(),
    }
}

/// How the target computes and stores: as it declares, or else as the network itself does.
pub fn arithmetic_of(target: &Target, model: &Model) -> Arithmetic {
    let own = if model.is_narrow() { Format::F16 } else { Format::F32 };
    Arithmetic { format: target.declared_storage().unwrap_or(own), ..target.arithmetic() }
}

/// The failure of a walk on a target that does not expose its operators.
pub fn not_walkable(target: &Target) -> Failure {
    if target.takes_onnx() {
        return Failure::new(
            format!("follow the operators of {target}: this engine does not expose operators"),
            "`offby walk` searches it from outside, with --strategy cut or --strategy isolate",
        );
    }
    Failure::new(
        format!("walk {target}: it is the reference"),
        "walk one of MNN's backends, such as mnn:vulkan:low",
    )
}
