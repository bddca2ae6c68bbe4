//! The networks for dying workers, and an undisturbed worker's results on them.

use crate::plan::{Plan, Stage, Way};
use offby::compare::Tolerance;
use offby::engine::{Engine as _, NodeSteps, Output, Request, SimTarget, Target};
use offby::graph::{Model, Network, ValueName};
use offby::inputs::{Feed, Random, Spec, draw};
use offby::tensor::{Dtype, Tensor};
use offby::walk::{By, Goal};
use offby::worker::{Announced, SimEngine, Walker as _, WorkerProgram, WorkerWalk};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Long enough for each worker that exits by itself on a machine with other work.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often each network runs: a worker can also die in a later run.
pub(crate) const REPEATS: usize = 2;

/// A network and its right results.
pub(crate) struct Field {
    pub(crate) path: PathBuf,
    pub(crate) model: Model,
    pub(crate) feeds: Vec<Feed>,
    expected: Vec<Output>,
    /// The device's outputs.
    pub(crate) outputs: Vec<Output>,
    /// The operators as a walk announces them, and as a search after it does.
    walk: Vec<Announced>,
    search: Vec<Announced>,
}

/// Small networks, and one whose weights fill a pipe many times.
pub(crate) fn networks(folder: &Path, worker: &WorkerProgram) -> Vec<Field> {
    let wide = folder.join("wide.onnx");
    std::fs::write(&wide, wide_network()).expect("a file can be written");
    let debug = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("debug-models").join(name);
    let paths = [debug("small_mlp.onnx"), debug("attention_bias.onnx"), wide];
    paths.into_iter().map(|path| Field::of(path, worker)).collect()
}

fn wide_network() -> Vec<u8> {
    const WIDTH: usize = 256;
    let mut random = Random::new(1);
    let mut weight = || {
        let numbers = (0..WIDTH * WIDTH).map(|_| (random.normal() / 16.0) as f32).collect();
        Tensor::from_f32(&[WIDTH, WIDTH], numbers).expect("as many as the shape needs")
    };
    let (first, second) = (weight(), weight());
    let network = Network::new("wide").input("x", Dtype::F32, &[4, WIDTH]);
    let network = network.initializer("v", &first).initializer("w", &second);
    let network = network.node("in", "MatMul", &["x", "v"], &["a"], &[]);
    let network = network.node("relu", "Relu", &["a"], &["b"], &[]);
    let network = network.node("out", "MatMul", &["b", "w"], &["y"], &[]);
    network.output("y", Dtype::F32, &[4, WIDTH]).to_bytes()
}

/// A simulated device whose first node is wrong, so a search has a fault to find.
pub(crate) fn engine(worker: &WorkerProgram) -> SimEngine {
    let target = offby::case::resolve("sim:zero".parse().expect("it is a target"));
    let Ok(Target::Sim(target)) = target else { panic!("sim:zero is a simulated device") };
    let SimTarget { name, device } = target;
    SimEngine { target: SimTarget { name, device }, worker: worker.clone() }
}

impl Field {
    fn of(path: PathBuf, worker: &WorkerProgram) -> Self {
        let mut model = Model::load(&path).expect("it is a network");
        model.fix_shapes(&BTreeMap::new()).expect("its shapes are fixed");
        let inputs = model.resolved_inputs().expect("its shapes are fixed");
        let specs: BTreeMap<ValueName, Spec> = inputs
            .iter()
            .map(|input| (input.name.clone(), Spec::default_for(input.dtype, 1)))
            .collect();
        let feeds = draw(&model, &specs).expect("inputs can be drawn");
        let mut steps = NodeSteps::new(&model).expect("the reference takes it");
        steps.start(&feeds).expect("the reference takes it");
        for step in 0..steps.len() {
            steps.advance(step, &Tensor::clone).expect("the reference computes it");
        }
        let expected = steps.outputs().expect("the reference computes it");
        let mut field = Field {
            path,
            model,
            feeds,
            expected,
            outputs: Vec::new(),
            walk: Vec::new(),
            search: Vec::new(),
        };
        field.outputs = engine(worker).execute(&field.request(PATIENCE)).outputs;
        (_, field.walk) = field.walk(worker, false, PATIENCE);
        (_, field.search) = field.walk(worker, true, PATIENCE);
        assert!(
            !field.outputs.is_empty() && !field.walk.is_empty(),
            "an undisturbed worker answers"
        );
        field
    }

    pub(crate) fn request(&self, deadline: Duration) -> Request<'_> {
        Request { model: &self.model, feeds: &self.feeds, repeats: REPEATS, deadline }
    }

    /// A walk, perhaps with a search after it, and the operators it announced.
    pub(crate) fn walk(
        &self,
        worker: &WorkerProgram,
        is_search: bool,
        deadline: Duration,
    ) -> (WorkerWalk, Vec<Announced>) {
        let mut announced = Vec::new();
        let plan = is_search.then(|| offby::walk::FallbackPlan {
            by: By::Op,
            goal: Goal::Tolerance(Tolerance::EXACT),
            raise: false,
            expected: self.expected.clone(),
        });
        let walked = engine(worker).walk(&self.request(deadline), plan.as_ref(), &mut |operator| {
            announced.push(operator.clone());
        });
        (walked, announced)
    }

    /// How many operators have been announced at the planned moment, and the last of them. If the plan does not
    /// act in an operator, the last operator of all.
    pub(crate) fn moment(&self, plan: &Plan) -> (usize, Option<&Announced>) {
        let all = if plan.way == Way::Search { &self.search } else { &self.walk };
        let later =
            all.iter().skip(1).position(|operator| operator.index == 0).map_or(0, |at| at + 1);
        let range = match plan.stage {
            Stage::Op => 0..later,
            Stage::Later => later..all.len(),
            Stage::Trial => {
                let first = all.iter().position(|operator| operator.trial.is_some());
                first.expect("a search has runs")..all.len()
            }
            Stage::Answering if plan.way == Way::Walk => all.len() - 1..all.len(),
            _ => return (0, None),
        };
        let at = range.start + plan.moment % range.len();
        (at + 1, all.get(at))
    }
}
