//! Walks from dumps alone: the values of a simulated device, whole or in part, without the device.

use crate::plant::Trial;
use offby::engine::Values;
use offby::graph::Model;
use offby::inputs::{Dump, Feed, Random};
use offby::sim::{Fault, Simulator};
use offby::walk::{
    DumpedNetwork, OpReport, Role, Sampling, Screened, ValueSample, WalkReport, screen, walk_dumped,
};
use offby::worker::DeviceRun;
use std::collections::{BTreeMap, BTreeSet};

/// The most walks of one dump.
const MOST_ROUNDS: usize = 32;

/// The values that are dumped first, together with the outputs.
pub(crate) enum First {
    /// About this share of all values.
    Share(f64),
    /// The values that samples of this many elements make suspicious.
    Suspicious(usize),
}

/// Walks a dump that has these values and all outputs. Then dumps the values that the walk asks for,
/// until it names single nodes. Returns the first walk's report, with planted nodes in place of the pieces that they
/// are in, and the number of walks.
pub(crate) fn walk(
    trial: &Trial,
    model: &Model,
    feeds: &[Feed],
    which: &First,
) -> Result<(WalkReport, usize), String> {
    let all = values(trial, model, feeds)?;
    let is_output = |name: &&String| model.outputs().iter().any(|output| output.as_str() == *name);
    let mut dumped: BTreeSet<String> = all.keys().filter(is_output).cloned().collect();
    dumped.extend(match which {
        First::Share(share) => drawn(trial, &all, *share),
        First::Suspicious(elements) => suspicious(trial, model, feeds, &all, *elements)?,
    });
    let mut first = report(trial, model, feeds, &all, &dumped)?;
    let (mut now, mut rounds) = (first.clone(), 1);
    loop {
        let before = dumped.len();
        dumped.extend(asked(&now));
        if rounds == MOST_ROUNDS || dumped.len() == before {
            break;
        }
        now = report(trial, model, feeds, &all, &dumped)?;
        rounds += 1;
    }
    let suspects = sources(&first).map(|op| op.piece.len().max(1)).max().unwrap_or(1);
    let most = suspects.next_power_of_two().ilog2() as usize;
    // Several faults may each need their own values.
    if trial.planted.len() == 1 && rounds - 1 > most {
        return Err(format!(
            "there were {} rounds, and {suspects} suspects need {most}",
            rounds - 1
        ));
    }
    // Of several faults in one piece, some may have no effect: then only one of them is named in the end.
    if trial.planted.len() == 1 && !named(&now, trial).is_superset(&named(&first, trial)) {
        return Err("a node that was in a piece is lost when more values are known".to_owned());
    }
    first.sources = named(&first, trial).into_iter().collect();
    Ok((first, rounds))
}

/// About this share of the values.
fn drawn(trial: &Trial, all: &Values, share: f64) -> BTreeSet<String> {
    let mut random = Random::new(trial.input ^ 0x5eed);
    all.keys().filter(|_| random.unit() < share).cloned().collect()
}

/// The values that samples make suspicious.
fn suspicious(
    trial: &Trial,
    model: &Model,
    feeds: &[Feed],
    all: &Values,
    elements: usize,
) -> Result<BTreeSet<String>, String> {
    let sampling = Sampling { elements, seed: trial.input };
    let storage = trial.device.arithmetic().format;
    let screened = Screened { model, feeds, second: None, storage, sampling };
    let found = |name: &str| all.get(name).map(|value| ValueSample::of(value, sampling));
    Ok(screen(&screened, &found)?.values)
}

/// The values that the walk asks for next.
fn asked(report: &WalkReport) -> Vec<String> {
    let mut asked = sources(report).map(|op| op.decided_by.clone());
    asked.find(|values| !values.is_empty()).unwrap_or_default()
}

fn sources(report: &WalkReport) -> impl Iterator<Item = &OpReport> {
    report.ops.iter().filter(|op| op.role == Role::Source)
}

/// The planted nodes in the accused pieces, and the ends of the pieces without one.
fn named(report: &WalkReport, trial: &Trial) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for op in sources(report) {
        let is_in = |label: &&String| op.name == **label || op.piece.contains(label);
        let planted: Vec<&String> =
            trial.planted.iter().map(|(_, label)| label).filter(is_in).collect();
        match planted.is_empty() {
            true => _ = named.insert(op.name.clone()),
            false => named.extend(planted.into_iter().cloned()),
        }
    }
    named
}

fn report(
    trial: &Trial,
    model: &Model,
    feeds: &[Feed],
    all: &Values,
    dumped: &BTreeSet<String>,
) -> Result<WalkReport, String> {
    let values: Values = all
        .iter()
        .filter(|(name, _)| dumped.contains(*name))
        .map(|(n, t)| (n.clone(), t.clone()))
        .collect();
    let arithmetic = trial.device.arithmetic();
    let values = Dump::from(values);
    let dump = DumpedNetwork { model, feeds, values: &values, arithmetic, second: None };
    walk_dumped(&dump, &BTreeMap::new()).map_err(|stopped| stopped.to_string())
}

/// All values of the device's run, of its second run if the fault is in that run only.
fn values(trial: &Trial, model: &Model, feeds: &[Feed]) -> Result<Values, String> {
    let mut run = DeviceRun::new(model, feeds, Simulator::new(trial.device.clone()))?;
    let again = trial.planted.iter().any(|(kind, _)| *kind == Fault::SecondRun);
    let mut values = Values::new();
    for _ in 0..if again { 2 } else { 1 } {
        run.begin(false)?;
        for step in 0..run.steps().len() {
            let (_, outputs) = run.advance(step).map_err(|stop| format!("{stop:?}"))?;
            let names = run.steps().writes(step).to_vec();
            values.extend(names.into_iter().zip(outputs));
        }
    }
    Ok(values)
}
