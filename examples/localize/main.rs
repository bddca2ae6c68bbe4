//! Plants faults at random and counts which strategies name them:
//! `cargo run --release --example localize -- --offby PROGRAM --seed 1 --faults 1000`.
//!
//! The devices are simulated and their faults are known, so faults that are "named exactly" can be counted. The
//! networks are the debug networks, a deep one made here, and any given with `--model`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a program to be read")]

mod dumps;
mod fallback;
mod honest;
mod margin;
mod network;
mod plant;
mod strategies;
mod tally;
mod watch;

use clap::Parser;
use margin::Margin;
use offby::graph::{Model, ValueName};
use offby::inputs::{Feed, Spec, draw};
use offby::sim::{Device, NodeFacts, Simulator};
use offby::tensor::Tensor;
use offby::worker::DeviceRun;
use offby::worker::WorkerProgram;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use strategies::{STRATEGIES, USUAL};
use tally::Tally;

/// Plants faults at random and counts which strategies name them.
#[derive(Parser)]
struct Arguments {
    /// The offby program, which serves the devices.
    #[arg(long)]
    offby: PathBuf,
    /// The seed of all random choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Plant at least this many faults.
    #[arg(long, default_value_t = 1000)]
    faults: usize,
    /// A further network; may be given several times.
    #[arg(long)]
    model: Vec<PathBuf>,
    /// Make whole op types of this many devices wrong, and search for the fallback instead.
    #[arg(long)]
    fallback: Option<usize>,
    /// Walk honest devices with this many feeds instead, and report the accused operators.
    #[arg(long)]
    honest: Option<u64>,
    /// Use only the networks given with `--model`.
    #[arg(long)]
    only: bool,
    /// Write the table of the nearest honest operators and the weakest named faults to this file.
    #[arg(long)]
    margin: Option<PathBuf>,
    /// Run only these strategies.
    #[arg(long, value_delimiter = ',')]
    strategies: Vec<String>,
}

/// The networks and the known facts about their nodes.
struct Field {
    models: Vec<Model>,
    facts: Vec<Vec<NodeFacts>>,
    /// Whether the values of each network stay in the range of `f16`: otherwise an honest device loses some.
    fits_half: Vec<bool>,
}

fn main() -> Result<(), String> {
    let arguments = Arguments::parse();
    let field = field(&arguments.model, arguments.only)?;
    let chosen: Vec<&'static str> = STRATEGIES
        .into_iter()
        .filter(|name| {
            let asked = &arguments.strategies;
            if asked.is_empty() { USUAL.contains(name) } else { asked.iter().any(|s| s == name) }
        })
        .collect();
    let worker = WorkerProgram::offby(arguments.offby);
    if let Some(count) = arguments.fallback {
        println!("{}", fallback::trials(count, arguments.seed, &field, &worker));
        return Ok(());
    }
    let mut margin = Margin::default();
    if let Some(seeds) = arguments.honest {
        let (text, found) = honest::walks(seeds, &field, &worker);
        found.iter().for_each(|found| margin.add(found, &[]));
        println!("{text}");
        return write(arguments.margin.as_deref(), &margin);
    }
    let margin = Mutex::new(margin);
    let (next, planted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let tally = Mutex::new(Tally::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while planted.load(Ordering::Relaxed) < arguments.faults {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let trial = plant::draw(arguments.seed, number, &field);
                    planted.fetch_add(trial.planted.len(), Ordering::Relaxed);
                    if let Err(reason) =
                        one(number, &trial, &field, &chosen, &worker, (&tally, &margin))
                    {
                        eprintln!("trial {number}: {reason}");
                    }
                }
            });
        }
    });
    let tally = tally.into_inner().map_err(|error| error.to_string())?;
    println!("{} networks, seed {}\n\n{}", field.models.len(), arguments.seed, tally.text());
    let margin = margin.into_inner().map_err(|error| error.to_string())?;
    write(arguments.margin.as_deref(), &margin)
}

/// Writes the table of the operators nearest to the limit.
fn write(path: Option<&Path>, margin: &Margin) -> Result<(), String> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, margin.text()).map_err(|error| format!("{}: {error}", path.display()))
}

fn one(
    number: usize,
    trial: &plant::Trial,
    field: &Field,
    chosen: &[&'static str],
    worker: &WorkerProgram,
    (tally, margin): (&Mutex<Tally>, &Mutex<Margin>),
) -> Result<(), String> {
    let model = &field.models[trial.network];
    let feeds = feeds(model, trial.input)?;
    let watched = watch::watch(trial, model, &feeds)?;
    let found: Vec<_> = chosen
        .iter()
        .map(|&strategy| (strategy, strategies::run(strategy, trial, model, &feeds, worker)))
        .collect();
    let planted: Vec<(&'static str, String)> =
        trial.planted.iter().map(|(kind, label)| (kind.name(), label.clone())).collect();
    let mut margin = margin.lock().map_err(|error| error.to_string())?;
    found.iter().flat_map(|(_, found)| found).for_each(|found| margin.add(found, &planted));
    drop(margin);
    let mut tally = tally.lock().map_err(|error| error.to_string())?;
    tally.add(number, trial, &watched, found);
    Ok(())
}

fn field(more: &[PathBuf], only: bool) -> Result<Field, String> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir("debug-models")
        .map_err(|error| format!("debug-models: {error}"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "onnx"))
        .collect();
    paths.sort();
    paths.extend(more.iter().cloned());
    let mut field = Field { models: network::networks(), facts: Vec::new(), fits_half: Vec::new() };
    if only {
        field.models.clear();
        paths = more.to_vec();
    }
    for path in paths {
        field.models.push(Model::load(&path).map_err(|error| error.to_string())?);
    }
    for model in &mut field.models {
        model.fix_shapes(&BTreeMap::new()).map_err(|error| error.to_string())?;
        let run = DeviceRun::new(model, &feeds(model, 0)?, Simulator::new(Device::honest()))?;
        field.facts.push(run.facts().to_vec());
        field.fits_half.push(largest(run)? < ROOM);
    }
    Ok(field)
}

/// A quarter of the largest value of `f16`, so other feeds of the same kind also stay in its range.
const ROOM: f32 = 16384.0;

/// The largest magnitude in a run.
fn largest(mut run: DeviceRun) -> Result<f32, String> {
    run.begin(false)?;
    let mut most = 0.0f32;
    for step in 0..run.steps().len() {
        let (_, outputs) = run.advance(step).map_err(|stop| format!("{stop:?}"))?;
        for output in outputs {
            if let Tensor::F32(array) = output {
                most = array.iter().fold(most, |most, value| most.max(value.abs()));
            }
        }
    }
    Ok(most)
}

fn feeds(model: &Model, seed: u64) -> Result<Vec<Feed>, String> {
    let inputs = model.resolved_inputs().map_err(|error| error.to_string())?;
    let specs: BTreeMap<ValueName, Spec> = inputs
        .iter()
        .map(|input| (input.name.clone(), Spec::default_for(input.dtype, seed)))
        .collect();
    draw(model, &specs).map_err(|error| error.to_string())
}
