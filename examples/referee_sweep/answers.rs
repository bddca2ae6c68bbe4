//! Each engine's results for a network of one node.

use super::cases::Case;
use offby::engine::{
    Backend, Engine, EngineSession, MnnTarget, NodeSteps, OrtTarget, Outcome, Precision, Request,
    TRACT_VERSION, Tract,
};
use offby::graph::{Model, widened};
use offby::inputs::Feed;
use offby::tensor::{Tensor, narrowed};
use offby::worker::{MnnEngine, OnnxBy, OnnxEngine, WorkerProgram, find_converter};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

/// The longest time that an engine in a worker may take for one node.
const DEADLINE: Duration = Duration::from_secs(30);

/// A code that computes a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    /// tract as published.
    Plain,
    /// tract with offby's kernels for some operators.
    Reference,
    /// offby's own kernel.
    Own,
    /// tract as published, in `f64`.
    Wide,
    /// ONNX Runtime.
    Ort,
    /// MNN.
    Mnn,
    /// The outputs that ONNX ships.
    Shipped,
}

impl Party {
    /// All parties.
    pub(crate) const ALL: [Party; 7] = [
        Party::Plain,
        Party::Reference,
        Party::Own,
        Party::Wide,
        Party::Ort,
        Party::Mnn,
        Party::Shipped,
    ];
    /// The parties with a column in the table.
    pub(crate) const COLUMNS: [Party; 5] =
        [Party::Plain, Party::Reference, Party::Own, Party::Ort, Party::Mnn];

    /// The party's name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Party::Plain => "tract as published",
            Party::Reference => "offby's reference",
            Party::Own => "own kernel",
            Party::Wide => "tract in f64",
            Party::Ort => "ONNX Runtime",
            Party::Mnn => "MNN CPU",
            Party::Shipped => "ONNX's own outputs",
        }
    }
}

/// A party's answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The party's outputs.
    Gave(Vec<Tensor>),
    /// The party returned no outputs, for this reason.
    Refuses(String),
    /// The party has no such kernel or no such outputs.
    Absent,
}

/// The answers of all parties.
pub(crate) struct Answers {
    answers: BTreeMap<Party, Answer>,
    /// The case that the standard leaves open, in the words of offby's own kernel.
    pub(crate) undefined: Option<String>,
}

impl Answers {
    /// A party's answer.
    pub(crate) fn of(&self, party: Party) -> &Answer {
        self.answers.get(&party).unwrap_or(&Answer::Absent)
    }

    /// A party's outputs, if there are any.
    pub(crate) fn outputs(&self, party: Party) -> Option<&[Tensor]> {
        match self.of(party) {
            Answer::Gave(outputs) => Some(outputs),
            Answer::Refuses(_) | Answer::Absent => None,
        }
    }

    /// All answers in words, one line for each party.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (Party, String)> {
        Party::ALL.iter().filter_map(|&party| {
            let line = match self.of(party) {
                Answer::Gave(outputs) => outputs.iter().map(shown).collect::<Vec<_>>().join("; "),
                Answer::Refuses(reason) => format!("refuses: {reason}"),
                Answer::Absent => return None,
            };
            Some((party, line))
        })
    }
}

/// The first numbers of a tensor.
pub(crate) fn shown(tensor: &Tensor) -> String {
    let numbers = tensor.numbers(1);
    let first: Vec<String> =
        numbers.iter().take(12).map(|&number| format!("{}", number as f32)).collect();
    let more = if numbers.len() > first.len() { ", ..." } else { "" };
    format!("{} {:?} [{}{more}]", tensor.dtype(), tensor.shape(), first.join(", "))
}

/// ONNX Runtime and MNN, each on the processor.
pub(crate) fn engines(offby: &Path) -> (OnnxEngine, MnnEngine) {
    let worker = WorkerProgram::offby(offby.to_owned());
    let ort = OnnxEngine { by: OnnxBy::Ort(OrtTarget::REFEREE), worker: worker.clone() };
    let target = MnnTarget {
        backend: Backend::Cpu,
        precision: Precision::High,
        threads: None,
        memory: None,
        tune: None,
        weights: None,
    };
    (ort, MnnEngine { target, converter: find_converter(), worker })
}

/// The engines that run in workers, and the versions of all engines.
pub(crate) struct Engines<'e> {
    sessions: [(Party, Box<dyn EngineSession + 'e>); 2],
    /// The versions of the engines by their names.
    pub(crate) versions: BTreeMap<String, String>,
}

impl<'e> Engines<'e> {
    /// Opens one session per engine for all networks.
    pub(crate) fn new(ort: &'e OnnxEngine, mnn: &'e MnnEngine) -> Self {
        let sessions = [(Party::Ort, ort.session()), (Party::Mnn, mnn.session())];
        let versions = BTreeMap::from([("tract".to_owned(), TRACT_VERSION.to_owned())]);
        Engines { sessions, versions }
    }

    /// The answers of all parties; the error says why the network cannot be used.
    pub(crate) fn ask(
        &mut self,
        case: &Case,
        feeds: &[Feed],
        as_given: bool,
    ) -> Result<Answers, String> {
        let mut steps = NodeSteps::new(&case.model)?;
        if steps.len() != 1 {
            return Err("its outputs are constant".into());
        }
        steps.start(feeds)?;
        let inputs = steps.inputs(0)?;
        let tract = |f64, plain| answer(steps.compute_as(0, &inputs, Tract { f64, plain }), case);
        let mut answers = BTreeMap::from([
            (Party::Plain, tract(false, true)),
            (Party::Reference, tract(false, false)),
            (Party::Wide, tract(true, true)),
        ]);
        let (own, undefined) = own(&steps, &inputs, case);
        answers.insert(Party::Own, own);
        let shipped = case.shipped.clone().filter(|_| as_given);
        answers.insert(Party::Shipped, shipped.map_or(Answer::Absent, Answer::Gave));
        let known = Answers { answers, undefined };
        let like = [Party::Shipped, Party::Own, Party::Plain].into_iter();
        let like = like.filter_map(|party| known.outputs(party)).next();
        let like = like.or(case.shipped.as_deref()).unwrap_or_default();
        let like: Vec<Tensor> = like.iter().map(widened).collect();
        let (model, fed) = steps.alone(0, &inputs, &like)?;
        let Answers { mut answers, undefined } = known;
        for (party, session) in &mut self.sessions {
            let found = run(session.as_mut(), &model, &fed, &mut self.versions);
            answers.insert(*party, answer(found, case));
        }
        Ok(Answers { answers, undefined })
    }
}

/// Outputs in the types that the network declares.
fn answer(found: Result<Vec<Tensor>, String>, case: &Case) -> Answer {
    let typed = |(tensor, dtype): (Tensor, Option<_>)| match dtype {
        Some(dtype) => narrowed(tensor, dtype),
        None => tensor,
    };
    match found {
        Ok(outputs) => {
            let types = case.types.iter().copied().chain(std::iter::repeat(None));
            Answer::Gave(outputs.into_iter().zip(types).map(typed).collect())
        }
        Err(reason) => Answer::Refuses(reason.lines().next().unwrap_or_default().to_owned()),
    }
}

/// The answer of offby's own kernel, and the case that the standard leaves open.
fn own(steps: &NodeSteps, inputs: &[Option<Tensor>], case: &Case) -> (Answer, Option<String>) {
    match catch_unwind(AssertUnwindSafe(|| steps.compute_own(0, inputs))) {
        Err(_) => (Answer::Refuses("it panicked".into()), None),
        Ok(None) => (Answer::Absent, None),
        Ok(Some(found)) => {
            let open = found.as_ref().err().and_then(|words| words.strip_prefix("undefined: "));
            let open = open.map(str::to_owned);
            (answer(found, case), open)
        }
    }
}

/// The outputs of an engine in a worker, in the network's order.
fn run(
    session: &mut dyn EngineSession,
    model: &Model,
    feeds: &[Feed],
    versions: &mut BTreeMap<String, String>,
) -> Result<Vec<Tensor>, String> {
    let execution = session.execute(&Request { model, feeds, repeats: 1, deadline: DEADLINE });
    if let Some(ran_on) = &execution.ran_on {
        versions.insert(ran_on.engine.clone(), ran_on.engine_version.clone());
    }
    if execution.outcome != Outcome::Completed {
        let outcome = execution.outcome;
        return Err(execution
            .reason
            .map_or(outcome.to_string(), |why| format!("{outcome}: {why}")));
    }
    let output = |name: &offby::graph::ValueName| {
        let found = execution.outputs.iter().find(|output| output.name == *name);
        found.map(|output| output.tensor.clone()).ok_or_else(|| format!("{name} did not come"))
    };
    model.outputs().iter().map(output).collect()
}
