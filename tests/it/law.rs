//! The law that `offby run` and `offby walk` end with the same exit code on the same network, inputs and
//! target. Both use one judgement, and no walk may weaken or extend it.

use crate::support::{finish, need, offby};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Real backends, an honest device, and a device whose first node returns twice the right value.
const TARGETS: &[&str] = &[
    "mnn:cpu",
    "mnn:vulkan:high",
    "mnn:vulkan:low",
    "mnn:opencl:high",
    "sim:honest-f16",
    "sim:scale",
];
/// How many pairs run at the same time.
const THREADS: usize = 2;

/// A network and its inputs; without inputs offby feeds its defaults.
struct Network {
    model: PathBuf,
    inputs: Vec<String>,
}

/// Fails with every pair of network and target with different exit codes.
#[test]
#[ignore = "needs Vulkan and OpenCL"]
fn run_and_walk_end_alike() {
    TARGETS.iter().for_each(|target| need(target));
    let networks = networks();
    let pairs: Vec<(&Network, &str)> = networks
        .iter()
        .flat_map(|network| TARGETS.iter().map(move |target| (network, *target)))
        .filter(|(network, target)| !dies(network, target))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut breaches = Vec::new();
        while let Some((network, target)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
            breaches.extend(breach(network, target));
        }
        breaches
    };
    let breaches: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let (count, lines) = (breaches.len(), breaches.join("\n  "));
    eprintln!("{} networks, {} pairs of network and target", networks.len(), pairs.len());
    assert!(breaches.is_empty(), "{count} of {} pairs break the law:\n  {lines}\n", pairs.len());
}

/// Whether llvmpipe kills the worker in about one of three tapped runs, by a loop whose memory MNN has freed.
fn dies(network: &Network, target: &str) -> bool {
    network.model.to_string_lossy().contains("/h14/") && target.starts_with("mnn:vulkan")
}

/// The breach of one pair.
fn breach(network: &Network, target: &str) -> Option<String> {
    let [ran, walked] = ["run", "walk"].map(|command| exit_code(network, command, target));
    // Exit code 2 is no verdict: it would hide a breach.
    let is_kept = ran.0 == walked.0 && ran.0 != 2;
    (!is_kept).then(|| {
        let at = network.model.display();
        format!(
            "{at} {target}: run has exit {} {}, walk has exit {} {}",
            ran.0, ran.1, walked.0, walked.1
        )
    })
}

/// The exit code and the printed errors.
fn exit_code(network: &Network, command: &str, target: &str) -> (i32, String) {
    let mut offby = offby();
    offby.arg(command).arg(&network.model).args(["--on", target, "--quiet"]);
    for input in &network.inputs {
        offby.args(["--input", input]);
    }
    let (code, _, stderr) = finish(offby);
    (code, stderr)
}

/// Every debug network, and every network of `tests/truth`.
fn networks() -> Vec<Network> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = |folder: &Path, extension: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<PathBuf> =
            entries.filter(|path| path.extension().is_some_and(|end| end == extension)).collect();
        paths.sort();
        paths
    };
    let debug = listed(&root.join("debug-models"), "onnx").into_iter();
    let debug = debug.map(|model| Network { model, inputs: Vec::new() });
    let mut folders: Vec<PathBuf> = fs::read_dir(root.join("tests/truth"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    let truth = folders.iter().map(|folder| {
        let named = |path: &PathBuf| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            format!("{name}={}", path.display())
        };
        let mut inputs: Vec<String> = listed(folder, "npy").iter().map(named).collect();
        if inputs.is_empty() {
            inputs.push("normal:1".into());
        }
        Network { model: folder.join("model.onnx"), inputs }
    });
    debug.chain(truth).collect()
}
