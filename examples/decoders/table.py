#!/usr/bin/env python3
"""Decodes small decoders on engines, and writes a table: table.py OFFBY PYTHON FOLDER TOKENS [DECODER...] > reports/decoders.md

PYTHON has openvino, tinygrad and onnx; FOLDER has what `cargo run --release --example decoders -- FOLDER` writes.
"""

import json, os, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OFFBY, PYTHON, FOLDER, TOKENS, *NAMES = sys.argv[1:]
TARGETS = [
    ("mnn:cpu", None), ("mnn:vulkan:high", None), ("mnn:vulkan:low", None), ("mnn:opencl:high,tune=none", None),
    ("ort:cpu", None), ("ext:openvino", "openvino_worker.py"), ("ext:tinygrad", "tinygrad_worker.py"),
]
# tinygrad compiles its kernels anew for each length of the text, so it runs three of the decoders.
FEW = {"ext:tinygrad": ("gpt2", "gpt2_no_cache", "llama")}
HEAD = """# Small decoders on real engines

`examples/decoders/table.py` wrote this: {tokens} tokens after a prompt of 8, on two cores, with llvmpipe for Vulkan and rusticl for
OpenCL. The reference is tract. A cell has the verdict and how many of the reference's words the target keeps. A wrong step has the
operators that introduce the error. [How it judges](../docs/decode.md)
"""


def lane(decoder, target, worker):
    if decoder.stem not in FEW.get(target, (decoder.stem,)):
        return None, "not run"
    command = [OFFBY, "decode", decoder, "--on", target, "--steps", str(int(TOKENS) - 1), "--json", "-", "-q"]
    if worker:
        command += ["--via", f"{PYTHON} {ROOT / 'examples' / worker}"]
    done = subprocess.run(command, text=True, capture_output=True, env={**os.environ, "DEV": "CL", "RUSTICL_ENABLE": "llvmpipe", "RUSTICL_DEVICE_TYPE": "gpu"})
    if not done.stdout:
        return None, done.stderr.strip()
    return json.loads(done.stdout)["targets"][0], ""


def cell(found, why):
    if found is None:
        return why.splitlines()[0]
    tokens = [step["token"] for step in found["steps"] if step.get("token")]
    kept = sum(token["want"] == token["got"] for token in tokens)
    words = found["kind"].replace("_", " ")
    if not tokens:
        return f"{words}: {found['sentence'][:90]}"
    text = f"{words}, {kept} of {len(tokens)}"
    if part := found.get("part"):
        kinds = sorted({source["op_type"] for source in part["sources"]})
        text += f"; from step {part['step']}: {', '.join(kinds) or 'no operator named'}"
    return text


def main():
    decoders = sorted(path for path in Path(FOLDER).glob("*.onnx") if path.stem != "huge" and (not NAMES or path.stem in NAMES))
    print(HEAD.format(tokens=TOKENS))
    print("| decoder | " + " | ".join(f"`{target}`" for target, _ in TARGETS) + " |")
    print("| --- |" + " --- |" * len(TARGETS))
    for decoder in decoders:
        cells = [cell(*lane(decoder, *target)).replace("|", "\\|") for target in TARGETS]
        print(f"| {decoder.stem} | " + " | ".join(cells) + " |", flush=True)


main()
