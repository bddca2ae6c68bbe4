"""Judges ONNX models for the tests: one JSON job per line of stdin, one JSON answer per line.

A job names a `model`. The checker sees it unless `check` is false. With `feeds` (name to .npy) the
model is run by onnxruntime, without optimizations; `values` names what to store in `folder` as
0.npy, 1.npy, ... , outputs or not.
"""

import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime

onnxruntime.set_default_logger_severity(4)


def run(job, model):
    declared = {output.name for output in model.graph.output}
    for value in job["values"]:
        if value not in declared:
            model.graph.output.append(onnx.ValueInfoProto(name=value))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {name: numpy.load(path) for name, path in job["feeds"].items()}
    wanted = {value.name for value in session.get_inputs()}
    arrays = session.run(job["values"], {n: a for n, a in feeds.items() if n in wanted})
    for at, array in enumerate(arrays):
        numpy.save(pathlib.Path(job["folder"]) / f"{at}.npy", array)


def judge(job):
    if job.get("check", True):
        onnx.checker.check_model(job["model"], full_check=True)
    if "feeds" in job:
        run(job, onnx.load(job["model"]))


for line in sys.stdin:
    try:
        judge(json.loads(line))
        answer = {"ok": True}
    except Exception as error:  # whatever it is, it is the answer
        answer = {"ok": False, "why": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
