"""Applies an optimizer's passes to a network, each by itself: passes.py PACKAGE MODEL FOLDER.

Prints a JSON line for each pass. A pass runs in a process of its own, because some of them crash.
"""

import json
import os
import sys

PACKAGE, MODEL, FOLDER = sys.argv[1:]


def onnxoptimizer_passes():
    import onnx
    import onnxoptimizer

    model = onnx.load(MODEL)
    before = onnxoptimizer.optimize(model, ["nop"]).SerializeToString()
    everything = onnxoptimizer.get_fuse_and_elimination_passes()
    # These take a network into two parts, or change what it computes on purpose.
    no_rewrites = {"nop", "split_init", "split_predict", "set_unique_name_for_nodes", "lift_lexical_references"}
    single = [name for name in onnxoptimizer.get_available_passes() if name not in no_rewrites]
    for name, passes in [*((name, [name]) for name in single), ("all", everything)]:
        yield f"onnxoptimizer:{name}", before, lambda passes=passes: onnxoptimizer.optimize(model, passes).SerializeToString()


def onnxsim_passes():
    import onnx
    import onnxsim

    model = onnx.load(MODEL)
    yield "onnxsim", model.SerializeToString(), lambda: onnxsim.simplify(model)[0].SerializeToString()


def ort_passes(level):
    import onnxruntime as ort

    def run(level):
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        options.optimized_model_filepath = os.path.join(FOLDER, "ort.onnx")
        options.log_severity_level = 4
        ort.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
        with open(options.optimized_model_filepath, "rb") as file:
            return file.read()

    levels = ort.GraphOptimizationLevel
    wanted = {"basic": levels.ORT_ENABLE_BASIC, "extended": levels.ORT_ENABLE_EXTENDED, "all": levels.ORT_ENABLE_ALL}
    yield f"ort:{level}", run(levels.ORT_DISABLE_ALL), lambda: run(wanted[level])


def passes():
    if PACKAGE == "onnxoptimizer":
        return onnxoptimizer_passes()
    if PACKAGE == "onnxsim":
        return onnxsim_passes()
    return ort_passes(PACKAGE.removeprefix("ort:"))


def apply(rewrite, path):
    """Runs a pass in a child process; returns what went wrong, or nothing."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            result = rewrite()
            with open(path, "wb") as file:
                file.write(result)
        except BaseException as error:
            os.write(write, f"{type(error).__name__}: {error}".encode()[:4000])
            os._exit(1)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"the pass was killed by signal {os.WTERMSIG(status)}"
    return said or None


# What packages print themselves goes to stderr.
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
try:
    for number, (name, before, rewrite) in enumerate(passes()):
        path = os.path.join(FOLDER, f"{number}.onnx")
        problem = apply(rewrite, path)
        line = {"pass": name}
        if problem:
            line["problem"] = problem
        else:
            with open(path, "rb") as file:
                if file.read() != before:
                    line["file"] = path
        print(json.dumps(line), file=out, flush=True)
except ModuleNotFoundError as error:
    print(json.dumps({"missing": error.name}), file=out, flush=True)
