//! Times the readers of dumps on generated dumps of one size in every format, and walks each of them.
//!
//! `cargo run --release --example bench_dumps -- OFFBY FOLDER`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod make;

use offby::inputs::Dump;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How many values are dumped, and how many elements each has: 500 values of 2 MiB.
const VALUES: usize = 500;
const ELEMENTS: usize = 1 << 19;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let (Some(offby), Some(folder)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: bench_dumps OFFBY FOLDER");
        return ExitCode::from(2);
    };
    match bench(&offby, &folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn bench(offby: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let network = folder.join("chain.onnx");
    std::fs::write(&network, make::network(VALUES, ELEMENTS))?;
    let size = (VALUES * ELEMENTS * size_of::<f32>()) as f64;
    println!("{VALUES} values, {:.2} GB", size / 1e9);
    println!(
        "{:<14} {:>10} {:>10} {:>12} {:>10}",
        "format", "read, GB/s", "walk, s", "memory, MB", "exit code"
    );
    for (format, write) in make::FORMATS {
        let dump = write(folder, VALUES, ELEMENTS)?;
        // The first pass brings the files into the page cache.
        Dump::open(&dump)?;
        let started = Instant::now();
        Dump::open(&dump)?;
        let speed = size / 1e9 / started.elapsed().as_secs_f64();
        let (seconds, memory, code) = walk(offby, &network, &dump)?;
        println!("{format:<14} {speed:>10.2} {seconds:>10.1} {memory:>12.0} {code:>10}");
        match dump.is_dir() {
            true => std::fs::remove_dir_all(&dump)?,
            false => std::fs::remove_file(&dump)?,
        }
    }
    Ok(())
}

/// The time and the peak memory of a walk from the dump, which `/usr/bin/time` measures, and the exit code.
fn walk(offby: &Path, network: &Path, dump: &Path) -> Result<(f64, f64, i32)> {
    let mut command = Command::new("/usr/bin/time");
    command
        .args(["-f", "%e %M"])
        .arg(offby)
        .arg("walk")
        .arg(network)
        .arg("--got")
        .arg(dump)
        .arg("-q");
    let output = command.stdout(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap_or_default();
    let (seconds, kibibytes) = last.split_once(' ').ok_or(format!("not measured: {text}"))?;
    let memory = kibibytes.parse::<f64>()? * 1024.0 / 1e6;
    Ok((seconds.parse()?, memory, output.status.code().unwrap_or(-1)))
}
