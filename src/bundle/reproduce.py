"""Runs model.mnn with MNN's Python package and shows where it differs from expected/.

    pip install MNN numpy
    python reproduce.py

The package on PyPI holds MNN's CPU backend only: for a GPU, build MNN with it. What really ran is
printed; without the backend MNN runs on the CPU in silence.
"""

import os

import MNN
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
BACKEND, FORWARD, PRECISION = "@BACKEND@", @FORWARD@, "@PRECISION@"
INPUTS = {
    @INPUTS@
}
OUTPUTS = {
    @OUTPUTS@
}


def load(name):
    return np.load(os.path.join(HERE, name))


def show(title, right, found):
    right, found = np.ravel(right), np.ravel(found)
    # NaN differs from every number, and agrees with NaN.
    differs = ~((right == found) | (np.isnan(right) & np.isnan(found)))
    print(f"{title}: {differs.sum()} of {right.size} elements differ")
    for at in np.flatnonzero(differs)[:10]:
        print(f"  [{at}] expected {right[at]:.8g}, got {found[at]:.8g}")


def run():
    interpreter = MNN.Interpreter(os.path.join(HERE, "model.mnn"))
    session = interpreter.createSession(
        {"backend": BACKEND, "precision": PRECISION, "numThread": 2}
    )
    ran = interpreter.getSessionInfo(session, 2)
    print(f"asked for backend {FORWARD} ({BACKEND}, precision {PRECISION}), ran on {ran}")
    for name, file in INPUTS.items():
        values = np.ascontiguousarray(load(file))
        tensor = interpreter.getSessionInput(session, name)
        interpreter.resizeTensor(tensor, values.shape)
        interpreter.resizeSession(session)
        kind = MNN.Halide_Type_Int if values.dtype.kind in "iu" else MNN.Halide_Type_Float
        values = values.astype(np.int32 if kind == MNN.Halide_Type_Int else np.float32)
        host = MNN.Tensor(values.shape, kind, values, MNN.Tensor_DimensionType_Caffe)
        tensor.copyFrom(host)
    interpreter.runSession(session)
    for name, (right, found) in OUTPUTS.items():
        right = load(right)
        if found is not None:
            show(f"{name} as it was seen", right, load(found))
        tensor = interpreter.getSessionOutput(session, name)
        zeros = np.zeros(right.shape, dtype=np.float32)
        host = MNN.Tensor(
            right.shape, MNN.Halide_Type_Float, zeros, MNN.Tensor_DimensionType_Caffe
        )
        tensor.copyToHostTensor(host)
        here = np.array(host.getData(), dtype=np.float32).reshape(right.shape)
        show(f"{name} here", right, here)


run()
