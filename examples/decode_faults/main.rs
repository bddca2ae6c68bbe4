//! Plants faults that only decoding shows, on simulated devices, and counts how many are named:
//! `cargo run --release --example decode_faults -- OFFBY [FAULTS [SEED [FIRST]]]`. Honest devices follow: none may part.

#![allow(clippy::print_stdout, reason = "this is a program to be read")]

#[path = "../decoders/networks/mod.rs"]
mod networks;
mod plant;

use networks::{decoder, recipes};
use offby::decode::{DecodeLane, Interface, read_prompt};
use offby::engine::{SimTarget, Target};
use offby::graph::Model;
use offby::session::{Decoder, Registry, Settings};
use offby::sim::Device;
use offby::tensor::Format;
use offby::worker::{WorkerProgram, find_converter};
use plant::{KINDS, Trial, draw};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The decoders that faults are planted in.
const DECODERS: &[&str] = &["llama", "llama_window", "llama_deep", "gpt2"];
/// The tokens of the prompt.
const PROMPT: usize = 8;
/// Runs of honest devices: half in `f16`, half in `bf16`.
const HONEST: usize = 50;

/// What a trial gave.
#[derive(Default, Clone)]
struct Count {
    planted: usize,
    step: usize,
    operator: usize,
    missed: Vec<String>,
}

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: usize| match arguments.get(at) {
        Some(text) => text.parse::<usize>().map_err(|error| format!("{text}: {error}")),
        None => Ok(usual),
    };
    let offby = arguments.first().ok_or("give the offby program")?;
    let worker = WorkerProgram::offby(PathBuf::from(offby));
    let (faults, seed, first) = (number(1, 200)?, number(2, 1)?, number(3, 0)?);
    let models = models()?;
    let counts: Mutex<BTreeMap<&str, Count>> = Mutex::default();
    on_threads(faults, |number| {
        let trial = draw(seed, first + number, &models, PROMPT);
        let lane = decode(&models[trial.network], trial.device.clone(), trial.steps, &worker);
        let mut counts = counts.lock().map_err(|error| error.to_string())?;
        counts.entry(trial.kind).or_default().add(&trial, &lane?);
        Ok(())
    })?;
    let counts = counts.into_inner().map_err(|error| error.to_string())?;
    print_counts(&counts);
    let parted: Mutex<Vec<String>> = Mutex::default();
    on_threads(HONEST, |number| {
        let format = if number % 2 == 0 { Format::F16 } else { Format::Bf16 };
        let model = &models[number / 2 % models.len()];
        let lane = decode_seeded(model, plant::honest(format), 12, &worker, number)?;
        if lane.part.is_some() || lane.kind.news() != offby::verdict::News::Good {
            let mut parted = parted.lock().map_err(|error| error.to_string())?;
            let path = model.path().display();
            parted.push(format!("{path} in {format:?}: {} {}", lane.kind, lane.sentence));
        }
        Ok(())
    })?;
    let parted = parted.into_inner().map_err(|error| error.to_string())?;
    println!("\nhonest devices: {HONEST} runs, {} parted", parted.len());
    parted.iter().for_each(|line| println!("  {line}"));
    Ok(())
}

fn models() -> Result<Vec<Model>, String> {
    let recipes = recipes::all().into_iter().filter(|recipe| DECODERS.contains(&recipe.name));
    recipes
        .map(|recipe| {
            let path = format!("{}.onnx", recipe.name);
            Model::from_bytes(&decoder::graph(&recipe).to_bytes(), Path::new(&path))
                .map_err(|error| error.to_string())
        })
        .collect()
}

fn on_threads(
    count: usize,
    work: impl Fn(usize) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let failures: Mutex<Vec<String>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    if let (Err(reason), Ok(mut failures)) = (work(number), failures.lock()) {
                        failures.push(format!("trial {number}: {reason}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().map_err(|error| error.to_string())?;
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("\n")),
    }
}

fn decode(
    model: &Model,
    device: Device,
    steps: usize,
    worker: &WorkerProgram,
) -> Result<DecodeLane, String> {
    decode_seeded(model, device, steps, worker, 0)
}

fn decode_seeded(
    model: &Model,
    device: Device,
    steps: usize,
    worker: &WorkerProgram,
    seed: usize,
) -> Result<DecodeLane, String> {
    let interface = Interface::of(model, &[]).map_err(|error| error.to_string())?;
    let tokens = format!("random:{PROMPT},{seed}");
    let prompt = read_prompt(&tokens, interface.vocabulary).map_err(|error| error.to_string())?;
    let registry = Registry::with_program(find_converter(), worker.clone());
    let target = Target::Sim(SimTarget { name: device.name.clone(), device: Some(device) });
    let decoder = Decoder {
        model,
        interface: &interface,
        registry: &registry,
        reference: Target::Tract,
        deadline: Duration::from_secs(120),
        settings: Settings { targets: vec![target.clone()], ..Settings::default() },
        walks: true,
        free: false,
    };
    let targets = [(target.to_string(), target)];
    let decoded = decoder.decode(&prompt.0, steps, &targets, &mut |_| ());
    let mut lanes = decoded.map_err(|failure| failure.line())?.lanes;
    lanes.pop().ok_or_else(|| "no lane".to_owned())
}

impl Count {
    fn add(&mut self, trial: &Trial, lane: &DecodeLane) {
        self.planted += 1;
        let part = lane.part.as_ref();
        let at_step = part.is_some_and(|part| part.step == trial.step);
        let names = part.iter().flat_map(|part| &part.sources);
        let named = names.clone().any(|source| trial.nodes.contains(&source.name));
        let layer = part.is_some_and(|part| trial.layer.is_none() || part.layer == trial.layer);
        self.step += usize::from(at_step);
        self.operator += usize::from(at_step && named && layer);
        if !(at_step && named && layer) {
            let found: Vec<&str> = names.map(|source| source.name.as_str()).collect();
            self.missed.push(format!(
                "trial {}: {} in {} at step {}, found step {:?} {found:?}: {} {}",
                trial.number,
                trial.device.faults[0].fault.name(),
                trial.nodes.join(" "),
                trial.step,
                part.map(|part| part.step),
                lane.kind,
                lane.sentence,
            ));
        }
    }
}

fn print_counts(counts: &BTreeMap<&str, Count>) {
    println!("| fault | planted | step named | step, layer and operator named |");
    println!("| --- | --- | --- | --- |");
    let mut all = Count::default();
    for kind in KINDS {
        let count = counts.get(kind).cloned().unwrap_or_default();
        println!("| {kind} | {} | {} | {} |", count.planted, count.step, count.operator);
        all.planted += count.planted;
        all.step += count.step;
        all.operator += count.operator;
        all.missed.extend(count.missed);
    }
    println!("| all | {} | {} | {} |", all.planted, all.step, all.operator);
    all.missed.iter().for_each(|line| println!("\n{line}"));
}
