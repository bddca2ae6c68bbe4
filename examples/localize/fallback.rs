//! Makes whole types of operators wrong, and checks that the search for a fallback finds the smallest set of
//! them. The smallest sets are known: every part of the planted faults is removed in turn.

use crate::plant::{NUMERIC, fault, fits};
use crate::{Field, feeds};
use offby::compare::{Agreement, Declared, Judging, Storage, compare, judge};
use offby::engine::{NodeSteps, Output, Request, SimTarget};
use offby::graph::Model;
use offby::inputs::{Feed, Random};
use offby::sim::{Condition, Device, Fault, NodeFacts, Planted, Simulator, StorageRules};
use offby::tensor::{Format, Tensor};
use offby::walk::{By, FallbackPlan, Goal};
use offby::worker::DeviceRun;
use offby::worker::{SimEngine, Walker as _, WorkerProgram};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A set of op types.
type Types = BTreeSet<String>;

/// One device whose op types are wrong.
struct Trial {
    device: Device,
    types: Types,
    network: usize,
    input: u64,
}

/// Runs `count` trials and reports the results.
pub(crate) fn trials(count: usize, seed: u64, field: &Field, worker: &WorkerProgram) -> String {
    let started = Instant::now();
    let results: Vec<Result<Verdict, String>> =
        (0..count).map(|number| one(&draw(seed, number, field), field, worker)).collect();
    let is = |verdict: &str| {
        results.iter().filter(|r| r.as_ref().is_ok_and(|r| r.what == verdict)).count()
    };
    let runs: usize = results.iter().flatten().map(|verdict| verdict.runs).sum();
    let mut text = format!(
        "fallback: {count} devices with 1 to 4 wrong op types; a smallest set found {} times ({:.1} %), a superset {}, another set {}, not reached {}; {:.1} runs and {:.2} s on average\n",
        is("smallest"),
        100.0 * is("smallest") as f64 / count.max(1) as f64,
        is("superset"),
        is("another"),
        is("none"),
        runs as f64 / count.max(1) as f64,
        started.elapsed().as_secs_f64() / count.max(1) as f64,
    );
    let needed = |n: usize| results.iter().flatten().filter(|r| r.needed == Some(n)).count();
    text += &format!(
        "  what they need: nothing {}, one type {}, two {}, three {}, four {}; nothing helps {}\n",
        needed(0),
        needed(1),
        needed(2),
        needed(3),
        needed(4),
        results.iter().flatten().filter(|r| r.needed.is_none()).count()
    );
    for (number, result) in results.iter().enumerate() {
        match result {
            Ok(verdict) if verdict.what == "smallest" => {}
            Ok(verdict) => text += &format!("  trial {number}: {}\n", verdict.words),
            Err(reason) => text += &format!("  trial {number}: {reason}\n"),
        }
    }
    text
}

struct Verdict {
    what: &'static str,
    words: String,
    runs: usize,
    /// How many types the smallest sets have; `None` if even all types together do not help.
    needed: Option<usize>,
}

fn one(trial: &Trial, field: &Field, worker: &WorkerProgram) -> Result<Verdict, String> {
    let model = &field.models[trial.network];
    let feeds = feeds(model, trial.input)?;
    let expected = reference(model, &feeds)?;
    let format = trial.device.storage.format;
    let smallest = smallest_sets(trial, model, &feeds, &expected)?;

    let target = SimTarget { name: trial.device.name.clone(), device: Some(trial.device.clone()) };
    let engine = SimEngine { target, worker: worker.clone() };
    let goal = Goal::Tolerance(judging(format).widest());
    let plan = FallbackPlan { by: By::Type, goal, raise: false, expected };
    let deadline = Duration::from_secs(60);
    let request = Request { model, feeds: &feeds, repeats: 2, deadline };
    let walked = engine.walk(&request, Some(&plan), &mut |_| ());
    let found = walked.fallback.ok_or_else(|| walked.execution.reason.unwrap_or_default())?;
    let named: Option<Types> = found
        .members
        .as_ref()
        .map(|members| members.iter().map(|member| member.name.clone()).collect());
    let what = match &named {
        None if smallest.is_empty() => "smallest",
        None => "none",
        Some(named) if smallest.contains(named) => "smallest",
        Some(named) if smallest.iter().any(|set| named.is_superset(set)) => "superset",
        Some(_) => "another",
    };
    let words =
        format!("planted {:?}; smallest {smallest:?}; found {named:?} ({what})", trial.types);
    let needed = smallest.first().map(BTreeSet::len);
    Ok(Verdict { what, words, runs: found.runs, needed })
}

fn reference(model: &Model, feeds: &[Feed]) -> Result<Vec<Output>, String> {
    let mut steps = NodeSteps::new(model)?;
    steps.start(feeds)?;
    for step in 0..steps.len() {
        steps.advance(step, &Tensor::clone)?;
    }
    steps.outputs()
}

/// The smallest sets of planted types whose removal makes the device right.
fn smallest_sets(
    trial: &Trial,
    model: &Model,
    feeds: &[Feed],
    expected: &[Output],
) -> Result<Vec<Types>, String> {
    let types: Vec<&String> = trial.types.iter().collect();
    let mut parts: Vec<Types> = (0..1_usize << types.len())
        .map(|bits| {
            let chosen = types.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
            chosen.map(|(_, name)| (*name).clone()).collect()
        })
        .collect();
    parts.sort_by_key(BTreeSet::len);
    let mut found: Vec<Types> = Vec::new();
    for part in parts {
        if found.first().is_some_and(|first| first.len() < part.len()) {
            break;
        }
        if is_right_without(&part, trial, model, feeds, expected)? {
            found.push(part);
        }
    }
    Ok(found)
}

fn is_right_without(
    part: &Types,
    trial: &Trial,
    model: &Model,
    feeds: &[Feed],
    expected: &[Output],
) -> Result<bool, String> {
    let left = |planted: &&Planted| !planted.at.op.iter().any(|op| part.contains(op));
    let faults = trial.device.faults.iter().filter(left).cloned().collect();
    let device = Device { faults, ..trial.device.clone() };
    let mut run = DeviceRun::new(model, feeds, Simulator::new(device))?;
    run.begin(false)?;
    for step in 0..run.steps().len() {
        run.advance(step).map_err(|stop| format!("{stop:?}"))?;
    }
    let judging = judging(trial.device.storage.format);
    Ok(expected.iter().zip(run.outputs()?).all(|(expected, output)| {
        let comparison = compare(&expected.tensor, &output.tensor);
        comparison
            .is_ok_and(|comparison| judge(&comparison, &judging).agreement != Agreement::Diverges)
    }))
}

fn judging(format: Format) -> Judging {
    let row = |name| Storage::named(name).expect("the table has every format");
    Judging { declared: Declared::Storage(row(format.name())), ..Judging::strict(row("f32")) }
}

/// The trial of a number.
fn draw(seed: u64, number: usize, field: &Field) -> Trial {
    let mut random = Random::new(seed.wrapping_mul(7_000_003).wrapping_add(number as u64));
    let mut below = |bound: usize| random.below(bound as u128) as usize;
    let network = below(field.models.len());
    let nodes: &[NodeFacts] = &field.facts[network];
    let all: Types = nodes.iter().map(|node| node.op_type.clone()).collect();
    let mut free: Vec<String> = all.into_iter().collect();
    let format = if below(10) < 3 { Format::F16 } else { Format::F32 };
    let (mut types, mut faults) = (Types::new(), Vec::new());
    for _ in 0..1 + below(4) {
        if free.is_empty() {
            break;
        }
        let name = free.swap_remove(below(free.len()));
        let kinds: Vec<Fault> = NUMERIC
            .iter()
            .copied()
            // Faults that differ from run to run are walked, not searched for here.
            .filter(|kind| !matches!(kind, Fault::Random | Fault::Stale))
            .filter(|kind| nodes.iter().any(|node| node.op_type == name && fits(*kind, node)))
            .collect();
        let kind = kinds[below(kinds.len())];
        let at = Condition { op: vec![name.clone()], ..Condition::default() };
        faults.push(Planted { at, ..fault(kind, "", format == Format::F16) });
        types.insert(name);
    }
    let device = Device {
        name: format!("planted-{number}"),
        describes: format!("device with {} wrong op types", types.len()),
        storage: StorageRules { format, ..StorageRules::default() },
        faults,
        ..Device::honest()
    };
    Trial { device, types, network, input: number as u64 }
}
