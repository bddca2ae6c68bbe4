//! Honest devices: every accused operator on them is innocent.

use crate::strategies::{self, Found};
use crate::{Field, feeds, plant::Trial};
use offby::sim::{Accumulate, Device, StorageRules};
use offby::tensor::{Format, Rounding};
use offby::worker::WorkerProgram;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Every way of storing and adding up, with its name.
fn devices() -> Vec<Device> {
    let device = |name: &str, format, rounding, accumulate| Device {
        name: name.into(),
        describes: format!("honest device, {name}"),
        storage: StorageRules { format, rounding, ..StorageRules::default() },
        accumulate,
        ..Device::honest()
    };
    let (nearest, cut) = (Rounding::NearestEven, Rounding::TowardZero);
    vec![
        device("f32", Format::F32, nearest, Accumulate::F32),
        device("f16", Format::F16, nearest, Accumulate::F32),
        device("f16-toward-zero", Format::F16, cut, Accumulate::F32),
        device("bf16", Format::Bf16, nearest, Accumulate::F32),
        device("tf32", Format::Tf32, nearest, Accumulate::F32),
        device("f16-sums", Format::F16, nearest, Accumulate::F16),
    ]
}

/// Walks every network on every honest device with `seeds` feeds, and reports the accused operators.
pub(crate) fn walks(seeds: u64, field: &Field, worker: &WorkerProgram) -> (String, Vec<Found>) {
    let devices = devices();
    let mut jobs = Vec::new();
    for (network, fits_half) in field.fits_half.iter().enumerate() {
        for device in &devices {
            // A device that cannot hold the values loses some, so it is accused rightly.
            if device.storage.format != Format::F16 || *fits_half {
                jobs.extend((0..seeds).map(|seed| (network, device, seed)));
            }
        }
    }
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(&(network, device, seed)) =
                    jobs.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let trial = Trial {
                        device: device.clone(),
                        planted: Vec::new(),
                        input: 1_000_000 + seed,
                        network,
                    };
                    let model = &field.models[network];
                    let found = feeds(model, trial.input)
                        .and_then(|feeds| strategies::run("follow", &trial, model, &feeds, worker));
                    if let Ok(mut all) = all.lock() {
                        all.push((network, device.name.clone(), seed, found));
                    }
                }
            });
        }
    });
    tell(all.into_inner().unwrap_or_default(), field)
}

type Walk = (usize, String, u64, Result<Found, String>);

fn tell(walks: Vec<Walk>, field: &Field) -> (String, Vec<Found>) {
    let mut text = String::new();
    let (mut accused, mut failed, count) = (0, 0, walks.len());
    let mut all = Vec::new();
    for (network, device, seed, found) in walks {
        let network = field.models[network].path().display().to_string();
        match found {
            Ok(found) => {
                for source in &found.sources {
                    accused += 1;
                    let measured = found.measured.get(source).map_or("", String::as_str);
                    let _ = writeln!(
                        text,
                        "  accused: {network} on {device}, seed {seed}: {source}: {measured}"
                    );
                }
                all.push(found);
            }
            Err(reason) => {
                failed += 1;
                let _ = writeln!(text, "  failed: {network} on {device}, seed {seed}: {reason}");
            }
        }
    }
    let operators: usize = all.iter().map(|found| found.measured.len()).sum();
    let head = format!(
        "honest devices: {count} walks of {} networks, {operators} operators; {accused} accused, {failed} walks failed\n",
        field.models.len()
    );
    (head + &text, all)
}
