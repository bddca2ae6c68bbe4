//! How fast `compare` is, against two yardsticks: merely summing both tensors, and numpy.
//!
//! Two `f32` tensors of 256 MiB (`OFFBY_BENCH_MIB` changes that) differ by a little noise in every element, so
//! no block can be skipped. The sum is the least cost of reading both once: the same threads, the same vector
//! units, and enough accumulators that only memory limits it. numpy runs the same metrics in
//! `numpy_compare.py`, with `OFFBY_PYTHON`, offby's own environment or `python3`.

#![allow(clippy::print_stdout, reason = "a benchmark's output is its result")]

use offby_compare::compare::compare;
use offby_compare::tensor::{Tensor, write_npy};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const REPEATS: usize = 9;
const LANES: usize = 64;

fn main() {
    let mib = std::env::var("OFFBY_BENCH_MIB")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(256usize);
    let len = mib * (1 << 20) / 4;
    let reference: Vec<f32> = (0..len as u64).into_par_iter().map(normal).collect();
    let candidate: Vec<f32> =
        (0..len as u64).into_par_iter().map(|i| normal(i) + 1e-3 * (uniform(!i) - 0.5)).collect();
    println!("2 tensors of {mib} MiB, {} threads, {}", rayon::current_num_threads(), vector_unit());

    let tensors = [reference, candidate]
        .map(|elements| Tensor::from_f32(&[len], elements).expect("one axis"));
    let [Tensor::F32(reference), Tensor::F32(candidate)] = &tensors else {
        unreachable!("both are f32")
    };
    let slices = [reference, candidate].map(|array| array.as_slice().expect("row-major"));
    let [together, apart, comparing] = medians([
        &|| f64::from(sum_together(slices)),
        &|| f64::from(slices.map(sum).iter().sum::<f32>()),
        &|| compare(&tensors[0], &tensors[1]).expect("comparable").max_abs,
    ]);
    let summing = together.min(apart);

    let bytes = (8 * len) as f64;
    let line = |what: &str, seconds: f64| {
        println!("{what:<8} {:8.1} ms {:7.2} GB/s", seconds * 1e3, bytes / seconds / 1e9)
    };
    line("sum", summing);
    line("compare", comparing);
    println!("compare runs at {:.2} of the speed of the sum", summing / comparing);
    match numpy_seconds(&tensors) {
        Ok(seconds) => {
            line("numpy", seconds);
            println!("compare is {:.1} times as fast as numpy", seconds / comparing);
        }
        Err(reason) => println!("numpy not measured: {reason}"),
    }
}

/// The instruction set that `pulp` found: `V4` is AVX-512, `V3` AVX2.
fn vector_unit() -> String {
    let found = format!("{:?}", Arch::new());
    found.split('(').next().unwrap_or(&found).to_owned()
}

/// Evenly distributed in [0, 1), by Steele's SplitMix64 of the position.
fn uniform(i: u64) -> f32 {
    let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
}

/// Nearly normal: the sum of twelve uniform numbers (Irwin and Hall).
fn normal(i: u64) -> f32 {
    (0..12).map(|k| uniform(12 * i + k)).sum::<f32>() - 6.0
}

/// The median seconds of each run. In every round the runs alternate, so a busy machine slows all alike.
fn medians<const N: usize>(runs: [&dyn Fn() -> f64; N]) -> [f64; N] {
    let mut seconds = [const { Vec::new() }; N];
    for _ in 0..=REPEATS {
        for (run, seconds) in runs.iter().zip(&mut seconds) {
            let start = Instant::now();
            black_box(run());
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.map(|mut seconds| {
        // The first round is only a warm-up.
        seconds.remove(0);
        seconds.sort_by(f64::total_cmp);
        seconds[REPEATS / 2]
    })
}

/// Pieces large enough to make their distribution almost free.
const PIECE: usize = 1 << 20;

fn sum(elements: &[f32]) -> f32 {
    elements.par_chunks(PIECE).map(|piece| Arch::new().dispatch(Sum([piece]))).sum()
}

fn sum_together([a, b]: [&[f32]; 2]) -> f32 {
    a.par_chunks(PIECE)
        .zip(b.par_chunks(PIECE))
        .map(|(a, b)| Arch::new().dispatch(Sum([a, b])))
        .sum()
}

/// Sums the elements of slices of one length side by side.
struct Sum<'a, const N: usize>([&'a [f32]; N]);

impl<const N: usize> WithSimd for Sum<'_, N> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        let chunks = self.0.map(|slice| slice.as_chunks::<LANES>().0);
        let mut lanes = [[0.0f32; LANES]; N];
        for i in 0..chunks[0].len() {
            for (lanes, chunks) in lanes.iter_mut().zip(chunks) {
                for (lane, element) in lanes.iter_mut().zip(&chunks[i]) {
                    *lane += element;
                }
            }
        }
        lanes.as_flattened().iter().sum()
    }
}

/// The median seconds of numpy for the same metrics, without reading the files.
fn numpy_seconds(tensors: &[Tensor; 2]) -> Result<f64, String> {
    let python = python_with_numpy().ok_or("no python that imports numpy; set OFFBY_PYTHON")?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let paths = ["reference.npy", "candidate.npy"].map(|name| folder.path().join(name));
    for (path, tensor) in paths.iter().zip(tensors) {
        write_npy(path, tensor).map_err(|error| error.to_string())?;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/numpy_compare.py");
    let output = Command::new(python)
        .arg(script)
        .args(&paths)
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

fn python_with_numpy() -> Option<PathBuf> {
    let asked = std::env::var_os("OFFBY_PYTHON").map(PathBuf::from);
    let own =
        std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/offby/venv/bin/python"));
    let candidates = asked.into_iter().chain(own).chain([PathBuf::from("python3")]);
    let imports = |python: &PathBuf| {
        Command::new(python)
            .args(["-c", "import numpy"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    candidates.into_iter().find(imports)
}
