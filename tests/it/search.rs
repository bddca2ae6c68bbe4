//! Searching and shrinking against engines with a known fault: the searches find the planted fault in the
//! promised number of runs. No process and no driver runs: the engines are the reference with injected faults.

use crate::support::random_network::{Gene, RandomNetwork, tensor};
use offby::engine::{EngineSession, Execution, NodeSteps, Output, RanOn, Request, Runs};
use offby::graph::{Model, Network};
use offby::inputs::Feed;
use offby::shrink::{Oracle, Shrunk, shrink};
use offby::tensor::{
    Dtype::{F32, I64},
    Tensor,
};
use offby::walk::{Answer, SearchJournal, SearchTask, WalkReport, cut};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a node's output is made wrong, given the node's label and its right output.
type Inject = Box<dyn Fn(&str, &Tensor) -> Tensor>;

/// The reference, with each output of each node made wrong.
struct Liar {
    inject: Inject,
}

impl EngineSession for Liar {
    fn execute(&mut self, request: &Request<'_>) -> Execution {
        let mut steps = NodeSteps::new(request.model).unwrap();
        steps.start(request.feeds).unwrap();
        for step in 0..steps.len() {
            let label = steps.node(step).0;
            let inputs = steps.inputs(step).unwrap();
            let right = steps.compute(step, &inputs, &Tensor::clone).unwrap();
            let told: Vec<Tensor> =
                right.iter().map(|right| (self.inject)(&label, right)).collect();
            steps.store(step, &told);
            steps.forget(step);
        }
        Execution::completed(here(), steps.outputs().unwrap(), once())
    }
}

fn here() -> RanOn {
    RanOn {
        engine: "liar".into(),
        engine_version: "1".into(),
        backend: "liar".into(),
        device: "liar".into(),
        driver: String::new(),
        api: None,
        operators: BTreeMap::new(),
    }
}

fn once() -> Runs {
    Runs { repeats: 1, identical: true, open_seconds: 0.0, seconds: vec![0.0] }
}

fn feed(name: &str, tensor: Tensor) -> Feed {
    Feed::new(name, "test", tensor)
}

// --- cutting ----------------------------------------------------------------

fn search(model: &Model, feeds: &[Feed], culprit: &str) -> WalkReport {
    let culprit = culprit.to_owned();
    let inject: Inject = Box::new(move |label, right| match right {
        Tensor::F32(array) if label == culprit => Tensor::F32(array.mapv(|v| 2.0 * v + 1.0)),
        other => other.clone(),
    });
    searched(model, feeds, inject)
}

fn searched(model: &Model, feeds: &[Feed], inject: Inject) -> WalkReport {
    let mut task = SearchTask {
        second: None,
        model,
        feeds,
        session: Box::new(Liar { inject }),
        companion: None,
        arithmetic: offby::bounds::Arithmetic::default(),
        deadline: Duration::from_secs(60),
        announce: &mut |_| (),
        interrupted: Box::new(|| false),
    };
    let (_, report) = cut(&mut task, &BTreeMap::new(), &mut SearchJournal::default()).unwrap();
    report.unwrap()
}

/// If the whole is wrong, the search must name only the culprit, in few runs. If the whole is right, the
/// culprit's error was absorbed, or no node read it.
fn check(model: &Model, feeds: &[Feed], culprit: &str) -> Result<Answer, TestCaseError> {
    let report = search(model, feeds, culprit);
    let whole = report.probes[0].answer;
    if whole == Answer::Diverges {
        prop_assert_eq!(&report.sources, &[culprit.to_owned()]);
        let halves = report.ops_total.next_power_of_two().trailing_zeros() as usize;
        prop_assert!(report.candidate_runs <= halves + 2, "{} runs", report.candidate_runs);
    } else {
        prop_assert!(report.sources.iter().all(|source| source == culprit));
        prop_assert_eq!(report.candidate_runs, 2);
    }
    Ok(whole)
}

/// Nodes in a row; some read earlier values, so several values are needed at once.
fn ladder(length: usize, reach: usize) -> Model {
    let name = |at: usize| format!("v{at}");
    let start = Network::new("ladder").input("x", F32, &[4]);
    let whole = (0..length).fold(start, |network, at| {
        let before = if at == 0 { "x".to_owned() } else { name(at - 1) };
        let far = if at < reach { "x".to_owned() } else { name(at - reach) };
        match at % 3 {
            2 => network.node(&format!("n{at}"), "Sub", &[&before, &far], &[&name(at)], &[]),
            _ => network.node(&format!("n{at}"), "Neg", &[&before], &[&name(at)], &[]),
        }
    });
    whole.output(&name(length - 1), F32, &[4]).finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_ladder_gives_away_its_culprit(
        length in 1..40_usize,
        reach in 1..7_usize,
        culprit in any::<prop::sample::Index>(),
    ) {
        let model = ladder(length, reach);
        let x = feed("x", Tensor::from_f32(&[4], vec![0.3, -1.1, 2.7, 5.0]).unwrap());
        check(&model, &[x], &format!("n{}", culprit.index(length)))?;
    }

    #[test]
    fn a_random_network_gives_away_its_culprit(
        genes in prop::collection::vec((any::<u8>(), any::<usize>(), any::<usize>()), 1..24),
        culprit in any::<prop::sample::Index>(),
    ) {
        let genes: Vec<Gene> = genes;
        let model = RandomNetwork::new(&genes).model();
        let feeds = [feed("x", tensor(10)), feed("in::put/2", tensor(11))];
        let steps = NodeSteps::new(&model).unwrap();
        // Genes of constants alone leave no node to compute.
        prop_assume!(!steps.is_empty());
        let feeds: Vec<Feed> = feeds
            .into_iter()
            .filter(|feed| model.inputs().iter().any(|input| input.name == feed.name))
            .collect();
        check(&model, &feeds, &steps.node(culprit.index(steps.len())).0)?;
    }
}

/// The properties above test little if the whole agrees: here the whole always differs.
#[test]
fn every_culprit_that_nothing_absorbs_is_found() {
    let model = ladder(33, 2);
    let x = feed("x", Tensor::from_f32(&[4], vec![0.3, -1.1, 2.7, 5.0]).unwrap());
    let wrong = (0..33).filter(|at| {
        check(&model, std::slice::from_ref(&x), &format!("n{at}")).unwrap() == Answer::Diverges
    });
    assert_eq!(wrong.count(), 33);
}

// --- shrinking --------------------------------------------------------------

fn shrunk(model: &Model, feeds: &[Feed], inject: Inject) -> Option<Shrunk> {
    let mut oracle = Oracle {
        second: None,
        session: Box::new(Liar { inject }),
        arithmetic: offby::bounds::Arithmetic::default(),
        deadline: Duration::from_secs(60),
        runs: 0,
        own: Vec::new(),
        interrupted: || false,
    };
    shrink(model, feeds, &[], &mut oracle, &mut |_| ()).unwrap()
}

/// One node that copies its input.
fn passing(rows: usize, columns: usize) -> Model {
    Network::new("passing")
        .input("x", F32, &[rows, columns])
        .node("n", "Identity", &["x"], &["y"], &[])
        .output("y", F32, &[rows, columns])
        .finish()
        .unwrap()
}

fn counting(rows: usize, columns: usize) -> Feed {
    let numbers = (0..rows * columns).map(|at| at as f32).collect();
    feed("x", Tensor::from_f32(&[rows, columns], numbers).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The engine is wrong from some extent of the last axis on.
    #[test]
    fn the_threshold_of_an_axis_is_found(rows in 1..4_usize, columns in 2..40_usize, pick in any::<prop::sample::Index>()) {
        let from = 2 + pick.index(columns - 1);
        let inject: Inject = Box::new(move |_, right| match right {
            Tensor::F32(array) if array.shape().last() >= Some(&from) => {
                Tensor::F32(array.mapv(|v| v + 1.0))
            }
            other => other.clone(),
        });
        let found = shrunk(&passing(rows, columns), &[counting(rows, columns)], inject).unwrap();
        let threshold = found.thresholds.iter().find(|threshold| threshold.axis == 1).unwrap();
        prop_assert_eq!((threshold.fails_from, threshold.agrees_at), (from, Some(from - 1)));
        prop_assert!(threshold.agrees_beyond.is_empty());
        let all = |range: std::ops::RangeInclusive<usize>| range.collect::<Vec<_>>();
        prop_assert_eq!(&threshold.tried.agrees, &all(1..=from - 1));
        prop_assert_eq!(&threshold.tried.fails, &all(from..=columns));
        prop_assert_eq!(found.specimen.feeds[0].tensor.shape(), [1, from]);
        prop_assert_eq!(&found.specimen.feeds[0].spec, "zeros");
    }

    /// The engine cuts values above a limit down to the limit.
    #[test]
    fn the_limit_of_the_values_is_found(count in 3..200_usize, pick in any::<prop::sample::Index>()) {
        let limit = 1.0 + pick.index(count - 2) as f32;
        let inject: Inject = Box::new(move |_, right| match right {
            Tensor::F32(array) => Tensor::F32(array.mapv(|v| v.min(limit))),
            other => other.clone(),
        });
        let found = shrunk(&passing(1, count), &[counting(1, count)], inject).unwrap();
        let seen = found.limit.unwrap();
        // The search also tries values of few bits between the whole numbers.
        prop_assert_eq!((seen.exact_up_to, seen.becomes), (limit, limit));
        prop_assert!(limit < seen.fails_at && seen.fails_at <= limit + 1.0);
        prop_assert!(seen.alone);
        let threshold = found.thresholds.iter().find(|threshold| threshold.axis == 1).unwrap();
        prop_assert_eq!(threshold.fails_from, limit as usize + 2);
        prop_assert_eq!(found.specimen.feeds[0].tensor.shape(), [1, 1]);
    }
}

/// The engine is wrong in a window of extents: a search that halves the axis finds only its upper end.
#[test]
fn a_window_of_extents_is_found_from_below() {
    let inject: Inject = Box::new(|_, right| match right {
        Tensor::F32(array)
            if array.shape().last().is_some_and(|n| (9..=16).contains(n) || *n >= 33) =>
        {
            Tensor::F32(array.mapv(|v| v + 1.0))
        }
        other => other.clone(),
    });
    let found = shrunk(&passing(2, 40), &[counting(2, 40)], inject).unwrap();
    let threshold = found.thresholds.iter().find(|threshold| threshold.axis == 1).unwrap();
    let sentence = threshold.sentence();
    let words = "along axis 1 (the last) of `x`: fails at 9..16, 33..40; agrees at 1..8, 17..32";
    assert_eq!((sentence.as_str(), threshold.fails_from), (words, 9));
    assert_eq!(found.specimen.feeds[0].tensor.shape(), [1, 9]);
}

/// The search tries all small extents. Above those, it closes the gap below the smallest failing extent.
#[test]
fn a_long_axis_is_halved_where_nothing_was_tried() {
    let inject: Inject = Box::new(|_, right| match right {
        Tensor::F32(array) if array.shape().last() >= Some(&100) => {
            Tensor::F32(array.mapv(|v| v + 1.0))
        }
        other => other.clone(),
    });
    let found = shrunk(&passing(1, 300), &[counting(1, 300)], inject).unwrap();
    let threshold = found.thresholds.iter().find(|threshold| threshold.axis == 1).unwrap();
    assert_eq!((threshold.fails_from, threshold.agrees_at), (100, Some(99)));
    assert!(found.runs < 200, "{}", found.runs);
}

/// The engine is wrong in a window of values without a whole number, and from a whole number on.
#[test]
fn a_window_of_values_is_found_between_whole_numbers() {
    let inject: Inject = Box::new(|_, right| match right {
        Tensor::F32(array) => {
            let is_wrong = |v: f32| (0.5..=0.6).contains(&v) || v >= 2.0;
            Tensor::F32(array.mapv(|v| if is_wrong(v) { 0.0 } else { v }))
        }
        other => other.clone(),
    });
    let found = shrunk(&passing(1, 64), &[counting(1, 64)], inject).unwrap();
    let limit = found.limit.unwrap();
    assert_eq!((limit.exact_up_to, limit.fails_at, limit.becomes), (0.492_187_5, 0.5, 0.0));
    let words = "of the values tried, those up to 0.4921875 are exact; the smallest failing value is 0.5, which becomes 0; tensors of either value alone show the same; tried were the 64 values of the input, and 32 for each power of two from 6.1035156e-5 to 0.984375";
    assert_eq!(limit.sentence(), words);
    assert_eq!(found.specimen.feeds[0].spec, "const:0.5");
}

#[test]
fn an_engine_that_does_not_lie_has_nothing_to_shrink() {
    let honest: Inject = Box::new(|_, right| right.clone());
    assert!(shrunk(&passing(2, 8), &[counting(2, 8)], honest).is_none());
}

/// The outputs equal a session's, in the model's order.
#[test]
fn the_liar_is_the_reference_otherwise() {
    let model = ladder(5, 2);
    let x = feed("x", Tensor::from_f32(&[4], vec![1.0, 2.0, 3.0, 4.0]).unwrap());
    let deadline = Duration::from_secs(60);
    let request = Request { model: &model, feeds: &[x], repeats: 1, deadline };
    let mut honest = Liar { inject: Box::new(|_, right| right.clone()) };
    let outputs: Vec<Output> = honest.execute(&request).outputs;
    assert_eq!(outputs.len(), 1);
    assert_eq!(outputs[0].name, model.outputs()[0]);
}

/// TopK's indices are not floating-point values, so the proving run does not ask for them. They must come from
/// the run's own values, or the search accuses TopK of its input's error.
#[test]
fn indices_belong_to_the_values_they_index() {
    let four = Tensor::from_bytes(I64, &[1], &4_i64.to_le_bytes()).unwrap();
    let model = Network::new("indices")
        .input("x", F32, &[2, 4])
        .initializer("four", &four)
        .node("culprit", "Tanh", &["x"], &["bent"], &[])
        .node("sum", "Add", &["bent", "x"], &["summed"], &[])
        .node("top", "TopK", &["summed", "four"], &["largest", "places"], &[])
        .node("result", "Neg", &["x"], &["y"], &[])
        .output("y", F32, &[2, 4])
        .finish()
        .unwrap();
    let x = vec![1.0, -2.0, 0.5, -0.25, -3.0, 0.1, 0.2, -1.0];
    let inject: Inject = Box::new(|label, right| match right {
        Tensor::F32(array) if label == "culprit" => Tensor::F32(array.mapv(|v| -9.0 * v)),
        other => other.clone(),
    });
    let report = searched(&model, &[feed("x", Tensor::from_f32(&[2, 4], x).unwrap())], inject);
    assert_eq!(report.sources, ["culprit"]);
}
